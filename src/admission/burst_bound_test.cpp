// beta*: the table never allows more than the definition does, and not much less.
#include "admission/burst_bound.hpp"

#include <gtest/gtest.h>

#include <random>

#include "admission/deadline_policies.hpp"

namespace rtchan::admission {
namespace {

// The definition: min over deadlines t < x of t - (work due by t), by counting jobs one at a time.
std::int64_t by_definition(const std::vector<Task>& tasks, std::int64_t x, std::int64_t horizon) {
  std::int64_t least = INT64_MAX;
  for (std::int64_t t = 1; t < std::min(x, horizon); ++t) {
    std::int64_t due = 0;
    bool deadline = false;
    for (const Task& k : tasks) {
      for (std::int64_t at = k.delay.count(); at <= t; at += k.period.count()) {
        due += k.service.count();
        deadline = deadline || at == t;
      }
    }
    if (deadline) least = std::min(least, t - due);
  }
  return least;
}

TEST(BurstBound, DefaultIsOnePacketAtATime) {
  EXPECT_EQ(BurstBound{}.lookup(Duration{1'000'000}), Duration{0});
  EXPECT_EQ(BurstBound::constant(Duration{7}).lookup(Duration::min()), Duration{7});
  EXPECT_EQ(BurstBound::constant(Duration{7}).lookup(Duration::max()), Duration{7});
}

TEST(BurstBound, LooksUpTheStepBelow) {
  BurstBound b = BurstBound::constant(Duration{100});
  for (int i = 1; i < static_cast<int>(BurstBound::steps_max); ++i)
    ASSERT_TRUE(b.append({Duration{i * 10}, Duration{100 - i}}));
  EXPECT_FALSE(b.append({Duration{1'000}, Duration{1}}));
  EXPECT_EQ(b.lookup(Duration{10}), Duration{100});
  EXPECT_EQ(b.lookup(Duration{11}), Duration{99});
  EXPECT_EQ(b.lookup(Duration{155}), Duration{85});
  EXPECT_EQ(b.lookup(Duration::max()), Duration{69});
}

TEST(BurstBound, NeverMoreThanTheDefinitionAndNeverLessThanBlockingAllows) {
  std::mt19937 random(3);
  const auto draw = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  std::int64_t table_sum = 0;
  std::int64_t exact_sum = 0;
  for (int set = 0; set < 300; ++set) {
    StageSettings settings;
    settings.base_blocking = Duration{draw(0, 3)};
    settings.burst_cap = Duration{1'000};
    EdfPolicy policy(settings, 0);
    std::vector<Task> tasks;
    for (int i = 0; i < 6; ++i) {
      const std::int64_t service = draw(1, 4);
      const Candidate c{.service = Duration{service},
                        .period = Duration{draw(10, 90)},
                        .chunk = Duration{service},
                        .last = Duration{service}};
      const auto d = policy.test(c, Duration{0});
      if (!d) continue;
      tasks.push_back(with_delay(c, *d + Duration{draw(0, 40)}));
      policy.reserve(c, tasks.back().delay);
    }
    const BurstBound table = policy.burst_bound();
    for (const std::int64_t x : {1, 3, 8, 20, 45, 90, 200, 700}) {
      const std::int64_t exact = std::min<std::int64_t>(by_definition(tasks, x, 900), 1'000);
      const std::int64_t allowed = table.lookup(Duration{x}).count();
      ASSERT_LE(allowed, exact) << "set " << set << " x " << x;
      ASSERT_GE(allowed, settings.base_blocking.count());
      table_sum += allowed;
      exact_sum += exact;
    }
  }
  EXPECT_GT(table_sum * 10, exact_sum * 8);  // 32 steps cost less than a fifth
}

TEST(BurstBound, ALinkWithoutChannelsIsLimitedByTheCapAlone) {
  StageSettings settings;
  settings.base_blocking = Duration{100};
  settings.burst_cap = Duration{5'000};
  EdfPolicy policy(settings);
  EXPECT_EQ(policy.burst_bound().lookup(Duration::max()), Duration{5'000});
}

}  // namespace
}  // namespace rtchan::admission
