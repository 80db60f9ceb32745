// Time after a simultaneous start, cut into about 3,000 buckets whose width grows with t: 256 of the finest width,
// then 128 to an octave, so that a bucket is at most 1/128 of its instant wide.
#pragma once

#include <bit>
#include <cstdint>

namespace rtchan::admission {

class TimeGrid {
 public:
  static constexpr unsigned sub_bits = 8;
  static constexpr unsigned octaves = 22;
  static constexpr std::uint32_t buckets = 256 + octaves * 128;
  static constexpr std::uint32_t classes = octaves + 2;  // octaves of an offset; the last: beyond
  static constexpr unsigned nanoseconds = 10;            // finest_bits where times are nanoseconds

  // The finest bucket is 2^finest_bits wide, the grid 2^(finest_bits + 30).
  explicit constexpr TimeGrid(unsigned finest_bits = nanoseconds) noexcept : finest_bits_(finest_bits) {}

  // Where bucket k begins; edge(buckets) is the grid's end.
  [[nodiscard]] constexpr std::int64_t edge(std::uint32_t k) const noexcept {
    if (k < 256) return std::int64_t{k} << finest_bits_;
    return (std::int64_t{(k - 256) % 128 + 128} << octave(k)) << finest_bits_;
  }
  [[nodiscard]] constexpr std::int64_t width(std::uint32_t k) const noexcept {
    return std::int64_t{1} << (finest_bits_ + octave(k));
  }
  // The first bucket after k that is wider, or `buckets`.
  [[nodiscard]] static constexpr std::uint32_t widens(std::uint32_t k) noexcept {
    return k < 256 ? 256 : 256 + ((k - 256) / 128 + 1) * 128;
  }
  // `buckets` if t lies beyond the grid; negative instants belong to the first.
  [[nodiscard]] constexpr std::uint32_t bucket_of(std::int64_t t) const noexcept {
    if (t < 0) return 0;
    const auto v = static_cast<std::uint64_t>(t) >> finest_bits_;
    if (v < 256) return static_cast<std::uint32_t>(v);
    const auto shift = static_cast<unsigned>(std::bit_width(v)) - sub_bits;
    if (shift > octaves) return buckets;
    return 256 + (shift - 1) * 128 + static_cast<std::uint32_t>(v >> shift) - 128;
  }
  [[nodiscard]] constexpr std::uint32_t class_of(std::int64_t offset) const noexcept {
    const std::uint32_t k = bucket_of(offset);
    return k < 256 ? 0 : octave(k);  // `buckets` falls into the last
  }
  [[nodiscard]] constexpr unsigned finest_bits() const noexcept { return finest_bits_; }

 private:
  static constexpr unsigned octave(std::uint32_t k) noexcept { return k < 256 ? 0 : (k - 256) / 128 + 1; }

  unsigned finest_bits_;
};

// How many of first, first + period, ... lie before `end`.
[[nodiscard]] constexpr std::int64_t events_before(std::int64_t end, std::int64_t first, std::int64_t period) noexcept {
  return end <= first ? 0 : (end - 1 - first) / period + 1;
}

// Calls visit(k, at, count) for each bucket in [from, to) that holds any of offset, offset + period, ...: `count` of
// them, the first at `at`. Costs as many steps as there are such buckets, not as there are buckets.
template <class Visit>
void each_bucket_with(const TimeGrid& grid, std::int64_t offset, std::int64_t period, std::uint32_t from,
                      std::uint32_t to, Visit&& visit) {
  const std::int64_t begin = grid.edge(from);
  std::int64_t at = offset + events_before(begin, offset, period) * period;
  for (std::uint32_t k = grid.bucket_of(at); k < to;) {
    const std::int64_t end = grid.edge(k + 1);
    const std::int64_t count = end - at <= period ? 1 : (end - 1 - at) / period + 1;
    visit(k, at, count);
    at += count * period;
    k = grid.bucket_of(at);
  }
}

}  // namespace rtchan::admission
