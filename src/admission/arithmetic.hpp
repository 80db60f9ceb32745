// Integer arithmetic of the demand tests: 64-bit time, 128-bit products, directed rounding. No floating
// point.
#pragma once

#include <cstdint>

#include "admission/task.hpp"

namespace rtchan::admission {

__extension__ typedef __int128 Wide;

inline constexpr int utilisation_bits = 60;  // utilisations are in units of 2^-60
inline constexpr Wide utilisation_one = Wide{1} << utilisation_bits;

// Divisor > 0.
[[nodiscard]] constexpr Wide floor_div(Wide a, Wide b) noexcept {
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}
[[nodiscard]] constexpr Wide ceil_div(Wide a, Wide b) noexcept {
  return a > 0 ? (a + b - 1) / b : -((-a) / b);
}

// Clamps to what a Duration can carry.
[[nodiscard]] constexpr std::int64_t narrow(Wide v) noexcept {
  if (v > INT64_MAX) return INT64_MAX;
  if (v < INT64_MIN) return INT64_MIN;
  return static_cast<std::int64_t>(v);
}
[[nodiscard]] constexpr Duration duration(Wide v) noexcept {
  return Duration{narrow(v)};
}

// C/T, rounded up, in units of 2^-60.
[[nodiscard]] constexpr Wide utilisation(Duration work, Duration period) noexcept {
  return ceil_div(Wide{work.count()} << utilisation_bits, period.count());
}
// Everything a channel takes from the stage in the long run, input included.
[[nodiscard]] constexpr Wide utilisation(const Candidate& c) noexcept {
  return utilisation(c.service, c.period) + utilisation(c.input_service, c.period);
}
[[nodiscard]] constexpr Wide from_ppm(Wide ppm) noexcept {
  return ppm * utilisation_one / 1'000'000;
}

// What one channel can bring at one instant: a message, and the input that bunched before it.
[[nodiscard]] constexpr Wide gathered(const Candidate& c) noexcept {
  if (c.input_service.count() == 0) return c.service.count();
  return Wide{c.service.count()} + c.input_service.count() +
         ceil_div(Wide{c.input_service.count()} * c.input_jitter.count(), c.period.count());
}

// K of one channel: dbf(t) <= U*t + K for all t >= 0, input included.
[[nodiscard]] constexpr Wide intercept(const Task& t) noexcept {
  const Wide period = t.period.count();
  const Wide input = gathered(t) - t.service.count();
  if (t.delay >= t.period) return input;
  return input + ceil_div(Wide{t.service.count()} * (period - t.delay.count()), period);
}

// Blocking beyond the granularity, never negative.
[[nodiscard]] constexpr std::int64_t blocking(Duration longest, Duration granularity) noexcept {
  return longest > granularity ? (longest - granularity).count() : 0;
}

}  // namespace rtchan::admission
