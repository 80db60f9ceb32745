// Clocks and timers, measured.
#pragma once

#include "base/histogram.hpp"
#include "base/time.hpp"
#include "probe/files.hpp"
#include "probe/finding.hpp"

namespace rtchan::probe {

// The clock source, and what reading CLOCK_MONOTONIC_RAW costs here (median of 1,000 readings).
[[nodiscard]] Finding clock_source(const Files& files);

// How much later than asked a thread is woken from a timed sleep.
struct TimerLateness {
  BasicHistogram<6, std::uint64_t> lateness;
  bool real_time = false;  // it was SCHED_FIFO, as a worker is
  bool pinned = false;     // to the core that was asked for
};
// Sleeps of 1 ms on `core`, for `duration`; the calling thread is not changed.
[[nodiscard]] TimerLateness measure_timer(unsigned core, bool real_time, Duration duration);
// `beside`: the same as an ordinary program.
[[nodiscard]] Finding timer(const TimerLateness& worker, const TimerLateness& beside);

}  // namespace rtchan::probe
