#include "cli/perf/generator.hpp"

#include <gtest/gtest.h>

#include <deque>

namespace rtchan::cli {
namespace {

using namespace std::chrono_literals;

// A channel with a buffer of `room` messages that somebody else empties.
struct Buffer : Outlet {
  std::uint32_t room = UINT32_MAX;
  bool refuses = false;
  bool is_broken = false;
  std::vector<Schedule::Due> taken;
  std::vector<std::uint32_t> streams;
  Result offer(std::uint32_t stream, const Schedule::Due& due) override {
    if (is_broken) return Result::broken;
    if (refuses) return Result::refused;
    if (room == 0) return Result::full;
    --room;
    taken.push_back(due);
    streams.push_back(stream);
    return Result::taken;
  }
};

Schedule every(Duration gap, Duration duration = 1s) {
  return Schedule({.rate = 1e9 / static_cast<double>(gap.count()), .duration = duration});
}

TEST(LoadGenerator, SendsEachMessageWhenItIsDueAndSaysWhenTheNextIs) {
  Buffer buffer;
  LoadGenerator generator({every(10ms)}, buffer, WhenFull::wait);
  EXPECT_EQ(generator.step(0ms).wake, 10ms);
  EXPECT_EQ(generator.step(5ms).wake, 10ms);
  EXPECT_EQ(buffer.taken.size(), 1u);
  generator.step(10ms);
  EXPECT_EQ(buffer.taken.size(), 2u);
}

TEST(LoadGenerator, AfterAStallEverythingMissedIsSentWithItsOldIntendedTime) {
  Buffer buffer;
  LoadGenerator generator({every(10ms)}, buffer, WhenFull::wait);
  generator.step(0ms);
  generator.step(55ms);  // the machine was away
  ASSERT_EQ(buffer.taken.size(), 6u);
  EXPECT_EQ(buffer.taken[1].intended, 10ms);
  EXPECT_EQ(generator.counts()[0].lateness.max(), 45ms);  // nothing is trimmed
}

TEST(LoadGenerator, BackPressureDelaysHandOverButNeverIntendedTimes) {
  Buffer buffer;
  buffer.room = 2;
  LoadGenerator generator({every(10ms, 100ms)}, buffer, WhenFull::wait);
  const auto next = generator.step(50ms);
  EXPECT_TRUE(next.blocked);
  EXPECT_EQ(buffer.taken.size(), 2u);
  buffer.room = 1;
  generator.step(70ms);
  ASSERT_EQ(buffer.taken.size(), 3u);
  EXPECT_EQ(buffer.taken[2].intended, 20ms);
  generator.stop(100ms);
  const StreamCounts& counts = generator.counts()[0];
  EXPECT_EQ(counts.offered, 10u);
  EXPECT_EQ(counts.handed_over, 3u);
  EXPECT_EQ(counts.left_over, 7u);
}

TEST(LoadGenerator, DroppingKeepsTheNumbersOfWhatIsSentWithoutGaps) {
  Buffer buffer;
  buffer.room = 1;
  LoadGenerator generator({every(10ms)}, buffer, WhenFull::drop);
  generator.step(25ms);  // three due, one fits
  buffer.room = 1;
  generator.step(30ms);
  ASSERT_EQ(buffer.taken.size(), 2u);
  EXPECT_EQ(buffer.taken[1].sequence, 1u);
  EXPECT_EQ(buffer.taken[1].intended, 30ms);
  EXPECT_EQ(generator.counts()[0].dropped, 2u);
}

TEST(LoadGenerator, ABlockedStreamDoesNotHoldUpAnother) {
  struct OneBlocked : Buffer {
    Result offer(std::uint32_t stream, const Schedule::Due& due) override {
      return stream == 0 ? Result::full : Buffer::offer(stream, due);
    }
  } buffer;
  LoadGenerator generator({every(10ms), every(10ms)}, buffer, WhenFull::wait);
  generator.step(95ms);
  EXPECT_EQ(generator.counts()[0].handed_over, 0u);
  EXPECT_EQ(generator.counts()[1].handed_over, 10u);
}

TEST(LoadGenerator, StreamsTakeTurnsByIntendedTime) {
  Buffer buffer;
  LoadGenerator generator({every(20ms), every(10ms)}, buffer, WhenFull::wait);
  generator.step(20ms);
  EXPECT_EQ(buffer.streams, (std::vector<std::uint32_t>{0, 1, 1, 0, 1}));
}

TEST(LoadGenerator, AnUnlimitedOfferStopsAtAFullBufferAndLeavesNothingOver) {
  Buffer buffer;
  buffer.room = 5;
  LoadGenerator generator({Schedule({.rate = 1, .offer = *parse_offer("max"), .duration = 1s})}, buffer, WhenFull::wait);
  EXPECT_TRUE(generator.step(10ms).blocked);
  buffer.room = 5;
  generator.step(20ms);
  EXPECT_EQ(generator.counts()[0].handed_over, 10u);
  EXPECT_EQ(buffer.taken.back().intended, 20ms);
  EXPECT_TRUE(generator.step(1s).finished);
  generator.stop(1s);
  EXPECT_EQ(generator.counts()[0].left_over, 0u);
}

TEST(LoadGenerator, LooksAtTheClockNowAndThenWhenMuchIsDue) {
  Buffer buffer;
  LoadGenerator generator({every(1us)}, buffer, WhenFull::wait);
  const auto next = generator.step(10ms, 100);
  EXPECT_EQ(buffer.taken.size(), 100u);
  EXPECT_LE(next.wake, 10ms);
  EXPECT_FALSE(next.finished);
}

TEST(LoadGenerator, ABrokenChannelEndsItsStreamOnly) {
  struct OneBroken : Buffer {
    Result offer(std::uint32_t stream, const Schedule::Due& due) override {
      return stream == 0 ? Result::broken : Buffer::offer(stream, due);
    }
  } buffer;
  LoadGenerator generator({every(10ms, 50ms), every(10ms, 50ms)}, buffer, WhenFull::wait);
  EXPECT_TRUE(generator.step(50ms).finished);
  EXPECT_TRUE(generator.counts()[0].broken);
  EXPECT_EQ(generator.counts()[1].handed_over, 5u);
}

TEST(LoadGenerator, RefusedMessagesAreCountedApart) {
  Buffer buffer;
  buffer.refuses = true;
  LoadGenerator generator({every(10ms, 50ms)}, buffer, WhenFull::wait);
  generator.step(50ms);
  EXPECT_EQ(generator.counts()[0].refused, 5u);
  EXPECT_EQ(generator.counts()[0].handed_over, 0u);
}

}  // namespace
}  // namespace rtchan::cli
