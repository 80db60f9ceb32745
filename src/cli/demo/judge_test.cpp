// The judge on synthetic evidence: kept, broken, excused, inconclusive, and the line between them.
#include "cli/demo/judge.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rtchan::demo {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr Instant kStart{seconds{1000}};

Instant at(Duration d) {
  return kStart + d;
}

// 10 s of a control loop: 100 messages a second, 5 ms, each delivered 2 ms after its hand-over.
Evidence calm() {
  FlowResult flow{.name = "control",
                  .contract = {.rate = 100, .burst = 1, .message_bytes = 1000, .delay = milliseconds{5}},
                  .schedule = {{0, 1}},
                  .start = kStart,
                  .sent = {},
                  .records = {}};
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const Instant sent = at(i * milliseconds{10});
    flow.records.push_back(
        {i, sent, sent, sent + milliseconds{2}, sent + milliseconds{3}, milliseconds{2}, 1000});
  }
  flow.sent = {.offered = 1000, .accepted = 1000, .policed = 0};
  return {.start = kStart, .duration = seconds{10}, .flows = {flow}, .gaps = {}};
}

void delay(Evidence& e, std::size_t message, Duration total) {
  e.flows[0].records[message].readable = e.flows[0].records[message].handover + total;
}

lab::Gap gap(Duration begin, Duration length, int core = 0, bool throttled = false) {
  return {at(begin), at(begin + length), core, throttled};
}

