#include "base/ring.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <new>
#include <thread>
#include <vector>

namespace rtchan {
namespace {

struct Item {
  std::uint64_t number;
  std::uint64_t check;
};
Item item(std::uint64_t n) {
  return {n, ~n};
}

TEST(Ring, GivesBackInOrderWhatItTook) {
  Ring<int, 4> ring;
  EXPECT_TRUE(ring.empty());
  EXPECT_TRUE(ring.push(1));
  EXPECT_TRUE(ring.push(2));
  EXPECT_EQ(ring.size(), 2u);
  int out = 0;
  EXPECT_TRUE(ring.pop(out));
  EXPECT_EQ(out, 1);
  EXPECT_TRUE(ring.pop(out));
  EXPECT_EQ(out, 2);
  EXPECT_FALSE(ring.pop(out));
  EXPECT_EQ(out, 2) << "an empty ring leaves the item alone";
}

TEST(Ring, RefusesWhenFullAndUsesEverySlot) {
  Ring<int, 4> ring;
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(ring.push(i));
  EXPECT_FALSE(ring.push(4));
  int out = 0;
  EXPECT_TRUE(ring.pop(out));
  EXPECT_TRUE(ring.push(4)) << "one slot was freed";
  EXPECT_FALSE(ring.push(5));
}

TEST(Ring, MovesRunsAcrossItsEnd) {
  Ring<int, 8> ring;
  const std::vector<int> many = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::vector<int> out(10, -1);
  EXPECT_EQ(ring.push(std::span(many).first(6)), 6u);
  EXPECT_EQ(ring.pop(std::span(out).first(5)), 5u);
  EXPECT_EQ(ring.push(many), 7u) << "5 were freed, 2 had never been used";
  EXPECT_EQ(ring.pop(out), 8u);
  EXPECT_EQ(out, (std::vector<int>{5, 0, 1, 2, 3, 4, 5, 6, -1, -1}));
  EXPECT_EQ(ring.push(std::span<const int>{}), 0u);
}

TEST(Ring, StaysInsideItselfWhenItsIndicesAreDamaged) {
  // A scribbled index must not lead outside the slots (ASan would see it); the items are then meaningless.
  using Small = Ring<int, 4>;
  std::vector<int> out(64);
  for (const std::uint64_t bad : {std::uint64_t{1} << 63, ~std::uint64_t{0}, std::uint64_t{5}}) {
    for (std::size_t at = 0; at < 2 * cache_line_bytes; at += 8) {
      auto ring = std::make_unique<Small>();
      ring->push(1);
      std::memcpy(reinterpret_cast<char*>(ring.get()) + at, &bad, sizeof bad);
      EXPECT_LE(ring->push(std::span<const int>(out)), 4u);
      EXPECT_LE(ring->pop(out), 4u);
      EXPECT_LE(ring->size(), 4u);
    }
  }
}

TEST(Ring, CarriesAMillionItemsBetweenThreads) {
  Ring<Item, 64> ring;
  constexpr std::uint64_t count = 1'000'000;
  std::thread producer([&] {
    std::array<Item, 7> batch;
    for (std::uint64_t n = 0; n < count;) {
      const auto size = std::min<std::uint64_t>(batch.size(), count - n);
      for (std::uint64_t i = 0; i < size; ++i) batch[i] = item(n + i);
      const std::size_t pushed = ring.push(std::span<const Item>(batch).first(size));
      n += pushed;
      if (pushed == 0) std::this_thread::yield();
    }
  });
  std::array<Item, 5> batch;
  bool intact = true;
  for (std::uint64_t n = 0; n < count;) {
    const std::size_t popped = ring.pop(batch);
    for (std::size_t i = 0; i < popped; ++i) intact &= batch[i].number == n + i && batch[i].check == ~(n + i);
    n += popped;
    if (popped == 0) std::this_thread::yield();
  }
  producer.join();
  EXPECT_TRUE(intact);
  EXPECT_TRUE(ring.empty());
}

TEST(Ring, CarriesItemsBetweenProcesses) {
  using Shared = Ring<Item, 32>;
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* ring = new (memory) Shared;
  constexpr std::uint64_t count = 20'000;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    for (std::uint64_t n = 0; n < count;) {
      if (ring->push(item(n))) {
        ++n;
      } else {
        std::this_thread::yield();
      }
    }
    _exit(0);
  }
  std::uint64_t wrong = 0;
  for (std::uint64_t n = 0; n < count;) {
    Item got{};
    if (!ring->pop(got)) {
      std::this_thread::yield();
      continue;
    }
    wrong += got.number != n || got.check != ~n;
    ++n;
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(wrong, 0u);
  munmap(memory, sizeof(Shared));
}

}  // namespace
}  // namespace rtchan
