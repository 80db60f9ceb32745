#include "cli/perf/tally.hpp"

#include <gtest/gtest.h>

namespace rtchan::cli {
namespace {

using namespace std::chrono_literals;

constexpr Qos contract{.max_rate = 100, .max_burst = 3, .max_message_bytes = 1000, .max_delay = 5ms};

Arrival arrival(std::uint64_t sequence, Duration delay = 1ms) {
  const Instant sent = Instant{} + sequence * 10ms;
  return {.sequence = sequence,
          .bytes = 1000,
          .intended = sent - 2ms,
          .handed_over = sent,
          .readable = sent + delay,
          .read = sent + delay + 30us,
          .from_logical = delay,
          .same_clock = true};
}

TEST(Tally, CountsACleanStream) {
  Tally tally(contract);
  for (std::uint64_t i = 0; i < 101; ++i) tally.add(arrival(i));
  tally.finish(101);
  const Summary s = tally.summary();
  EXPECT_EQ(s.received, 101u);
  EXPECT_EQ(s.lost, 0u);
  EXPECT_EQ(s.late, 0u);
  EXPECT_DOUBLE_EQ(s.seconds, 1.0);
  EXPECT_DOUBLE_EQ(s.messages_per_second, 100.0);
  EXPECT_DOUBLE_EQ(s.bits_per_second, 800'000.0);
  EXPECT_EQ(tally.delays().from_hand_over.max(), 1ms);
  EXPECT_EQ(tally.delays().from_intended.max(), 3ms);
  EXPECT_EQ(tally.delays().wake_up.max(), 30us);
}

TEST(Tally, MissesTheTailOnlyIfTheSenderSaidHowManyThereWere) {
  Tally tally(contract);
  for (std::uint64_t i = 0; i < 8; ++i) tally.add(arrival(i));
  EXPECT_EQ(tally.summary().lost, 0u);
  EXPECT_FALSE(tally.summary().sender_finished);
  tally.finish(10);
  tally.finish(10);  // repeated, because it may itself be lost
  EXPECT_EQ(tally.summary().lost, 2u);
}

TEST(Tally, TellsLostFromReorderedFromDuplicate) {
  Tally tally(contract);
  for (const std::uint64_t i : {0, 1, 3, 2, 3, 6}) tally.add(arrival(i));
  const Summary s = tally.summary();
  EXPECT_EQ(s.received, 5u);
  EXPECT_EQ(s.lost, 2u);  // 4 and 5
  EXPECT_EQ(s.out_of_order, 1u);
  EXPECT_EQ(s.duplicates, 1u);
}

TEST(Tally, JudgesLatenessByLogicalArrival) {
  Tally tally(contract);
  tally.add(arrival(0, 5ms));
  tally.add(arrival(1, 5ms + 1ns));
  EXPECT_EQ(tally.summary().late, 1u);
}

TEST(Tally, ClaimsNoOneWayDelayAcrossClocks) {
  Tally tally(contract);
  Arrival foreign = arrival(0);
  foreign.same_clock = false;
  tally.add(foreign);
  EXPECT_FALSE(tally.summary().same_clock);
  EXPECT_EQ(tally.delays().from_hand_over.count(), 0u);
  EXPECT_EQ(tally.delays().from_logical.count(), 1u);  // the daemons' account needs no common clock
}

TEST(SequenceTracker, AJumpBeyondTheWindowForgetsEverythingBefore) {
  SequenceTracker tracker;
  tracker.add(5);
  tracker.add(5 + 3 * SequenceTracker::window);
  EXPECT_EQ(tracker.add(5), SequenceTracker::Verdict::duplicate);
  EXPECT_EQ(tracker.add(4 + 3 * SequenceTracker::window), SequenceTracker::Verdict::out_of_order);
  EXPECT_EQ(tracker.distinct(), 3u);
}

TEST(SequenceTracker, OldBitsAreClearedAsTheWindowMoves) {
  SequenceTracker tracker;
  for (std::uint64_t i = 0; i < SequenceTracker::window; ++i) tracker.add(i);
  tracker.add(SequenceTracker::window + 10);  // skips ten numbers whose places were used
  EXPECT_EQ(tracker.add(SequenceTracker::window + 9), SequenceTracker::Verdict::out_of_order);
  EXPECT_EQ(tracker.duplicates(), 0u);
}

TEST(Bounds, FromHandOverIncludesTheBurst) {
  EXPECT_EQ(bound_from_logical(contract), 5ms);
  EXPECT_EQ(bound_from_hand_over(contract), 25ms);
}

}  // namespace
}  // namespace rtchan::cli
