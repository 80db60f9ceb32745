// A router's clip: packets of one link become packets of the next, under this hop's label, number and
// deadline.
#include "clips/forward.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "admission/policy.hpp"
#include "clips/testing/host_line.hpp"

namespace rtchan::clips::testing {
namespace {

Hop hop(Duration horizon = {}) {
  return {milliseconds{1}, milliseconds{2}, horizon, 0};
}

// Packets that somebody puts on the wire to the router by hand.
std::vector<std::byte> fragment(Label label, std::uint32_t number, std::uint64_t message,
                                std::uint32_t offset, std::uint32_t bytes, std::uint32_t length,
                                Duration rem = {}) {
  wire::DataHeader h;
  h.type = wire::PacketType::fragment;
  h.label = label;
  h.packet_number = number;
  h.rem = rem;
  h.first_message = static_cast<std::uint32_t>(message);
  h.offset = offset;
  h.message_length = length;
  std::vector<std::byte> packet(bytes + wire::fragment_overhead_bytes);
  wire::encode_header(h, packet);
  wire::seal(packet);
  return packet;
}

// Everything that leaves the router toward the receiver.
struct Seen {
  std::uint32_t packet_number;
  std::uint64_t message;
  Label label;
  Duration rem;
  std::uint8_t flags;
  Instant handed_over;
};

class Router : public ::testing::Test {
 protected:
  Router() {
    line.wire(1, 0).seen = [this](const link::TxPacket& p, link::TrafficClass) {
      const auto decoded = wire::decode(p.bytes);
      ASSERT_TRUE(decoded) << "a packet leaves sealed";
      const auto& h = decoded->header;
      out.push_back({h.packet_number, h.first_message, h.label, h.rem, h.flags, line.now});
    };
  }
  void inject(const std::vector<std::byte>& packet) {
    const Endpoint to = HostLine::end(0, 1);
    const link::TxPacket tx{&to, packet};
    line.wire(0, 0).transmit(link::TrafficClass::real_time, std::span(&tx, 1));
  }
  Label label_at_router(const Channel& c) { return {line.spec(c, 1).slot.value, line.spec(c, 1).generation}; }

