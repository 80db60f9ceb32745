#include "rtcd/scheduling.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/limits.hpp"

namespace rtchan::rtcd {
namespace {

void add_reason(WorkerFacts& facts, std::string_view reason) {
  std::string text = facts.why.data();
  text += fmt::format("{}{}", text.empty() ? "" : "; ", reason);
  const std::size_t length = text.copy(facts.why.data(), facts.why.size() - 1);
  facts.why[length] = '\0';
}

}  // namespace

std::expected<void, std::string> claim_core(const WorkerSection& worker, WorkerFacts& facts) {
  if (worker.core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(*worker.core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
      return std::unexpected(fmt::format("worker.core: cannot run on core {}: {}", *worker.core, std::strerror(errno)));
    }
    facts.pinned = true;
    facts.core = static_cast<std::int32_t>(*worker.core);
  } else {
    add_reason(facts, "not pinned: worker.core is not set");
  }
  prctl(PR_SET_TIMERSLACK, 1);  // ns; SCHED_OTHER would sleep 50 us longer
  if (worker.scheduling == Scheduling::other) {
    add_reason(facts, "no real-time class: worker.scheduling = \"other\"");
    return {};
  }
  const sched_param priority{static_cast<int>(worker.priority)};
  if (const int error = pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority); error != 0) {
    const std::string why = fmt::format("SCHED_FIFO is not permitted ({}): needs CAP_SYS_NICE, or RLIMIT_RTPRIO >= {}, and with "
                                        "RT_GROUP_SCHED a share of cpu.rt_runtime_us for this control group",
                                        std::strerror(error), worker.priority);
    if (worker.scheduling == Scheduling::fifo) return std::unexpected("worker.scheduling = \"fifo\": " + why);
    add_reason(facts, why);
    return {};
  }
  facts.real_time = true;
  facts.priority = worker.priority;
  return {};
}

void lock_memory(WorkerFacts& facts) {
  // On fault only: an arena is 16 GiB of address space, of which few pages exist.
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
    add_reason(facts, fmt::format("memory not locked: {}", std::strerror(errno)));
    return;
  }
  // With a limit on locked memory, mapping an arena would now fail: better unlocked than refused.
  void* probe = mmap(nullptr, limits::arena_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (probe == MAP_FAILED) {
    munlockall();
    add_reason(facts, "memory not locked: RLIMIT_MEMLOCK is too small");
    return;
  }
  munmap(probe, limits::arena_bytes);
  facts.memory_locked = true;
}

void be_ordinary() {
  const sched_param none{0};
  pthread_setschedparam(pthread_self(), SCHED_OTHER, &none);
}

}  // namespace rtchan::rtcd
