// When a data thread sleeps: told as little stories on a clock that the test moves.
#include "rtcd/pacing.hpp"

#include <gtest/gtest.h>

namespace rtchan::rtcd {
namespace {

using namespace std::chrono_literals;
using Kind = Pacing::Decision::Kind;

Instant at(Duration since_start) { return Instant{1'000s + since_start}; }

TEST(Pacing, SleepsExactlyUntilSomethingIsDue) {
  Pacing pacing{{.spin = 0us, .period = 1ms, .duty_ppm = 900'000}};
  const auto idle = pacing.after_turn(at(10us), at(400us), false);
  EXPECT_EQ(idle.kind, Kind::sleep);
  EXPECT_EQ(idle.until, at(400us));
  EXPECT_EQ(pacing.after_turn(at(500us), never, false).until, never);
  EXPECT_EQ(pacing.after_turn(at(500us), at(500us), true).kind, Kind::run);
}

TEST(Pacing, SpinsAWhileAfterWorkAndNeverInTheQuietPart) {
  Pacing pacing{{.spin = 200us, .period = 1ms, .duty_ppm = 900'000}};
  pacing.slept(at(-500us), at(-200us));
  EXPECT_EQ(pacing.after_turn(at(10us), never, true).kind, Kind::run);
  EXPECT_EQ(pacing.after_turn(at(209us), never, false).kind, Kind::run);
  EXPECT_EQ(pacing.after_turn(at(211us), never, false).kind, Kind::sleep);
  pacing.slept(at(211us), at(850us));
  EXPECT_EQ(pacing.after_turn(at(850us), never, true).kind, Kind::run);
  EXPECT_EQ(pacing.after_turn(at(900us), never, false).kind, Kind::sleep);
}

TEST(Pacing, WhoWorksThroughTheWholePeriodSleepsAtItsEnd) {
  Pacing pacing{{.spin = 0us, .period = 1ms, .duty_ppm = 900'000}};
  EXPECT_EQ(pacing.after_turn(at(899us), at(0us), true).kind, Kind::run);
  const auto forced = pacing.after_turn(at(905us), at(0us), true);
  EXPECT_EQ(forced.kind, Kind::forced);
  EXPECT_EQ(forced.until, at(1005us));
}

TEST(Pacing, SleepOfItsOwnCountsAgainstTheQuietPart) {
  Pacing pacing{{.spin = 0us, .period = 1ms, .duty_ppm = 900'000}};
  (void)pacing.after_turn(at(5us), at(60us), true);
  pacing.slept(at(5us), at(65us));
  EXPECT_EQ(pacing.after_turn(at(910us), at(0us), true).kind, Kind::run);  // 60 of 100 us are paid
  const auto forced = pacing.after_turn(at(962us), at(0us), true);
  EXPECT_EQ(forced.kind, Kind::forced);
  EXPECT_EQ(forced.until, at(1002us));
  pacing.slept(at(962us), at(1005us));
  EXPECT_EQ(pacing.after_turn(at(1005us), at(0us), true).kind, Kind::run);
}

// A small share of a core and little to do: nothing that comes waits for a pause that could be later.
TEST(Pacing, WhoSleepsMostOfThePeriodAnywayIsNotForcedTo) {
  Pacing pacing{{.spin = 0us, .period = 1ms, .duty_ppm = 300'000}};
  Instant now = at(0us);
  for (int i = 0; i < 1'000; ++i) {
    pacing.slept(now, now + 110us);
    now += 130us;  // a turn of 20 us
    ASSERT_EQ(pacing.after_turn(now, never, true).kind, Kind::sleep) << i;
  }
}

TEST(Pacing, WithoutADutyCapNothingIsForced) {
  Pacing pacing{{.spin = 0us, .period = 1ms, .duty_ppm = 1'000'000}};
  for (Duration t = 0us; t < 5ms; t += 50us) EXPECT_EQ(pacing.after_turn(at(t), at(0us), true).kind, Kind::run);
}

// However the work falls, of each period at most the duty share is run (measured over whole periods).
TEST(Pacing, OverManyPeriodsTheShareHolds) {
  Pacing pacing{{.spin = 300us, .period = 1ms, .duty_ppm = 900'000}};
  Instant now = at(0us);
  Duration slept{};
  std::uint32_t random = 12345;
  while (now < at(1s)) {
    random = random * 1664525 + 1013904223;
    now += Duration{1'000 + random % 40'000};  // a turn of 1 ... 41 us
    const auto decision = pacing.after_turn(now, (random >> 20) % 8 == 0 ? now + 20us : now, true);
    if (decision.kind == Kind::run) continue;
    const Instant until = std::min(decision.until, now + 1ms);
    pacing.slept(now, until);
    slept += until - now;
    now = until;
  }
  EXPECT_GE(slept, 95ms);  // 10 % of 1 s, less what turns overrun at period ends
}

}  // namespace
}  // namespace rtchan::rtcd
