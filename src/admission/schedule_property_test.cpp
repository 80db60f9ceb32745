// Admission against brute force: small random sets are admitted, then run. What was admitted never misses,
// whatever the phasing tried; the exact minimum less one does miss; what was refused would have missed.
//
// RTCHAN_SETS in the environment sets how many sets (default 20,000; CI's slow part runs 100,000); the seed
// is fixed, so a failure repeats.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>

#include "admission/d_order.hpp"
#include "admission/deadline_policies.hpp"
#include "admission/oracle_test_support.hpp"
#include "admission/sweep.hpp"

namespace rtchan::admission {
namespace {

int sets_wanted() {
  const char* text = std::getenv("RTCHAN_SETS");
  return text == nullptr ? 20'000 : std::atoi(text);
}

struct Instance {
  std::vector<Task> existing;
  Candidate candidate;
  StageSettings settings;
};

std::string describe(const Instance& x) {
  std::string text = "b0=" + std::to_string(x.settings.base_blocking.count()) +
                     " eps=" + std::to_string(x.settings.granularity.count()) +
                     " Q/P=" + std::to_string(x.settings.supply.quantum.count()) + "/" +
                     std::to_string(x.settings.supply.period.count());
  const auto add = [&text](const Candidate& c, std::int64_t d) {
    text += " (C" + std::to_string(c.service.count()) + " T" + std::to_string(c.period.count()) + " d" +
            std::to_string(d) + " q" + std::to_string(c.chunk.count()) + ")";
  };
  for (const Task& t : x.existing) add(t, t.delay.count());
  text += " +";
  add(x.candidate, 0);
  return text;
}

class Sets {
 public:
  explicit Sets(std::uint32_t seed) : random(seed) {}

  Instance draw(bool whole_supply) {
    Instance x;
    x.settings.utilisation_limit_ppm = 1'000'000;
    x.settings.granularity = Duration{1};
    x.settings.base_blocking = Duration{pick(0, 2) == 0 ? 0 : pick(0, 5)};
    if (!whole_supply) {
      const int period = std::array{3, 4, 6, 10}[static_cast<std::size_t>(pick(0, 3))];
      x.settings.supply = {Duration{pick(1, period - 1)}, Duration{period}, {}, 0};
    }
    const int count = pick(0, 4);
    for (int i = 0; i < count; ++i) {
      const Candidate c = candidate();
      // Mostly sets that are feasible; sometimes anything.
      const auto minimum = smallest_delay_edf(x.existing, c, x.settings);
      const int tight = pick(0, 2);
      if (minimum && pick(0, 19) > 0) {
        x.existing.push_back(with_delay(c, *minimum + Duration{tight == 0 ? 0 : pick(0, 25)}));
      } else if (pick(0, 19) == 0) {
        x.existing.push_back(with_delay(c, c.service + Duration{pick(0, 20)}));
      }
    }
    x.candidate = candidate();
    return x;
  }

  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); }
  std::mt19937 random;

 private:
  Candidate candidate() {
    static constexpr std::array periods{4, 5, 6, 8, 10, 12, 15, 20, 24, 30};  // least common multiple 120
    const int period = periods[static_cast<std::size_t>(pick(0, periods.size() - 1))];
    const int service = pick(1, pick(0, 3) == 0 ? period : std::max(1, period / 3));
    const int chunk = pick(0, 1) == 0 ? service : pick(1, service);
    return {.service = Duration{service},
            .period = Duration{period},
            .chunk = Duration{chunk},
            .last = Duration{(service - 1) % chunk + 1}};
  }
};

std::vector<oracle::Channel> channels_of(const Instance& x, std::optional<std::int64_t> candidate_delay) {
  std::vector<oracle::Channel> channels;
  const auto add = [&channels](const Candidate& c, std::int64_t d) {
    channels.push_back({static_cast<int>(c.service.count()), static_cast<int>(c.period.count()),
                        static_cast<int>(d), static_cast<int>(c.chunk.count())});
  };
  for (const Task& t : x.existing) add(t, t.delay.count());
  if (candidate_delay) add(x.candidate, *candidate_delay);
  return channels;
}

// Exactly: sum of C/T against the share of the server, in 120ths.
bool overloaded(const Instance& x, const std::vector<oracle::Channel>& channels) {
  long load = 0;
  for (const auto& c : channels) load += 120L * c.service / c.period;
  const long p = x.settings.supply.period.count();
  const long q = x.settings.supply.quantum.count();
  if (load * p > 120 * q) return true;
  const bool full = load * p == 120 * q;
  return full && (q != p || x.settings.base_blocking > x.settings.granularity);
}

struct Tally {
  int accepted = 0, tight = 0, refused = 0, infeasible = 0, larger_by_d_order = 0, larger_by_envelope = 0;
};

