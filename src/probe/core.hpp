// What a core is, and what takes it away.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/time.hpp"
#include "probe/files.hpp"
#include "probe/finding.hpp"

namespace rtchan::probe {

// Idle states deeper than 20 us to leave.
[[nodiscard]] Finding idle_states(const Files& files, unsigned core);
// The frequency governor.
[[nodiscard]] Finding frequency(const Files& files, unsigned core);
// What else may run on it: other programs, and its sibling's on the same execution units.
[[nodiscard]] Finding company(const Files& files, unsigned core);

// What was counted of the core so far.
struct CoreCounts {
  std::uint64_t steal = 0;     // ticks in which the hypervisor ran something else
  std::uint64_t ticks = 0;     // all
  std::map<std::string, std::uint64_t> interrupts;  // by the line's name as /proc/interrupts has it
};
[[nodiscard]] std::optional<CoreCounts> core_counts(const Files& files, unsigned core);

[[nodiscard]] Finding stolen(const Files& files, const CoreCounts& before, const CoreCounts& after);
// Of devices; the core's own (timer, rescheduling) count in timer lateness.
[[nodiscard]] Finding interrupts(const CoreCounts& before, const CoreCounts& after, Duration meanwhile, unsigned core);

}  // namespace rtchan::probe
