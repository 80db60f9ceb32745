// Time as every room sees it: a value that is handed in.
//
// Clocks are read only at the edges of the house (rtcd, librtc, cli, lab, drivers that stamp packets).
// Everything else receives `now`. Durations and instants are signed 64-bit nanoseconds.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>

namespace rtchan {

using Duration = std::chrono::nanoseconds;

// CLOCK_MONOTONIC_RAW: unlike CLOCK_MONOTONIC its rate is not slewed by NTP (chrony may slew by 8 %), so
// traffic contracts are enforced at the rate that was promised. The kernel cannot sleep on it: a sleep is
// given as a relative duration.
struct RawClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<RawClock, Duration>;
  static constexpr bool is_steady = true;

  static time_point now() noexcept {
    timespec ts{};
    clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
    return time_point{Duration{ts.tv_sec * 1'000'000'000LL + ts.tv_nsec}};
  }
};

using Instant = RawClock::time_point;

inline constexpr Instant never = Instant::max();
// Before every instant that a clock can read; far enough from the limits that sums with it cannot overflow.
inline constexpr Instant long_ago = Instant{Duration{INT64_MIN / 4}};

}  // namespace rtchan
