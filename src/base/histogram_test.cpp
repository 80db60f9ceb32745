#include "base/histogram.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace rtchan {
namespace {

using namespace std::chrono_literals;

TEST(Histogram, OfNothingIsZero) {
  const Histogram h;
  EXPECT_EQ(h.count(), 0u);
  EXPECT_EQ(h.min(), 0ns);
  EXPECT_EQ(h.max(), 0ns);
  EXPECT_EQ(h.quantile(0.5), 0ns);
}

TEST(Histogram, KeepsSmallValuesAndExtremesExactly) {
  Histogram h;
  for (int i = 1; i <= 100; ++i) h.add(Duration{i});
  EXPECT_EQ(h.quantile(0.5), 50ns);
  EXPECT_EQ(h.quantile(0.99), 99ns);
  EXPECT_EQ(h.quantile(0), 1ns);
  EXPECT_EQ(h.quantile(1), 100ns);
  h.add(123'456'789ns);
  EXPECT_EQ(h.max(), 123'456'789ns);
  EXPECT_EQ(h.quantile(1), 123'456'789ns);
}

template <class H>
double worst_error() {
  double worst = 0;
  for (double value = 1; value < 8e12; value *= 1.0137) {
    H h;
    const Duration exact{static_cast<std::int64_t>(value)};
    h.add(exact, 3);
    h.add(0ns);  // so that clamping to [min, max] does not hide the bucket
    h.add(exact * 2, 3);
    const double error = std::abs(static_cast<double>((h.quantile(0.5) - exact).count())) / value;
    worst = std::max(worst, error);
  }
  return worst;
}

TEST(Histogram, IsOffByAtMostHalfABucket) {
  EXPECT_LE(worst_error<Histogram>(), 1.0 / 128);
  EXPECT_LE(worst_error<CoarseHistogram>(), 1.0 / 16);
}

TEST(Histogram, AgreesWithSortedValues) {
  std::mt19937_64 random(3);
  std::vector<std::int64_t> values;
  Histogram h;
  for (int i = 0; i < 20'000; ++i) {
    const auto v = static_cast<std::int64_t>(random() >> (random() % 43 + 21));
    values.push_back(v);
    h.add(Duration{v});
  }
  std::ranges::sort(values);
  for (const double q : {0.01, 0.1, 0.5, 0.9, 0.99, 0.999}) {
    const auto exact = static_cast<double>(values[static_cast<std::size_t>(std::ceil(q * 20'000)) - 1]);
    EXPECT_NEAR(static_cast<double>(h.quantile(q).count()), exact, exact / 128 + 1) << q;
  }
}

TEST(Histogram, MergesAsIfAllHadBeenAddedToOne) {
  Histogram a;
  Histogram b;
  Histogram both;
  for (int i = 0; i < 1000; ++i) {
    (i % 3 == 0 ? a : b).add(Duration{i * i});
    both.add(Duration{i * i});
  }
  a.merge(b);
  EXPECT_EQ(a.count(), both.count());
  EXPECT_EQ(a.min(), both.min());
  EXPECT_EQ(a.max(), both.max());
  for (double q = 0; q <= 1; q += 0.05) EXPECT_EQ(a.quantile(q), both.quantile(q));
  Histogram empty;
  a.merge(empty);
  EXPECT_EQ(a.min(), both.min());
}

TEST(Histogram, TakesValuesOutsideItsRangeWithoutLosingThem) {
  Histogram h;
  h.add(-5ns);
  h.add(Duration::max());
  h.add(1ns);
  EXPECT_EQ(h.count(), 3u);
  EXPECT_EQ(h.min(), -5ns);
  EXPECT_EQ(h.max(), Duration::max());
  EXPECT_EQ(h.quantile(0.6), 1ns);
}

TEST(Histogram, StopsCountingRatherThanWrapping) {
  CoarseHistogram h;
  h.add(1ns, UINT32_MAX);
  h.add(1ns);
  h.merge(h);
  std::uint64_t counted = 0;
  h.for_each([&](Duration, Duration, std::uint32_t n) { counted += n; });
  EXPECT_EQ(counted, UINT32_MAX);
  EXPECT_EQ(h.quantile(0.5), 1ns);
}

TEST(Histogram, ShowsItsBucketsWithoutGaps) {
  Histogram h;
  for (std::int64_t v = 1; v < 5'000; ++v) h.add(Duration{v});
  Duration expected{1};
  std::uint64_t counted = 0;
  h.for_each([&](Duration from, Duration to, std::uint64_t n) {
    EXPECT_EQ(from, expected);
    if (to <= Duration{5'000}) {
      EXPECT_EQ(static_cast<std::int64_t>(n), (to - from).count());
    }
    expected = to;
    counted += n;
  });
  EXPECT_EQ(counted, 4'999u);
}

}  // namespace
}  // namespace rtchan
