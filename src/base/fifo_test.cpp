#include "base/fifo.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace rtchan {
namespace {

TEST(Fifo, KeepsOrderAcrossItsEndAndRefusesWhenFull) {
  Fifo<int> fifo(3);
  int next_in = 0;
  int next_out = 0;
  for (int round = 0; round < 10; ++round) {
    while (fifo.push(next_in)) ++next_in;
    EXPECT_EQ(fifo.size(), 3u);
    for (std::size_t i = 0; i < fifo.size(); ++i) EXPECT_EQ(fifo[i], next_out + static_cast<int>(i));
    EXPECT_EQ(fifo.front(), next_out);
    EXPECT_EQ(fifo.pop(), next_out++);
    EXPECT_EQ(fifo.pop(), next_out++);
  }
}

TEST(Fifo, OfNothingTakesNothing) {
  Fifo<int> fifo(0);
  EXPECT_TRUE(fifo.empty());
  EXPECT_FALSE(fifo.push(1));
}

TEST(Fifo, HandsOverOwnership) {
  Fifo<std::unique_ptr<int>> fifo(2);
  EXPECT_TRUE(fifo.push(std::make_unique<int>(5)));
  EXPECT_EQ(*fifo.pop(), 5);
}

}  // namespace
}  // namespace rtchan
