#include "node/arena_space.hpp"

#include <gtest/gtest.h>

#include <map>

#include "rtcop/random.hpp"

namespace rtchan::node {
namespace {

TEST(ArenaSpace, never_gives_a_byte_twice_and_becomes_whole_again) {
  constexpr std::uint64_t first = 8 * ipc::page, end = 1'000 * ipc::page;
  ArenaSpace space{first, end};
  rtcop::Random random{4};
  std::map<std::uint64_t, std::uint64_t> taken;
  for (int i = 0; i < 20'000; ++i) {
    const auto what = random.below(3);
    if (what == 0 && !taken.empty()) {
      auto it = taken.begin();
      std::advance(it, static_cast<std::ptrdiff_t>(random.below(taken.size())));
      space.give(it->first, it->second);
      taken.erase(it);
    } else if (what == 1 && !taken.empty()) {
      auto& [offset, bytes] = *taken.begin();
      const std::uint64_t less = 1 + random.below(bytes);
      space.shrink(offset, bytes, less);
      bytes = less;
    } else if (const std::uint64_t bytes = 1 + random.below(30 * ipc::page); const auto offset = space.take(bytes)) {
      EXPECT_EQ(*offset % ipc::page, 0U);
      EXPECT_GE(*offset, first);
      EXPECT_LE(*offset + bytes, end);
      const auto next = taken.lower_bound(*offset);
      ASSERT_TRUE(next == taken.end() || *offset + bytes <= next->first);
      ASSERT_TRUE(next == taken.begin() || std::prev(next)->first + std::prev(next)->second <= *offset);
      taken.emplace(*offset, bytes);
    }
  }
  for (const auto& [offset, bytes] : taken) space.give(offset, bytes);
  EXPECT_TRUE(space.whole());
  EXPECT_EQ(space.used(), 0U);
}

TEST(ArenaSpace, refuses_what_does_not_fit) {
  ArenaSpace space{0, 10 * ipc::page};
  EXPECT_FALSE(space.take(10 * ipc::page + 1));
  EXPECT_TRUE(space.take(10 * ipc::page));
  EXPECT_FALSE(space.take(1));
}

}  // namespace
}  // namespace rtchan::node
