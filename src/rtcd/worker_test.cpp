// Two workers on loopback addresses, driven as control drives them: a session is mapped, clips are opened, connected and
// closed, a message travels from one application's memory to another's. As processes and as threads.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <thread>

#include "ipc/app_view.hpp"
#include "ipc/daemon_view.hpp"
#include "ipc/doorbell.hpp"
#include "rtcd/arena.hpp"
#include "rtcd/counters.hpp"
#include "rtcd/worker_handle.hpp"

namespace rtchan::rtcd {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t clips_of_test = 64;

WorkerSetup setup_on(const char* address, std::uint16_t port) {
  WorkerSetup setup;
  setup.section.scheduling = Scheduling::other;  // tests share the machine
  setup.limits.clips_per_worker = clips_of_test;
  setup.limits.packet_buffers = 512;
  WorkerLink link;
  link.udp.local = {*IpAddress::parse(address), port};
  link.udp.mtu_bytes = 1500;
  link.bits_per_second = 1'000'000'000;
  setup.links.push_back(link);
  return setup;
}

// Runs the loop until the condition holds.
bool await(boost::asio::io_context& io, const std::function<bool()>& condition, std::chrono::seconds patience = 10s) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    io.restart();
    io.run_for(2ms);
  }
  return true;
}

// One worker with one session, both sides of it in this test.
struct Side {
  std::unique_ptr<WorkerHandle> worker;
  std::vector<Answer> answers;
  std::vector<Report> reports;
  std::string death;
  ipc::Fd memfd;
  ArenaMap arena;
  ipc::Fd doorbell;

  [[nodiscard]] ipc::SessionBlock& block() const { return *reinterpret_cast<ipc::SessionBlock*>(arena.bytes().data()); }
  [[nodiscard]] std::size_t count(Answer::Kind kind) const {
    return static_cast<std::size_t>(std::ranges::count(answers, kind, &Answer::kind));
  }
  [[nodiscard]] std::string text(Answer::Kind kind) const {
    const auto found = std::ranges::find(answers, kind, &Answer::kind);
    return found == answers.end() ? "" : found->text.data();
  }
  void listen(boost::asio::io_context& io) {
    worker->listen(io, {.answered = [this](const Answer& a) { answers.push_back(a); },
                        .reported = [this](const Report& r) { reports.push_back(r); },
                        .died = [this](const std::string& why) { death = why; }});
  }
  void map(SessionId session) {
    memfd = std::move(*create_arena());
    arena = std::move(*ArenaMap::map(memfd.get()));
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    doorbell.reset(pair[0]);
    const ipc::Fd theirs{pair[1]};
    worker->map_session(session, memfd.get(), theirs.get());
  }
  void publish(ipc::SendEnd& end, std::uint32_t channel, std::string_view text) const {
    const auto slot = end.acquire();
    ASSERT_TRUE(slot);
    std::memcpy(end.bytes(*slot).data(), text.data(), text.size());
    end.publish(*slot, static_cast<std::uint32_t>(text.size()), RawClock::now());
    ipc::add(block().to_worker[0].ready, channel);
    ipc::ring_if_sleeping(block().to_worker[0].sleeping, doorbell.get());
  }
};

class Workers : public testing::TestWithParam<WorkerKind> {
 protected:
  static constexpr SessionId session{7};
  static constexpr ChannelId channel{300};  // beyond the first chunk of channel numbers
  static constexpr ipc::QueuePlace place{.offset = ipc::queues_offset, .slots = 8, .slot_bytes = 1024, .capacity = 8, .message_bytes = 1000};

