// Which handler runs next (paper 4.3, "QoS-sensitive CPU allocation"): earliest deadline first, non-preemptive
// and cooperative. A handler runs one step of at most P packets; then the earliest deadline decides again, and
// if that is still the same handler it goes on at once.
//
// Order: guaranteed handlers whose message has logically arrived, by deadline; then the middle class (below guaranteed, above
// best effort), by deadline; then guaranteed ones that may work ahead of time; then best effort, in turns. A handler without budget is in no queue, or waits here for its next logical arrival.
#pragma once

#include <algorithm>
#include <utility>

#include "base/time.hpp"
#include "clips/domain.hpp"
#include "clips/edf_queue.hpp"

namespace rtchan::clips {

// A handler as the scheduler sees it.
struct CpuTask {
  Clip* clip = nullptr;
  bool middle = false;   // of the middle class
  bool polls = false;    // the polling server of best-effort input: no clip, and running it is not counted
  EdfPlace edf;
};

class CpuScheduler {
 public:
  explicit CpuScheduler(std::uint32_t tasks) : queue_(tasks), middle_(tasks) {}

  // The handler's next piece of work. Best effort has logical == deadline == never: it runs when nothing else
  // can, and placing it again sends it behind its equals.
  void place(CpuTask& task, const Urgency& urgency, Instant now) noexcept { queue_of(task).place(task, urgency, now); }
  void remove(CpuTask& task) noexcept {
    queue_of(task).remove(task);
    if (running_ == &task) running_ = nullptr;
  }

  // The handler to run now; nullptr: none. Counts a switch when it is not the one that ran last.
  CpuTask* next(Instant now, std::uint64_t& switches) noexcept {
    queue_.promote(now);
    middle_.promote(now);
    CpuTask* task = queue_.current();
    if (task == nullptr) task = middle_.current();
    if (task == nullptr) task = queue_.early();
    if (task != nullptr && !task->polls && task != std::exchange(running_, task)) ++switches;
    return task;
  }

  // `now` while a handler is ready; else when the next one will be.
  [[nodiscard]] Instant next_wake(Instant now) noexcept {
    if (queue_.current() != nullptr || middle_.current() != nullptr || queue_.early() != nullptr) return now;
    return std::min({queue_.next_eligible(), middle_.next_eligible(), middle_.next_current()});
  }

 private:
  EdfQueue<CpuTask>& queue_of(const CpuTask& task) noexcept { return task.middle ? middle_ : queue_; }

  EdfQueue<CpuTask> queue_;
  EdfQueue<CpuTask> middle_;  // never ahead of time
  CpuTask* running_ = nullptr;
};

}  // namespace rtchan::clips
