// Policing against the definition: l(m) = max(g(m), l(m-1) + T), message by message.
#include "clips/logical_arrival.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace rtchan::clips {
namespace {

using std::chrono::milliseconds;
constexpr Instant start{milliseconds{1000}};
constexpr Instant at(int ms) { return start + milliseconds{ms}; }

TEST(LogicalArrivals, ABurstIsSpreadAtThePeriod) {
  LogicalArrivals arrivals({milliseconds{10}, 3, 100}, Policing::shape, 16);
  const auto seen = arrivals.sight(3, start, start);
  EXPECT_EQ(seen.conforming, 3u);
  EXPECT_TRUE(seen.quiet);
  for (int m = 0; m < 3; ++m) {
    EXPECT_EQ(arrivals.front(), at(10 * m));
    arrivals.pop();
  }
  EXPECT_TRUE(arrivals.empty());
}

TEST(LogicalArrivals, AConformingSourceIsNeverHeldLongerThanItsBurst) {
  LogicalArrivals arrivals({milliseconds{10}, 4, 100}, Policing::shape, 16);
  EXPECT_EQ(arrivals.sight(4, start, start).exceeding, 0u);
  EXPECT_EQ(arrivals.sight(1, at(10), at(10)).exceeding, 0u) << "one more per period is within the contract";
  EXPECT_EQ(arrivals.sight(1, at(18), at(18)).exceeding, 1u) << "5 + 1 messages in 18 ms are not";
}

// One message each T, no burst allowed: that the worker saw the second a little late is no reason to refuse the third.
TEST(LogicalArrivals, ASourceIsNotBlamedForWhenTheWorkerLooks) {
  LogicalArrivals arrivals({milliseconds{10}, 1, 100}, Policing::refuse, 16);
  Instant due = start;
  for (int m = 0; m < 1'000; ++m, due += milliseconds{10}) {
    const Instant seen = due + std::chrono::microseconds{m * 37 % 1'300};
    EXPECT_EQ(arrivals.sight(1, seen, seen).exceeding, 0u) << m;
    EXPECT_LE(arrivals.front(), due + limits::sight_jitter);
    arrivals.pop();
  }
}

TEST(LogicalArrivals, ShapingHoldsWhatExceedsTheContract) {
  LogicalArrivals arrivals({milliseconds{10}, 2, 100}, Policing::shape, 16);
  const auto seen = arrivals.sight(5, start, start);
  EXPECT_EQ(seen.conforming, 2u);
  EXPECT_EQ(seen.exceeding, 3u);
  for (int m = 0; m < 5; ++m) {
    EXPECT_FALSE(arrivals.front_refused());
    EXPECT_EQ(arrivals.front(), at(10 * m));
    arrivals.pop();
  }
}

TEST(LogicalArrivals, ARefusedMessageLeavesTheLogicalArrivalAsItWas) {
  LogicalArrivals arrivals({milliseconds{10}, 2, 100}, Policing::refuse, 16);
  EXPECT_EQ(arrivals.sight(5, start, start).exceeding, 3u);
  EXPECT_EQ(arrivals.sight(1, at(10), at(10)).exceeding, 0u) << "as if the three had never been";
  const bool refused[] = {false, false, true, true, true, false};
  const int logical[] = {0, 10, -1, -1, -1, 20};
  for (int m = 0; m < 6; ++m) {
    EXPECT_EQ(arrivals.front_refused(), refused[m]) << m;
    if (!refused[m]) {
      EXPECT_EQ(arrivals.front(), at(logical[m]));
    }
    arrivals.pop();
  }
}

// The worker looks every millisecond; then the machine is taken away for 55 ms. A source that kept its rate all the
// while is not put behind by it.
TEST(LogicalArrivals, APauseOfTheMachineLeavesNoTraceInWhatComesAfterIt) {
  LogicalArrivals arrivals({milliseconds{10}, 2, 100}, Policing::shape, 16);
  arrivals.sight(1, start, start);
  const auto piled_up = arrivals.sight(5, at(5), at(60));
  EXPECT_EQ(piled_up.exceeding, 0u) << "they came at 10, 20 ... 50: only nobody looked";
  arrivals.sight(1, at(60), at(60));
  for (int m = 0; m <= 6; ++m) {
    EXPECT_EQ(arrivals.front(), at(10 * m));
    arrivals.pop();
  }
}

// What a source can make of a pause is what a source that kept its contract would have been given.
TEST(LogicalArrivals, APauseGivesNoCreditBeyondTheContract) {
  LogicalArrivals arrivals({milliseconds{10}, 2, 100}, Policing::shape, 64);
  arrivals.sight(20, start, start);  // far ahead of its contract already: its 20 messages last until 190
  EXPECT_EQ(arrivals.sight(20, at(5), at(60)).exceeding, 20u);
  for (int m = 0; m < 40; ++m) {
    EXPECT_EQ(arrivals.front(), at(10 * m)) << "one per period, pause or not";
    arrivals.pop();
  }
}

TEST(LogicalArrivals, WithoutAContractNothingIsHeld) {
  LogicalArrivals arrivals({Duration{0}, 1, 100}, Policing::shape, 1000);
  EXPECT_EQ(arrivals.sight(1000, start, start).exceeding, 0u);
  for (int m = 0; m < 1000; ++m, arrivals.pop()) EXPECT_EQ(arrivals.front(), start);
}

struct Message {
  Instant logical;
  bool refused;
};

// The definition, one message at a time.
class ByDefinition {
 public:
  ByDefinition(Contract contract, Policing policing) : contract_(contract), policing_(policing) {}
  void sight(Instant g) {
    const Instant l = std::max(g, last_ + contract_.period);
    const bool exceeds = l - g > contract_.period * static_cast<std::int64_t>(contract_.burst - 1) + limits::sight_jitter;
    const bool refused = exceeds && policing_ == Policing::refuse;
    exceeding += exceeds;
    if (!refused) last_ = l;
    queue.push_back({l, refused});
  }
  std::deque<Message> queue;
  std::uint64_t exceeding = 0;

 private:
  Contract contract_;
  Policing policing_;
  Instant last_ = long_ago;
};

TEST(LogicalArrivals, RunsOfMessagesAreWhatTheDefinitionSaysOfEachOne) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 400; ++round) {
    const Contract contract{Duration{1 + random() % 50}, static_cast<std::uint32_t>(1 + random() % 8), 100};
    const Policing policing = random() % 2 == 0 ? Policing::shape : Policing::refuse;
    const std::uint32_t capacity = 1 + static_cast<std::uint32_t>(random() % 64);
    LogicalArrivals arrivals(contract, policing, capacity);
    ByDefinition expected(contract, policing);
    Instant now = start;
    std::uint64_t exceeding = 0;
    for (int step = 0; step < 300; ++step) {
      now += Duration{random() % 40};
      const auto room = capacity - arrivals.waiting();
      if (room > 0 && random() % 3 != 0) {
        const auto count = static_cast<std::uint32_t>(1 + random() % room);
        exceeding += arrivals.sight(count, now, now).exceeding;
        for (std::uint32_t i = 0; i < count; ++i) expected.sight(now);
      }
      for (auto taken = random() % 6; taken > 0 && !arrivals.empty(); --taken) {
        ASSERT_FALSE(expected.queue.empty());
        ASSERT_EQ(arrivals.front_refused(), expected.queue.front().refused);
        if (!arrivals.front_refused()) {
          ASSERT_EQ(arrivals.front(), expected.queue.front().logical);
        }
        arrivals.pop();
        expected.queue.pop_front();
      }
      ASSERT_EQ(arrivals.waiting(), expected.queue.size());
    }
    EXPECT_EQ(exceeding, expected.exceeding);
  }
}

}  // namespace
}  // namespace rtchan::clips