  void SetUp() override {
    const auto port = static_cast<std::uint16_t>(20'000 + 3 * (getpid() % 10'000));
    for (auto* side : {&a_, &b_}) {
      auto worker = WorkerHandle::start(setup_on(side == &a_ ? "127.0.0.1" : "127.0.0.2", port), GetParam());
      ASSERT_TRUE(worker) << worker.error();
      side->worker = std::move(*worker);
    }
    for (auto* side : {&a_, &b_}) {
      side->listen(io_);
      side->map(session);
    }
    at_b_ = {*IpAddress::parse("127.0.0.2"), port};
    at_a_ = {*IpAddress::parse("127.0.0.1"), port};
    ASSERT_TRUE(await(io_, [&] { return a_.count(Answer::Kind::mapped) + b_.count(Answer::Kind::mapped) == 2; }));
    for (auto* side : {&a_, &b_}) {
      ASSERT_TRUE(seal_arena(side->memfd.get()));
      side->worker->activate_session(session);
    }
    ASSERT_TRUE(await(io_, [&] { return a_.count(Answer::Kind::active) + b_.count(Answer::Kind::active) == 2; }));
  }

  [[nodiscard]] clips::ClipSpec spec(clips::Role role, std::uint32_t slot) const {
    clips::ClipSpec spec;
    spec.slot = ClipSlot{slot};
    spec.generation = 99;
    spec.role = role;
    spec.contract = {.period = 1ms, .burst = 8, .message_bytes = 1000};
    spec.cpu_delay = 10ms;
    spec.link_delay = 10ms;
    spec.packet_buffers = 16;
    spec.upstream_rem = 10ms;
    spec.upstream_propagation = 1ms;
    spec.end_to_end = 40ms;
    return spec;
  }
  void open_both() {
    a_.worker->open_clip(session, channel, place, spec(clips::Role::outgoing, 3));
    b_.worker->open_clip(session, channel, place, spec(clips::Role::incoming, 5));
    ASSERT_TRUE(await(io_, [&] { return a_.count(Answer::Kind::clip_ready) == 1 && b_.count(Answer::Kind::clip_ready) == 1; }))
        << a_.text(Answer::Kind::clip_failed) << b_.text(Answer::Kind::clip_failed);
  }

  boost::asio::io_context io_;
  Side a_, b_;
  Endpoint at_a_, at_b_;
  std::vector<std::string> received_;
};

TEST_P(Workers, AMessageTravelsFromMemoryToMemory) {
  open_both();
  ipc::SendEnd sender{a_.arena.bytes(), place};
  ipc::ReceiveEnd receiver{b_.arena.bytes(), place};
  a_.publish(sender, channel.value, "before the commit");  // waits in its queue
  a_.worker->connect_clip(ClipSlot{3}, at_b_, Label{5, 99});
  const auto take_all = [&] {
    while (const auto got = receiver.take()) {
      received_.emplace_back(reinterpret_cast<const char*>(receiver.bytes(got->slot).data()), got->length);
      receiver.give_back(got->slot);
      ipc::add(b_.block().to_worker[0].ready, channel.value);
    }
  };
  for (std::size_t i = 0; i < 200; ++i) {
    // No more under way than the receiver has slots for: a worker that was kept from running brings all of it at once.
    ASSERT_TRUE(await(io_, [&] { return take_all(), sender.has_room() && 1 + i - received_.size() < place.slots; }));
    a_.publish(sender, channel.value, "message " + std::to_string(i));
    if (i % 50 == 49) std::this_thread::sleep_for(5ms);  // long enough for both workers to fall asleep
    for (int k = 0; k < 4; ++k) {
      take_all();
      if (k < 3) std::this_thread::sleep_for(300us);
    }
  }
  ASSERT_TRUE(await(io_, [&] { return take_all(), received_.size() == 201; }))
      << received_.size() << " received, " << read_counters(b_.worker->clip_counters()[5]).no_slot << " found no room at the receiver";
  EXPECT_EQ(received_.front(), "before the commit");
  EXPECT_EQ(received_.back(), "message 199");
  // Counted after it was handed over, so perhaps after it was received.
  EXPECT_TRUE(await(io_, [&] { return a_.worker->clip_counters()[3].delivered == 201u; }));
  EXPECT_GT(a_.worker->block().counters.doorbells_in, 0u);
}

TEST_P(Workers, AClosedClipComesBackAndItsSlotServesAgain) {
  for (int round = 0; round < 20; ++round) {
    open_both();
    a_.worker->connect_clip(ClipSlot{3}, at_b_, Label{5, 99});
    a_.worker->close_clip(ClipSlot{3}, clips::CloseMode::drain);
    b_.worker->close_clip(ClipSlot{5}, clips::CloseMode::abandon);
    ASSERT_TRUE(await(io_, [&] { return a_.count(Answer::Kind::clip_closed) == 1 && b_.count(Answer::Kind::clip_closed) == 1; }));
    a_.answers.clear();
    b_.answers.clear();
  }
}

TEST_P(Workers, ACloseThatOvertakesTheOpeningIsNotLost) {
  a_.worker->open_clip(session, channel, place, spec(clips::Role::outgoing, 3));
  a_.worker->close_clip(ClipSlot{3}, clips::CloseMode::abandon);
  EXPECT_TRUE(await(io_, [&] { return a_.count(Answer::Kind::clip_closed) == 1; }));
}

