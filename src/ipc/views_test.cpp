// The two views of a queue as partners that keep the rules, and the daemon's view against an application that does
// not: whatever it writes into the shared memory, the daemon stays inside the queue and notices what matters.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <numeric>
#include <random>
#include <set>

#include "ipc/app_view.hpp"
#include "ipc/daemon_view.hpp"
#include "ipc/ring_memory.hpp"
#include "ipc/testing/arena.hpp"

namespace rtchan::ipc {
namespace {

using testing::TestArena;

// --- partners ------------------------------------------------------------------------------------------------

TEST(Views, MessagesPassWholeAndInOrderAsSlotsComeBackInAnyOrder) {
  TestArena arena;
  const QueuePlace place = arena.place(5, 100);
  SendQueue daemon(arena.bytes(), place);
  SendEnd app(arena.bytes(), place);
  std::mt19937 random(7);
  std::vector<SendQueue::Message> taken;
  std::uint32_t sent = 0;
  std::uint32_t seen = 0;
  for (int step = 0; step < 20'000; ++step) {
    if (random() % 2 == 0) {
      if (const auto slot = app.acquire()) {
        std::memcpy(app.bytes(*slot).data(), &sent, sizeof sent);
        app.publish(*slot, 4 + sent % 97, Instant{Duration{sent}});
        ++sent;
      } else {
        EXPECT_EQ(app.with_daemon(), 5u);
      }
    } else if (random() % 2 == 0) {
      if (const auto message = daemon.take()) {
        std::uint32_t value = 0;
        daemon.read(*message, 0, std::as_writable_bytes(std::span{&value, 1}));
        ASSERT_EQ(value, seen);
        ASSERT_EQ(message->length, 4 + seen % 97);
        ASSERT_EQ(message->app_stamp, Instant{Duration{seen}});
        ++seen;
        taken.push_back(*message);
      }
    } else if (!taken.empty()) {
      const auto which = taken.begin() + static_cast<std::ptrdiff_t>(random() % taken.size());
      EXPECT_FALSE(daemon.release(*which));  // nobody waits
      taken.erase(which);
    }
  }
  EXPECT_GT(seen, 2'000u);
  EXPECT_EQ(daemon.violation(), Violation::none);
}

TEST(Views, AReceiverThatHoldsEverySlotGetsNothingMoreUntilItReturnsOne) {
  TestArena arena;
  const QueuePlace place = arena.place(3, 64);
  ReceiveQueue daemon(arena.bytes(), place);
  ReceiveEnd app(arena.bytes(), place);
  std::vector<ReceiveEnd::Message> held;
  for (std::uint64_t i = 0; i < 3; ++i) {
    const auto slot = daemon.reserve();
    ASSERT_TRUE(slot);
    daemon.write(*slot, 0, std::as_bytes(std::span{&i, 1}));
    EXPECT_FALSE(daemon.publish(*slot, 8, i, Instant{Duration{100}}, Duration{5}));
    held.push_back(app.take().value());
  }
  EXPECT_FALSE(daemon.reserve());
  app.give_back(held[1].slot);  // the middle one first
  const auto slot = daemon.reserve();
  ASSERT_TRUE(slot);
  EXPECT_EQ(*slot, held[1].slot);
  daemon.abandon(*slot);  // assembled in vain: still the daemon's
  EXPECT_TRUE(daemon.reserve());
  EXPECT_EQ(held[2].number, 2u);
  EXPECT_EQ(held[2].readable, Instant{Duration{100}});
  EXPECT_EQ(held[2].delay, Duration{5});
}

TEST(Views, ANewQueueInUsedMemoryStartsFresh) {
  TestArena arena;
  const QueuePlace place = arena.place(4, 64);
  {
    SendQueue daemon(arena.bytes(), place);
    SendEnd app(arena.bytes(), place);
    app.publish(*app.acquire(), 1, {});
    close_queue(arena.bytes(), place, static_cast<std::uint32_t>(Errc::peer_closed));
    mark_void(arena.bytes(), place);
    EXPECT_EQ(app.closed(), Errc::peer_closed);
    EXPECT_TRUE(app.voided());
  }
  SendQueue daemon(arena.bytes(), place);
  const SendEnd app(arena.bytes(), place);
  EXPECT_EQ(daemon.waiting(), 0u);
  EXPECT_EQ(app.closed(), Errc::ok);
  EXPECT_FALSE(app.voided());
}

TEST(Views, ReleaseSaysThatSomebodyWaitsOnce) {
  TestArena arena;
  const QueuePlace place = arena.place(1, 64);
  SendQueue daemon(arena.bytes(), place);
  SendEnd app(arena.bytes(), place);
  app.publish(*app.acquire(), 1, {});
  EXPECT_FALSE(app.want_room());
  EXPECT_TRUE(daemon.release(*daemon.take()));
  EXPECT_TRUE(app.want_room());
  app.publish(*app.acquire(), 1, {});
  arena.queue(place).producer.waiting.store(0);
  EXPECT_FALSE(daemon.release(*daemon.take()));
}

// A publisher that dawdles after an earlier message takes an announcement that was not meant for it. Whoever announced
// itself must not sleep on it: the next publisher will not find it.
TEST(Views, NobodySleepsOnAnAnnouncementThatWasTaken) {
  TestArena arena;
  auto& waiting = arena.queue(arena.place(1, 64)).consumer.waiting;
  const auto later = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  for (int round = 0; round < 3; ++round) {
    const std::uint32_t announced = announce(waiting);
    EXPECT_EQ(announce(waiting), announced);  // another thread: the same wake-up serves both
    EXPECT_TRUE(take_announcement(waiting));
    EXPECT_FALSE(take_announcement(waiting));
    EXPECT_EQ(wait_any(std::array{Awaited{word(waiting), announced}}, later), Woken::perhaps);
    const std::uint32_t anew = announce(waiting);
    EXPECT_EQ(wait_any(std::array{Awaited{word(waiting), announced}}, later), Woken::perhaps) << "the old one is gone for good";
    EXPECT_EQ(wait_any(std::array{Awaited{word(waiting), anew}}, std::chrono::steady_clock::now()), Woken::timed_out);
  }
}

TEST(Views, TheApplicationEndsAChannelWhoseDescriptorPointsOutside) {
  TestArena arena;
  const QueuePlace place = arena.place(2, 64);
  ReceiveEnd app(arena.bytes(), place);
  store_descriptor(ready_entry(arena.bytes().data() + place.offset, place, 0), {2, 8, 0, 0, 0});
  arena.queue(place).producer.ready_tail.store(1);
  EXPECT_FALSE(app.take());
  EXPECT_EQ(app.closed(), Errc::protocol_error);
}

// --- a hostile application: one broken rule each --------------------------------------------------------------

struct HostileSend : ::testing::Test {
  TestArena arena;
  QueuePlace place = arena.place(4, 64);
  SendQueue daemon{arena.bytes(), place};
  QueueBlock& block = arena.queue(place);
  void entry(std::uint64_t index, std::uint32_t slot, std::uint32_t length) {
    store_descriptor(ready_entry(arena.bytes().data() + place.offset, place, index), {slot, length, 0, 0, 0});
  }
  Violation after_take() {
    EXPECT_FALSE(daemon.take());
    return daemon.violation();
  }
};

TEST_F(HostileSend, TailMovedBack) {
  entry(0, 0, 8);
  entry(1, 1, 8);
  block.producer.ready_tail = 2;
  ASSERT_TRUE(daemon.take());
  block.producer.ready_tail = 1;  // not below the head: still a promise broken
  EXPECT_EQ(after_take(), Violation::tail_moved_back);
}
TEST_F(HostileSend, TailMovedBelowTheHead) {
  entry(0, 0, 8);
  block.producer.ready_tail = 1;
  ASSERT_TRUE(daemon.take());
  block.producer.ready_tail = 0;
  EXPECT_EQ(after_take(), Violation::tail_moved_back);
}
TEST_F(HostileSend, TailRanAhead) {
  block.producer.ready_tail = 5;
  EXPECT_EQ(after_take(), Violation::tail_ran_ahead);
}
TEST_F(HostileSend, TailRanAheadByHalfTheIndexSpace) {
  for (const std::uint64_t jump : {std::uint64_t{1} << 31, std::uint64_t{1} << 32, std::uint64_t{1} << 63, UINT64_MAX}) {
    SendQueue fresh(arena.bytes(), place);
    block.producer.ready_tail = jump;
    EXPECT_FALSE(fresh.take());
    EXPECT_EQ(fresh.violation(), Violation::tail_ran_ahead);
  }
}
TEST_F(HostileSend, SlotOutOfRange) {
  entry(0, 4, 8);
  block.producer.ready_tail = 1;
  EXPECT_EQ(after_take(), Violation::foreign_slot);
}
TEST_F(HostileSend, SlotThatTheDaemonHolds) {
  entry(0, 3, 8);
  entry(1, 3, 8);
  block.producer.ready_tail = 2;
  ASSERT_TRUE(daemon.take());
  EXPECT_EQ(after_take(), Violation::foreign_slot);
}
TEST_F(HostileSend, EmptyMessage) {
  entry(0, 0, 0);
  block.producer.ready_tail = 1;
  EXPECT_EQ(after_take(), Violation::bad_length);
}
TEST_F(HostileSend, MessageAboveTheContract) {
  entry(0, 0, 65);
  block.producer.ready_tail = 1;
  EXPECT_EQ(after_take(), Violation::bad_length);
}
TEST_F(HostileSend, LengthChangedAfterTheCheckIsNotSeen) {
  entry(0, 0, 8);
  block.producer.ready_tail = 1;
  const auto message = daemon.take();
  ASSERT_TRUE(message);
  entry(0, 3, 1'000'000);
  EXPECT_EQ(message->length, 8u);
  EXPECT_EQ(daemon.bytes(*message).size(), 8u);
  EXPECT_EQ(message->slot, 0u);
}
TEST_F(HostileSend, AfterAViolationNothingMoves) {
  block.producer.ready_tail = 5;
  ASSERT_EQ(after_take(), Violation::tail_ran_ahead);
  entry(0, 0, 8);
  block.producer.ready_tail = 1;
  EXPECT_EQ(after_take(), Violation::tail_ran_ahead);
  EXPECT_EQ(daemon.waiting(), 0u);
}
TEST_F(HostileSend, ScribblingOverTheDaemonsOwnIndexChangesNothing) {
  entry(0, 0, 8);
  block.producer.ready_tail = 1;
  const auto message = daemon.take();
  block.consumer.free_tail = 77;
  block.state.closed = 12'345;
  daemon.release(*message);
  EXPECT_EQ(block.consumer.free_tail, 1u);  // the daemon's private count
}

struct HostileReceive : ::testing::Test {
  TestArena arena;
  QueuePlace place = arena.place(4, 64);
  ReceiveQueue daemon{arena.bytes(), place};
  QueueBlock& block = arena.queue(place);
  void publish_one() {
    const auto slot = daemon.reserve();
    ASSERT_TRUE(slot);
    daemon.publish(*slot, 8, 0, {}, {});
  }
  void give_back(std::uint64_t index, std::uint32_t slot) {
    store_free(free_entry(arena.bytes().data() + place.offset, place, index), slot);
  }
  Violation after_reserve() {
    EXPECT_FALSE(daemon.reserve());
    return daemon.violation();
  }
};

TEST_F(HostileReceive, SlotThatWasNeverGiven) {
  give_back(0, 2);
  block.consumer.free_tail = 1;
  EXPECT_EQ(after_reserve(), Violation::foreign_slot);
}
TEST_F(HostileReceive, SlotGivenBackTwice) {
  publish_one();
  give_back(0, 0);
  give_back(1, 0);
  block.consumer.free_tail = 2;
  EXPECT_EQ(after_reserve(), Violation::foreign_slot);
}
TEST_F(HostileReceive, SlotOutOfRange) {
  publish_one();
  give_back(0, 4'000'000'000u);
  block.consumer.free_tail = 1;
  EXPECT_EQ(after_reserve(), Violation::foreign_slot);
}
TEST_F(HostileReceive, TailRanAhead) {
  block.consumer.free_tail = 5;
  EXPECT_EQ(after_reserve(), Violation::tail_ran_ahead);
}
TEST_F(HostileReceive, TailMovedBack) {
  publish_one();
  give_back(0, 0);
  block.consumer.free_tail = 1;
  ASSERT_TRUE(daemon.reserve());
  block.consumer.free_tail = 0;
  EXPECT_EQ(after_reserve(), Violation::tail_moved_back);
}

// --- a hostile application: anything at all ----------------------------------------------------------------------

// The daemon's own bookkeeping is modelled beside it: it never hands out a slot it has given away.
TEST(HostileViews, RandomWritesNeverLeadTheDaemonAstray) {
  constexpr std::uint32_t slots = 8;
  std::mt19937_64 random(20'240'607);
  std::uint64_t taken = 0;
  std::uint64_t violations = 0;
  TestArena arena;
  const QueuePlace send_place = arena.place(slots, 64);
  const QueuePlace receive_place = arena.place(slots, 64);
  const auto shared = arena.bytes().subspan(send_place.offset, queue_bytes(send_place) + queue_bytes(receive_place));
  for (int round = 0; round < 20'000; ++round) {
    SendQueue send(arena.bytes(), send_place);
    ReceiveQueue receive(arena.bytes(), receive_place);
    std::vector<SendQueue::Message> with_daemon;
    std::vector<std::uint32_t> assembling;
    for (int step = 0; step < 32; ++step) {
      // Half of the writes aim at the indices and descriptors, with values near what is right.
      const bool aimed = random() % 2 == 0;
      const QueuePlace& p = random() % 2 == 0 ? send_place : receive_place;
      QueueBlock& block = arena.queue(p);
      if (aimed && random() % 2 == 0) {
        (random() % 2 == 0 ? block.producer.ready_tail : block.consumer.free_tail).fetch_add(random() % 4 - 1);
        std::byte* base = arena.bytes().data() + p.offset;
        store_descriptor(ready_entry(base, p, random()), {static_cast<std::uint32_t>(random() % (slots + 1)),
                                                         static_cast<std::uint32_t>(random() % 66), 0, 0, 0});
        store_free(free_entry(base, p, random()), static_cast<std::uint32_t>(random() % (slots + 1)));
      } else {
        const std::size_t at = random() % (shared.size() - 8);
        const std::uint64_t value = random();
        std::memcpy(shared.data() + at, &value, 1 + random() % 8);
      }
      if (const auto message = send.take()) {
        ASSERT_LT(message->slot, slots);
        ASSERT_GE(message->length, 1u);
        ASSERT_LE(message->length, 64u);
        for (const auto& other : with_daemon) ASSERT_NE(other.slot, message->slot);
        std::array<std::byte, 64> copy{};
        send.read(*message, 0, std::span{copy}.first(message->length));
        with_daemon.push_back(*message);
        ++taken;
      }
      if (!with_daemon.empty() && random() % 2 == 0) {
        send.release(with_daemon.back());
        with_daemon.pop_back();
      }
      if (const auto slot = receive.reserve()) {
        ASSERT_LT(*slot, slots);
        for (const auto other : assembling) ASSERT_NE(other, *slot);
        receive.write(*slot, 0, std::array<std::byte, 64>{});
        assembling.push_back(*slot);
      }
      if (!assembling.empty() && random() % 2 == 0) {
        receive.publish(assembling.back(), 64, 0, {}, {});
        assembling.pop_back();
      }
    }
    violations += send.violation() != Violation::none;
    violations += receive.violation() != Violation::none;
  }
  EXPECT_GT(taken, 10'000u);       // the test does reach what it tests
  EXPECT_GT(violations, 10'000u);
}

// --- ready sets ------------------------------------------------------------------------------------------------

TEST(ReadySets, EveryMemberIsTakenOnceAndInBitesOfAnySize) {
  auto set = std::make_unique<ReadySet>();
  std::mt19937 random(3);
  for (const std::uint32_t most : {1u, 7u, 64u, 1'000u, 100'000u}) {
    std::set<std::uint32_t> in;
    while (in.size() < 3'000) in.insert(static_cast<std::uint32_t>(random() % limits::channels_per_session));
    for (const auto channel : in) add(*set, channel);
    std::set<std::uint32_t> out;
    while (true) {
      const std::uint32_t taken = take(*set, most, [&](std::uint32_t c) { EXPECT_TRUE(out.insert(c).second); });
      EXPECT_LE(taken, most);
      if (taken < most) break;
    }
    EXPECT_EQ(in, out);
  }
  add(*set, limits::channels_per_session);  // no such member: ignored
  EXPECT_EQ(take(*set, 10, [](std::uint32_t) {}), 0u);
}

TEST(ReadySets, ASummaryWithoutWordsIsHarmless) {
  auto set = std::make_unique<ReadySet>();
  for (auto& s : set->summary) s.store(UINT64_MAX);
  EXPECT_EQ(take(*set, 10, [](std::uint32_t) {}), 0u);
}

}  // namespace
}  // namespace rtchan::ipc
