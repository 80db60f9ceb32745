// Counts of durations with bounded relative error in fixed memory: a plain value that is copied between
// processes and merged. Nothing is trimmed: the largest and smallest value are exact, and values beyond the
// range count in the last bucket.
//
// Buckets: values below 2^(bits+1) ns have one each; above, every power of two is divided into 2^bits equal
// parts. A quantile is off by at most half a bucket: 1/2^(bits+1) of the value (bits = 6: 0.8 %).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "base/time.hpp"

namespace rtchan {

template <unsigned Bits, class Count>
class BasicHistogram {
 public:
  static constexpr unsigned largest_exponent =
      42;  // 2^43 ns is 2.4 h: above every delay that can be promised
  static constexpr std::size_t parts = std::size_t{1} << Bits;
  static constexpr std::size_t buckets = parts * (largest_exponent - Bits + 2);

  // A negative value counts as 0 (and shows in min()). A full counter stays full.
  void add(Duration value, Count times = 1) noexcept {
    if (times == 0) return;
    Count& count = counts_[bucket_of(value.count())];
    count = times > std::numeric_limits<Count>::max() - count ? std::numeric_limits<Count>::max()
                                                              : static_cast<Count>(count + times);
    total_ += times;
    min_ = std::min(min_, value.count());
    max_ = std::max(max_, value.count());
  }

  void merge(const BasicHistogram& other) noexcept {
    for (std::size_t i = 0; i < buckets; ++i) {
      const Count room = std::numeric_limits<Count>::max() - counts_[i];
      counts_[i] = static_cast<Count>(counts_[i] + std::min(room, other.counts_[i]));
    }
    total_ += other.total_;
    min_ = std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
  }

  [[nodiscard]] std::uint64_t count() const noexcept { return total_; }
  // Exact. Zero when nothing was added.
  [[nodiscard]] Duration min() const noexcept { return Duration{total_ == 0 ? 0 : min_}; }
  [[nodiscard]] Duration max() const noexcept { return Duration{total_ == 0 ? 0 : max_}; }

  // Smallest value that at least q of all values do not exceed (0 <= q <= 1), to a bucket's middle, never
  // outside [min, max]; quantile(1) is the exact maximum. Zero when nothing was added.
  [[nodiscard]] Duration quantile(double q) const noexcept {
    if (total_ == 0) return Duration{0};
    if (q >= 1) return max();
    const double wanted = std::ceil(std::max(q, 0.0) * static_cast<double>(total_));
    const std::uint64_t rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1, total_);
    if (rank == total_) return max();
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets; ++i) {
      seen += counts_[i];
      if (seen >= rank) return Duration{std::clamp(middle(i), min_, max_)};
    }
    return max();  // only when counters were full
  }

  // For drawing: calls f(lower bound, upper bound (exclusive), count) for each bucket that is not empty.
  template <class F>
  void for_each(F&& f) const {
    for (std::size_t i = 0; i < buckets; ++i) {
      if (counts_[i] != 0) f(Duration{lower(i)}, Duration{lower(i + 1)}, counts_[i]);
    }
  }

 private:
  static std::size_t bucket_of(std::int64_t value) noexcept {
    if (value < 0) return 0;
    const auto v = static_cast<std::uint64_t>(value);
    if (v < 2 * parts) return static_cast<std::size_t>(v);
    const auto exponent = static_cast<unsigned>(std::bit_width(v)) - 1;
    if (exponent > largest_exponent) return buckets - 1;
    const unsigned shift = exponent - Bits;
    return static_cast<std::size_t>(v >> shift) + parts * shift;
  }
  static std::int64_t lower(std::size_t bucket) noexcept {
    if (bucket < 2 * parts) return static_cast<std::int64_t>(bucket);
    const std::size_t shift = bucket / parts - 1;
    return static_cast<std::int64_t>((bucket - parts * shift) << shift);
  }
  static std::int64_t middle(std::size_t bucket) noexcept {
    return lower(bucket) + (lower(bucket + 1) - 1 - lower(bucket)) / 2;
  }

  std::array<Count, buckets> counts_{};
  std::uint64_t total_ = 0;
  std::int64_t min_ = std::numeric_limits<std::int64_t>::max();
  std::int64_t max_ = std::numeric_limits<std::int64_t>::min();
};

// 0.8 %, 19 KB: tools and whole-worker figures.
using Histogram = BasicHistogram<6, std::uint64_t>;
// 6 %, 1.3 KB: one per channel, thousands of them.
using CoarseHistogram = BasicHistogram<3, std::uint32_t>;

static_assert(std::is_trivially_copyable_v<Histogram> && std::is_trivially_copyable_v<CoarseHistogram>);

}  // namespace rtchan
