#include "link/stamp_clock.hpp"

#include <gtest/gtest.h>

namespace rtchan::link {
namespace {

using namespace std::chrono_literals;

constexpr Instant at(Duration t) {
  return Instant{t};
}
constexpr Duration wall = 1'700'000'000s;  // wall clock when the raw clock shows 0

TEST(StampClock, ConvertsByTheDistanceOfTheClocks) {
  StampClock clock;
  EXPECT_FALSE(clock.convert(wall, at(0s))) << "not set yet";
  clock.update(at(10s), wall + 10s);
  EXPECT_EQ(clock.convert(wall + 9'999ms, at(10s)), at(9'999ms));
}

TEST(StampClock, NeverSaysLaterThanNow) {
  StampClock clock;
  clock.update(at(10s), wall + 10s);
  EXPECT_EQ(clock.convert(wall + 10s, at(9'999ms)), at(9'999ms)) << "arrived after the turn began";
}

TEST(StampClock, DistrustsStampsOverAWallClockStepAndThenGoesOn) {
  StampClock clock;
  clock.update(at(10s), wall + 10s);
  clock.update(at(11s), wall + 11s - 5min);
  EXPECT_FALSE(clock.convert(wall + 11s - 5min, at(11s))) << "was it stamped before or after the step?";
  clock.update(at(12s), wall + 12s - 5min);
  EXPECT_EQ(clock.convert(wall + 12s - 5min, at(12s)), at(12s));
}

TEST(StampClock, FollowsSlewing) {
  StampClock clock;
  clock.update(at(10s), wall + 10s);
  clock.update(at(20s), wall + 20s + 800ms);  // chrony's 8 %
  EXPECT_EQ(clock.convert(wall + 20s + 700ms, at(20s)), at(19'900ms));
}

TEST(StampClock, DistrustsStampsFromTheFuture) {
  StampClock clock;
  clock.update(at(10s), wall + 10s);
  EXPECT_FALSE(clock.convert(wall + 11s, at(10s)));
}

}  // namespace
}  // namespace rtchan::link
