#include "link/guard/share.hpp"

#include <gtest/gtest.h>

namespace rtchan::link {
namespace {

using namespace std::chrono_literals;

constexpr Instant at(Duration t) {
  return Instant{t};
}

TEST(ShareWatch, AllowsOthersTheirShareAndNotMore) {
  ShareWatch watch(8'000, 1s);  // 1,000 bytes a second
  EXPECT_FALSE(watch.check(at(0s), 500, 100)) << "nothing to compare with";
  EXPECT_FALSE(watch.check(at(1s), 500 + 6'000, 100 + 5'000)) << "exactly the share";
  const auto excess = watch.check(at(2s), 6'500 + 6'001, 5'100 + 5'000);
  ASSERT_TRUE(excess);
  EXPECT_EQ(excess->foreign_bits_per_second, 8'008u);
  EXPECT_EQ(excess->over, 1s);
}

TEST(ShareWatch, JudgesTheMeanOverItsPeriod) {
  ShareWatch watch(8'000, 1s);
  watch.check(at(0s), 0, 0);
  EXPECT_FALSE(watch.check(at(100ms), 900, 0)) << "a burst within the period's share";
  EXPECT_FALSE(watch.check(at(999ms), 900, 0));
  EXPECT_FALSE(watch.check(at(1s), 900, 0));
  EXPECT_FALSE(watch.check(at(3s), 900 + 2'000, 0)) << "called late: judged over the time that passed";
  EXPECT_TRUE(watch.check(at(4s), 900 + 2'000 + 2'000, 0));
}

TEST(ShareWatch, AVerdictStandsUntilTheNext) {
  ShareWatch watch(8'000, 1s);
  watch.check(at(0s), 0, 0);
  EXPECT_TRUE(watch.check(at(1s), 5'000, 0));
  EXPECT_TRUE(watch.check(at(1100ms), 5'000, 0)) << "nothing new is known: not well again after a tenth of a second";
  EXPECT_FALSE(watch.check(at(2s), 5'500, 0));
  EXPECT_FALSE(watch.check(at(2100ms), 5'500, 0));
}

TEST(ShareWatch, DoesNotAccuseOthersOfWhatIsStillOnItsWay) {
  ShareWatch watch(8'000, 1s);
  watch.check(at(0s), 0, 0);
  EXPECT_FALSE(watch.check(at(1s), 1'000, 90'000)) << "handed over, not yet counted by the interface";
}

TEST(ShareWatch, StartsAgainWhenACounterGoesBack) {
  ShareWatch watch(8'000, 1s);
  watch.check(at(0s), 1'000'000, 500'000);
  EXPECT_FALSE(watch.check(at(1s), 10, 600'000)) << "the interface was made anew";
  EXPECT_FALSE(watch.check(at(2s), 100'000, 10)) << "our worker was started again";
  EXPECT_TRUE(watch.check(at(3s), 200'000, 10));
}

}  // namespace
}  // namespace rtchan::link
