// A worker's claim on its core: pinned, SCHED_FIFO, memory locked, where the host permits; and plain words where not.
#pragma once

#include <expected>
#include <string>

#include "rtcd/config.hpp"
#include "rtcd/worker_messages.hpp"

namespace rtchan::rtcd {

// Applies the settings to the calling thread. Error: `scheduling = "fifo"` is not permitted, or the core does not exist
// or is not ours. `facts` tells what was reached, and why not more.
std::expected<void, std::string> claim_core(const WorkerSection& worker, WorkerFacts& facts);
// Keeps the calling process's memory in place, present and future; pages that were never touched stay unallocated.
void lock_memory(WorkerFacts& facts);
// Housekeepers and control are not to inherit the class of a thread that made them.
void be_ordinary();

}  // namespace rtchan::rtcd
