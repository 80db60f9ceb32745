// What a stage gets done, and how long it takes for some work: each is the other's inverse.
#include "admission/supply.hpp"

#include <gtest/gtest.h>

#include <random>

namespace rtchan::admission {
namespace {

TEST(Supply, TheTimeForSomeWorkIsTheFirstInstantAtWhichItIsAvailable) {
  std::mt19937_64 random(7);
  const auto pick = [&](std::int64_t low, std::int64_t high) { return std::uniform_int_distribution(low, high)(random); };
  int checked = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::int64_t most = std::int64_t{1} << pick(1, 50);
    Supply s;
    s.period = Duration{pick(1, most)};
    s.quantum = pick(0, 3) == 0 ? s.period : Duration{pick(1, s.period.count())};
    if (pick(0, 1) == 0) s.loss_burst = Duration{pick(0, most)};
    if (pick(0, 2) == 0) s.loss_ppm = static_cast<std::uint32_t>(pick(0, 900'000));
    if (!s.valid()) continue;
    const Duration work{pick(1, std::int64_t{1} << pick(1, 52))};
    const Duration when = s.time_for(work);
    if (when == Duration::max()) {
      EXPECT_LT(s.available(Duration{std::int64_t{1} << 61}), work);
      continue;
    }
    ++checked;
    EXPECT_GE(s.available(when), work);
    EXPECT_LT(s.available(when - Duration{1}), work) << "Q " << s.quantum.count() << " P " << s.period.count();
  }
  EXPECT_GT(checked, 10'000);
}

}  // namespace
}  // namespace rtchan::admission
