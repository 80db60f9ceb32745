// Clips over the memory that applications share: what the application sees, who is woken, and what becomes of one
// that breaks the rules.
#include "clips/shared_queues.hpp"

#include <gtest/gtest.h>

#include <random>

#include "clips/testing/two_hosts.hpp"
#include "ipc/app_view.hpp"
#include "ipc/testing/arena.hpp"

namespace rtchan::clips::testing {
namespace {

// An application's session on one host.
struct Session {
  explicit Session(std::uint32_t id) : bell(SessionId{id}, arena.block().to_app) {}
  ipc::testing::TestArena arena;
  SessionBell bell;
  std::vector<std::uint32_t> ready() {
    std::vector<std::uint32_t> channels;
    ipc::take(arena.block().to_app, 1000, [&](std::uint32_t c) { channels.push_back(c); });
    return channels;
  }
};

class Shared : public ::testing::Test {
 protected:
  struct Ends {
    std::unique_ptr<Channel> specs;
    ipc::QueuePlace send_place, receive_place;
    std::unique_ptr<ipc::SendEnd> send;
    std::unique_ptr<ipc::ReceiveEnd> receive;
    std::uint64_t sent = 0;
  };

  Ends open(Session& sender, Session& receiver, ChannelId channel, const ChannelSettings& settings) {
    Ends e;
    e.specs = hosts.describe(settings);
    e.send_place = sender.arena.place(settings.slots, settings.bytes);
    e.receive_place = receiver.arena.place(settings.slots, settings.bytes);
    auto sink = std::make_unique<SharedSink>(receiver.arena.bytes(), e.receive_place, channel, receiver.bell, bells);
    auto source = std::make_unique<SharedSource>(sender.arena.bytes(), e.send_place, channel, sender.bell, bells);
    hosts.domain(1).open(make_clip(e.specs->receiver, nullptr, std::move(sink)), hosts.now);
    hosts.domain(0).open(make_clip(e.specs->sender, std::move(source), nullptr), hosts.now);
    e.send = std::make_unique<ipc::SendEnd>(sender.arena.bytes(), e.send_place);
    e.receive = std::make_unique<ipc::ReceiveEnd>(receiver.arena.bytes(), e.receive_place);
    return e;
  }
  bool send(Ends& e) {
    const auto slot = e.send->acquire();
    if (!slot) return false;
    const auto bytes = message_of(e.specs->length, e.sent++);
    std::ranges::copy(bytes, e.send->bytes(*slot).begin());
    e.send->publish(*slot, e.specs->length, hosts.now);
    hosts.domain(0).sighted(e.specs->sender.slot, hosts.now);
    hosts.poke(0);
    return true;
  }
  // Reads all that has come; every message must be intact.
  std::size_t read(Ends& e) {
    std::size_t n = 0;
    while (const auto m = e.receive->take()) {
      const auto bytes = e.receive->bytes(m->slot).first(m->length);
      EXPECT_TRUE(std::ranges::equal(bytes, message_of(e.specs->length, m->number)));
      e.receive->give_back(m->slot);
      ++n;
    }
    return n;
  }
  std::vector<std::uint32_t> rung() {
    std::vector<std::uint32_t> sessions;
    bells.take([&](SessionBell& bell) { sessions.push_back(bell.session().value); });
    return sessions;
  }

