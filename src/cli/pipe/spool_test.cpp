#include "cli/pipe/spool.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace rtchan::cli {
namespace {

std::vector<std::byte> some(std::size_t count, int value) { return std::vector(count, static_cast<std::byte>(value)); }

TEST(Spool, HoldsUpToItsBoundAndSaysWhenItIsFull) {
  Spool spool(100);
  EXPECT_TRUE(spool.put(some(100, 1)));
  EXPECT_FALSE(spool.put(some(1, 2)));
  EXPECT_NE(spool.full_sentence().find("100B"), std::string::npos);
  ASSERT_TRUE(spool.take());
  EXPECT_TRUE(spool.put(some(1, 2)));
}

TEST(Spool, GivesEverythingBeforeItEnds) {
  Spool spool(100);
  spool.put(some(10, 1));
  spool.end();
  EXPECT_EQ(spool.take(), some(10, 1));
  EXPECT_FALSE(spool.take());
}

TEST(Spool, KeepsOrderBetweenThreads) {
  Spool spool(1 << 20);
  std::thread writer([&] {
    for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(spool.put(some(3, i % 251)));
    spool.end();
  });
  std::vector<std::byte> all;
  while (auto part = spool.take()) all.insert(all.end(), part->begin(), part->end());
  writer.join();
  ASSERT_EQ(all.size(), 30'000u);
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], static_cast<std::byte>(i / 3 % 251));
}

TEST(Spool, AfterAWriteErrorNothingMoreIsTaken) {
  Spool spool(100);
  spool.refuse();
  EXPECT_FALSE(spool.put(some(1, 1)));
}

}  // namespace
}  // namespace rtchan::cli
