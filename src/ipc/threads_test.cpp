// The wake-up protocols under contention, with real threads: no message is lost, duplicated or seen half-written, and no
// sleeper is forgotten. A lost wake-up shows as a time-out of a wait that nothing else would end. Meant for the
// thread sanitizer, too.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <thread>

#include "ipc/app_view.hpp"
#include "ipc/daemon_view.hpp"
#include "ipc/doorbell.hpp"
#include "ipc/testing/arena.hpp"

namespace rtchan::ipc {
namespace {

using namespace std::chrono_literals;
using testing::TestArena;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t slower = 10;
#else
constexpr std::uint64_t slower = 1;
#endif
constexpr std::uint64_t million = 1'000'000 / slower;
constexpr auto lost_wake_up = 20s;  // far above any pause of a busy machine

SleepDeadline soon() { return std::chrono::steady_clock::now() + lost_wake_up; }

struct Bells {
  int app = -1;
  int daemon = -1;
  Bells() {
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
    app = pair[0];
    daemon = pair[1];
  }
  ~Bells() {
    close(app);
    close(daemon);
  }
};

bool sleep_on(int bell) {
  pollfd waited{bell, POLLIN, 0};
  return poll(&waited, 1, static_cast<int>(std::chrono::milliseconds{lost_wake_up}.count())) == 1;
}

// Application -> worker -> application: the worker sleeps on its doorbell and ReadySet, the application's threads on
// futexes. The fewer slots, the more often everybody sleeps.
struct Echo : ::testing::TestWithParam<std::pair<std::uint32_t, std::uint64_t>> {};
INSTANTIATE_TEST_SUITE_P(Slots, Echo, ::testing::Values(std::pair{1u, million / 50}, std::pair{16u, million / 10}, std::pair{256u, million}),
                         [](const auto& slots) { return std::to_string(slots.param.first); });

TEST_P(Echo, ThroughDoorbellReadySetAndFutexLosesNothing) {
  TestArena arena;
  const auto [slots, messages] = GetParam();
  const QueuePlace out_place = arena.place(slots, 64);
  const QueuePlace in_place = arena.place(slots, 64);
  constexpr std::uint32_t channel = 4'242;
  SendQueue from_app(arena.bytes(), out_place);
  ReceiveQueue to_app(arena.bytes(), in_place);
  SendEnd app_out(arena.bytes(), out_place);
  ReceiveEnd app_in(arena.bytes(), in_place);
  auto& worker = arena.block().to_worker[0];
  const Bells bells;
  std::atomic<bool> failed{false};

  std::jthread daemon([&, messages = messages] {
    std::uint64_t moved = 0;
    while (moved < messages && !failed) {
      bool worked = false;
      const auto serve = [&](std::uint32_t which) {
        if (which != channel) failed = true;
        while (const auto message = from_app.take()) {
          std::array<std::byte, 64> copy;
          from_app.read(*message, 0, std::span{copy}.first(message->length));
          // The receiver may be behind: wait for it, as a real worker would not.
          auto slot = to_app.reserve();
          while (!slot && to_app.violation() == Violation::none && !failed) {
            std::this_thread::yield();
            slot = to_app.reserve();
          }
          if (!slot) return;
          to_app.write(*slot, 0, std::span{copy}.first(message->length));
          if (to_app.publish(*slot, message->length, moved, {}, {})) to_app.wake_consumer();
          if (from_app.release(*message)) from_app.wake_producer();
          ++moved;
          worked = true;
        }
      };
      take(worker.ready, 64, serve);
      if (worked || moved == messages) continue;
      worker.sleeping.exchange(1, std::memory_order_seq_cst);
      if (take(worker.ready, 64, serve) > 0) continue;
      if (!sleep_on(bells.daemon)) {
        ADD_FAILURE() << "the worker was not rung; moved " << moved;
        failed = true;
      }
      drain(bells.daemon);
    }
    EXPECT_EQ(from_app.violation(), Violation::none);
    EXPECT_EQ(to_app.violation(), Violation::none);
  });

  std::jthread producer([&, messages = messages] {
    for (std::uint64_t i = 0; i < messages && !failed; ++i) {
      auto slot = app_out.acquire();
      while (!slot && !failed) {
        if (app_out.wait_for_room(soon()) == Woken::timed_out) {
          ADD_FAILURE() << "the producer was not woken; at " << i;
          failed = true;
        }
        slot = app_out.acquire();
      }
      if (!slot) return;
      std::memcpy(app_out.bytes(*slot).data(), &i, sizeof i);
      std::memset(app_out.bytes(*slot).data() + 8, static_cast<int>(i), 56);
      app_out.publish(*slot, 64, {});
      add(worker.ready, channel);
      ring_if_sleeping(worker.sleeping, bells.app);
    }
  });

  for (std::uint64_t i = 0; i < messages && !failed; ++i) {
    auto message = app_in.take();
    while (!message && !failed) {
      if (app_in.wait_for_message(soon()) == Woken::timed_out) {
        ADD_FAILURE() << "the consumer was not woken; at " << i;
        failed = true;
      }
      message = app_in.take();
    }
    if (!message) break;
    std::uint64_t value = 0;
    std::memcpy(&value, app_in.bytes(message->slot).data(), sizeof value);
    ASSERT_EQ(value, i);
    ASSERT_EQ(message->number, i);
    for (std::size_t at = 8; at < 64; ++at) ASSERT_EQ(app_in.bytes(message->slot)[at], static_cast<std::byte>(i));
    app_in.give_back(message->slot);
  }
}

// Many adders, one taker that sleeps: everything added is taken after its addition.
TEST(Threads, ReadySetAndDoorbellForgetNobody) {
  TestArena arena;
  auto& worker = arena.block().to_worker[0];
  const Bells bells;
  constexpr std::uint32_t adders = 3;
  constexpr std::uint32_t channels = 256;
  constexpr std::uint64_t each = million;
  // What each channel has published, as a tail would say.
  std::vector<std::atomic<std::uint64_t>> published(channels);
  std::atomic<bool> failed{false};
  {
    std::jthread taker([&] {
      std::vector<std::uint64_t> seen(channels);
      std::uint64_t total = 0;
      const auto look = [&](std::uint32_t c) {
        const std::uint64_t now = published[c % channels].load(std::memory_order_acquire);
        total += now - seen[c % channels];
        seen[c % channels] = now;
      };
      while (total < adders * each && !failed) {
        if (take(worker.ready, 16, look) > 0) continue;
        worker.sleeping.exchange(1, std::memory_order_seq_cst);
        if (take(worker.ready, 16, look) > 0 || total == adders * each) continue;
        if (!sleep_on(bells.daemon)) {
          ADD_FAILURE() << "not rung with " << adders * each - total << " to come";
          failed = true;
        }
        drain(bells.daemon);
      }
    });
    std::vector<std::jthread> threads;
    for (std::uint32_t a = 0; a < adders; ++a) {
      threads.emplace_back([&, a] {
        std::uint64_t state = a + 1;
        for (std::uint64_t i = 0; i < each; ++i) {
          state = state * 6'364'136'223'846'793'005u + 1;
          const auto channel = static_cast<std::uint32_t>((state >> 33) % channels);
          published[channel].fetch_add(1, std::memory_order_release);
          add(worker.ready, channel);
          ring_if_sleeping(worker.sleeping, bells.app);
        }
      });
    }
  }
}

// A close between a thread's look and its sleep: it must wake all the same, from either side.
TEST(Threads, AClosedQueueWakesItsSleepers) {
  TestArena arena;
  const QueuePlace place = arena.place(4, 64);
  for (int round = 0; round < 2'000; ++round) {
    ReceiveQueue daemon(arena.bytes(), place);
    ReceiveEnd app(arena.bytes(), place);
    std::jthread sleeper([&] {
      while (app.closed() == Errc::ok) ASSERT_EQ(app.wait_for_message(soon()), Woken::perhaps);
    });
    for (int i = 0; i < round % 50; ++i) std::this_thread::yield();
    if (round % 2 == 0) {
      app.close(Errc::daemon_gone);
    } else {
      close_queue(arena.bytes(), place, static_cast<std::uint32_t>(Errc::peer_closed));
    }
  }
}

TEST(Threads, SeveralProducersAndConsumersShareAnEnd) {
  TestArena arena;
  const QueuePlace place = arena.place(8, 64);
  SendQueue daemon(arena.bytes(), place);
  SendEnd app(arena.bytes(), place);
  constexpr std::uint64_t each = million / 20;
  std::atomic<std::uint64_t> sum{0};
  std::vector<std::jthread> producers;
  for (std::uint64_t t = 0; t < 4; ++t) {
    producers.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < each; ++i) {
        auto slot = app.acquire();
        while (!slot) {
          ASSERT_EQ(app.wait_for_room(soon()), Woken::perhaps);
          slot = app.acquire();
        }
        if (i % 7 == 3) {  // changes its mind once: somebody else may wait for this very slot
          app.give_back(*slot);
          slot = app.acquire();
          while (!slot) {
            ASSERT_EQ(app.wait_for_room(soon()), Woken::perhaps);
            slot = app.acquire();
          }
        }
        const std::uint64_t value = t * each + i;
        std::memcpy(app.bytes(*slot).data(), &value, sizeof value);
        app.publish(*slot, 8, {});
      }
    });
  }
  for (std::uint64_t got = 0; got < 4 * each;) {
    const auto message = daemon.take();
    if (!message) {
      ASSERT_EQ(daemon.violation(), Violation::none);
      std::this_thread::yield();
      continue;
    }
    std::uint64_t value = 0;
    daemon.read(*message, 0, std::as_writable_bytes(std::span{&value, 1}));
    sum += value;
    ++got;
    if (daemon.release(*message)) daemon.wake_producer();
  }
  EXPECT_EQ(sum, 4 * each * (4 * each - 1) / 2);
}

}  // namespace
}  // namespace rtchan::ipc
