// Messages from one domain to another over a cable, in virtual time: handlers, queues, opening and closing.
#include "clips/domain.hpp"

#include <gtest/gtest.h>

#include "clips/testing/two_hosts.hpp"

namespace rtchan::clips::testing {
namespace {

TEST(Domain, AMessageOfOnePacketArrivesIntactWithinItsBound) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{10}, .bytes = 1000});
  const Instant sent = hosts.now;
  hosts.send(c);
  hosts.run_for(milliseconds{20});
  ASSERT_EQ(c.deliveries.size(), 1u);
  EXPECT_TRUE(c.deliveries[0].intact);
  EXPECT_EQ(c.deliveries[0].number, 0u);
  EXPECT_LE(c.deliveries[0].readable, sent + c.receiver.end_to_end);
  EXPECT_EQ(hosts.received_counters(c).late, 0u);
}

TEST(Domain, MessagesOfEverySizeArriveIntact) {
  for (const std::uint32_t bytes : {1u, 2u, 255u, 1415u, 1424u, 1430u, 1431u, 2848u, 30'000u, 16u << 20}) {
    TwoHosts hosts({.bits_per_second = 10'000'000'000});
    Channel& c = hosts.open({.period = milliseconds{50}, .bytes = bytes, .link_delay = milliseconds{40}, .slots = 3});
    for (int i = 0; i < 3; ++i) {
      hosts.send(c);
      hosts.run_for(milliseconds{50});
    }
    ASSERT_EQ(c.deliveries.size(), 3u) << bytes;
    for (const auto& d : c.deliveries) EXPECT_TRUE(d.intact) << bytes;
    EXPECT_EQ(hosts.received_counters(c).lost, 0u);
    EXPECT_EQ(hosts.received_counters(c).late, 0u) << bytes;
    EXPECT_EQ(hosts.sent_counters(c).bytes, 3ull * bytes);
  }
}

TEST(Domain, FullFragmentsOfAMessageAreEquallyLong) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{50}, .bytes = 30'000, .link_delay = milliseconds{10}});
  std::vector<std::size_t> lengths;
  hosts.tap(0).seen = [&](auto, const link::TxPacket& p) { lengths.push_back(p.bytes.size()); };
  hosts.send(c);
  hosts.run_for(milliseconds{50});
  ASSERT_EQ(lengths.size(), 22u);
  for (std::size_t i = 0; i + 1 < lengths.size(); ++i) EXPECT_EQ(lengths[i], 1472u);
  EXPECT_LE(lengths.back(), 1472u);
}

TEST(Domain, AnIdleDomainHasNothingDue) {
  TwoHosts hosts;
  hosts.open({.period = milliseconds{10}});
  EXPECT_EQ(hosts.domain(0).turn(hosts.now), never);
  EXPECT_EQ(hosts.domain(1).turn(hosts.now), never);
}

TEST(Domain, ATurnThatWaitsForTheNextPeriodSaysExactlyWhen) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{10}, .burst = 2, .bytes = 1000, .cpu_delay = Duration{0}});
  const Instant sent = hosts.now;
  hosts.send(c, 2);
  hosts.run_for(milliseconds{5});
  EXPECT_EQ(hosts.domain(0).turn(hosts.now), sent + milliseconds{10});
}

TEST(Domain, WithoutHorizonAPacketLeavesAtItsLinksLogicalArrival) {
  TwoHosts hosts;
  Channel& on_time = hosts.open({.period = milliseconds{10}, .bytes = 1000, .cpu_delay = milliseconds{2}});
  Channel& ahead = hosts.open({.period = milliseconds{10}, .bytes = 1000, .cpu_delay = milliseconds{2},
                               .horizon = milliseconds{2}});
  const Instant sent = hosts.now;
  std::vector<std::pair<Label, Instant>> left;
  hosts.tap(0).seen = [&](auto, const link::TxPacket& p) {
    left.emplace_back(wire::decode(p.bytes)->header.label, hosts.now);
  };
  hosts.send(on_time);
  hosts.send(ahead);
  hosts.run_for(milliseconds{10});
  ASSERT_EQ(left.size(), 2u);
  EXPECT_EQ(left[0].first, ahead.sender.next_label);
  EXPECT_EQ(left[0].second, sent);
  EXPECT_EQ(left[1].second, sent + milliseconds{2});
}

