#include "base/pool.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <set>
#include <utility>

namespace rtchan {
namespace {

TEST(Pool, GivesEachFrameToOneOwnerAndThenNoMore) {
  Pool pool(8, 100);
  std::set<std::uint32_t> taken;
  std::set<const std::byte*> places;
  for (int i = 0; i < 8; ++i) {
    const auto frame = pool.take();
    ASSERT_TRUE(frame);
    taken.insert(*frame);
    places.insert(pool.bytes(*frame).data());
    std::memset(pool.bytes(*frame).data(), i, pool.bytes(*frame).size());
  }
  EXPECT_EQ(taken.size(), 8u);
  EXPECT_EQ(places.size(), 8u);
  EXPECT_FALSE(pool.take());
  EXPECT_EQ(pool.available(), 0u);
  pool.give(3);
  EXPECT_EQ(pool.take(), 3u);
}

TEST(Pool, RoundsFramesUpToCacheLines) {
  Pool pool(4, 100);
  EXPECT_EQ(pool.frame_bytes(), 128u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pool.bytes(1).data()) % 64, 0u);
}

TEST(Pool, HasTouchedAllItsMemoryBeforeTheFirstTake) {
  Pool pool(256, 4096);
  std::array<unsigned char, 256> resident{};
  ASSERT_EQ(mincore(pool.bytes(0).data(), 256 * 4096, resident.data()), 0);
  for (const unsigned char page : resident) EXPECT_EQ(page & 1, 1);
}

TEST(Pool, MovesWithItsFrames) {
  Pool a(2, 64);
  const auto frame = *a.take();
  const std::byte* place = a.bytes(frame).data();
  Pool b = std::move(a);
  EXPECT_EQ(b.bytes(frame).data(), place);
  EXPECT_EQ(b.available(), 1u);
  a = Pool(1, 64);
  EXPECT_EQ(a.capacity(), 1u);
  b = std::move(a);
  EXPECT_EQ(b.capacity(), 1u);
}

TEST(Pool, RefusesSizesThatCannotBe) {
  EXPECT_THROW(Pool(1'000, SIZE_MAX / 2), std::bad_alloc);
  Pool none(0, 64);
  EXPECT_FALSE(none.take());
}

#ifndef NDEBUG
TEST(PoolDeathTest, NoticesAFrameGivenBackTwice) {
  Pool pool(2, 64);
  const auto frame = *pool.take();
  pool.give(frame);
  EXPECT_DEATH(pool.give(frame), "taken_");
}
#endif

}  // namespace
}  // namespace rtchan
