// What the kernel's scheduler lets a worker have.
#pragma once

#include <cstdint>

#include "probe/files.hpp"
#include "probe/finding.hpp"

namespace rtchan::probe {

// Whether this user may run a thread as SCHED_FIFO. Tried, on a thread of its own that ends at once.
[[nodiscard]] Finding real_time_class();
// Whether the kernel holds back real-time threads before rtcd's own duty cap of `duty_ppm` does.
[[nodiscard]] Finding throttling(const Files& files, std::uint32_t duty_ppm);
// A control group's ceiling on processor time.
[[nodiscard]] Finding control_group(const Files& files);
[[nodiscard]] Finding preemption(const Files& files);
[[nodiscard]] Finding locked_memory();

}  // namespace rtchan::probe
