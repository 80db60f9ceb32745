// Which handler runs next.
#include "clips/cpu_scheduler.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace rtchan::clips {
namespace {

constexpr Instant at(int ns) { return Instant{Duration{1'000'000 + ns}}; }

struct Scheduler {
  CpuScheduler cpu{16};
  std::uint64_t switches = 0;
  CpuTask* next(int ns) { return cpu.next(at(ns), switches); }
};

TEST(CpuScheduler, TheEarliestDeadlineRunsFirst) {
  Scheduler s;
  CpuTask a, b, c;
  s.cpu.place(a, {at(0), at(0), at(300)}, at(0));
  s.cpu.place(b, {at(0), at(0), at(100)}, at(0));
  s.cpu.place(c, {at(0), at(0), at(200)}, at(0));
  EXPECT_EQ(s.next(0), &b);
  s.cpu.remove(b);
  EXPECT_EQ(s.next(0), &c);
  s.cpu.remove(c);
  EXPECT_EQ(s.next(0), &a);
}

TEST(CpuScheduler, TheMiddleClassRunsAfterWhatIsPromisedAndBeforeTheRest) {
  Scheduler s;
  CpuTask promised, ahead, middle, rest;
  middle.middle = true;
  s.cpu.place(rest, {at(0), never, never}, at(0));
  s.cpu.place(ahead, {at(0), at(500), at(600)}, at(0));
  s.cpu.place(middle, {at(0), at(0), at(10)}, at(0));
  s.cpu.place(promised, {at(0), at(0), at(9000)}, at(0));
  for (CpuTask* expected : {&promised, &middle, &ahead, &rest}) {
    EXPECT_EQ(s.next(0), expected);
    s.cpu.remove(*expected);
  }
  s.cpu.place(middle, {at(500), at(500), at(600)}, at(0));  // no budget before
  EXPECT_EQ(s.next(499), nullptr);
  EXPECT_EQ(s.cpu.next_wake(at(499)), at(500));
  EXPECT_EQ(s.next(500), &middle);
}

TEST(CpuScheduler, AHandlerThatYieldsGoesOnIfItsDeadlineIsStillTheEarliest) {
  Scheduler s;
  CpuTask a, b;
  s.cpu.place(a, {at(0), at(0), at(100)}, at(0));
  EXPECT_EQ(s.next(0), &a);
  s.cpu.place(a, {at(0), at(0), at(100)}, at(10));  // yields in the middle of its message
  EXPECT_EQ(s.next(10), &a);
  EXPECT_EQ(s.switches, 1u);
  s.cpu.place(b, {at(10), at(10), at(50)}, at(10));
  EXPECT_EQ(s.next(10), &b) << "a more urgent handler has become ready";
  EXPECT_EQ(s.switches, 2u);
}

TEST(CpuScheduler, WithoutBudgetAHandlerWaitsForItsNextPeriod) {
  Scheduler s;
  CpuTask a, b;
  s.cpu.place(a, {at(500), at(500), at(501)}, at(0));
  s.cpu.place(b, {at(0), at(0), at(9000)}, at(0));
  EXPECT_EQ(s.next(0), &b) << "its deadline is far, but it may run";
  s.cpu.remove(b);
  EXPECT_EQ(s.next(499), nullptr);
  EXPECT_EQ(s.cpu.next_wake(at(499)), at(500));
  EXPECT_EQ(s.next(500), &a);
}

TEST(CpuScheduler, EarlyWorkWaitsForCurrentWorkAndBestEffortForBoth) {
  Scheduler s;
  CpuTask current, early, best_effort, other_best_effort;
  s.cpu.place(best_effort, {at(0), never, never}, at(0));
  s.cpu.place(other_best_effort, {at(0), never, never}, at(0));
  s.cpu.place(early, {at(0), at(100), at(110)}, at(0));
  s.cpu.place(current, {at(0), at(0), at(5000)}, at(0));
  EXPECT_EQ(s.next(0), &current);
  s.cpu.remove(current);
  EXPECT_EQ(s.next(0), &early);
  s.cpu.remove(early);
  EXPECT_EQ(s.next(0), &best_effort);
  s.cpu.place(best_effort, {at(0), never, never}, at(0));  // yields
  EXPECT_EQ(s.next(0), &other_best_effort) << "best effort takes turns";
}

TEST(CpuScheduler, WhatWasEarlyIsCurrentFromItsLogicalArrivalOn) {
  Scheduler s;
  CpuTask urgent_later, now;
  s.cpu.place(urgent_later, {at(0), at(100), at(110)}, at(0));
  s.cpu.place(now, {at(0), at(0), at(200)}, at(0));
  EXPECT_EQ(s.next(99), &now);
  EXPECT_EQ(s.next(100), &urgent_later);
}

TEST(CpuScheduler, RandomWorkAlwaysGetsTheEarliestDeadlineThatIsCurrent) {
  std::mt19937_64 random(3);
  Scheduler s;
  std::vector<CpuTask> tasks(16);
  int now = 0;
  for (int step = 0; step < 20'000; ++step) {
    now += static_cast<int>(random() % 5);
    CpuTask& task = tasks[random() % tasks.size()];
    if (random() % 4 == 0) {
      s.cpu.remove(task);
    } else {
      const int logical = now + static_cast<int>(random() % 60) - 30;
      const int eligible = logical - static_cast<int>(random() % 20);
      s.cpu.place(task, {at(eligible), at(logical), at(logical + static_cast<int>(random() % 50))}, at(now));
    }
    const CpuTask* chosen = s.next(now);
    const CpuTask* earliest = nullptr;
    bool any_early = false;
    for (const CpuTask& t : tasks) {
      if (t.edf.state == EdfPlace::State::absent) continue;
      const Urgency& u = t.edf.urgency;
      any_early = any_early || u.eligible <= at(now);
      if (u.logical <= at(now) && (earliest == nullptr || u.deadline < earliest->edf.urgency.deadline)) earliest = &t;
    }
    if (earliest != nullptr) {
      ASSERT_NE(chosen, nullptr);
      ASSERT_EQ(chosen->edf.urgency.deadline, earliest->edf.urgency.deadline);
    } else {
      ASSERT_EQ(chosen != nullptr, any_early);
    }
  }
}

}  // namespace
}  // namespace rtchan::clips
