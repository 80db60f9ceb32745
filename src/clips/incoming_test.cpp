// Reassembly: packets in any condition go in, whole messages come out. And logical arrivals at the receiver.
#include "clips/incoming.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "clips/local_queues.hpp"
#include "clips/testing/two_hosts.hpp"

namespace rtchan::clips::testing {
namespace {

constexpr Instant start{seconds{1}};

struct Made {
  std::uint64_t number;
  std::vector<std::byte> bytes;  // the whole packet
};

// The packets of one message, as a sender with `fragment` bytes per packet makes them.
std::vector<Made> packets_of(std::uint64_t number, std::uint32_t length, std::uint32_t fragment,
                             std::uint32_t& packet_number, Duration rem = {}) {
  const auto message = message_of(length, number);
  std::vector<Made> made;
  for (std::uint32_t offset = 0; offset < length; offset += fragment) {
    const std::uint32_t part = std::min(fragment, length - offset);
    wire::DataHeader h;
    h.type = wire::PacketType::fragment;
    h.packet_number = packet_number++;
    h.rem = rem;
    h.first_message = static_cast<std::uint32_t>(number);
    h.offset = offset;
    h.message_length = length;
    std::vector<std::byte> packet(part + wire::fragment_overhead_bytes);
    wire::encode_header(h, packet);
    std::copy_n(message.begin() + offset, part, packet.begin() + wire::header_bytes + wire::fragment_bytes);
    wire::seal(packet);
    made.push_back({number, std::move(packet)});
  }
  return made;
}

std::vector<std::byte> records(std::uint64_t first, std::initializer_list<std::uint32_t> lengths,
                               std::uint32_t packet_number) {
  wire::DataHeader h;
  h.type = wire::PacketType::messages;
  h.packet_number = packet_number;
  h.first_message = static_cast<std::uint32_t>(first);
  std::vector<std::byte> packet(wire::header_bytes);
  std::uint64_t number = first;
  for (const std::uint32_t length : lengths) {
    packet.push_back(static_cast<std::byte>(length >> 8));
    packet.push_back(static_cast<std::byte>(length));
    const auto bytes = message_of(length, number++);
    packet.insert(packet.end(), bytes.begin(), bytes.end());
  }
  packet.resize(packet.size() + wire::trailer_bytes);
  wire::encode_header(h, packet);
  wire::seal(packet);
  return packet;
}

class Receiver {
 public:
  explicit Receiver(Contract contract = {milliseconds{1}, 1, 20'000}, std::uint32_t slots = 8,
                    std::uint32_t buffers = 256, std::uint32_t per_step = 8, std::uint32_t per_message = 0)
      : mailbox(slots, contract.message_bytes) {
    spec.role = Role::incoming;
    spec.contract = contract;
    spec.cpu_delay = milliseconds{1};
    spec.upstream_rem = milliseconds{2};
    spec.upstream_propagation = microseconds{100};
    spec.end_to_end = milliseconds{5};
    spec.packet_buffers = buffers;
    spec.packets_per_step = per_step;
    spec.packets_per_message = per_message;
    incoming.emplace(spec, std::make_unique<LocalSink>(mailbox), nullptr);
  }
  // True: queued or counted; false: not what the contract allows.
  bool arrive(const std::vector<std::byte>& packet) {
    const auto decoded = wire::decode(packet);
    EXPECT_TRUE(decoded);
    return incoming->accept(*decoded, now, store, counters);
  }
  // The handler runs until it has nothing to do; messages are read unless the application is behind.
  void handle(bool read = true) {
    while (incoming->step(now, store, counters) > 0) {
    }
    while (read && !mailbox.empty()) {
      const auto m = mailbox.receive();
      const auto bytes = mailbox.bytes(m);
      got.push_back({m.number, {bytes.begin(), bytes.end()}});
      last = m;
      mailbox.release(m);
    }
  }
  [[nodiscard]] bool intact() const {
    return std::ranges::all_of(got, [](const Made& m) {
      return std::ranges::equal(m.bytes, message_of(static_cast<std::uint32_t>(m.bytes.size()), m.number));
    });
  }

  ClipSpec spec;
  LocalMailbox mailbox;
  PacketStore store{512, 1472};
  ClipCounters counters;
  std::optional<Incoming> incoming;
  Instant now = start;
  std::vector<Made> got;
  LocalMailbox::Message last;
};

TEST(Reassembly, FragmentsMayComeInAnyOrder) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    Receiver r;
    std::uint32_t packet = 0;
    for (std::uint64_t m = 0; m < 3; ++m) {
      auto packets = packets_of(m, 1 + static_cast<std::uint32_t>(random() % 20'000), 1400, packet);
      std::ranges::shuffle(packets, random);
      for (const Made& p : packets) {
        r.arrive(p.bytes);
        if (random() % 2 == 0) r.handle();
      }
      r.now += milliseconds{1};
    }
    r.now += milliseconds{10};
    r.handle();
    ASSERT_EQ(r.got.size(), 3u);
    EXPECT_TRUE(r.intact());
    EXPECT_EQ(r.counters.lost + r.counters.stale + r.counters.no_slot, 0u);
    EXPECT_EQ(r.counters.packets_missing, 0u) << "late is not missing";
  }
}

TEST(Reassembly, AMessageWithALostPacketIsCountedAndNeverShown) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 200; ++round) {
    Receiver r;
    std::uint32_t packet = 0;
    auto first = packets_of(0, 14'000, 1400, packet);
    const auto second = packets_of(1, 14'000, 1400, packet);
    first.erase(first.begin() + static_cast<std::ptrdiff_t>(random() % first.size()));
    for (const Made& p : first) r.arrive(p.bytes);
    r.handle();
    EXPECT_TRUE(r.got.empty());
    for (const Made& p : second) r.arrive(p.bytes);
    r.now += milliseconds{10};
    r.handle();
    ASSERT_EQ(r.got.size(), 1u);
    EXPECT_EQ(r.got[0].number, 1u);
    EXPECT_TRUE(r.intact());
    EXPECT_EQ(r.counters.lost, 1u);
    EXPECT_EQ(r.counters.packets_missing, 1u);
  }
}

TEST(Reassembly, MessagesThatNeverShowedAtAllAreCountedLost) {
  Receiver r;
  std::uint32_t packet = 0;
  for (const std::uint64_t number : {3ull, 4ull, 9ull}) {
    for (const Made& p : packets_of(number, 2'000, 1400, packet)) r.arrive(p.bytes);
  }
  r.now += milliseconds{20};
  r.handle();
  EXPECT_EQ(r.got.size(), 3u);
  EXPECT_EQ(r.counters.lost, 3u + 4u);
}

TEST(Reassembly, ADuplicateIsNeverDeliveredTwice) {
  Receiver r;
  std::uint32_t packet = 0;
  const auto packets = packets_of(0, 5'000, 1400, packet);
  for (int copy = 0; copy < 3; ++copy) {
    for (const Made& p : packets) r.arrive(p.bytes), r.arrive(p.bytes);
    r.handle();
  }
  const auto small = records(1, {100}, packet);
  for (int copy = 0; copy < 3; ++copy) r.arrive(small), r.handle();
  r.now += milliseconds{10};
  r.handle();
  for (int copy = 0; copy < 3; ++copy) r.arrive(small), r.handle();
  EXPECT_EQ(r.got.size(), 2u);
  EXPECT_TRUE(r.intact());
  EXPECT_EQ(r.counters.lost, 0u);
  EXPECT_EQ(r.counters.duplicate, 5 * packets.size() + 5);
  EXPECT_EQ(r.counters.stale + r.counters.misfit, 0u) << "told apart from packets of messages that are over";
  EXPECT_EQ(r.store.available(), 512u);
}

// A second copy under another packet number (a sender that repeats itself) is found out by its place in the message.
TEST(Reassembly, AFragmentThatIsHereAlreadyIsADuplicateAndOneThatContradictsIsAMisfit) {
  Receiver r;
  std::uint32_t packet = 0;
  const auto first = packets_of(0, 5'000, 1400, packet);
  const auto again = packets_of(0, 5'000, 1400, packet);
  const auto longer = packets_of(0, 6'000, 1400, packet);
  r.arrive(first[0].bytes), r.handle();
  r.arrive(again[0].bytes), r.handle();
  EXPECT_EQ(r.counters.duplicate, 1u);
  r.arrive(longer[1].bytes), r.handle();
  EXPECT_EQ(r.counters.misfit, 1u);
  EXPECT_EQ(r.counters.stale, 0u);
  for (std::size_t i = 1; i < first.size(); ++i) r.arrive(first[i].bytes);
  r.now += milliseconds{10};
  r.handle();
  EXPECT_EQ(r.got.size(), 1u);
  EXPECT_TRUE(r.intact());
}

TEST(Reassembly, APacketOfAnOvertakenMessageIsStale) {
  Receiver r;
  std::uint32_t packet = 0;
  const auto old = packets_of(0, 5'000, 1400, packet);
  const auto next = packets_of(1, 5'000, 1400, packet);
  r.arrive(old[0].bytes);
  for (const Made& p : next) r.arrive(p.bytes);
  for (std::size_t i = 1; i < old.size(); ++i) r.arrive(old[i].bytes);
  r.now += milliseconds{10};
  r.handle();
  ASSERT_EQ(r.got.size(), 1u);
  EXPECT_EQ(r.got[0].number, 1u);
  EXPECT_EQ(r.counters.stale, old.size() - 1);
  EXPECT_EQ(r.counters.lost, 1u);
}

TEST(Reassembly, FragmentsThatContradictEachOtherMakeNoMessage) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 3'000; ++round) {
    Receiver r;
    std::uint32_t packet = 0;
    std::vector<Made> packets;
    // One message cut in several incompatible ways, or of several lengths: a hostile or broken sender.
    for (int way = 0; way < 3; ++way) {
      const auto length = static_cast<std::uint32_t>(3'000 + 700 * (random() % 3));
      const auto cut = packets_of(0, length, 256 + static_cast<std::uint32_t>(random() % 1'000), packet);
      packets.insert(packets.end(), cut.begin(), cut.end());
    }
    std::ranges::shuffle(packets, random);
    for (const Made& p : packets) r.arrive(p.bytes), r.handle();
    EXPECT_TRUE(r.intact()) << "whatever is shown is whole";
    EXPECT_LE(r.got.size(), 1u);
    EXPECT_EQ(r.store.available(), 512u);
  }
}

TEST(Reassembly, AMessageAboveTheContractIsRefused) {
  Receiver r({milliseconds{1}, 1, 1'000});
  std::uint32_t packet = 0;
  EXPECT_FALSE(r.arrive(packets_of(0, 1'001, 1400, packet)[0].bytes));
  EXPECT_FALSE(r.arrive(records(0, {1'001}, 0)));
  EXPECT_TRUE(r.arrive(records(0, {1'000}, 0)));
  r.handle();
  EXPECT_EQ(r.got.size(), 1u);
}

TEST(Reassembly, SeveralMessagesInOnePacketAreSeveralMessages) {
  Receiver r;
  r.arrive(records(0, {10, 20, 30}, 0));
  r.arrive(records(3, {40}, 1));
  r.now += milliseconds{20};
  r.handle();
  ASSERT_EQ(r.got.size(), 4u);
  EXPECT_TRUE(r.intact());
  EXPECT_EQ(r.counters.lost, 0u);
}

TEST(Reassembly, MessageAndPacketNumbersWrap) {
  Receiver r;
  // Up to the edge in steps that 32 bits can express, then over it.
  std::uint64_t number = 0;
  std::uint64_t skipped = 0;
  while (number < (std::uint64_t{1} << 32) - 10) {
    const std::uint64_t next = std::min<std::uint64_t>(number + 0x7000'0000, (std::uint64_t{1} << 32) - 10);
    skipped += next - number - (number == 0 ? 0 : 1);
    number = next;
    r.arrive(records(number, {50}, static_cast<std::uint32_t>(number)));
    r.now += milliseconds{5};
    r.handle();
  }
  r.got.clear();
  for (int i = 0; i < 20; ++i) {
    ++number;
    r.arrive(records(number, {50}, static_cast<std::uint32_t>(number)));
    r.now += milliseconds{5};
    r.handle();
  }
  ASSERT_EQ(r.got.size(), 20u);
  EXPECT_EQ(r.got.back().number, (std::uint64_t{1} << 32) + 10);
  EXPECT_TRUE(r.intact());
  EXPECT_EQ(r.counters.lost, skipped);
}

TEST(Reassembly, AReceiverThatIsBehindLosesItsOwnMessages) {
  Receiver r({milliseconds{1}, 1, 20'000}, 2);
  std::uint32_t packet = 0;
  for (std::uint64_t m = 0; m < 5; ++m) {
    for (const Made& p : packets_of(m, 4'000, 1400, packet)) r.arrive(p.bytes);
    r.now += milliseconds{5};
    r.handle(false);
  }
  EXPECT_EQ(r.counters.no_slot, 3u);
  EXPECT_EQ(r.counters.lost, 0u);
  r.handle();
  EXPECT_EQ(r.got.size(), 2u);
  for (const Made& p : packets_of(5, 4'000, 1400, packet)) r.arrive(p.bytes);
  r.now += milliseconds{5};
  r.handle();
  EXPECT_EQ(r.got.size(), 3u) << "it has caught up";
  EXPECT_EQ(r.got.back().number, 5u);
  EXPECT_EQ(r.store.available(), 512u);
}

TEST(Reassembly, WithoutABufferTheRestOfTheMessageIsDiscardedEarly) {
  Receiver r({milliseconds{1}, 1, 20'000}, 8, 4);
  std::uint32_t packet = 0;
  const auto packets = packets_of(0, 14'000, 1400, packet);
  for (const Made& p : packets) r.arrive(p.bytes);  // the handler does not get to run
  EXPECT_EQ(r.counters.no_buffer, 1u);
  EXPECT_EQ(r.counters.stale, packets.size() - 5);
  for (const Made& p : packets_of(1, 1'000, 1400, packet)) r.arrive(p.bytes);
  r.now += milliseconds{10};
  r.handle();
  EXPECT_TRUE(r.got.empty()) << "message 1 found no buffer either";
  for (const Made& p : packets_of(2, 1'000, 1400, packet)) r.arrive(p.bytes);
  r.now += milliseconds{10};
  r.handle();
  ASSERT_EQ(r.got.size(), 1u);
  EXPECT_EQ(r.counters.lost, 2u);
}

// ---- logical arrival ---------------------------------------------------------------------------------------------

TEST(LogicalArrivalOfPackets, FollowsArrivalRemAndThePeriod) {
  Receiver r({milliseconds{10}, 1, 20'000});
  std::uint32_t packet = 0;
  auto urgency = [&] { return *r.incoming->urgency(r.store); };
  auto send = [&](std::uint64_t m, Duration rem) {
    r.arrive(packets_of(m, 1'000, 1400, packet, rem)[0].bytes);
    const Urgency u = urgency();
    r.now += milliseconds{1};
    while (r.incoming->step(r.now + seconds{1}, r.store, r.counters) > 0) {
    }
    return u;
  };
  EXPECT_EQ(send(0, microseconds{1600}).logical, start + microseconds{1600});
  EXPECT_EQ(send(1, microseconds{0}).logical, start + microseconds{11'600}) << "not before the previous one + T";
  r.now = start + milliseconds{30};
  EXPECT_EQ(send(2, milliseconds{-5}).logical, start + milliseconds{30}) << "rem is clamped below";
  r.now = start + milliseconds{50};
  const Urgency clamped = send(3, milliseconds{500});
  EXPECT_EQ(clamped.logical, start + milliseconds{52}) << "and above, by d + H of the neighbour";
  EXPECT_EQ(clamped.deadline, start + milliseconds{53});
  EXPECT_LE(clamped.eligible, start + milliseconds{50}) << "what keeps the contract may be handled at once";
}

TEST(LogicalArrivalOfPackets, GrowsWithinAMessageAndTheNextCountsFromItsLargest) {
  Receiver r({milliseconds{10}, 1, 20'000}, 8, 256, 1);  // one packet per step, to look at each head
  std::uint32_t packet = 0;
  const auto packets = packets_of(0, 4'200, 1400, packet);
  r.arrive(packets[0].bytes);
  r.now += milliseconds{3};
  r.arrive(packets[2].bytes);
  r.now += milliseconds{1};
  r.arrive(packets[1].bytes);
  r.arrive(packets_of(1, 100, 1400, packet)[0].bytes);
  std::vector<Instant> logical;
  while (!r.incoming->idle()) {
    logical.push_back(r.incoming->urgency(r.store)->logical);
    r.incoming->step(r.now + seconds{1}, r.store, r.counters);
  }
  EXPECT_EQ(logical, (std::vector<Instant>{start, start + milliseconds{3}, start + milliseconds{4},
                                           start + milliseconds{14}}));
  ASSERT_EQ(r.counters.delivered, 2u);
  EXPECT_EQ(r.counters.unpoliced, 1u) << "message 1 came 10 ms too early, more than d + H + pi explain";
}

TEST(LogicalArrivalOfPackets, ANeighbourThatSendsTooFastIsHeldToTheContract) {
  Receiver r({milliseconds{10}, 1, 1'000}, 64);
  std::uint32_t packet = 0;
  for (std::uint64_t m = 0; m < 20; ++m) r.arrive(packets_of(m, 1'000, 1400, packet)[0].bytes);
  for (int ms = 0; ms < 100; ++ms, r.now += milliseconds{1}) r.handle();
  // Its message m may be handled d + H + pi (2 ms) and a pause of the sender's host before start + m * T at the earliest.
  EXPECT_EQ(r.got.size(), 1u + (100 + 2 + limits::host_pause / milliseconds{1}) / 10);
  EXPECT_GT(r.counters.unpoliced, 10u);
}

TEST(PacketsOfAMessage, AreNoMoreThanAdmissionHasCountedWith) {
  Receiver r({milliseconds{10}, 1, 2'800}, 8, 256, 8, 2);
  std::uint32_t packet = 0;
  for (int i = 0; i < 100; ++i) r.arrive(packets_of(0, 2'800, 256, packet)[0].bytes);
  r.handle();
  EXPECT_EQ(r.counters.excess, 98u) << "however often a peer repeats a fragment under a new number";
  for (const auto& p : packets_of(1, 2'800, 1'400, packet)) r.arrive(p.bytes);
  r.now += milliseconds{10};
  r.handle();
  EXPECT_EQ(r.counters.delivered, 1u) << "the next message has a budget of its own";
}

// ---- over a bad network ------------------------------------------------------------------------------------------

struct Weather {
  const char* name;
  link::Faults faults;
};

class BadNetwork : public ::testing::TestWithParam<Weather> {};

TEST_P(BadNetwork, WhatArrivesIsIntactInOrderAndOnceAndTheRestIsCounted) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    TwoHosts hosts({.bits_per_second = 1'000'000'000, .faults = GetParam().faults, .seed = seed});
    std::vector<Channel*> channels;
    for (const std::uint32_t bytes : {200u, 1'430u, 9'000u, 40'000u}) {
      channels.push_back(&hosts.open({.period = milliseconds{5}, .burst = 3, .bytes = bytes}));
    }
    for (Channel* c : channels) hosts.every(milliseconds{5}, [&hosts, c] { hosts.send(*c); }, 400);
    hosts.run_for(seconds{3});
    for (Channel* c : channels) {
      const ClipCounters& counters = hosts.received_counters(*c);
      ASSERT_FALSE(c->deliveries.empty());
      std::uint64_t next = 0;
      for (const auto& d : c->deliveries) {
        ASSERT_TRUE(d.intact) << c->length;
        ASSERT_GE(d.number, next) << "in order, and never twice";
        next = d.number + 1;
      }
      const std::uint64_t in_assembly = counters.accepted - counters.delivered - counters.no_slot;
      EXPECT_LE(counters.delivered + counters.lost, 400u);
      EXPECT_GE(counters.delivered + counters.lost + 20, 400u);
      EXPECT_LE(in_assembly, counters.lost + 1);
      EXPECT_EQ(counters.delivered, c->deliveries.size());
      EXPECT_EQ(counters.no_slot + counters.no_buffer, 0u);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Weather, BadNetwork,
    ::testing::Values(Weather{"loss", {.loss = 0.02}}, Weather{"duplication", {.duplication = 0.3, .copies = 3}},
                      Weather{"corruption", {.corruption = 0.02}},
                      Weather{"reordering", {.holding = 0.1, .hold_max = microseconds{300}}},
                      Weather{"all", {.loss = 0.01, .corruption = 0.01, .duplication = 0.1, .copies = 2, .holding = 0.1,
                                      .hold_max = milliseconds{8}}}),
    [](const auto& weather) { return std::string(weather.param.name); });

}  // namespace
}  // namespace rtchan::clips::testing
