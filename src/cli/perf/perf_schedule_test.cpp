#include "cli/perf/schedule.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace rtchan::cli {
namespace {

using namespace std::chrono_literals;

std::vector<Duration> intended_times(ScheduleOptions options, Duration now = 0ns) {
  Schedule schedule(std::move(options));
  std::vector<Duration> times;
  for (auto due = schedule.peek(now); due; due = schedule.peek(now)) {
    times.push_back(due->intended);
    schedule.pop();
  }
  return times;
}

TEST(Schedule, SpacesMessagesEvenlyAndEndsWithTheRun) {
  const auto times = intended_times({.rate = 4, .duration = 1s});
  EXPECT_EQ(times, (std::vector<Duration>{0ms, 250ms, 500ms, 750ms}));
}

TEST(Schedule, DoesNotDriftOverAMillionMessages) {
  const auto times = intended_times({.rate = 3000, .count = 1'000'001});  // a gap that is no whole number of nanoseconds
  ASSERT_EQ(times.size(), 1'000'001u);
  EXPECT_NEAR(static_cast<double>(times.back().count()), 1e6 / 3000 * 1e9, 2);
}

TEST(Schedule, BatchesKeepTheRate) {
  const auto times = intended_times({.rate = 10, .at_once = 5, .duration = 1s});
  ASSERT_EQ(times.size(), 10u);
  EXPECT_EQ(times[4], 0ms);
  EXPECT_EQ(times[5], 500ms);
  EXPECT_EQ(times[9], 500ms);
}

TEST(Schedule, BackPressureShiftsNoIntendedTime) {
  Schedule schedule({.rate = 1000, .duration = 1s});
  const auto first = schedule.peek(0ns);
  schedule.pop();
  // The sender was blocked for half a second: what it should have sent meanwhile is still due at its old time.
  const auto second = schedule.peek(500ms);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(second->intended, 1ms);
}

TEST(Schedule, OfferChangesAtItsStepAndNothingIsDueTwice) {
  const auto times = intended_times({.rate = 10, .offer = *parse_offer_schedule("1:5"), .duration = 2s});
  ASSERT_EQ(times.size(), 10u + 50u);
  EXPECT_EQ(times[9], 900ms);
  EXPECT_EQ(times[10], 1s);
  EXPECT_EQ(times[11], 1020ms);
}

TEST(Schedule, APartlyElapsedGapCountsInTheNextStep) {
  // 1/s until 1.5 s: messages at 0 and 1, half a gap elapsed; then 10/s: the other half takes 50 ms.
  const auto times = intended_times({.rate = 1, .offer = *parse_offer_schedule("1.5:10"), .duration = 2s});
  ASSERT_GE(times.size(), 3u);
  EXPECT_EQ(times[2], 1550ms);
}

TEST(Schedule, FactorZeroIsAPause) {
  const auto times = intended_times({.rate = 2, .offer = *parse_offer_schedule("0:1,1:0,2:1"), .duration = 3s});
  EXPECT_EQ(times, (std::vector<Duration>{0ms, 500ms, 2000ms, 2500ms}));
}

TEST(Schedule, UnlimitedOfferIsDueWheneverAsked) {
  Schedule schedule({.rate = 1, .offer = *parse_offer("max"), .duration = 1s});
  for (int i = 0; i < 1000; ++i) {
    const auto due = schedule.peek(300ms);
    ASSERT_TRUE(due);
    EXPECT_EQ(due->intended, 300ms);
    schedule.pop();
  }
  EXPECT_FALSE(schedule.peek(1s));
}

TEST(Schedule, RepeatsItsTraceOfSizes) {
  Schedule schedule({.rate = 1, .sizes = {100, 200, 300}, .count = 4});
  std::vector<std::uint32_t> sizes;
  for (auto due = schedule.peek(0ns); due; due = schedule.peek(0ns)) {
    sizes.push_back(due->bytes);
    schedule.pop();
  }
  EXPECT_EQ(sizes, (std::vector<std::uint32_t>{100, 200, 300, 100}));
}

TEST(Schedule, CountsWhatWasOfferedButNeverHandedOver) {
  Schedule schedule({.rate = 100, .duration = 1s});
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(schedule.peek(1s));
    schedule.pop();
  }
  EXPECT_EQ(schedule.skip_until(1s), 60u);
  EXPECT_EQ(schedule.skip_until(1s), 0u);
}

TEST(Offer, SaysWhatIsWrong) {
  EXPECT_TRUE(std::isinf(parse_offer("max")->front().factor));
  EXPECT_EQ(*parse_offer_schedule("10:5"), (Offer{{0s, 1}, {10s, 5}}));
  EXPECT_EQ(*parse_offer_schedule("0:2,0.5:0"), (Offer{{0s, 2}, {500ms, 0}}));
  for (const char* wrong : {"", "5", "a:1", "1:", "1:-2", "2:1,1:3", "1:1,1:2", "1:2,", "1:nan", "1e3:1"}) {
    EXPECT_FALSE(parse_offer_schedule(wrong)) << wrong;
  }
  EXPECT_NE(parse_offer_schedule("2:1,1:3").error().find("\"1:3\""), std::string::npos);
}

TEST(Sizes, AreOneALine) {
  EXPECT_EQ(*parse_sizes("# trace\n100\n\n200\r\n", 1), (std::vector<std::uint32_t>{100, 200}));
}

TEST(Sizes, NamesTheLineThatIsNoSize) {
  EXPECT_NE(parse_sizes("100\nabc\n", 1).error().find("line 2"), std::string::npos);
  EXPECT_NE(parse_sizes("10\n", 48).error().find("from 48"), std::string::npos);
  EXPECT_FALSE(parse_sizes("# nothing\n", 1));
}

}  // namespace
}  // namespace rtchan::cli
