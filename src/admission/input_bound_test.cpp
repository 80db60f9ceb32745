// The bound on what arriving packets cost, against packets that arrive: random channels of random messages, sent by
// sources that bunch them as far as their jitter allows, over one wire, seen after a random delay. No formula of the
// bound is used to make them.
#include "admission/input_bound.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "admission/deadline_policies.hpp"
#include "admission/stages.hpp"

namespace rtchan::admission {
namespace {

struct Source {
  std::int64_t period, phase, hold_back;  // messages leave up to `hold_back` after their logical arrival
  int packets;                            // of a message, at most
};
struct Packet {
  std::int64_t ready, wire, logical;
  std::size_t source;
};
struct Arrivals {
  std::vector<std::int64_t> seen;    // by the worker, in order
  std::vector<std::int64_t> jitter;  // per source: the longest from a logical arrival to the sight of its packet
};

// One wire carries what is ready, in that order; a packet is seen up to `spread` after its end there, all of a group at
// the same instant where `coalesced` (as interrupts do).
Arrivals carry(std::vector<Packet> packets, std::size_t sources, std::int64_t spread, bool coalesced,
               std::mt19937& random) {
  std::ranges::sort(packets, {}, &Packet::ready);
  Arrivals a;
  a.jitter.resize(sources);
  std::int64_t wire_free = 0, interrupt = -1;
  for (const Packet& p : packets) {
    const std::int64_t end = std::max(wire_free, p.ready) + p.wire;
    wire_free = end;
    if (end > interrupt) interrupt = end + spread;
    const std::int64_t seen = coalesced ? interrupt : end + std::uniform_int_distribution<std::int64_t>(0, spread)(random);
    a.seen.push_back(seen);
    a.jitter[p.source] = std::max(a.jitter[p.source], seen - p.logical);
  }
  std::ranges::sort(a.seen);
  return a;
}

// How near the bounds came to what happened: largest work/bound over all windows; above 1 a bound is broken.
struct Nearness {
  double wire = 0, both = 0;
};
Nearness judge(const Arrivals& a, const std::vector<Source>& sources, std::int64_t work, const InputBound& bound) {
  const TimeGrid grid(0);
  Nearness nearest;
  for (std::size_t i = 0; i < a.seen.size(); ++i) {
    for (std::size_t j = i; j < a.seen.size(); ++j) {
      const std::int64_t t = a.seen[j] - a.seen[i];
      const auto happened = static_cast<double>(static_cast<std::int64_t>(j - i + 1) * work);
      std::int64_t said = 0;
      for (std::size_t s = 0; s < sources.size(); ++s)
        said += work * sources[s].packets * ((t + a.jitter[s]) / sources[s].period + 1);
      const std::int64_t wire = bound.at(Duration{t}).count();
      EXPECT_GE(bound.in_bucket(grid, grid.bucket_of(t)), wire);
      nearest.wire = std::max(nearest.wire, happened / static_cast<double>(wire));
      nearest.both = std::max(nearest.both, happened / static_cast<double>(std::min(wire, said)));
    }
  }
  return nearest;
}

TEST(InputBound, IsNeverExceededByPacketsThatArrive) {
  std::mt19937 random(3);
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  int wire_decides = 0;
  for (int story = 0; story < 600; ++story) {
    const std::int64_t smallest = pick(1, 12), largest = smallest + pick(0, 40);
    const std::int64_t work = pick(1, 20), spread = pick(0, 3) == 0 ? 0 : pick(0, 60);
    std::vector<Source> sources(static_cast<std::size_t>(pick(1, 12)));
    std::vector<Packet> packets;
    for (std::size_t s = 0; s < sources.size(); ++s) {
      sources[s] = {pick(20, 400), pick(0, 30), pick(0, 500), static_cast<int>(pick(1, 3))};
      const Source& source = sources[s];
      std::int64_t leaves = 0;
      for (std::int64_t m = 0; m < 8; ++m) {
        const std::int64_t logical = source.phase + m * source.period;
        leaves = std::max(leaves, logical + (pick(0, 2) == 0 ? source.hold_back : pick(0, source.hold_back)));
        for (std::int64_t p = pick(1, source.packets); p > 0; --p)  // a message may be shorter than allowed
          packets.push_back({leaves, pick(0, 1) == 0 ? smallest : pick(smallest, largest), logical, s});
      }
    }
    InputBound bound;
    bound.add(Duration{work}, Duration{smallest}, Duration{spread});
    const Arrivals arrivals = carry(packets, sources.size(), spread, pick(0, 1) == 0, random);
    const Nearness nearest = judge(arrivals, sources, work, bound);
    ASSERT_LE(nearest.wire, 1.0) << "story " << story;
    ASSERT_LE(nearest.both, 1.0) << "story " << story;
    wire_decides += nearest.wire > 0.8;
  }
  EXPECT_GT(wire_decides, 50) << "stories in which the wire is what limits";
}

// Small packets back to back, held together by one interrupt: the bound is what happens.
TEST(InputBound, IsReached) {
  std::mt19937 random(1);
  for (const std::int64_t spread : {0, 50, 100}) {
    std::vector<Packet> packets;
    for (std::size_t i = 0; i < 200; ++i) packets.push_back({0, 10, 0, i});
    InputBound bound;
    bound.add(Duration{7}, Duration{10}, Duration{spread});
    Arrivals a = carry(packets, 200, spread, true, random);
    // The interrupt of the first group; what comes later is seen at once.
    for (std::size_t i = 0; i < a.seen.size(); ++i)
      a.seen[i] = std::max<std::int64_t>(10 * static_cast<std::int64_t>(i + 1), 10 + spread);
    std::vector<Source> sources(200, Source{100'000, 0, 0, 1});
    const Nearness nearest = judge(a, sources, 7, bound);
    EXPECT_LE(nearest.wire, 1.0);
    EXPECT_GT(nearest.wire, 0.999);
  }
}

// Several wires into one worker: their bounds add up.
TEST(InputBound, OfTwoWiresIsTheirSum) {
  InputBound one, both;
  one.add(Duration{5'000}, Duration{10'000}, Duration{100'000});
  both.add(Duration{5'000}, Duration{10'000}, Duration{100'000});
  both.add(Duration{5'000}, Duration{10'000}, Duration{100'000});
  EXPECT_EQ(both.at(Duration{1'000'000}), 2 * one.at(Duration{1'000'000}));
  EXPECT_EQ(one.at(Duration{0}), Duration{55'000});
  EXPECT_FALSE(InputBound{}.known());
}

// At the default costs a packet needs 5 us of input. A sender that may be ten periods late can have eleven of each channel
// arrive at once, but not faster than the wire brings them, one in 10 us.
std::size_t receivers_that_fit(bool port_known, Duration delay) {
  const CostModel cost;
  const LinkModel port{100'000'000, {1'400, 130}, {}};
  StageSettings settings = cpu_settings(cost, port.format);
  if (port_known) settings.input_bound.add(cost.input_packet, smallest_packet(port), Duration{100'000});
  EdfPolicy policy(settings);
  const Contract contract{Duration{1'000'000'000}, 1, 64};
  const Candidate c = receive_cpu(cost, contract, port.format, Duration{10'000'000'000});
  std::size_t count = 0;
  for (; count < 20'000; ++count) {
    const auto least = policy.test(c, Duration{0});
    if (!least || *least > delay) break;
    policy.reserve(c, delay);
  }
  return count;
}

TEST(InputBound, LetsMoreChannelsIn) {
  const std::size_t without = receivers_that_fit(false, Duration{20'000'000});
  const std::size_t with = receivers_that_fit(true, Duration{20'000'000});
  EXPECT_GT(with, without * 3 / 2) << with << " with the port's rate, " << without << " without";
  RecordProperty("with", static_cast<int>(with));
  RecordProperty("without", static_cast<int>(without));
}

}  // namespace
}  // namespace rtchan::admission
