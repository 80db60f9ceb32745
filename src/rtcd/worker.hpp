// A worker: what its process (or, for thread checkers, its two threads) does from beginning to end. Opens the drivers
// of its links, makes the domain, claims its core, says `started`, and works until control says quit or is gone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "link/udp.hpp"
#include "rtcd/config.hpp"
#include "ipc/fd.hpp"
#include "rtcd/worker_messages.hpp"

namespace rtchan::rtcd {

// A link as its worker needs it, after control has asked the kernel about the interface.
struct WorkerLink {
  link::UdpConfig udp;
  std::uint64_t bits_per_second{};   // what the link clock runs at
  Duration foreign{};                // clips::LinkConfig::foreign
  Duration signal_period = clips::LinkConfig{}.signal_period;  // as admitted
  Duration signal_delay = clips::LinkConfig{}.signal_delay;    // as admitted
};

// The memory shared by control and one worker; made by control before the fork.
class SharedBlock {
 public:
  explicit SharedBlock(std::uint32_t clips);
  ~SharedBlock();
  SharedBlock(const SharedBlock&) = delete;
  SharedBlock& operator=(const SharedBlock&) = delete;

  [[nodiscard]] WorkerBlock& block() const noexcept { return *block_; }
  [[nodiscard]] std::span<clips::ClipCounters> clip_counters() const noexcept { return clips_; }

 private:
  std::size_t bytes_;
  WorkerBlock* block_;
  std::span<clips::ClipCounters> clips_;
};

struct WorkerSetup {
  std::uint32_t number{};
  WorkerSection section;
  LimitsSection limits;
  admission::CostModel costs;
  std::vector<WorkerLink> links;
  std::shared_ptr<SharedBlock> shared;
  int socket = -1;       // worker's end: orders and answers
  int wake_fd = -1;      // eventfd: control wakes the data thread
  int control_fd = -1;   // eventfd: the data thread wakes control
  bool own_process = true;
};

// Returns when control said quit or is gone. A failure to start is answered as `start_failed`.
void run_worker(const WorkerSetup& setup);

// Forks; the child runs the worker and never returns. `close_in_child`: descriptors that are not its business.
// Returns the child's pid, or -1 with errno.
int fork_worker(const WorkerSetup& setup, std::span<const int> close_in_child);

}  // namespace rtchan::rtcd
