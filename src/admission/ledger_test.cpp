// A node's promises over their life: made, kept, given back; never twice, never lost, never too early.
#include "admission/ledger.hpp"

#include <gtest/gtest.h>

#include <random>

namespace rtchan::admission {
namespace {

constexpr Instant t0{Duration{1'000}};
PathId path(std::uint64_t n) {
  return {HostId{7}, n};
}
Candidate task(std::int64_t c, std::int64_t t) {
  return {.service = Duration{c}, .period = Duration{t}, .chunk = Duration{c}, .last = Duration{c}};
}

class OneNode : public testing::Test {
 protected:
  OneNode() {
    StageSettings settings;
    settings.utilisation_limit_ppm = 1'000'000;
    cpu = ledger.add_stage("worker 0", Resource::cpu, make_policy("edf", settings));
    link = ledger.add_stage("eth0", Resource::link, make_policy("edf", settings));
    buffers = ledger.add_pool("buffers", 1'000);
  }
  auto reserve(std::uint64_t id, std::int64_t c, std::int64_t t, Instant expires = t0 + Duration{100},
               Duration enough = {}) {
    const StageRequest stages[] = {{cpu, task(c, t), enough}, {link, task(c, t), enough}};
    const MemoryRequest memory[] = {{buffers, 100}};
    return ledger.reserve(path(id), stages, memory, expires);
  }
  auto commit(std::uint64_t id, std::int64_t cpu_delay, std::int64_t link_delay) {
    const Duration delays[] = {Duration{cpu_delay}, Duration{link_delay}};
    return ledger.commit(path(id), delays);
  }
  void TearDown() override { EXPECT_TRUE(ledger.reconciles()); }

  Ledger ledger;
  StageId cpu, link;
  PoolId buffers;
};

TEST_F(OneNode, PromisesTheMinimumAndCommitsAnythingAbove) {
  const auto r = reserve(1, 10, 100);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->minima, (std::vector{Duration{10}, Duration{10}}));
  EXPECT_EQ(ledger.state(path(1)), PathState::tentative);
  EXPECT_EQ(ledger.view(buffers).used, 100);
  EXPECT_EQ(commit(1, 9, 50), CommitResult::below_minimum);
  EXPECT_EQ(commit(1, 20, 50), CommitResult::committed);
  EXPECT_EQ(commit(1, 20, 50), CommitResult::already);
  EXPECT_EQ(ledger.next_expiry(), never);
  // and the larger delay is what others find: the new one may go first
  const auto second = reserve(2, 10, 100);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->minima[1], Duration{20});  // behind one piece of the first
}

// A channel at its true minimum leaves no slack at all: nothing longer than b0 can be admitted beside it.
TEST_F(OneNode, WhoIsContentWithMoreLeavesRoomForOthers) {
  ASSERT_TRUE(reserve(1, 10, 100));
  const auto blocked = reserve(2, 10, 100);
  ASSERT_FALSE(blocked);
  EXPECT_EQ(blocked.error().refusal.reason, Reason::blocking);
  EXPECT_EQ(blocked.error().refusal.resource, Resource::blocking);
  ledger.release(path(1));
  ASSERT_TRUE(reserve(1, 10, 100, t0 + Duration{100}, Duration{50}));
  EXPECT_TRUE(reserve(2, 10, 100));
}

TEST_F(OneNode, TheSameRequestTwiceIsOneReservation) {
  const auto first = reserve(1, 10, 100, t0 + Duration{100});
  const auto again = reserve(1, 10, 100, t0 + Duration{500});
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->minima, again->minima);
  EXPECT_EQ(ledger.view(cpu).entries, 1u);
  EXPECT_EQ(ledger.view(buffers).used, 100);
  EXPECT_TRUE(ledger.expire(t0 + Duration{100}).empty());  // the repetition has moved the expiry
  EXPECT_EQ(ledger.expire(t0 + Duration{500}), std::vector{path(1)});
}

TEST_F(OneNode, WhatIsNotCommittedInTimeIsGone) {
  ASSERT_TRUE(reserve(1, 60, 100));
  const auto refused = reserve(2, 60, 100);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().refusal.reason, Reason::utilisation);
  EXPECT_EQ(refused.error().refusal.resource, Resource::cpu);
  EXPECT_EQ(refused.error().where, "worker 0");
  EXPECT_EQ(ledger.next_expiry(), t0 + Duration{100});
  ledger.expire(t0 + Duration{100});
  EXPECT_EQ(commit(1, 60, 60), CommitResult::unknown);
  EXPECT_TRUE(reserve(2, 60, 100));
}

TEST_F(OneNode, ARefusalLeavesNothingBehind) {
  StageSettings tight;
  tight.utilisation_limit_ppm = 100'000;
  const StageId slow = ledger.add_stage("eth1", Resource::link, make_policy("edf", tight));
  const StageRequest stages[] = {{cpu, task(20, 100), {}}, {slow, task(20, 100), {}}};
  const auto refused = ledger.reserve(path(1), stages, {}, t0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().request, 1u);
  EXPECT_EQ(refused.error().refusal.resource, Resource::link);
  EXPECT_EQ(ledger.view(cpu).entries, 0u);
  EXPECT_EQ(ledger.state(path(1)), PathState::none);
}

TEST_F(OneNode, MemoryIsAResourceLikeTheOthers) {
  const StageRequest stages[] = {{cpu, task(1, 100), {}}};
  const MemoryRequest fits[] = {{buffers, 600}};
  ASSERT_TRUE(ledger.reserve(path(1), stages, fits, t0));
  const auto refused = ledger.reserve(path(2), stages, fits, t0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().refusal.reason, Reason::memory);
  EXPECT_EQ(refused.error().refusal.available_bytes, 400);
  const MemoryRequest twice[] = {{buffers, 300}, {buffers, 300}};
  EXPECT_FALSE(ledger.reserve(path(2), stages, twice, t0));
  const MemoryRequest absurd[] = {{buffers, INT64_MAX}, {buffers, INT64_MAX}};
  EXPECT_FALSE(ledger.reserve(path(2), stages, absurd, t0));
  const MemoryRequest negative[] = {{buffers, -1}};
  EXPECT_FALSE(ledger.reserve(path(2), stages, negative, t0));
  // the final share needs less than the largest: the rest goes back
  const Duration delays[] = {Duration{1}};
  const std::int64_t less[] = {250};
  EXPECT_EQ(ledger.commit(path(1), delays, less), CommitResult::committed);
  EXPECT_EQ(ledger.view(buffers).used, 250);
}

// (5,100,10) twice; one is closed and at once replaced: 15 units would be due in 10.
TEST_F(OneNode, CapacityComesBackOnlyWhenTheStageWasIdle) {
  for (const std::uint64_t id : {1u, 2u}) {
    ASSERT_TRUE(reserve(id, 5, 100));
    ASSERT_EQ(commit(id, 10, 10), CommitResult::committed);
  }
  EXPECT_EQ(ledger.release(path(1)), PathState::draining);
  EXPECT_EQ(ledger.release(path(1)), PathState::draining);
  EXPECT_TRUE(ledger.draining(link));
  const auto third = reserve(3, 5, 100);
  EXPECT_FALSE(third && third->minima[1] <= Duration{10});  // not at d = 10
  ledger.release(path(3));
  ledger.idle(cpu);
  EXPECT_EQ(ledger.state(path(1)), PathState::draining);  // the link may still owe it something
  EXPECT_FALSE(reserve(1, 5, 100));                       // its name is not free either
  ledger.idle(link);
  EXPECT_EQ(ledger.state(path(1)), PathState::none);
  EXPECT_FALSE(ledger.draining(link));
  const auto now_it_fits = reserve(3, 5, 100);
  ASSERT_TRUE(now_it_fits);
  EXPECT_LE(now_it_fits->minima[1], Duration{10});
}

TEST_F(OneNode, AnUncommittedReservationIsGivenBackAtOnce) {
  ASSERT_TRUE(reserve(1, 60, 100));
  EXPECT_EQ(ledger.release(path(1)), PathState::none);
  EXPECT_EQ(ledger.release(path(1)), PathState::none);
  EXPECT_EQ(ledger.view(buffers).used, 0);
  EXPECT_TRUE(reserve(2, 60, 100));
}

TEST_F(OneNode, BothEndsOfAPathOnOneWorker) {
  const StageRequest stages[] = {{cpu, task(30, 100), Duration{80}}, {cpu, task(30, 100), {}}};
  const auto r = ledger.reserve(path(1), stages, {}, t0 + Duration{10});
  ASSERT_TRUE(r);
  EXPECT_EQ(r->minima[0], Duration{80});  // content with that much, it leaves slack
  EXPECT_EQ(r->minima[1], Duration{60});  // behind one piece of the first end
  ASSERT_EQ(commit(1, 100, 100), CommitResult::committed);
  ledger.release(path(1));
  ledger.idle(cpu);
  EXPECT_EQ(ledger.view(cpu).entries, 0u);
}

// First come, first served: whoever asks first is counted first, whatever became of others in between.
TEST_F(OneNode, RequestsAreSerialised) {
  const auto ask = [&](std::uint64_t id) {
    return reserve(id, 40, 100, t0 + Duration{100}, Duration{300}).has_value();
  };
  ASSERT_TRUE(ask(1));
  ASSERT_TRUE(ask(2));
  EXPECT_FALSE(ask(3));
  ledger.release(path(1));
  EXPECT_TRUE(ask(3));   // asked again, before
  EXPECT_FALSE(ask(4));  // the one behind it
}

TEST_F(OneNode, HintsSayWhatWouldFit) {
  ASSERT_TRUE(reserve(1, 50, 100));
  ASSERT_EQ(commit(1, 1'000, 1'000), CommitResult::committed);
  const auto too_fast = ledger.explain({link, task(60, 100), {}}, Duration{1'000});
  EXPECT_EQ(too_fast.reason, Reason::utilisation);
  EXPECT_GE(too_fast.fitting_period, Duration{120});
  EXPECT_LE(too_fast.fitting_period, Duration{130});
  const auto too_soon = ledger.explain({link, task(20, 100), {}}, Duration{30});
  EXPECT_EQ(too_soon.reason, Reason::delay);
  EXPECT_EQ(too_soon.fitting_delay, Duration{70});
}

// Anything, in any order, ten thousand times: the books balance after every step.
TEST_F(OneNode, TheSumsReconcileThroughAnyHistory) {
  std::mt19937 random(5);
  const auto draw = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  for (int i = 0; i < 10'000; ++i) {
    const auto id = static_cast<std::uint64_t>(draw(1, 12));
    const Instant now = t0 + Duration{i};
    switch (draw(0, 6)) {
      case 0:
      case 1:
        (void)reserve(id, draw(1, 30), draw(50, 200), now + Duration{draw(1, 30)});
        break;
      case 2:
        (void)commit(id, draw(1, 400), draw(1, 400));
        break;
      case 3:
        ledger.release(path(id));
        break;
      case 4:
        ledger.idle(cpu);
        break;
      case 5:
        ledger.idle(link);
        break;
      case 6:
        ledger.expire(now);
        break;
    }
    if (i % 100 == 0) {
      ASSERT_TRUE(ledger.reconciles()) << "after step " << i;
    }
  }
  ledger.expire(never);
  for (std::uint64_t id = 1; id <= 12; ++id) ledger.release(path(id));
  ledger.idle(cpu);
  ledger.idle(link);
  EXPECT_EQ(ledger.paths(), 0u);
  EXPECT_EQ(ledger.view(cpu).entries, 0u);
  EXPECT_EQ(ledger.view(link).entries, 0u);
  EXPECT_EQ(ledger.view(buffers).used, 0);
}

// What a class below was given is not given again to guaranteed channels that come later.
TEST(LedgerBelow, AdmittedControlledLoadKeepsItsRateAndAStatisticalClassItsTarget) {
  StageSettings settings;
  settings.base_blocking = Duration{100};
  const auto candidate = [](std::int64_t service, std::int64_t period) {
    Candidate c;
    c.service = Duration{service};
    c.chunk = c.last = Duration{std::min<std::int64_t>(service, 100)};
    c.period = Duration{period};
    c.activity_ppm = 500'000;
    return c;
  };
  for (const char* model : {"controlled_load", "statistical"}) {
    Ledger ledger;
    const StageId link = ledger.add_stage("link", Resource::link, make_policy("edf", settings));
    const StageId below = ledger.add_stage("link, below", Resource::link,
                                           make_policy(model, settings, {.above = &ledger.policy(link)}), link);
    const StageRequest loose{below, candidate(300, 1'000), {}};
    ASSERT_TRUE(ledger.reserve(PathId{HostId{1}, 1}, {&loose, 1}, {}, never)) << model;
    const StageRequest heavy{link, candidate(800, 1'000), {}};
    const auto refused = ledger.reserve(PathId{HostId{1}, 2}, {&heavy, 1}, {}, never);
    ASSERT_FALSE(refused) << model;
    EXPECT_EQ(refused.error().where, "link, below");
    EXPECT_TRUE(ledger.reconciles());
    (void)ledger.release(PathId{HostId{1}, 1});
    EXPECT_TRUE(ledger.reserve(PathId{HostId{1}, 2}, {&heavy, 1}, {}, never)) << "with nobody below it fits";
  }
}

}  // namespace
}  // namespace rtchan::admission
