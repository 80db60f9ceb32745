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

// Counts the events offset, offset + period, ... bucket after bucket: one division an octave.
class GridCounter {
 public:
  GridCounter(const TimeGrid& grid, std::int64_t offset, std::int64_t period, std::uint32_t bucket) noexcept
      : grid_(grid), period_(period), k_(bucket) {
    const std::int64_t from = grid.edge(bucket);
    std::int64_t next = offset;
    if (next < from) {
      const std::int64_t jobs = (from - 1 - next) / period + 1;
      before_ = jobs;
      next += jobs * period;
    }
    phase_ = next - from;
    if (bucket < TimeGrid::buckets) measure();
  }
  // Events before the current bucket, and in it.
  [[nodiscard]] std::int64_t before() const noexcept { return before_; }
  [[nodiscard]] std::int64_t inside() const noexcept {
    if (phase_ >= period_) return phase_ >= width_ ? 0 : (width_ - 1 - phase_) / period_ + 1;
    return jobs_ + (phase_ < rest_ ? 1 : 0);
  }
  [[nodiscard]] std::int64_t until_end() const noexcept { return before_ + inside(); }
  // The first event at or after the current bucket's begin, counted from there.
  [[nodiscard]] std::int64_t phase() const noexcept { return phase_; }
  // To the next bucket.
  void advance() noexcept {
    const std::int64_t here = inside();
    before_ += here;
    phase_ += here * period_ - width_;
    if (++k_ == widens_ && k_ < TimeGrid::buckets) measure();
  }

 private:
  void measure() noexcept {
    width_ = grid_.width(k_);
    widens_ = TimeGrid::widens(k_);
    jobs_ = width_ / period_;
    rest_ = width_ % period_;
  }

  TimeGrid grid_;
  std::int64_t period_, phase_ = 0, before_ = 0;
  std::int64_t width_ = 0, jobs_ = 0, rest_ = 0;
  std::uint32_t k_, widens_ = 0;
};

}  // namespace rtchan::admission
