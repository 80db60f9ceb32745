// The link scheduler alone, on a wire that records when each packet's last bit has left.
#include "clips/link_scheduler.hpp"

#include <map>
#include <random>
#include <string>
#include <vector>

#include "admission/policy.hpp"
#include "clips/testing/link_rig.hpp"

namespace rtchan::clips {
namespace {

using namespace testing;
using Ids = std::vector<std::uint32_t>;

TEST_F(LinkTest, CurrentThenBestEffortThenEarly) {
  LinkFlow& urgent = flow();
  LinkFlow& relaxed = flow();
  LinkFlow& ahead = flow(microseconds{500});
  LinkFlow& rest = flow({}, true);
  const auto early = stage(ahead, 500, start + microseconds{400}, start + microseconds{500});
  const auto effort = best_effort(rest);
  const auto late_deadline = stage(relaxed, 500, start, start + microseconds{900});
  const auto early_deadline = stage(urgent, 500, start, start + microseconds{300});
  run_until(start + microseconds{100});
  EXPECT_EQ(order(), (Ids{early_deadline, late_deadline, effort, early}));
}

TEST_F(LinkTest, TheMiddleClassGoesAfterCurrentRealTimeAndBeforeBestEffort) {
  LinkFlow& promised = flow();
  LinkFlow& ahead = flow(microseconds{500});
  LinkFlow& loose = middle_flow();
  LinkFlow& tight = middle_flow();
  LinkFlow& rest = flow({}, true);
  const auto effort = best_effort(rest);
  const auto early = stage(ahead, 500, start + microseconds{400}, start + microseconds{500});
  const auto second = stage(loose, 500, start, start + microseconds{90});
  const auto first = stage(tight, 500, start + microseconds{20}, start + microseconds{30});
  const auto current = stage(promised, 500, start, start + microseconds{900});
  run_until(start + microseconds{100});
  EXPECT_EQ(order(), (Ids{current, first, second, effort, early}));
  EXPECT_EQ(wire.sent[1].cls, link::TrafficClass::middle);
}

TEST_F(LinkTest, AMiddleClassThatNeverEndsDelaysRealTimeByOneFrameAndLeavesBestEffortNothing) {
  LinkFlow& promised = flow();
  LinkFlow& greedy = middle_flow();
  LinkFlow& rest = flow({}, true);
  for (int i = 0; i < 400; ++i) stage(greedy, payload, start, start + microseconds{1});  // long overdue all along
  best_effort(rest);
  std::vector<std::pair<std::uint32_t, Instant>> asked;
  for (int i = 1; i <= 30; ++i) {
    const Instant at = start + microseconds{100 * i + i};
    run_until(at);
    asked.emplace_back(stage(promised, 500, at, at + microseconds{50}), at);
  }
  run_until(start + microseconds{3'300});
  for (const auto& [id, at] : asked) {
    const auto gone = std::ranges::find(wire.sent, id, &Wire::Sent::id);
    ASSERT_NE(gone, wire.sent.end());
    EXPECT_LE(gone->finish - at, wire_time(payload) + wire_time(500));
  }
  EXPECT_TRUE(std::ranges::none_of(wire.sent, [](const auto& s) { return s.cls == link::TrafficClass::best_effort; }));
}

TEST_F(LinkTest, AFullMiddleClassHoldsUpItselfAlone) {
  LinkFlow& promised = flow();
  LinkFlow& middle = middle_flow();
  LinkFlow& rest = flow({}, true);
  wire.room[static_cast<std::size_t>(link::TrafficClass::middle)] = 0;
  const auto held = stage(middle, 500, start, start + microseconds{30});
  const auto effort = best_effort(rest);
  run_until(start + microseconds{20});
  const auto current = stage(promised, 500, wire.now, wire.now + microseconds{50});
  run_until(start + microseconds{40});
  EXPECT_EQ(order(), (Ids{effort, current}));
  EXPECT_GE(counters.link_full_middle, 1u);
  wire.room[static_cast<std::size_t>(link::TrafficClass::middle)] = SIZE_MAX;
  run_until(start + microseconds{5'000});
  EXPECT_EQ(order(), (Ids{effort, current, held}));
}

TEST_F(LinkTest, AnEarlyPacketWaitsForItsHorizon) {
  LinkFlow& f = flow(microseconds{100});
  stage(f, 500, start + microseconds{400}, start + microseconds{500});
  EXPECT_EQ(serve(), start + microseconds{300});
  EXPECT_TRUE(wire.sent.empty());
  wire.now = start + microseconds{300};
  serve();
  EXPECT_EQ(wire.sent.size(), 1u);
}

TEST_F(LinkTest, WhatWasEarlyOvertakesBestEffortFromItsLogicalArrivalOn) {
  LinkFlow& f = flow(microseconds{1000});
  LinkFlow& rest = flow({}, true);
  for (int i = 0; i < 100; ++i) best_effort(rest);
  const auto id = stage(f, 500, start + microseconds{50}, start + microseconds{100});
  run_until(start + microseconds{200});
  std::size_t before = 0;
  while (wire.sent[before].id != id) ++before;
  // 12.3 us each: five have started before the logical arrival, and one packet at a time may be outstanding.
  EXPECT_EQ(before, 5u);
}

TEST_F(LinkTest, AFlowIsFirstInFirstOut) {
  LinkFlow& f = flow(microseconds{1000});
  Ids expected;
  for (int i = 0; i < 20; ++i) {
    expected.push_back(stage(f, 300, start + microseconds{10 * i}, start + microseconds{1000 - i}));
  }
  run_until(start + microseconds{500});
  EXPECT_EQ(order(), expected);
}

TEST_F(LinkTest, BestEffortFlowsTakeTurns) {
  LinkFlow& greedy = flow({}, true);
  LinkFlow& modest = flow({}, true);
  greedy.turn = modest.turn = 4;
  for (int i = 0; i < 50; ++i) best_effort(greedy, 500);
  for (int i = 0; i < 8; ++i) best_effort(modest, 500);
  run_until(start + microseconds{75});  // 16 packets
  std::size_t from_modest = 0;
  for (const auto& s : wire.sent) from_modest += s.id >= 50;
  EXPECT_EQ(from_modest, 8u);
}

TEST_F(LinkTest, SignallingTakesTurnsWithBestEffortButOnePerPeriodIsCertain) {
  LinkFlow& signals = flow();
  signals.period = microseconds{1000};
  signals.delay = microseconds{100};
  signals.turn = 1;
  LinkFlow& rest = flow({}, true);
  rest.turn = 200;  // a round in which a signal would wait for 2.4 ms
  for (int i = 0; i < 500; ++i) best_effort(rest);
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(stage(signals, 500, wire.now, never));
  run_until(start + microseconds{6000});
  std::vector<Instant> left;
  for (const auto& s : wire.sent) {
    if (std::ranges::find(ids, s.id) != ids.end()) left.push_back(s.finish);
  }
  ASSERT_EQ(left.size(), 4u);
  EXPECT_LE(left[0], start + microseconds{100});
  EXPECT_LE(left[1], start + microseconds{1100});
  EXPECT_LE(left[2], start + microseconds{2100});
  EXPECT_LE(left[3], start + microseconds{2600}) << "its turn came before its period";
}

TEST_F(LinkTest, OnAnIdleLinkSignallingGoesAsFastAsItCan) {
  LinkFlow& signals = flow();
  signals.period = microseconds{1000};
  signals.delay = microseconds{100};
  for (int i = 0; i < 50; ++i) stage(signals, 500, wire.now, never);
  run_until(start + microseconds{50} * 5);  // 4.5 us each
  EXPECT_EQ(wire.sent.size(), 50u);
}

TEST_F(LinkTest, WithoutABoundOnePacketIsOutstandingAtATime) {
  LinkFlow& rest = flow({}, true);
  for (int i = 0; i < 10; ++i) best_effort(rest);
  Instant due = serve();
  EXPECT_EQ(wire.sent.size(), 1u);
  EXPECT_EQ(due, start + wire_time(payload)) << "exactly when it has left";
  wire.now = due - Duration{1};
  serve();
  EXPECT_EQ(wire.sent.size(), 1u);
  wire.now = due;
  serve();
  EXPECT_EQ(wire.sent.size(), 2u);
}

TEST_F(LinkTest, ABatchEndsWhereTheBoundEnds) {
  link.set_burst_bound(admission::BurstBound::constant(microseconds{100}));
  LinkFlow& rest = flow({}, true);
  for (int i = 0; i < 30; ++i) best_effort(rest);  // 12.304 us each
  serve();
  EXPECT_EQ(wire.sent.size(), 8u);
  EXPECT_EQ(wire.bursts, (std::vector<std::size_t>{8})) << "in one call of the driver";
}

TEST_F(LinkTest, ADeviceThatIsSlowerThanItsClockIsNotFilledUp) {
  wire.reports_completion = true;
  link.set_burst_bound(admission::BurstBound::constant(microseconds{100}));
  LinkFlow& rest = flow({}, true);
  for (int i = 0; i < 60; ++i) best_effort(rest);
  serve();
  wire.free += microseconds{10'000};  // a pause on the wire: only what has already left is reported
  Wire::Sent first = wire.sent.front();
  wire.now = first.finish;
  for (int i = 0; i < 50; ++i) wire.now += microseconds{10}, serve();
  EXPECT_LE(wire.sent.size(), 8u + 16u);
}

TEST_F(LinkTest, RemIsWhatIsLeftWhenThePacketHasLeft) {
  link.set_burst_bound(admission::BurstBound::constant(microseconds{100}));
  LinkFlow& f = flow();
  stage(f, 1000, start, start + microseconds{400});
  stage(f, 1000, start, start + microseconds{400});
  stage(f, 1000, start, start + microseconds{5});
  serve();
  ASSERT_EQ(wire.sent.size(), 3u);
  for (const auto& sent : wire.sent) {
    const Duration left = start + (&sent == &wire.sent[2] ? microseconds{5} : microseconds{400}) - sent.finish;
    EXPECT_GE(sent.rem, left);
    EXPECT_LT(sent.rem, left + Duration{16}) << "rounded up to 16 ns";
  }
  EXPECT_LT(wire.sent[2].rem, Duration{0}) << "it left late, and says so";
}

// What other programs may have put into the device counts as outstanding, and is in front of every packet of ours.
TEST_F(LinkTest, ForeignTrafficInTheDeviceTakesItsPartOfTheBound) {
  LinkScheduler shared{LinkConfig{.driver = &wire,
                                  .bits_per_second = gigabit,
                                  .frame_overhead_bytes = overhead_bytes,
                                  .foreign = microseconds{60}},
                       store, 64, nothing, counters};
  shared.set_burst_bound(admission::BurstBound::constant(microseconds{100}));
  LinkFlow& f = flow();
  for (int i = 0; i < 10; ++i) {  // 8.528 us each: four in 40 us
    const Frame frame = store.take(f.frames);
    wire::DataHeader header;
    header.type = wire::PacketType::signal;
    wire::encode_header(header, store.bytes(frame).first(1000));
    store[frame] = Packet{};
    store[frame].bytes = 1000;
    store[frame].logical = start;
    store[frame].deadline = start + microseconds{400};
    shared.stage(f, frame, wire.now);
  }
  shared.serve(wire.now);
  ASSERT_EQ(wire.sent.size(), 4u);
  const Duration left = start + microseconds{400} - (wire.sent[0].finish + microseconds{60});
  EXPECT_GE(wire.sent[0].rem, left);
  EXPECT_LT(wire.sent[0].rem, left + Duration{16}) << "it may have waited for all of it";
}

TEST_F(LinkTest, AFullDeviceGetsTheSamePacketsFirstWhenItHasRoom) {
  link.set_burst_bound(admission::BurstBound::constant(microseconds{100}));
  LinkFlow& f = flow();
  Ids expected;
  for (int i = 0; i < 6; ++i) expected.push_back(stage(f, 1000, start, start + microseconds{400}));
  wire.room[0] = 2;
  const Instant retry = serve();
  EXPECT_EQ(wire.sent.size(), 2u);
  EXPECT_EQ(counters.link_full, 1u);
  EXPECT_LE(retry, start + std::chrono::milliseconds{1});
  EXPECT_EQ(f.frames.used, 4u);
  wire.room[0] = SIZE_MAX;
  run_until(start + microseconds{300});
  EXPECT_EQ(order(), expected);
  EXPECT_EQ(f.frames.used, 0u);
}

TEST_F(LinkTest, WhatIsForgottenNeverLeaves) {
  LinkFlow& f = flow();
  LinkFlow& rest = flow({}, true);
  for (int i = 0; i < 5; ++i) stage(f, 1000, start, start + microseconds{400}), best_effort(rest);
  link.forget(f);
  link.forget(rest);
  run_until(start + microseconds{100});
  EXPECT_TRUE(wire.sent.empty());
  EXPECT_EQ(store.available(), 4096u);
}

// ---- the hand-over rule against the admission test ---------------------------------------------------------------

struct Contract {
  Duration period{};
  Duration delay{};
  std::vector<std::size_t> packets;  // of each message
};

// Channels that admission takes beside each other, each at its smallest delay or somewhat above it.
struct Promise {
  std::vector<Contract> channels;
  std::unique_ptr<admission::AdmissionPolicy> policy;
};

Promise random_promise(std::mt19937_64& random, bool tight, Duration visit = {}) {
  admission::StageSettings settings;
  settings.base_blocking = wire_time(payload) + visit;  // best effort's largest frame, and how late the worker may come
  Promise p{{}, admission::make_policy("edf", settings)};
  for (int tries = 0; tries < 12; ++tries) {
    Contract c;
    c.period = microseconds{40 + random() % (1u << (6 + random() % 6))};
    Duration total{}, longest{};
    for (auto n = 1 + random() % 6; n > 0; --n) {
      c.packets.push_back(60 + random() % (payload - 59));
      total += wire_time(c.packets.back());
      longest = std::max(longest, wire_time(c.packets.back()));
    }
    admission::Candidate candidate;
    candidate.service = total;
    candidate.period = c.period;
    candidate.chunk = candidate.last = longest;
    const auto least = p.policy->test(candidate);
    if (!least) continue;
    c.delay = tight ? *least : *least + Duration{random() % 200'000};
    p.policy->reserve(candidate, c.delay);
    p.channels.push_back(std::move(c));
  }
  return p;
}

struct Outcome {
  std::uint64_t packets = 0, late = 0, best_effort = 0, longest_burst = 0;
  double busy = 0;
};

class HandOver : public LinkTest {
 protected:
  // Saturating best effort, and every so often (right after a batch has gone) all channels at once at full rate.
  // `choked`: now and then the device takes a few best-effort packets, or none, for a while. `late`: the worker comes up to
  // so much later than it should, mostly all of it.
  Outcome play(const Promise& promise, std::mt19937_64& random, Duration horizon, Duration length, bool choked = false,
               Duration late = {}) {
    LinkFlow& rest = flow({}, true);
    struct Source {
      LinkFlow* flow;
      Instant next;        // logical arrival of the next message
      Duration lead;       // it is staged so much earlier
    };
    std::vector<Source> sources;
    for (std::size_t i = 0; i < promise.channels.size(); ++i) {
      sources.push_back({&flow(horizon), start + Duration{random() % 100'000}, {}});
    }
    std::map<std::uint32_t, Instant> deadlines;
    const Instant end = start + length;
    Instant assault = start + Duration{random() % 300'000};
    std::size_t looked = 0;
    Outcome o;
    while (wire.now < end) {
      while (rest.frames.used < 80) best_effort(rest, 60 + random() % (payload - 59));
      for (std::size_t i = 0; i < sources.size(); ++i) {
        Source& s = sources[i];
        const Contract& c = promise.channels[i];
        while (s.next - s.lead <= wire.now) {
          for (std::size_t bytes : c.packets) {
            deadlines[stage(*s.flow, bytes, s.next, s.next + c.delay)] = s.next + c.delay;
          }
          s.next += c.period + (random() % 3 == 0 ? Duration{random() % 100'000} : Duration{0});
          s.lead = Duration{random() % (horizon.count() + 1)};
        }
      }
      if (choked && random() % 8 == 0) wire.room[1] = random() % 3 == 0 ? SIZE_MAX : random() % 3;
      const Instant due = serve();
      for (; looked < wire.sent.size(); ++looked) {
        const auto& sent = wire.sent[looked];
        if (sent.cls == link::TrafficClass::best_effort) {
          ++o.best_effort;
        } else {
          ++o.packets;
          o.late += sent.finish > deadlines.at(sent.id);
          deadlines.erase(sent.id);
        }
      }
      Instant next = std::max(due, wire.now);
      for (const Source& s : sources) next = std::min(next, std::max(wire.now, s.next - s.lead));
      if (assault <= wire.now) {
        for (Source& s : sources) s.next = std::max(s.next, wire.now + Duration{1}), s.lead = Duration{0};
        assault = wire.now + Duration{random() % 1'000'000};
        next = wire.now + Duration{1};
      }
      if (late > Duration{0} && next > wire.now) next += random() % 10 < 7 ? late : Duration{random() % (late.count() + 1)};
      wire.now = next;
    }
    for (const std::size_t b : wire.bursts) o.longest_burst = std::max<std::uint64_t>(o.longest_burst, b);
    return o;
  }
};

class HandOverRule : public HandOver, public ::testing::WithParamInterface<int> {};

TEST_P(HandOverRule, NothingThatWasAdmittedIsLate) {
  std::mt19937_64 random(static_cast<std::uint64_t>(GetParam()));
  const bool tight = GetParam() % 2 == 0;
  const Promise promise = random_promise(random, tight);
  ASSERT_GE(promise.channels.size(), 2u);
  link.set_burst_bound(promise.policy->burst_bound());
  const Duration horizon = GetParam() % 3 == 0 ? Duration{0} : Duration{random() % 300'000};
  const Outcome o = play(promise, random, horizon, std::chrono::milliseconds{30});
  EXPECT_GT(o.packets, 100u);
  EXPECT_EQ(o.late, 0u) << "of " << o.packets << " packets of " << promise.channels.size() << " channels, longest burst "
                        << o.longest_burst;
  EXPECT_GE(wire.free, wire.now - Duration{1}) << "best effort keeps the wire busy";
}

TEST_P(HandOverRule, NorWhenTheDeviceRefusesBestEffort) {
  std::mt19937_64 random(static_cast<std::uint64_t>(GetParam()));
  const Promise promise = random_promise(random, GetParam() % 2 == 0);
  link.set_burst_bound(promise.policy->burst_bound());
  const Duration horizon = GetParam() % 3 == 0 ? Duration{0} : Duration{random() % 300'000};
  const Outcome o = play(promise, random, horizon, std::chrono::milliseconds{10}, true);
  EXPECT_GT(o.packets, 30u);
  EXPECT_EQ(o.late, 0u) << "of " << o.packets << " packets of " << promise.channels.size() << " channels";
  EXPECT_GT(counters.link_full_best_effort, 0u) << "or nothing was tried";
}

TEST_P(HandOverRule, NorWhenTheWorkerComesLate) {
  std::mt19937_64 random(static_cast<std::uint64_t>(GetParam()));
  const Promise promise = random_promise(random, GetParam() % 4 != 0, visit);
  link.set_burst_bound(promise.policy->burst_bound());
  const Duration horizon = GetParam() % 3 == 0 ? Duration{0} : Duration{random() % 300'000};
  const Outcome o = play(promise, random, horizon, std::chrono::milliseconds{30}, false, visit);
  EXPECT_GT(o.packets, 50u);
  EXPECT_EQ(o.late, 0u) << "of " << o.packets << " packets of " << promise.channels.size() << " channels";
  EXPECT_EQ(wire.idle, Duration{0}) << "what was handed over lasts until the worker comes";
}

INSTANTIATE_TEST_SUITE_P(Sets, HandOverRule, ::testing::Range(0, 200));

// The test above can fail: what it must find when the bound is ignored.
TEST_F(HandOver, ABatchWithoutTheRuleMakesAdmittedPacketsLate) {
  std::mt19937_64 random(4);
  const Promise promise = random_promise(random, true);
  link.set_burst_bound(admission::BurstBound::constant(std::chrono::milliseconds{1}));
  EXPECT_GT(play(promise, random, Duration{0}, std::chrono::milliseconds{30}).late, 0u);
}

}  // namespace
}  // namespace rtchan::clips