  TwoHosts hosts;
  BellList bells;
  Session alice{1}, bob{2};
};

TEST_F(Shared, AMessageCrossesAndItsReaderIsListedOnce) {
  Ends e = open(alice, bob, ChannelId{5}, {.period = milliseconds{10}, .burst = 4, .bytes = 5'000, .slots = 8});
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(send(e));
  hosts.run_for(milliseconds{100});
  EXPECT_EQ(rung(), std::vector<std::uint32_t>{2}) << "four messages, one bell; the sender waits for nothing";
  EXPECT_EQ(bob.ready(), std::vector<std::uint32_t>{5});
  EXPECT_TRUE(alice.ready().empty());
  EXPECT_EQ(read(e), 4u);
  EXPECT_TRUE(bells.empty());
}

TEST_F(Shared, ASenderThatWaitsForRoomIsWokenWhenASlotComesBack) {
  Ends e = open(alice, bob, ChannelId{9}, {.period = milliseconds{10}, .bytes = 1'000, .slots = 2});
  while (send(e)) {
  }
  EXPECT_FALSE(e.send->want_room());
  hosts.run_for(milliseconds{1});
  const auto woken = rung();
  EXPECT_NE(std::ranges::find(woken, 1u), woken.end());
  EXPECT_EQ(alice.ready(), std::vector<std::uint32_t>{9});
  EXPECT_TRUE(e.send->has_room());
}

TEST_F(Shared, AReaderThatIsBehindLosesOnlyItsOwnMessages) {
  Ends slow = open(alice, bob, ChannelId{1}, {.period = milliseconds{1}, .bytes = 3'000, .slots = 4});
  Ends other = open(alice, bob, ChannelId{2}, {.period = milliseconds{1}, .bytes = 3'000, .slots = 4});
  std::size_t got = 0;
  for (int i = 0; i < 50; ++i) {
    send(slow);
    send(other);
    hosts.run_for(milliseconds{10});
    got += read(other);
  }
  EXPECT_EQ(got, 50u);
  EXPECT_EQ(hosts.received_counters(*slow.specs).no_slot, 46u);
  EXPECT_EQ(read(slow), 4u);
}

TEST_F(Shared, ASourceThatBreaksTheRulesIsReportedOnceAndItsClipStillCloses) {
  Ends e = open(alice, bob, ChannelId{1}, {.period = milliseconds{1}, .bytes = 30'000, .slots = 4});
  Ends other = open(alice, bob, ChannelId{2}, {.period = milliseconds{1}, .bytes = 3'000, .slots = 4});
  send(e);
  hosts.domain(0).turn(hosts.now);  // the long message is under way
  alice.arena.queue(e.send_place).producer.ready_tail.store(0);
  for (int i = 0; i < 3; ++i) {
    hosts.domain(0).sighted(e.specs->sender.slot, hosts.now);
    hosts.run_for(milliseconds{5});
  }
  EXPECT_EQ(hosts.observer[0].violated, std::vector<ClipSlot>{e.specs->sender.slot});
  send(other);
  hosts.run_for(milliseconds{10});
  EXPECT_EQ(read(other), 1u);
  hosts.domain(0).close(e.specs->sender.slot, CloseMode::drain, hosts.now);
  hosts.run_for(milliseconds{1});
  EXPECT_EQ(hosts.observer[0].closed, std::vector<ClipSlot>{e.specs->sender.slot});
}

TEST_F(Shared, ASinkWhoseRingIsScribbledOverIsReported) {
  Ends e = open(alice, bob, ChannelId{1}, {.period = milliseconds{1}, .bytes = 3'000, .slots = 4});
  send(e);
  hosts.run_for(milliseconds{10});
  bob.arena.queue(e.receive_place).consumer.free_tail.store(1u << 20);
  for (int i = 0; i < 5; ++i) {
    send(e);
    hosts.run_for(milliseconds{10});
  }
  EXPECT_EQ(hosts.observer[1].violated, std::vector<ClipSlot>{e.specs->receiver.slot});
  hosts.domain(1).close(e.specs->receiver.slot, CloseMode::abandon, hosts.now);
  hosts.run_for(milliseconds{1});
  EXPECT_EQ(hosts.observer[1].closed.size(), 1u);
}

// Random writes all over the memory that a hostile application owns, while messages flow.
TEST_F(Shared, WhateverAnApplicationWritesOthersLoseNothing) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Session mallory{3};
    const ChannelSettings settings{.period = milliseconds{1}, .burst = 4, .bytes = 4'000, .slots = 8};
    Ends good = open(alice, bob, ChannelId{1}, settings);
    Ends bad_source = open(mallory, bob, ChannelId{2}, settings);
    Ends bad_sink = open(alice, mallory, ChannelId{3}, settings);
    std::mt19937_64 random(seed);
    const std::size_t range = bad_sink.receive_place.offset + ipc::queue_bytes(bad_sink.receive_place);
    std::size_t got = 0;
    for (int i = 0; i < 100; ++i) {
      send(good);
      send(bad_sink);
      for (int w = 0; w < 20; ++w) {
        // Mostly where the indices and descriptors are.
        const std::size_t base = w % 2 == 0 ? bad_source.send_place.offset : bad_sink.receive_place.offset;
        const std::size_t at = w % 4 < 3 ? base + random() % 1024 : random() % range;
        std::uint64_t value = random() >> (random() % 64);
        std::memcpy(mallory.arena.bytes().data() + at / 8 * 8, &value, 8);
      }
      hosts.domain(0).sighted(bad_source.specs->sender.slot, hosts.now);
      hosts.poke(0);
      hosts.run_for(milliseconds{2});
      got += read(good);
    }
    hosts.run_for(milliseconds{20});
    got += read(good);
    EXPECT_EQ(got, 100u);
    EXPECT_EQ(hosts.received_counters(*good.specs).late, 0u);
    for (const unsigned host : {0u, 1u}) {
      for (Ends* e : {&good, &bad_source, &bad_sink}) {
        hosts.domain(host).close(e->specs->sender.slot, CloseMode::abandon, hosts.now);
      }
    }
    hosts.run_for(milliseconds{1});
    rung();  // before the session goes
    ASSERT_EQ(hosts.observer[0].closed.size(), 3 * (seed + 1));
    ASSERT_EQ(hosts.observer[1].closed.size(), 3 * (seed + 1));
  }
}

}  // namespace
}  // namespace rtchan::clips::testing