// Records in which order handlers process packets.
class Recorder final : public ProtocolStack {
 public:
  Recorder(std::vector<int>& log, int who) : log_(log), who_(who) {}
  void outgoing(const Piece&, std::span<std::byte>) noexcept override { log_.push_back(who_); }
  bool incoming(const Piece&, std::span<std::byte>) noexcept override {
    log_.push_back(who_);
    return true;
  }

 private:
  std::vector<int>& log_;
  int who_;
};

TEST(Handlers, AHandlerYieldsAfterItsPacketsToAMoreUrgentOne) {
  TwoHosts hosts;
  std::vector<int> log;
  log.reserve(1000);
  Channel& slow = hosts.open({.period = milliseconds{500}, .bytes = 50'000, .cpu_delay = milliseconds{100},
                              .link_delay = milliseconds{100}, .packets_per_step = 4,
                              .sender_stack = std::make_unique<Recorder>(log, 1)});
  Channel& urgent = hosts.open({.period = milliseconds{10}, .bytes = 1000,
                                .sender_stack = std::make_unique<Recorder>(log, 2)});
  hosts.send(slow);
  hosts.domain(0).turn(hosts.now);  // part of the long message
  EXPECT_EQ(log.size(), limits::handler_packets_per_turn);
  hosts.send(urgent);
  hosts.domain(0).turn(hosts.now);
  ASSERT_GT(log.size(), limits::handler_packets_per_turn);
  EXPECT_EQ(log[limits::handler_packets_per_turn], 2) << "the earlier deadline goes first";
  EXPECT_EQ(log[limits::handler_packets_per_turn + 1], 1) << "then the one that had yielded goes on";
  hosts.run_for(milliseconds{300});
  EXPECT_EQ(slow.deliveries.size() + urgent.deliveries.size(), 2u);
}

TEST(Handlers, AmongReadyHandlersTheEarliestDeadlineRunsFirst) {
  TwoHosts hosts;
  std::vector<int> log;
  log.reserve(1000);
  std::vector<Channel*> channels;
  for (const int deadline : {5, 1, 4, 2, 3}) {
    channels.push_back(&hosts.open({.period = milliseconds{50}, .bytes = 1000, .cpu_delay = milliseconds{deadline},
                                    .sender_stack = std::make_unique<Recorder>(log, deadline)}));
  }
  for (Channel* c : channels) hosts.send(*c);
  hosts.domain(0).turn(hosts.now);
  EXPECT_EQ(log, (std::vector<int>{1, 2, 3, 4, 5}));
}

TEST(Handlers, BestEffortRunsOnlyWhenNoRealTimeHandlerIsReady) {
  TwoHosts hosts;
  std::vector<int> log;
  log.reserve(1000);
  Channel& rest = hosts.open({.service = ServiceClass::best_effort, .bytes = 1000,
                              .sender_stack = std::make_unique<Recorder>(log, 9)});
  Channel& channel = hosts.open({.period = milliseconds{500}, .bytes = 40'000, .cpu_delay = milliseconds{400},
                                 .sender_stack = std::make_unique<Recorder>(log, 1)});
  hosts.send(rest, 10);
  hosts.send(channel);
  for (int turn = 0; turn < 3; ++turn) hosts.domain(0).turn(hosts.now);
  ASSERT_GT(log.size(), 29u);
  for (std::size_t i = 0; i < 29; ++i) EXPECT_EQ(log[i], 1) << i;  // all packets of the channel's message
  EXPECT_EQ(log[29], 9);
}

TEST(Handlers, AHandlerBlocksWhileAllItsFramesWaitForTheLink) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{100}, .bytes = 40'000, .link_delay = milliseconds{50},
                           .packet_buffers = 4});
  hosts.send(c);
  hosts.run_for(milliseconds{100});
  ASSERT_EQ(c.deliveries.size(), 1u);
  EXPECT_TRUE(c.deliveries[0].intact);
}

// A stack of the library's user: here it hides the bytes on the wire, and the other end restores them.
class Mask final : public ProtocolStack {
 public:
  void outgoing(const Piece& piece, std::span<std::byte> bytes) noexcept override { mask(piece, bytes); }
  bool incoming(const Piece& piece, std::span<std::byte> bytes) noexcept override {
    mask(piece, bytes);
    return piece.message != 1;  // and this one it does not like
  }

 private:
  static void mask(const Piece& piece, std::span<std::byte> bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] ^= static_cast<std::byte>(0x5a + piece.offset + i);
  }
};

