#include "cli/perf/comparison.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace rtchan::cli {
namespace {

TEST(Comparison, RatiosAreTakenWithinARound) {
  // The machine was twice as slow in the second round: both sides felt it.
  const Comparison c{"round trip", Comparison::Unit::nanoseconds, {30, 60, 30}, {20, 40, 10}};
  EXPECT_THAT(ratios(c), testing::ElementsAre(1.5, 1.5, 3.0));
  EXPECT_DOUBLE_EQ(spread(ratios(c)).median, 1.5);
  EXPECT_DOUBLE_EQ(spread(ratios(c)).high, 3.0);
}

TEST(Comparison, MedianOfAnEvenNumberIsTheMiddle) { EXPECT_DOUBLE_EQ(spread({4, 1, 3, 2}).median, 2.5); }

TEST(Comparison, ARoundWithoutAnswerIsLeftOutOfTheRatio) {
  const Comparison c{"round trip", Comparison::Unit::nanoseconds, {30, 0}, {20, 40}};
  EXPECT_THAT(ratios(c), testing::ElementsAre(1.5));
}

TEST(Comparison, IsShownWithUnitsAndSpread) {
  const Comparison trip{"round trip", Comparison::Unit::nanoseconds, {30'000}, {20'000}};
  const Comparison rate{"rate", Comparison::Unit::per_second, {50'000}, {}};
  const std::string text = comparison_table({trip, rate});
  EXPECT_THAT(text, testing::HasSubstr("30us [30us .. 30us]"));
  EXPECT_THAT(text, testing::HasSubstr("1.50 [1.50 .. 1.50]"));
  EXPECT_THAT(text, testing::HasSubstr("50k/s"));
  EXPECT_FALSE(to_json(rate).contains("ratio"));
  EXPECT_EQ(to_json(trip)["ratio"]["median"], 1.5);
}

}  // namespace
}  // namespace rtchan::cli
