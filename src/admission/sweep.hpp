// The exact answer under non-preemptive EDF, found by one forward sweep over the deadlines of a simultaneous
// start: simple, for any set and any values. It keeps nothing between calls and costs O(M log n) for M
// deadlines; DemandIndex gives the same answers for large sets.
#pragma once

#include <expected>
#include <span>

#include "admission/policy.hpp"
#include "admission/task.hpp"
#include "admission/time_grid.hpp"

namespace rtchan::admission {

// Whether the settings are in range. Of granularities 0 and 1 only: what blocks for q starts at the latest one unit before it
// hurts, so a larger one would be unsafe unless all times are multiples of it, and those can be divided by it.
[[nodiscard]] bool valid(const StageSettings& settings) noexcept;

// Whether the stage may carry this much at all, decided without rounding where it matters: exact when the
// limit is 1'000'000 ppm (then U = 1 passes if b0 <= eps and the supply is whole).
enum class LoadVerdict : std::uint8_t { below, full, above };  // full: U = 1 exactly
[[nodiscard]] LoadVerdict load_verdict(std::span<const Task> tasks, const Candidate* extra,
                                       const StageSettings& settings);

// Smallest local delay of `candidate` beside `existing`, exact whole-set test included. `grid`: the steps in which
// settings.input_bound rises.
[[nodiscard]] std::expected<Duration, StageRefusal> smallest_delay_edf(std::span<const Task> existing,
                                                                       const Candidate& candidate,
                                                                       const StageSettings& settings,
                                                                       const TimeGrid& grid = TimeGrid{});

// Sufficient only, O(n log n) whatever the periods: every channel's demand is replaced by the straight line
// C + (t-d)*C/T above it. Never below smallest_delay_edf. Refuses (infeasible, blocking) where that may
// accept.
[[nodiscard]] std::expected<Duration, StageRefusal> smallest_delay_envelope(std::span<const Task> existing,
                                                                            const Candidate& candidate,
                                                                            const StageSettings& settings);

}  // namespace rtchan::admission