TEST_P(Workers, ASessionLeavesOnlyAfterItsLastClip) {
  open_both();
  a_.worker->drop_session(session);
  a_.worker->open_clip(session, ChannelId{1}, place, spec(clips::Role::outgoing, 4));
  ASSERT_TRUE(await(io_, [&] { return a_.count(Answer::Kind::clip_failed) == 1; }));
  EXPECT_EQ(a_.count(Answer::Kind::dropped), 0u) << "a clip still uses its memory";
  a_.worker->close_clip(ClipSlot{3}, clips::CloseMode::abandon);
  EXPECT_TRUE(await(io_, [&] { return a_.count(Answer::Kind::dropped) == 1; }));
  EXPECT_EQ(a_.worker->block().counters.sessions, 0u);
}

TEST_P(Workers, AQueueOutsideTheArenaIsRefusedNotFaultedOn) {
  ipc::QueuePlace far = place;
  far.offset = limits::arena_bytes - ipc::page;
  a_.worker->open_clip(session, channel, far, spec(clips::Role::outgoing, 3));
  ASSERT_TRUE(await(io_, [&] { return a_.count(Answer::Kind::clip_failed) == 1; }));
  EXPECT_EQ(a_.text(Answer::Kind::clip_failed), "the queue lies outside the arena");
}

TEST_P(Workers, SignalsCrossBothRingsAndTheWire) {
  const std::string text = "a signalling message";
  ASSERT_TRUE(a_.worker->send_signal(0, at_b_, std::as_bytes(std::span{text})));
  ASSERT_TRUE(await(io_, [&] { return !b_.reports.empty(); }));
  const Report& report = b_.reports.front();
  EXPECT_EQ(report.kind, Report::Kind::signal);
  EXPECT_EQ(report.from, at_a_);
  EXPECT_EQ((std::string{reinterpret_cast<const char*>(report.signal.bytes.data()), report.signal.length}), text);
}

TEST_P(Workers, StrayReadyBitsAndRingingForNothingHarmNobody) {
  open_both();
  for (std::uint32_t c = 0; c < limits::channels_per_session; c += 7) ipc::add(a_.block().to_worker[0].ready, c);
  for (int i = 0; i < 5'000; ++i) send(a_.doorbell.get(), "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  a_.worker->connect_clip(ClipSlot{3}, at_b_, Label{5, 99});
  ipc::SendEnd sender{a_.arena.bytes(), place};
  ipc::ReceiveEnd receiver{b_.arena.bytes(), place};
  a_.publish(sender, channel.value, "still served");
  EXPECT_TRUE(await(io_, [&] { return receiver.has_message(); }));
  EXPECT_TRUE(await(io_, [&] { return a_.worker->block().counters.stray_ready_bits > 1'000; }));
}

TEST_P(Workers, AnApplicationThatBreaksTheRulesIsReportedOnce) {
  open_both();
  a_.worker->connect_clip(ClipSlot{3}, at_b_, Label{5, 99});
  auto* queue = reinterpret_cast<ipc::QueueBlock*>(a_.arena.bytes().data() + place.offset);
  queue->producer.ready_tail.store(1u << 30);
  ipc::add(a_.block().to_worker[0].ready, channel.value);
  ipc::ring_if_sleeping(a_.block().to_worker[0].sleeping, a_.doorbell.get());
  ASSERT_TRUE(await(io_, [&] { return !a_.reports.empty(); }));
  EXPECT_EQ(a_.reports.front().kind, Report::Kind::client_violated);
  EXPECT_EQ(a_.reports.front().slot, ClipSlot{3});
}

INSTANTIATE_TEST_SUITE_P(As, Workers, testing::Values(WorkerKind::processes, WorkerKind::threads),
                         [](const auto& kind) { return kind.param == WorkerKind::processes ? "Processes" : "Threads"; });

TEST(Worker, AnAddressThatIsNotOursIsSaidInWords) {
  const auto worker = WorkerHandle::start(setup_on("192.0.2.1", 9), WorkerKind::processes);
  ASSERT_FALSE(worker);
  EXPECT_NE(worker.error().find("192.0.2.1"), std::string::npos) << worker.error();
}

TEST(Worker, ItsDeathIsReportedWithItsCause) {
  boost::asio::io_context io;
  Side side;
  auto worker = WorkerHandle::start(setup_on("127.0.0.1", static_cast<std::uint16_t>(20'000 + 3 * (getpid() % 10'000))), WorkerKind::processes);
  ASSERT_TRUE(worker) << worker.error();
  side.worker = std::move(*worker);
  side.listen(io);
  kill(side.worker->pid(), SIGKILL);
  ASSERT_TRUE(await(io, [&] { return !side.death.empty(); }));
  EXPECT_EQ(side.death, "killed by signal 9 (Killed)");
}

}  // namespace
}  // namespace rtchan::rtcd
