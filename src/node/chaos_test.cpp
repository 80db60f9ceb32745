// Random histories; a failing seed replays identically (Chaos{seed}.run()).
#include <gtest/gtest.h>

#include "node/testing/chaos.hpp"

namespace rtchan::node {
namespace {

TEST(Chaos, leaves_nothing_behind_in_two_hundred_histories) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    testing::Chaos chaos{seed};
    ASSERT_EQ(chaos.run(), "") << "seed " << seed;
  }
}

TEST(Chaos, replays_identically) {
  std::uint64_t packets[2];
  for (auto& count : packets) {
    testing::Chaos chaos{77};
    chaos.run();
    count = chaos.world.packets;
  }
  EXPECT_EQ(packets[0], packets[1]);
}

}  // namespace
}  // namespace rtchan::node
