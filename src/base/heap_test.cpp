#include "base/heap.hpp"

#include <gtest/gtest.h>

#include <list>
#include <random>
#include <string>

namespace rtchan {
namespace {

TEST(Heap, LetsTheSmallestKeyGoFirst) {
  Heap<int, std::string> heap(4);
  heap.push(30, "late");
  heap.push(10, "urgent");
  heap.push(20, "soon");
  EXPECT_EQ(heap.top_key(), 10);
  EXPECT_EQ(heap.pop(), "urgent");
  EXPECT_EQ(heap.pop(), "soon");
  EXPECT_EQ(heap.pop(), "late");
  EXPECT_TRUE(heap.empty());
}

TEST(Heap, IsFifoAmongEqualKeys) {
  Heap<int, int> heap(100);
  for (int i = 0; i < 100; ++i) heap.push(i % 2, i);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(heap.pop(), 2 * i);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(heap.pop(), 2 * i + 1);
}

TEST(Heap, RefusesBeyondItsCapacity) {
  Heap<int, int> heap(2);
  EXPECT_TRUE(heap.push(1, 1));
  EXPECT_TRUE(heap.push(2, 2));
  EXPECT_FALSE(heap.push(0, 0));
  EXPECT_EQ(heap.size(), 2u);
  heap.pop();
  EXPECT_TRUE(heap.push(0, 0));
  EXPECT_EQ(heap.top_key(), 0);
}

TEST(Heap, MovesAnEntryWhoseKeyChanges) {
  Heap<int, char> heap(3);
  const auto a = *heap.push(1, 'a');
  const auto b = *heap.push(2, 'b');
  heap.push(3, 'c');
  heap.update(a, 4);
  EXPECT_EQ(heap.top_value(), 'b');
  heap.update(a, 2);
  EXPECT_EQ(heap.top_value(), 'b') << "a got the key 2 later than b";
  heap.update(b, 9);
  EXPECT_EQ(heap.pop(), 'a');
  EXPECT_EQ(heap.key(b), 9);
  EXPECT_EQ(heap.value(b), 'b');
}

TEST(Heap, RemovesFromTheMiddleAndReusesHandles) {
  Heap<int, int> heap(3);
  heap.push(1, 1);
  const auto middle = *heap.push(2, 2);
  heap.push(3, 3);
  EXPECT_EQ(heap.remove(middle), 2);
  EXPECT_EQ(heap.push(0, 0), middle);
  EXPECT_EQ(heap.pop(), 0);
  EXPECT_EQ(heap.pop(), 1);
  EXPECT_EQ(heap.pop(), 3);
}

// Against the simplest thing that is surely right: a list searched from the front.
TEST(Heap, AgreesWithAListOverRandomHistories) {
  std::mt19937 random(7);
  struct Plain {
    int key;
    std::uint64_t since;
    int value;
    HeapHandle handle;
  };
  Heap<int, int> heap(50);
  std::list<Plain> list;
  const auto first = [&] {
    auto best = list.begin();
    for (auto i = list.begin(); i != list.end(); ++i) {
      if (std::pair(i->key, i->since) < std::pair(best->key, best->since)) best = i;
    }
    return best;
  };
  const auto any = [&] { return std::next(list.begin(), static_cast<long>(random() % list.size())); };
  std::uint64_t step = 0;
  for (; step < 100'000; ++step) {
    const int key = static_cast<int>(random() % 20);
    switch (list.empty() ? 0 : random() % 5) {
      case 0:
      case 1:
        if (const auto handle = heap.push(key, static_cast<int>(step))) {
          list.push_back({key, step, static_cast<int>(step), *handle});
        } else {
          ASSERT_EQ(list.size(), 50u);
        }
        break;
      case 2: {
        const auto expected = first();
        ASSERT_EQ(heap.pop(), expected->value);
        list.erase(expected);
        break;
      }
      case 3: {
        const auto changed = any();
        heap.update(changed->handle, key);
        changed->key = key;
        changed->since = step;
        break;
      }
      case 4: {
        const auto gone = any();
        ASSERT_EQ(heap.remove(gone->handle), gone->value);
        list.erase(gone);
        break;
      }
    }
    ASSERT_EQ(heap.size(), list.size());
    if (!list.empty()) {
      ASSERT_EQ(heap.top_value(), first()->value);
    }
  }
}

}  // namespace
}  // namespace rtchan