void judge(const Instance& x, Sets& sets, Tally& tally) {
  const oracle::Server server{static_cast<int>(x.settings.supply.quantum.count()),
                              static_cast<int>(x.settings.supply.period.count())};
  const int best_effort = static_cast<int>(x.settings.base_blocking.count());
  const int until = server.quantum == server.period ? 320 : 700;
  const auto critical = [&](std::optional<std::int64_t> d) {
    return oracle::some_critical_phasing_misses(channels_of(x, d), best_effort, server, until);
  };
  const auto answer = smallest_delay_edf(x.existing, x.candidate, x.settings);
  if (answer) {
    ++tally.accepted;
    const std::int64_t d = answer->count();
    ASSERT_FALSE(critical(d)) << describe(x) << " admitted at " << d;
    ASSERT_FALSE(
        oracle::some_random_phasing_misses(channels_of(x, d), best_effort, server, until / 2, 2, sets.random))
        << describe(x) << " admitted at " << d;
    if (d > 1) {
      tally.tight += d > x.candidate.service.count();
      ASSERT_TRUE(critical(d - 1)) << describe(x) << " admitted at " << d << ", one less does not miss";
    }
    return;
  }
  switch (answer.error().reason) {
    case Reason::utilisation:
      ASSERT_TRUE(overloaded(x, channels_of(x, 1))) << describe(x);
      break;
    case Reason::existing_infeasible:
      ++tally.infeasible;
      ASSERT_TRUE(critical(std::nullopt)) << describe(x);
      break;
    case Reason::blocking:
      ++tally.refused;
      ASSERT_TRUE(critical(200)) << describe(x) << " refused, yet at d = 200 nothing misses";
      break;
    case Reason::none:
    case Reason::infeasible:
    case Reason::delay:
    case Reason::too_complex:
    case Reason::invalid:
    case Reason::memory:
    case Reason::share:
    case Reason::probability:
    case Reason::input:
      FAIL() << describe(x) << " refused as " << name(answer.error().reason);
  }
}

TEST(AgainstSchedules, ExactEdfOnAServerOfItsOwn) {
  Sets sets(1);
  Tally tally;
  for (int i = 0; i < sets_wanted() && !HasFatalFailure(); ++i) judge(sets.draw(true), sets, tally);
  // The sets are worth something: many admitted, many refused, many minima above C.
  EXPECT_GT(tally.tight, sets_wanted() / 6);
  EXPECT_GT(tally.refused, sets_wanted() / 50);
  EXPECT_GT(tally.infeasible, sets_wanted() / 1000);
}

TEST(AgainstSchedules, ExactEdfOnAShareOfAServer) {
  Sets sets(2);
  Tally tally;
  for (int i = 0; i < sets_wanted() / 4 && !HasFatalFailure(); ++i) judge(sets.draw(false), sets, tally);
  EXPECT_GT(tally.tight, sets_wanted() / 20);
  EXPECT_GT(tally.refused, sets_wanted() / 1000);
}

// D_order and the envelope against the exact answer, and D_order's own promise against schedules.
TEST(AgainstSchedules, DOrderRefusesWhatExactRefusesAndIsNeverBelow) {
  Sets sets(3);
  Tally tally;
  for (int i = 0; i < sets_wanted() && !HasFatalFailure(); ++i) {
    Instance x = sets.draw(true);
    if (i % 2 == 0) x.settings.granularity = Duration{0};
    const auto exact = smallest_delay_edf(x.existing, x.candidate, x.settings);
    const auto paper = smallest_delay_d_order(x.existing, x.candidate, x.settings);
    const auto envelope = smallest_delay_envelope(x.existing, x.candidate, x.settings);
    ASSERT_EQ(exact.has_value(), paper.has_value()) << describe(x);
    if (envelope) {
      ASSERT_TRUE(exact) << describe(x);
      ASSERT_GE(*envelope, *exact) << describe(x);
    }
    if (!exact) {
      ASSERT_EQ(exact.error().reason, paper.error().reason) << describe(x);
      continue;
    }
    ASSERT_GE(*paper, *exact) << describe(x);
    tally.larger_by_d_order += *paper > *exact;
    tally.larger_by_envelope += !envelope || *envelope > *exact;
    if (i % 8 == 0) {
      ASSERT_FALSE(oracle::some_critical_phasing_misses(
          channels_of(x, paper->count()), static_cast<int>(x.settings.base_blocking.count()), {}, 320))
          << describe(x);
    }
  }
  EXPECT_GT(tally.larger_by_d_order, sets_wanted() / 200);
  EXPECT_GT(tally.larger_by_envelope, sets_wanted() / 200);
}

// eps = 0 is for continuous time: on the integer line it is at most one unit more careful, never less.
TEST(AgainstSchedules, ShippedGranularityIsOnTheSafeSide) {
  Sets sets(4);
  for (int i = 0; i < sets_wanted() / 4 && !HasFatalFailure(); ++i) {
    Instance x = sets.draw(true);
    const auto integer = smallest_delay_edf(x.existing, x.candidate, x.settings);
    x.settings.granularity = Duration{0};
    const auto continuous = smallest_delay_edf(x.existing, x.candidate, x.settings);
    if (!continuous) continue;
    ASSERT_TRUE(integer) << describe(x);
    ASSERT_GE(*continuous, *integer) << describe(x);
  }
}

}  // namespace
}  // namespace rtchan::admission