  HostLine line{{.hosts = 3}};
  std::vector<Seen> out;
};

TEST_F(Router, PassesMessagesOnUnderTheNextHopsLabelAndItsOwnNumbers) {
  Channel& c = line.open({.period = milliseconds{5}, .bytes = 4'000, .hops = {hop(), hop()}});
  Channel& small = line.open({.period = milliseconds{5}, .bytes = 100, .hops = {hop(), hop()}});
  line.every(
      milliseconds{5}, [&] { line.send(c), line.send(small); }, 20);
  line.run_for(milliseconds{200});
  ASSERT_EQ(c.deliveries.size(), 20u);
  ASSERT_EQ(small.deliveries.size(), 20u);
  for (const auto& d : c.deliveries) EXPECT_TRUE(d.intact);
  for (const auto& d : small.deliveries) EXPECT_TRUE(d.intact);
  std::uint32_t next = 0;
  for (const Seen& s : out) {
    if (s.label.slot != c.receiver.slot.value) continue;
    EXPECT_EQ(s.label.generation, c.receiver.generation);
    EXPECT_EQ(s.packet_number, next++);
  }
  EXPECT_EQ(next, 60u);
  const ClipCounters& at_router = line.counters(c, 1);
  EXPECT_EQ(at_router.accepted, 20u);
  EXPECT_EQ(at_router.delivered, 20u);
  EXPECT_EQ(at_router.packets, 60u);
  EXPECT_EQ(at_router.bytes, 80'000u);
  EXPECT_EQ(at_router.late + at_router.unpoliced + at_router.no_buffer + at_router.excess, 0u);
  EXPECT_GT(at_router.worst_link, 0);
}

TEST_F(Router, CountsWhatWasLostOnItsHopAndNumbersWithoutAGap) {
  int n = 0;
  line.wire(0, 1).loses = [&] { return ++n % 7 == 3; };
  Channel& c = line.open({.period = milliseconds{5}, .bytes = 4'000, .hops = {hop(), hop()}});
  line.every(
      milliseconds{5}, [&] { line.send(c); }, 70);
  line.run_for(milliseconds{500});
  EXPECT_EQ(line.counters(c, 1).packets_missing, 30u);
  EXPECT_EQ(line.counters(c, 2).packets_missing, 0u) << "the next hop loses none of what was sent to it";
  EXPECT_EQ(line.counters(c, 2).packets, 180u);
  EXPECT_EQ(line.counters(c, 2).lost + c.deliveries.size(), 70u);
  EXPECT_EQ(line.counters(c, 2).lost, 30u);
}

TEST_F(Router, SendsByTheEarliestDeadlineOfItsOwnLink) {
  Channel& loose = line.open(
      {.period = milliseconds{50}, .bytes = 20'000, .hops = {hop(), {Duration{0}, milliseconds{20}, {}, 0}}});
  Channel& tight = line.open(
      {.period = milliseconds{50}, .bytes = 1'000, .hops = {hop(), {Duration{0}, microseconds{500}, {}, 0}}});
  // All of both is at the router and its link is held up: then order is by deadline.
  for (std::uint32_t i = 0; i < 14; ++i) {
    inject(fragment(label_at_router(loose), i, 0, i * 1'400, std::min(1'400u, 20'000 - i * 1'400), 20'000));
  }
  inject(fragment(label_at_router(tight), 0, 0, 0, 1'000, 1'000));
  line.take_away(1, line.now + milliseconds{5});
  line.run_for(milliseconds{40});
  ASSERT_EQ(out.size(), 15u);
  EXPECT_EQ(out.front().label.slot, tight.receiver.slot.value);
}

TEST_F(Router, HoldsANeighbourThatSendsTooFastToTheContract) {
  const Duration period = milliseconds{10};
  Channel& c = line.open(
      {.period = period, .bytes = 1'000, .hops = {hop(), {milliseconds{1}, milliseconds{2}, {}, 64}}});
  Channel& other = line.open({.period = milliseconds{2},
                              .bytes = 1'000,
                              .hops = {hop(), {milliseconds{1}, microseconds{300}, {}, 0}}});
  for (std::uint32_t m = 0; m < 40; ++m) inject(fragment(label_at_router(c), m, m, 0, 1'000, 1'000));
  line.run_for(milliseconds{10});  // by hand they were faster than the wire's own scheduler knows
  line.every(
      milliseconds{2}, [&] { line.send(other); }, 100);
  line.run_for(milliseconds{500});
  std::vector<Instant> left;
  for (const Seen& s : out) {
    if (s.label.slot == c.receiver.slot.value) left.push_back(s.handed_over);
  }
  ASSERT_EQ(left.size(), 40u) << "what is too early waits";
  for (std::size_t m = 1; m < left.size(); ++m) {
    EXPECT_GE(left[m] - left.front(),
              (period - period / limits::downstream_part) * static_cast<int>(m) - milliseconds{2})
        << "within the link's own deadline of its logical arrival at the earliest";
  }
  EXPECT_GT(line.counters(c, 1).unpoliced, 30u);
  ASSERT_EQ(other.deliveries.size(), 100u);
  for (const auto& d : other.deliveries) EXPECT_LE(d.delay, other.receiver.end_to_end);
  EXPECT_EQ(line.counters(other, 1).late, 0u) << "nobody else notices";
}

TEST_F(Router, WhatDoesNotFitTheBuffersOfItsChannelIsLostWithTheRestOfItsMessage) {
  Channel& c = line.open({.period = milliseconds{10},
                          .bytes = 5'600,
                          .hops = {hop(), {milliseconds{1}, milliseconds{2}, {}, 6}}});
  std::uint32_t number = 0;
  for (std::uint32_t m = 0; m < 2; ++m) {
    for (std::uint32_t i = 0; i < 4; ++i)
      inject(fragment(label_at_router(c), number++, m, i * 1'400, 1'400, 5'600));
  }
  line.run_for(milliseconds{50});
  const ClipCounters& at_router = line.counters(c, 1);
  EXPECT_LE(at_router.packets, 6u);
  EXPECT_EQ(at_router.no_buffer, 1u);
  EXPECT_EQ(at_router.stale, 1u) << "the last of the second message is not worth a frame";
}

TEST_F(Router, TakesOfAMessageNoMorePacketsOrBytesThanItComesTo) {
  Channel& c = line.open({.period = milliseconds{10},
                          .bytes = 2'800,
                          .hops = {hop(), {milliseconds{1}, milliseconds{2}, {}, 64}}});
  std::uint32_t number = 0;
  for (std::uint32_t i = 0; i < 30; ++i) inject(fragment(label_at_router(c), number++, 0, i, 1, 2'800));
  for (std::uint32_t i = 0; i < 30; ++i) inject(fragment(label_at_router(c), number++, 1, 0, 1'420, 2'800));
  line.run_for(milliseconds{50});
  const ClipCounters& at_router = line.counters(c, 1);
  EXPECT_EQ(at_router.packets, 3u) << "two single bytes; and of the other, one: two would be 2,840 bytes";
  EXPECT_EQ(at_router.excess, 57u);
}

TEST_F(Router, DropsWhatNobodyAdmitted) {
  Channel& c = line.open({.period = milliseconds{10}, .bytes = 1'000, .hops = {hop(), hop()}});
  Label wrong = label_at_router(c);
  ++wrong.generation;
  inject(fragment(wrong, 0, 0, 0, 1'000, 1'000));
  inject(fragment(label_at_router(c), 0, 0, 0, 1'001, 1'001));
  inject(fragment({line.spec(c, 1).slot.value + 1, 0}, 0, 0, 0, 1'000, 1'000));
  line.run_for(milliseconds{20});
  EXPECT_TRUE(out.empty());
  const auto& dropped = line.domain(1).counters().dropped;
  EXPECT_EQ(dropped[std::to_underlying(PacketDrop::wrong_generation)], 1u);
  EXPECT_EQ(dropped[std::to_underlying(PacketDrop::above_contract)], 1u);
  EXPECT_EQ(dropped[std::to_underlying(PacketDrop::unknown_label)], 1u);
}

TEST_F(Router, ForwardsBestEffortBelowItsChannels) {
  Channel& c = line.open({.period = milliseconds{2},
                          .bytes = 3'000,
                          .hops = {hop(), {milliseconds{1}, milliseconds{1}, {}, 0}}});
  Channel& rest =
      line.open({.service = ServiceClass::best_effort, .bytes = 4'000, .hops = {{}, {}}, .slots = 32});
  line.every(milliseconds{1}, [&] { line.send(rest, 100); });
  line.every(
      milliseconds{2}, [&] { line.send(c); }, 200);
  line.run_for(milliseconds{410});
  ASSERT_EQ(c.deliveries.size(), 200u);
  for (const auto& d : c.deliveries) EXPECT_LE(d.delay, c.receiver.end_to_end);
  EXPECT_GT(rest.deliveries.size(), 100u) << "what is left over";
  for (const auto& d : rest.deliveries) EXPECT_TRUE(d.intact);
  EXPECT_TRUE(std::ranges::any_of(out, [](const Seen& s) { return s.flags == wire::flag_best_effort; }));
}

TEST_F(Router, IsClosedWithNothingLeftBehind) {
  Channel& drained = line.open({.period = milliseconds{10}, .bytes = 5'000, .hops = {hop(), hop()}});
  Channel& dropped = line.open({.period = milliseconds{10}, .bytes = 5'000, .hops = {hop(), hop()}});
  line.send(drained), line.send(dropped);
  line.run_for(microseconds{1'700});  // both are at the router
  line.domain(1).close(line.spec(drained, 1).slot, CloseMode::drain, line.now);
  line.domain(1).close(line.spec(dropped, 1).slot, CloseMode::abandon, line.now);
  line.run_for(milliseconds{20});
  EXPECT_EQ(line.observers[1].closed.size(), 2u);
  EXPECT_EQ(line.counters(drained, 1).delivered, 1u) << "what was there has gone on";
  EXPECT_EQ(line.counters(dropped, 1).delivered, 0u);
  EXPECT_EQ(dropped.deliveries.size(), 0u);
}

// A router is taken away for a while. What waited there is late, and its receiver is told so though the last
// hop was quick.
TEST_F(Router, ThatWasAwaySaysHowLateItIs) {
  Channel& c =
      line.open({.period = milliseconds{5},
                 .bytes = 1'000,
                 .hops = {hop(milliseconds{1}), {milliseconds{1}, milliseconds{2}, milliseconds{1}, 64}}});
  std::vector<Instant> sent;
  line.every(
      milliseconds{5}, [&] { sent.push_back(line.now), line.send(c); }, 60);
  line.run_for(milliseconds{51});
  line.take_away(1, line.now + milliseconds{30});
  line.run_for(milliseconds{400});
  ASSERT_EQ(c.deliveries.size(), 60u);
  std::size_t late = 0;
  for (std::size_t m = 0; m < 60; ++m) {
    const Duration truth = c.deliveries[m].readable - sent[m];
    EXPECT_GE(c.deliveries[m].delay, truth) << "what is reported hides nothing, message " << m;
    late += truth > c.receiver.end_to_end ? 1 : 0;
  }
  EXPECT_GT(late, 3u);
  EXPECT_GE(line.counters(c, 2).late, late);
  EXPECT_LE(c.deliveries.front().delay, c.receiver.end_to_end);
}

// ---- the promise over many hops
// ---------------------------------------------------------------------------------- Random channels that
// admission takes on every link of a line, wires that delay at random, best effort that fills every wire,
// sources that keep their contracts and sources that do not. The judge computes l(m) by its definition.

constexpr std::uint64_t bits_per_second = 100'000'000;

Duration on_wire(std::uint32_t packet_bytes) {
  return Duration{(static_cast<std::int64_t>(packet_bytes) + overhead_bytes) * 8 * 10};
}

admission::Candidate on_link(std::uint32_t bytes, Duration period) {
  admission::Candidate c;
  c.period = period;
  for (std::uint32_t left = bytes; left > 0; left -= std::min(left, HostLine::full)) {
    const Duration one =
        on_wire(std::min(left, HostLine::full) + static_cast<std::uint32_t>(wire::fragment_overhead_bytes));
    c.service += one;
    c.chunk = std::max(c.chunk, one);
  }
  c.last = c.chunk;
  return c;
}

struct Judged {
  Channel* channel{};
  Duration period{};
  Duration think{};
  std::uint32_t most{};
  Duration bound{};              // sum of all local delays and transits, added up here
  std::vector<Instant> logical;  // l(m), by definition
};

class ManyHops : public ::testing::TestWithParam<int> {};

TEST_P(ManyHops, EveryMessageIsReadableWithinTheSumOfItsDelays) {
  std::mt19937_64 random(static_cast<std::uint64_t>(GetParam()));
  const auto hosts = static_cast<unsigned>(4 + random() % 3);
  HostLine line({.hosts = hosts,
                 .jitter = Duration{static_cast<std::int64_t>(random() % 2'000'000)},
                 .seed = static_cast<std::uint64_t>(GetParam())});
  std::vector<std::unique_ptr<admission::AdmissionPolicy>> links;
  for (unsigned i = 0; i + 1 < hosts; ++i) {
    admission::StageSettings settings;
    settings.base_blocking = on_wire(HostLine::payload);
    links.push_back(admission::make_policy("edf", settings));
  }
  std::vector<Judged> all;
  for (int tries = 0; tries < 10; ++tries) {
    const auto bytes = static_cast<std::uint32_t>(1 + random() % (1u << (6 + random() % 9)));
    const Duration period{static_cast<std::int64_t>((300 + random() % 20'000) * 1'000)};
    const auto first = static_cast<unsigned>(random() % (hosts - 2));
    LineRequest request{.period = period,
                        .burst = static_cast<std::uint32_t>(1 + random() % 4),
                        .bytes = bytes,
                        .receive_delay = Duration{static_cast<std::int64_t>(random() % 1'000'000)},
                        .first = first};
    Judged j{.channel = nullptr,
             .period = period,
             .think = {},
             .most = request.burst,
             .bound = request.receive_delay,
             .logical = {}};
    std::vector<admission::Candidate> candidates;
    for (unsigned k = first; k + 1 < hosts; ++k) {
      const Duration least_period = k == first ? period : period - period / limits::downstream_part;
      candidates.push_back(on_link(bytes, least_period));
      const auto least = links[k]->test(candidates.back());
      if (!least) break;
      Hop h{Duration{static_cast<std::int64_t>(random() % 1'000'000)}, *least, {}, 0};
      if (random() % 2 == 0) h.link += Duration{static_cast<std::int64_t>(random() % 5'000'000)};
      if (random() % 2 == 0)
        h.horizon = random() % 2 == 0 ? h.cpu : Duration{static_cast<std::int64_t>(random() % 4'000'000)};
      j.bound += h.cpu + h.link + line.transit();
      request.hops.push_back(h);
    }
    if (request.hops.size() != hosts - 1 - first) continue;
    for (std::size_t k = 0; k < candidates.size(); ++k)
      links[first + k]->reserve(candidates[k], request.hops[k].link);
    j.channel = &line.open(request);
    const bool cheats = random() % 2 == 0;
    j.think = cheats ? period / 4 : period * 2;
    if (cheats) j.most = 6;
    all.push_back(j);
  }
  ASSERT_GE(all.size(), 2u);
  for (unsigned i = 0; i + 1 < hosts; ++i) {
    line.domain(i).set_burst_bound(HostLine::right(i), links[i]->burst_bound());
    Channel& rest = line.open(
        {.service = ServiceClass::best_effort, .bytes = 4'000, .hops = {{}}, .first = i, .slots = 32});
    line.every(milliseconds{1}, [&line, &rest] { line.send(rest, 100); });
  }
  for (Judged& j : all) {
    line.every(j.think / 2, [&line, &j, chance = random()]() mutable {
      chance = chance * 6364136223846793005ULL + 1442695040888963407ULL;
      if (chance >> 63 == 0) return;
      const Instant at = line.now;
      for (auto n = line.send(*j.channel, static_cast<std::uint32_t>(1 + (chance >> 32) % j.most)); n > 0;
           --n) {
        j.logical.push_back(j.logical.empty() ? at : std::max(at, j.logical.back() + j.period));
      }
    });
  }
  line.run_for(milliseconds{300});

  for (const Judged& j : all) {
    const Channel& c = *j.channel;
    ASSERT_FALSE(c.deliveries.empty());
    for (std::size_t m = 0; m < c.deliveries.size(); ++m) {
      const auto& d = c.deliveries[m];
      ASSERT_EQ(d.number, m);
      ASSERT_TRUE(d.intact);
      ASSERT_LE(d.readable, j.logical[m] + j.bound) << "message " << m << " of " << c.length << " bytes";
      EXPECT_GE(d.delay, d.readable - j.logical[m]) << "what is reported is never better than the truth";
    }
    for (std::size_t m = c.deliveries.size(); m < j.logical.size(); ++m) {
      ASSERT_GT(j.logical[m] + j.bound, line.now) << "message " << m << " is missing";
    }
    for (unsigned k = 1; line.spec(c, k).role == Role::forward; ++k) {
      const ClipCounters& at = line.counters(c, k);
      EXPECT_EQ(at.no_buffer, 0u) << "the bound on buffers holds";
      EXPECT_EQ(at.unpoliced, 0u) << "hop " << k;
      EXPECT_EQ(at.late, 0u) << "hop " << k;
      EXPECT_EQ(at.excess + at.stale + at.packets_missing, 0u) << "hop " << k;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, ManyHops, ::testing::Range(0, 40));

}  // namespace
}  // namespace rtchan::clips::testing
