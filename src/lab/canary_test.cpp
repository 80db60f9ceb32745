// What the probe writes is read back exactly, and nothing that it cannot have written is believed.
#include "lab/canary.hpp"

#include <gtest/gtest.h>

namespace rtchan::lab {
namespace {

TEST(CanaryLog, GapsCarryTheirCoreLengthAndKind) {
  const CanaryLog log = parse_canary(
      "# rtc-canary core=1 class=fifo priority=80 period_us=500 over_us=1000\n"
      "1000000 4500000 stall\n"
      "9000000 59000000 throttled\n"
      "# end samples=10 gaps=2\n");
  ASSERT_EQ(log.gaps.size(), 2u);
  EXPECT_TRUE(log.realtime);
  EXPECT_TRUE(log.complete);
  EXPECT_EQ(log.gaps[0].core, 1);
  EXPECT_EQ(log.gaps[0].length(), Duration{3'500'000});
  EXPECT_FALSE(log.gaps[0].throttled);
  EXPECT_TRUE(log.gaps[1].throttled);
}

TEST(CanaryLog, AKilledProbeLeavesAnIncompleteLogWithoutItsHalfLine) {
  const CanaryLog log = parse_canary(
      "# rtc-canary core=0 class=other priority=0 period_us=500 over_us=1000\n10 20 stall\n30 4");
  EXPECT_FALSE(log.realtime);
  EXPECT_FALSE(log.complete);
  EXPECT_EQ(log.gaps.size(), 1u);
}

TEST(CanaryLog, AnIntervalThatEndsBeforeItBeginsExcusesNothing) {
  EXPECT_TRUE(parse_canary("500 400 stall\nx y stall\n\n5\n").gaps.empty());
}

}  // namespace
}  // namespace rtchan::lab