TEST(Handlers, AUsersProtocolStackSeesEveryPiece) {
  for (const std::uint32_t bytes : {700u, 10'000u}) {
    TwoHosts hosts;
    Channel& c = hosts.open({.period = milliseconds{20}, .bytes = bytes, .sender_stack = std::make_unique<Mask>(),
                             .receiver_stack = std::make_unique<Mask>()});
    std::vector<std::byte> first_body;
    hosts.tap(0).seen = [&](auto, const link::TxPacket& p) {
      if (first_body.empty()) first_body.assign(p.bytes.begin() + 40, p.bytes.begin() + 60);
    };
    for (int i = 0; i < 3; ++i) {
      hosts.send(c);
      hosts.run_for(milliseconds{20});
    }
    ASSERT_EQ(c.deliveries.size(), 2u);
    EXPECT_TRUE(c.deliveries[0].intact);
    EXPECT_EQ(c.deliveries[1].number, 2u);
    EXPECT_EQ(hosts.received_counters(c).delivered, 2u);
    const auto plain = message_of(bytes, 0);
    EXPECT_EQ(std::search(plain.begin(), plain.end(), first_body.begin(), first_body.end()), plain.end());
  }
}

// ---- opening, connecting, closing --------------------------------------------------------------------------------

TEST(Closing, DrainStillSendsWhatWasAccepted) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{10}, .burst = 20, .bytes = 5'000});
  hosts.send(c, 20);
  hosts.run_for(milliseconds{15});
  c.queue->send(message_of(c.length, c.sent++), hosts.now);  // published, not yet sighted
  hosts.domain(0).close(c.sender.slot, CloseMode::drain, hosts.now);
  c.queue->send(message_of(c.length, c.sent++), hosts.now);  // after the close: not accepted
  hosts.domain(0).sighted(c.sender.slot, hosts.now);
  hosts.run_for(milliseconds{100});
  EXPECT_TRUE(hosts.observer[0].closed.empty());
  hosts.run_for(milliseconds{200});
  EXPECT_EQ(c.deliveries.size(), 21u);
  EXPECT_EQ(hosts.observer[0].closed, std::vector<ClipSlot>{c.sender.slot});
}

// Twenty messages of a burst; the route changes when some packets of one have left. What was seen and not begun is the next clip's.
TEST(HandingBack, TheMessageInWorkStillLeavesAndTheNextClipGoesOnWithTheSameQueues) {
  for (const bool shaped : {true, false}) {
    TwoHosts hosts;
    Channel& c = hosts.open({.period = milliseconds{10}, .burst = 20, .bytes = 50'000, .link_delay = milliseconds{9},
                             .policing = shaped ? Policing::shape : Policing::refuse, .packets_per_step = 4, .packet_buffers = 8});
    hosts.send(c, 20);
    hosts.run_for(milliseconds{21});
    hosts.domain(0).close(c.sender.slot, CloseMode::hand_back, hosts.now);
    hosts.run_for(milliseconds{15});
    ASSERT_TRUE(hosts.observer[0].handed_back);
    const std::size_t before = c.deliveries.size();
    ASSERT_EQ(before, 3u) << "the third was in work";
    EXPECT_EQ(hosts.sent_counters(c).accepted, 3u);
    hosts.send(c, 5);  // the application goes on meanwhile
    hosts.run_for(milliseconds{20});
    EXPECT_EQ(c.deliveries.size(), before) << "nobody reads the queue";
    hosts.domain(1).close(c.receiver.slot, CloseMode::hand_back, hosts.now);
    hosts.run_for(milliseconds{1});
    ASSERT_TRUE(hosts.observer[1].handed_back);

    hosts.take_over(c);
    hosts.run_for(milliseconds{500});
    const std::size_t all = shaped ? 25u : 3u + 20u;  // twenty make a burst; what gathered beyond is refused if that was chosen
    ASSERT_EQ(c.deliveries.size(), all);
    for (std::size_t i = 0; i < all; ++i) {
      EXPECT_EQ(c.deliveries[i].number, i);
      EXPECT_TRUE(c.deliveries[i].intact);
    }
    EXPECT_EQ(hosts.sent_counters(c).delivered, all) << "counted on";
    EXPECT_EQ(hosts.sent_counters(c).accepted, all);
    EXPECT_EQ(hosts.received_counters(c).delivered, all);
    EXPECT_EQ(hosts.received_counters(c).lost, 0u);
    EXPECT_EQ(hosts.received_counters(c).late, 0u);
    EXPECT_EQ(hosts.sent_counters(c).refused, shaped ? 0u : 2u);
    EXPECT_TRUE(hosts.observer[0].exceeded.empty()) << "that messages gathered is no fault of the application";
    EXPECT_EQ(c.queue->room(), 64u) << "every slot is the application's again";
  }
}

