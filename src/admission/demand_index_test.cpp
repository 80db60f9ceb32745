// The index must say what the plain sweep says, to the nanosecond, through any history of coming and going.
#include "admission/demand_index.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "admission/deadline_policies.hpp"
#include "admission/sweep.hpp"

namespace rtchan::admission {
namespace {

int histories_wanted() {
  const char* text = std::getenv("RTCHAN_SETS");
  return (text == nullptr ? 20'000 : std::atoi(text)) / 400;
}

class Draw {
 public:
  explicit Draw(std::uint32_t seed) : random_(seed) {}
  std::int64_t operator()(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }
  // Evenly over orders of magnitude.
  std::int64_t magnitude(std::int64_t low, std::int64_t high) {
    const double x = std::uniform_real_distribution<double>(std::log(static_cast<double>(low)),
                                                            std::log(static_cast<double>(high)))(random_);
    return std::clamp(static_cast<std::int64_t>(std::exp(x)), low, high);
  }

 private:
  std::mt19937 random_;
};

struct World {
  unsigned finest_bits;
  std::int64_t period_low, period_high;
  std::int64_t share;  // a channel takes at most 1/share of the stage
  std::int64_t blocking;
  bool input;
  Supply supply{};
  std::int64_t wire = 0;  // smallest packet's wire time; 0: the wire bounds nothing
  std::uint64_t steps = 0;  // step limit; where the sweep gives up, the index may answer what it can. 0: never in the way
};

Candidate draw_candidate(Draw& draw, const World& w) {
  Candidate c;
  c.period = Duration{draw.magnitude(w.period_low, w.period_high)};
  c.service = Duration{draw(1, std::max<std::int64_t>(1, c.period.count() / draw(2, w.share)))};
  c.chunk =
      Duration{draw(1, std::min<std::int64_t>(c.service.count(), std::max<std::int64_t>(1, w.blocking * 2)))};
  c.last = c.chunk;
  if (w.input && draw(0, 2) > 0) {
    c.input_service = Duration{draw(1, std::max<std::int64_t>(1, c.service.count() / 2))};
    c.input_jitter = Duration{draw(0, 3 * c.period.count())};
  }
  return c;
}

// One history: channels come at their minimum or above, are raised, and go; every question is asked twice.
void live(Draw& draw, const World& world) {
  StageSettings settings;
  settings.utilisation_limit_ppm =
      970'000;  // where the policy rounds and the sweep does not, they may differ
  settings.base_blocking = Duration{draw(0, 1) * draw(0, world.blocking)};
  settings.granularity = Duration{draw(0, 1)};
  settings.supply = world.supply;
  if (world.wire > 0) settings.input_bound.add(Duration{draw(1, world.wire)}, Duration{world.wire}, Duration{draw(0, 3)});
  if (world.steps > 0) settings.step_limit = world.steps;
  EdfPolicy policy(settings, world.finest_bits);
  std::vector<std::pair<EntryId, Task>> present;
  for (int event = 0; event < 60; ++event) {
    if (!present.empty() && draw(0, 4) == 0) {
      const auto gone = present.begin() + draw(0, static_cast<std::int64_t>(present.size()) - 1);
      policy.release(gone->first);
      present.erase(gone);
      continue;
    }
    const Candidate c = draw_candidate(draw, world);
    std::vector<Task> existing;
    for (const auto& [id, task] : present) existing.push_back(task);
    const auto expected = smallest_delay_edf(existing, c, settings, TimeGrid{world.finest_bits});
    const auto answer = policy.test(c, Duration{0});
    if (!expected && expected.error().reason == Reason::too_complex) continue;
    ASSERT_EQ(answer.has_value(), expected.has_value())
        << "event " << event << " of " << present.size()
        << " channels: " << (expected ? name(answer.error().reason) : name(expected.error().reason));
    if (!expected) {
      ASSERT_EQ(answer.error().reason, expected.error().reason);
      continue;
    }
    ASSERT_EQ(*answer, *expected) << "event " << event << " of " << present.size() << " channels";
    // Content with more, it may answer more, but nothing beyond what was asked for and nothing unsafe.
    const Duration enough = *answer + Duration{draw(0, c.period.count())};
    const auto quick = policy.test(c, enough);
    ASSERT_TRUE(quick);
    ASSERT_EQ(*policy.test(c, Duration{1}), *answer);  // content with less than there is: the minimum all the same
    ASSERT_GE(*quick, *answer);
    ASSERT_LE(*quick, enough);
    const EntryId id = policy.reserve(c, *answer);
    Duration delay = *answer;
    if (draw(0, 1) == 0) policy.commit(id, delay += Duration{draw(0, 2 * c.period.count())});
    present.emplace_back(id, with_delay(c, delay));
    ASSERT_EQ(policy.task(id), present.back().second);
    if (event % 16 == 0) {
      ASSERT_TRUE(policy.reconciles());
    }
  }
  ASSERT_TRUE(policy.reconciles());
}

void many_lives(std::uint32_t seed, const World& world, int divisor = 1) {
  Draw draw(seed);
  for (int i = 0; i < std::max(4, histories_wanted() / divisor) && !testing::Test::HasFatalFailure(); ++i)
    live(draw, world);
}

TEST(DemandIndex, AgreesOnSmallIntegers) {
  many_lives(1, {0, 3, 40, 6, 4, false});
}
TEST(DemandIndex, AgreesWithManySmallChannels) {
  many_lives(2, {0, 20, 400, 60, 3, false});
}
TEST(DemandIndex, AgreesWithCoarseBuckets) {
  many_lives(3, {4, 20, 400, 20, 6, false});
}
TEST(DemandIndex, AgreesOnNanoseconds) {
  many_lives(4, {10, 100'000, 1'000'000'000, 30, 12'000, false});
}
TEST(DemandIndex, AgreesBeyondItsLastBucket) {
  many_lives(5, {0, 1'000, 400'000'000, 5, 500, false}, 8);
}
TEST(DemandIndex, AgreesWithInput) {
  many_lives(6, {0, 10, 300, 30, 4, true});
}
TEST(DemandIndex, AgreesWithInputOnNanoseconds) {
  many_lives(7, {10, 100'000, 100'000'000, 60, 12'000, true}, 2);
}
// Seconds of blocking beside contracts of nanoseconds: millions of deadlines in a bucket.
TEST(DemandIndex, AgreesOnExtremeTimes) {
  many_lives(10, {10, 20, 10'000'000'000, 40, 20'000'000'000, false, {}, 0, 5'000});
  many_lives(11, {10, 20, 10'000'000'000, 40, 20'000'000'000, true, {}, 0, 5'000}, 2);
}
TEST(DemandIndex, CountsMillionsOfTheCandidatesOwnDeadlines) {
  StageSettings settings;
  settings.base_blocking = Duration{34'000'000'000};
  EdfPolicy policy(settings);
  const Candidate slow{.service = Duration{300'000'000}, .period = Duration{90'000'000'000}, .chunk = Duration{300'000'000}, .last = Duration{1}};
  policy.reserve(slow, Duration{40'000'000'000});
  const Candidate fast{.service = Duration{18}, .period = Duration{32}, .chunk = Duration{18}, .last = Duration{18}};
  EXPECT_EQ(policy.test(fast, Duration{0}).value(), smallest_delay_edf(policy.index().tasks(), fast, settings).value());
  EXPECT_EQ(policy.index().work().fallbacks, 0u);
}
TEST(DemandIndex, AgreesOnAShareOfTheSupply) {
  many_lives(8, {0, 10, 400, 30, 3, false, {Duration{7}, Duration{10}, {}, 0}});
  many_lives(9, {2, 10, 400, 30, 3, true, {Duration{9}, Duration{10}, Duration{5}, 50'000}}, 2);
}
TEST(DemandIndex, AgreesWithLossOnNanoseconds) {
  many_lives(
      10,
      {10, 1'000'000, 100'000'000, 60, 12'000, true, {Duration{1}, Duration{1}, Duration{100'000}, 100'000}},
      2);
}

TEST(DemandIndex, AgreesWhereTheWireBoundsTheInput) {
  many_lives(12, {0, 10, 300, 30, 4, true, {}, 4});
  many_lives(13, {2, 10, 400, 12, 3, true, {Duration{9}, Duration{10}, Duration{5}, 50'000}, 3}, 2);
  many_lives(14, {10, 100'000, 100'000'000, 60, 12'000, true, {Duration{1}, Duration{1}, Duration{100'000}, 100'000}, 20'000}, 2);
}

// --- by the definition alone ----------------------------------------------------------------------------------------
// Shares nothing with what it judges: no sweep, no index, no bound; every integer instant, one after the other.

bool feasible_by_definition(const std::vector<Task>& tasks, std::int64_t b0, std::int64_t eps) {
  for (std::int64_t t = 1; t <= 400; ++t) {
    std::int64_t demand = 0, longest = b0;
    for (const Task& task : tasks) {
      for (std::int64_t due = task.delay.count(); due <= t; due += task.period.count()) demand += task.service.count();
      if (task.delay.count() > t) longest = std::max(longest, task.chunk.count());
    }
    if (demand > 0 && demand + std::max<std::int64_t>(0, longest - eps) > t) return false;
  }
  return true;
}

// Loads of at most 90 % with delays up to some 100 and periods up to 40: what is late is late before 400.
TEST(DemandIndex, SaysWhatTheDefinitionSaysThroughAnyHistory) {
  Draw draw(21);
  int tight = 0, refused = 0;
  for (int history = 0; history < histories_wanted() * 4 && !HasFailure(); ++history) {
    StageSettings settings;
    settings.utilisation_limit_ppm = 900'000;
    settings.base_blocking = Duration{draw(0, 1) * draw(0, 4)};
    settings.granularity = Duration{draw(0, 1)};
    EdfPolicy policy(settings, static_cast<unsigned>(draw(0, 3)));
    std::vector<std::pair<EntryId, Task>> present;
    for (int event = 0; event < 25; ++event) {
      if (!present.empty() && draw(0, 3) == 0) {
        const auto gone = present.begin() + draw(0, static_cast<std::int64_t>(present.size()) - 1);
        policy.release(gone->first);
        present.erase(gone);
        continue;
      }
      Candidate c;
      c.period = Duration{draw(4, 40)};
      c.service = Duration{draw(1, std::max<std::int64_t>(1, c.period.count() / 4))};
      c.chunk = c.last = Duration{draw(1, c.service.count())};
      std::vector<Task> tasks;
      for (const auto& [id, task] : present) tasks.push_back(task);
      tasks.push_back(with_delay(c, c.service));
      const auto fits = [&](std::int64_t d) {
        tasks.back().delay = Duration{d};
        return feasible_by_definition(tasks, settings.base_blocking.count(), settings.granularity.count());
      };
      const auto answer = policy.test(c, Duration{0});
      if (!answer) {
        if (answer.error().reason == Reason::utilisation) continue;
        ++refused;
        ASSERT_FALSE(fits(150)) << name(answer.error().reason);
        continue;
      }
      ASSERT_TRUE(fits(answer->count())) << "admitted at " << answer->count();
      if (*answer > c.service) {
        ++tight;
        ASSERT_FALSE(fits(answer->count() - 1)) << "one less than " << answer->count() << " fits";
      }
      const Duration delay = *answer + Duration{draw(0, 1) * draw(0, 30)};
      present.emplace_back(policy.reserve(c, *answer), with_delay(c, delay));
      policy.commit(present.back().first, delay);
    }
  }
  EXPECT_GT(tight, 100);
  EXPECT_GT(refused, 10);
}

// Ten thousand channels: far from any small case, and the sums are what a plain recount says.
TEST(DemandIndex, AgreesOnALargeSet) {
  Draw draw(11);
  StageSettings settings;
  settings.base_blocking = Duration{12'304};
  settings.utilisation_limit_ppm = 1'000'000;
  EdfPolicy policy(settings);
  std::vector<Task> existing;
  while (existing.size() < 3'000) {
    Candidate c;
    c.period = Duration{draw.magnitude(1'000'000, 200'000'000)};
    c.service = Duration{std::max<std::int64_t>(100, c.period.count() / 3'300)};
    c.chunk = c.last = std::min(c.service, Duration{12'304});
    const auto minimum = policy.test(c, Duration{0});
    ASSERT_TRUE(minimum);
    const Duration delay = std::max(*minimum, draw(0, 9) == 0 ? c.period / 4 : c.period);
    policy.reserve(c, delay);
    existing.push_back(with_delay(c, delay));
  }
  for (int i = 0; i < 12; ++i) {
    Candidate c;
    c.period = Duration{draw.magnitude(1'000'000, 200'000'000)};
    c.service = c.period / draw(20, 400);
    c.chunk = c.last = Duration{500};
    const auto expected = smallest_delay_edf(existing, c, settings);
    const auto answer = policy.test(c, Duration{0});
    ASSERT_EQ(expected.has_value(), answer.has_value());
    if (expected) {
      EXPECT_EQ(*expected, *answer);
    }
  }
  EXPECT_TRUE(policy.reconciles());
}

}  // namespace
}  // namespace rtchan::admission