TEST(Judge, EveryMessageInTimeIsAKeptPromise) {
  const Judgement j = judge(calm());
  EXPECT_EQ(j.verdict, Verdict::kept);
  EXPECT_TRUE(j.findings.empty());
  EXPECT_EQ(j.flows[0].received, 1000u);
  EXPECT_EQ(j.flows[0].from_arrival.worst, milliseconds{2});
  EXPECT_EQ(j.flows[0].wake_up.p50, milliseconds{1});
  EXPECT_NEAR(j.flows[0].delivered_bits, 800'000, 1);
}

TEST(Judge, OneLateMessageBreaksThePromise) {
  Evidence e = calm();
  delay(e, 500, milliseconds{5} + Duration{1});
  const Judgement j = judge(e);
  EXPECT_EQ(j.verdict, Verdict::broken);
  EXPECT_EQ(j.flows[0].late, 1u);
  EXPECT_EQ(j.flows[0].excused, 0u);
  EXPECT_EQ(j.flows[0].worst_unexcused, Duration{1});
}

TEST(Judge, DeliveryAtTheVeryBoundIsInTime) {
  Evidence e = calm();
  delay(e, 500, milliseconds{5});
  EXPECT_EQ(judge(e).verdict, Verdict::kept);
}

TEST(Judge, LatenessIsExcusedUpToTheLengthOfAnOverlappingGapAndNotANanosecondMore) {
  Evidence e = calm();  // message 500 is handed over at 5.000 s
  e.gaps = {gap(milliseconds{5001}, milliseconds{3})};
  delay(e, 500, milliseconds{8});
  Judgement j = judge(e);
  EXPECT_EQ(j.verdict, Verdict::kept);
  EXPECT_EQ(j.flows[0].late, 1u) << "an excused message is still shown as late";
  EXPECT_EQ(j.flows[0].excused, 1u);
  ASSERT_EQ(j.findings.size(), 1u);
  EXPECT_THAT(j.findings[0], HasSubstr("excused"));

  delay(e, 500, milliseconds{8} + Duration{1});
  j = judge(e);
  EXPECT_EQ(j.verdict, Verdict::broken);
  EXPECT_EQ(j.flows[0].excused, 0u);
}

TEST(Judge, AGapElsewhereInTimeExcusesNothing) {
  Evidence e = calm();
  delay(e, 500, milliseconds{7});
  e.gaps = {gap(milliseconds{4980}, milliseconds{19}), gap(milliseconds{5008}, milliseconds{50})};
  EXPECT_EQ(judge(e).verdict, Verdict::broken);
}

TEST(Judge, GapsOfTwoCoresAtTheSameTimeCountOnce) {
  Evidence e = calm();
  delay(e, 500, milliseconds{5 + 4});
  e.gaps = {gap(milliseconds{5001}, milliseconds{3}, 0), gap(milliseconds{5001}, milliseconds{3}, 1)};
  EXPECT_EQ(judge(e).verdict, Verdict::broken) << "4 ms late, away for 3 ms";
  e.gaps.push_back(gap(milliseconds{5005}, milliseconds{1}, 1));
  EXPECT_EQ(judge(e).verdict, Verdict::kept) << "a second gap adds its length";
}

TEST(Judge, ThrottledRealTimeProcessesAreOurOwnDoing) {
  Evidence e = calm();
  delay(e, 500, milliseconds{30});
  e.gaps = {gap(milliseconds{5001}, milliseconds{50}, 0, true)};
  EXPECT_EQ(judge(e).verdict, Verdict::broken);
}

TEST(Judge, MoreThanOnePercentExcusedProvesNothingAndSaysWhatToDo) {
  Evidence e = calm();
  e.gaps = {gap(milliseconds{5000}, milliseconds{300})};
  for (std::size_t i = 500; i < 510; ++i) delay(e, i, milliseconds{20});
  EXPECT_EQ(judge(e).verdict, Verdict::kept) << "exactly one percent";
  delay(e, 510, milliseconds{20});
  const Judgement j = judge(e);
  EXPECT_EQ(j.verdict, Verdict::inconclusive);
  EXPECT_THAT(j.findings.back(), HasSubstr("this machine was taken away for 300 ms"));
  EXPECT_THAT(j.findings.back(), HasSubstr("dedicated cores"));
}

TEST(Judge, ABrokenPromiseStaysBrokenWhenOtherMessagesAreExcused) {
  Evidence e = calm();
  e.gaps = {gap(milliseconds{5000}, milliseconds{300})};
  for (std::size_t i = 500; i < 520; ++i) delay(e, i, milliseconds{20});
  delay(e, 900, milliseconds{6});
  EXPECT_EQ(judge(e).verdict, Verdict::broken);
}

TEST(Judge, ALostMessageIsNeverExcused) {
  Evidence e = calm();
  e.gaps = {gap(milliseconds{4000}, seconds{2})};
  e.flows[0].records.erase(e.flows[0].records.begin() + 500);
  const Judgement j = judge(e);
  EXPECT_EQ(j.verdict, Verdict::broken);
  EXPECT_EQ(j.flows[0].lost, 1u);
}

TEST(Judge, TwiceOrOutOfOrderIsBroken) {
  Evidence twice = calm();
  twice.flows[0].records.push_back(twice.flows[0].records.back());
  EXPECT_EQ(judge(twice).verdict, Verdict::broken);
  EXPECT_EQ(judge(twice).flows[0].duplicated, 1u);
  EXPECT_EQ(judge(twice).flows[0].lost, 0u);
  Evidence swapped = calm();
  std::swap(swapped.flows[0].records[3], swapped.flows[0].records[4]);
  EXPECT_EQ(judge(swapped).verdict, Verdict::broken);
}

TEST(Judge, ABurstIsMeasuredFromItsLogicalArrivals) {
  // Four messages at once, T = 10 ms, B = 4: the fourth may take D + 3T from its hand-over.
  Evidence e = calm();
  e.flows[0].contract.burst = 4;
  for (std::size_t i = 0; i < 1000; ++i) {
    Record& r = e.flows[0].records[i];
    r.handover = at((i / 4) * milliseconds{40});
    r.readable = r.handover + (i % 4) * milliseconds{10} + milliseconds{4};
    r.received = r.readable;
  }
  Judgement j = judge(e);
  EXPECT_EQ(j.verdict, Verdict::kept);
  EXPECT_EQ(j.flows[0].from_arrival.worst, milliseconds{4});
  EXPECT_EQ(j.flows[0].from_handover.worst, milliseconds{34});
  EXPECT_EQ(e.flows[0].contract.handover_bound(), milliseconds{35});
  EXPECT_EQ(j.flows[0].shaped, 0u);

  e.flows[0].contract.burst = 3;  // the same traffic now breaks its contract by one message in each burst
  j = judge(e);
  EXPECT_EQ(j.flows[0].shaped, 250u);
  EXPECT_EQ(j.flows[0].from_handover.worst, milliseconds{24})
      << "non-conforming messages have no bound from hand-over";
}

// Offers five times its contract from second 5 on. `given` is what it gets there, in messages per second.
Evidence cheat(double given) {
  Evidence e = calm();
  FlowResult& flow = e.flows[0];
  flow.name = "bulk";
  flow.schedule = {{0, 1}, {5, 5}};
  flow.contract.delay = milliseconds{100};
  flow.records.resize(500);
  const Duration step{static_cast<std::int64_t>(1e9 / given)};
  Instant readable = at(seconds{5});
  while (readable < at(seconds{10})) {
    const Instant l = at(seconds{5}) + (flow.records.size() - 500) * milliseconds{10};
    flow.records.push_back({flow.records.size(), l, std::min(l, readable), readable, readable, {}, 1000});
    readable += step;
  }
  flow.sent = {.offered = 3000, .accepted = flow.records.size(), .policed = 3000 - flow.records.size()};
  return e;
}

TEST(Judge, ACheatGetsItsContractAndNoMore) {
  const Judgement fair = judge(cheat(100));
  EXPECT_EQ(fair.verdict, Verdict::kept) << (fair.findings.empty() ? "" : fair.findings[0]);
  ASSERT_TRUE(fair.flows[0].violating_rate);
  EXPECT_NEAR(*fair.flows[0].violating_rate, 100, 1);
  EXPECT_GT(fair.flows[0].policed, 1900u);

  const Judgement rewarded = judge(cheat(120));
  EXPECT_EQ(rewarded.verdict, Verdict::broken);
  EXPECT_THAT(rewarded.findings[0], HasSubstr("not enforced"));
}

TEST(Judge, ACheatStillGetsAllOfItsContract) {
  Evidence e = cheat(60);
  const Judgement j = judge(e);
  EXPECT_EQ(j.verdict, Verdict::broken);
  EXPECT_THAT(testing::PrintToString(j.findings), HasSubstr("within its contract"));
}

TEST(Judge, BestEffortMayBeLateAndLostWithoutBreakingAnything) {
  Evidence e = calm();
  e.flows[0].contract.guaranteed = false;
  for (std::size_t i = 0; i < 1000; ++i) delay(e, i, seconds{1});
  e.flows[0].records.resize(300);
  const Judgement j = judge(e);
  EXPECT_EQ(j.verdict, Verdict::kept);
  EXPECT_EQ(j.flows[0].lost, 700u);
  EXPECT_EQ(j.flows[0].from_handover.p50, seconds{1});
}

TEST(Judge, ALoadToolThatCouldNotKeepUpProvesNothing) {
  Evidence e = calm();
  e.flows[0].sent = {.offered = 800, .accepted = 800, .policed = 0};
  e.flows[0].records.resize(800);
  EXPECT_EQ(judge(e).verdict, Verdict::inconclusive);
}

TEST(Judge, NothingReceivedIsNotSuccess) {
  Evidence e = calm();
  e.flows[0].records.clear();
  EXPECT_EQ(judge(e).verdict, Verdict::broken);
}

TEST(Excuse, TouchingGapsMergeAndOthersStayApart) {
  const auto merged = merged_stalls(
      {gap(milliseconds{5}, milliseconds{2}), gap(milliseconds{1}, milliseconds{1}),
       gap(milliseconds{6}, milliseconds{3}, 1), gap(milliseconds{20}, milliseconds{1}, 0, true)});
  ASSERT_EQ(merged.size(), 2u);
  EXPECT_EQ(merged[1].length(), milliseconds{4});
  EXPECT_EQ(excuse(merged, at(milliseconds{3}), at(milliseconds{4})), Duration{});
  EXPECT_EQ(excuse(merged, at(milliseconds{3}), at(milliseconds{5})), milliseconds{4})
      << "touching is overlapping";
  EXPECT_EQ(excuse(merged, at(Duration{}), at(milliseconds{100})), milliseconds{5});
}

TEST(Delays, QuantilesAreUntrimmedNearestRanks) {
  std::vector<Duration> v;
  for (int i = 1; i <= 200; ++i) v.push_back(microseconds{201 - i});
  const Delays d = summarize(v);
  EXPECT_EQ(d.p50, microseconds{100});
  EXPECT_EQ(d.p99, microseconds{198});
  EXPECT_EQ(d.worst, microseconds{200});
}

}  // namespace
}  // namespace rtchan::demo