TEST(HandingBack, WhatWasLostBetweenTwoClipsIsCounted) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{10}, .burst = 20, .bytes = 1'000});
  hosts.send(c, 3);
  hosts.run_for(milliseconds{5});
  hosts.domain(1).close(c.receiver.slot, CloseMode::hand_back, hosts.now);  // the old way is dead: one of three has arrived
  hosts.run_for(milliseconds{50});
  hosts.domain(0).close(c.sender.slot, CloseMode::hand_back, hosts.now);
  hosts.run_for(milliseconds{5});
  ASSERT_TRUE(hosts.observer[0].handed_back && hosts.observer[1].handed_back);
  hosts.take_over(c);
  hosts.send(c);
  hosts.run_for(milliseconds{50});
  ASSERT_EQ(c.deliveries.size(), 2u);
  EXPECT_EQ(c.deliveries[1].number, 3u);
  EXPECT_EQ(hosts.received_counters(c).lost, 2u);
  EXPECT_EQ(hosts.received_counters(c).delivered, 2u);
}

TEST(Closing, AnIdleClipGoesAtTheNextTurn) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{10}});
  for (unsigned host : {0u, 1u}) {
    hosts.domain(host).close(c.sender.slot, CloseMode::drain, hosts.now);
    EXPECT_TRUE(hosts.observer[host].closed.empty()) << "never from within close()";
    hosts.domain(host).turn(hosts.now);
    EXPECT_EQ(hosts.observer[host].closed.size(), 1u);
    hosts.domain(host).close(c.sender.slot, CloseMode::drain, hosts.now);  // unknown by now: ignored
    hosts.domain(host).sighted(c.sender.slot, hosts.now);
    hosts.domain(host).turn(hosts.now);
    EXPECT_EQ(hosts.observer[host].closed.size(), 1u);
  }
}

TEST(Closing, AbandonGoesAtOnceAndNothingMoreIsSent) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{10}, .burst = 20, .bytes = 50'000, .link_delay = milliseconds{10}});
  hosts.send(c, 20);
  hosts.run_for(milliseconds{2});
  const auto packets = hosts.wire(0).counters().sent;
  hosts.domain(0).close(c.sender.slot, CloseMode::abandon, hosts.now);
  hosts.run_for(milliseconds{300});
  EXPECT_EQ(hosts.wire(0).counters().sent, packets);
  EXPECT_EQ(hosts.observer[0].closed.size(), 1u);
}

TEST(Closing, AnIncomingClipHandlesWhatHasArrivedThenGoes) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{10}, .bytes = 20'000, .receive_delay = milliseconds{5}});
  hosts.send(c);
  hosts.run_for(milliseconds{2});  // some of its packets have come
  hosts.domain(1).close(c.receiver.slot, CloseMode::drain, hosts.now);
  hosts.run_for(milliseconds{50});
  EXPECT_EQ(hosts.observer[1].closed.size(), 1u);
  EXPECT_GT(hosts.dropped(1, PacketDrop::unknown_label), 0u) << "what comes after is for nobody";
  EXPECT_EQ(hosts.received_counters(c).lost, 1u);
}

TEST(Closing, ASlotIsUsedAgainWithAnotherGeneration) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{10}, .bytes = 1000});
  hosts.send(c);
  hosts.run_for(milliseconds{20});
  hosts.domain(1).close(c.receiver.slot, CloseMode::abandon, hosts.now);
  hosts.run_for(milliseconds{1});
  ASSERT_EQ(hosts.observer[1].closed.size(), 1u);
  ClipSpec again = c.receiver;
  again.generation += 1;
  LocalMailbox mailbox(4, 1000);
  hosts.domain(1).open(make_clip(again, nullptr, std::make_unique<LocalSink>(mailbox)), hosts.now);
  hosts.send(c);  // still with the old label
  hosts.run_for(milliseconds{20});
  EXPECT_TRUE(mailbox.empty());
  EXPECT_EQ(hosts.dropped(1, PacketDrop::wrong_generation), 1u);
}

