// The paper's admission test (D_order, after Kandlur, Shin and Ferrari): give the new channel the highest
// priority below which every existing channel still meets its delay, and promise the response time it has
// there.
#pragma once

#include <expected>
#include <span>

#include "admission/policy.hpp"
#include "admission/task.hpp"

namespace rtchan::admission {

// Worst response time of `subject` under non-preemptive fixed priorities: `above` preempt it between chunks,
// `longest_below` is the longest chunk of anything with lower priority (base blocking excluded).
// Refuses past the step limit or when the level is overloaded.
[[nodiscard]] std::expected<Duration, StageRefusal> response_time(const Task& subject,
                                                                  std::span<const Task> above,
                                                                  Duration longest_below,
                                                                  const StageSettings& settings);

// Smallest local delay that D_order gives. `existing`: in order of admission (ties: the older goes first).
// Never below smallest_delay_edf; refuses exactly when that does.
[[nodiscard]] std::expected<Duration, StageRefusal> smallest_delay_d_order(std::span<const Task> existing,
                                                                           const Candidate& candidate,
                                                                           const StageSettings& settings);

}  // namespace rtchan::admission