TEST(Closing, OpeningAndClosingForEverLosesNoFrame) {
  TwoHosts hosts({.clips = 4, .frames = 64});
  for (int i = 0; i < 2000; ++i) {
    Channel& c = hosts.open({.period = milliseconds{1}, .bytes = 4'000, .slots = 4, .packet_buffers = 30});
    hosts.send(c, 2);
    hosts.run_for(microseconds{i % 1500});
    const CloseMode mode = i % 3 == 0 ? CloseMode::drain : CloseMode::abandon;
    hosts.domain(0).close(c.sender.slot, mode, hosts.now);
    hosts.run_for(milliseconds{30});
    hosts.domain(1).close(c.receiver.slot, CloseMode::abandon, hosts.now);
    hosts.run_for(milliseconds{1});
    ASSERT_EQ(hosts.observer[0].closed.size(), static_cast<std::size_t>(i + 1));
    ASSERT_EQ(hosts.observer[1].closed.size(), static_cast<std::size_t>(i + 1));
    ASSERT_EQ(c.deliveries.size(), mode == CloseMode::drain ? 2u : c.deliveries.size()) << i;
    hosts.reuse_slot(c);
  }
}

TEST(Connecting, NothingLeavesBeforeTheNeighboursLabelIsKnown) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{10}, .bytes = 1000});
  hosts.domain(0).close(c.sender.slot, CloseMode::abandon, hosts.now);
  hosts.run_for(milliseconds{1});
  ClipSpec spec = c.sender;
  spec.next_hop = Endpoint{};
  spec.next_label = Label{};
  hosts.domain(0).open(make_clip(spec, std::make_unique<LocalSource>(*c.queue), nullptr), hosts.now);
  hosts.send(c);
  hosts.run_for(milliseconds{20});
  EXPECT_EQ(hosts.wire(0).counters().sent, 0u);
  hosts.domain(0).connect(c.sender.slot, c.sender.next_hop, c.sender.next_label, hosts.now);
  hosts.domain(0).turn(hosts.now);
  hosts.run_for(milliseconds{20});
  EXPECT_EQ(c.deliveries.size(), 1u);
}

// ---- signalling --------------------------------------------------------------------------------------------------

TEST(Signals, TravelBesideSaturatingTraffic) {
  TwoHosts hosts({.bits_per_second = 10'000'000});
  Channel& rest = hosts.open({.service = ServiceClass::best_effort, .bytes = 10'000, .slots = 64});
  hosts.every(milliseconds{1}, [&] { hosts.send(rest, 100); });
  hosts.run_for(milliseconds{100});
  const auto bytes = message_of(800, 5);
  const Instant sent = hosts.now;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(hosts.domain(0).send_signal(0, address(1), bytes, hosts.now));
  hosts.run_for(milliseconds{100});
  ASSERT_EQ(hosts.observer[1].signals.size(), 5u);
  for (int i = 0; i < 5; ++i) {
    const auto& s = hosts.observer[1].signals[static_cast<std::size_t>(i)];
    EXPECT_EQ(s.bytes, bytes);
    EXPECT_EQ(s.from, address(0));
    EXPECT_LE(s.at, sent + milliseconds{2} * i + milliseconds{10} + microseconds{20}) << i;
  }
}

TEST(Signals, AFullQueueRefusesInsteadOfGrowing) {
  TwoHosts hosts;
  const auto bytes = message_of(100, 1);
  std::uint32_t taken = 0;
  for (int i = 0; i < 1000; ++i) taken += hosts.domain(0).send_signal(0, address(1), bytes, hosts.now);
  EXPECT_EQ(taken, limits::signal_queue_packets);
  EXPECT_EQ(hosts.dropped(0, PacketDrop::signal_queue_full), 1000 - taken);
  EXPECT_FALSE(hosts.domain(0).send_signal(7, address(1), bytes, hosts.now)) << "no such link";
  EXPECT_FALSE(hosts.domain(0).send_signal(0, address(1), message_of(limits::signal_bytes + 1, 1), hosts.now));
}

TEST(Signals, AFloodIsBoundedAtItsReceiver) {
  TwoHosts hosts({.bits_per_second = 1'000'000'000});
  const auto bytes = message_of(60, 1);
  hosts.every(microseconds{10}, [&] { hosts.domain(0).send_signal(0, address(1), bytes, hosts.now); hosts.poke(0); }, 100'000);
  hosts.run_for(seconds{1});
  const double heard = static_cast<double>(hosts.observer[1].signals.size());
  EXPECT_NEAR(heard, 10'000 + limits::signals_in_burst, 300);
  EXPECT_GT(hosts.dropped(1, PacketDrop::signal_rate), 80'000u);
}

}  // namespace
}  // namespace rtchan::clips::testing
