#include "probe/scheduling.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "base/text.hpp"

namespace rtchan::probe {

namespace {

constexpr int rtcd_priority = 50;

int try_fifo() {
  int error = 0;
  std::thread{[&error] {
    const sched_param priority{rtcd_priority};
    error = pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
  }}.join();
  return error;
}

}  // namespace

Finding real_time_class() {
  const int error = try_fifo();
  if (error == 0) return good("scheduling class", fmt::format("SCHED_FIFO {} is permitted", rtcd_priority));
  return {"scheduling class", Verdict::bad, fmt::format("SCHED_FIFO is not permitted: {}", std::strerror(error)),
          "any program may delay a worker; every promise is only a probable one",
          "start rtcd as root, or give it CAP_SYS_NICE (systemd: AmbientCapabilities=CAP_SYS_NICE, LimitRTPRIO=50)"};
}

Finding throttling(const Files& files, std::uint32_t duty_ppm) {
  const std::string name = "real-time throttling";
  const auto runtime = files.number("proc/sys/kernel/sched_rt_runtime_us");
  const auto period = files.number("proc/sys/kernel/sched_rt_period_us");
  if (!runtime || !period || *period <= 0) return {name, Verdict::unknown, "the kernel does not say", {}, {}};
  if (*runtime < 0) {
    return {name, Verdict::costs, "switched off", "a real-time thread that runs wild takes its core for good (rtcd caps itself)",
            "sysctl kernel.sched_rt_runtime_us=950000"};
  }
  const std::int64_t allowed_ppm = *runtime * 1'000'000 / *period;
  const std::string found = fmt::format("real-time threads get {:g} % of each {}", static_cast<double>(allowed_ppm) / 1e4,
                                        format_duration(Duration{*period * 1'000}));
  if (allowed_ppm > duty_ppm) return good(name, fmt::format("{}; rtcd's duty cap of {:g} % stays below", found, duty_ppm / 1e4));
  return {name, Verdict::bad, found,
          fmt::format("a worker at its duty cap of {:g} % is held back for up to {} at a time", duty_ppm / 1e4,
                      format_duration(Duration{(*period - *runtime) * 1'000})),
          "sysctl kernel.sched_rt_runtime_us=950000, or a smaller worker.duty"};
}

Finding control_group(const Files& files) {
  const std::string name = "control group";
  const auto groups = files.read("proc/self/cgroup");
  if (!groups) return {name, Verdict::unknown, "the kernel does not say", {}, {}};
  const auto at = groups->find("0::");
  const std::string path = at == std::string::npos ? "" : groups->substr(at + 3, groups->find('\n', at) - at - 3);
  const auto most = files.read("sys/fs/cgroup" + path + "/cpu.max");
  if (!most || most->starts_with("max")) return good(name, "no ceiling on processor time");
  return {name, Verdict::bad, "cpu.max is " + *most + " (us of each period, in us)",
          "once it is used up, ordinary threads of the group stand still until the next period",
          "raise cpu.max of " + path + " (systemd: CPUQuota=), or run rtcd outside of it"};
}

Finding preemption(const Files& files) {
  const std::string name = "preemption";
  if (files.number("sys/kernel/realtime") == 1) return good(name, "PREEMPT_RT");
  const std::string version = files.read("proc/version").value_or("");
  const std::string kind = version.find("PREEMPT_DYNAMIC") != std::string::npos ? "PREEMPT_DYNAMIC"
                           : version.find("PREEMPT") != std::string::npos       ? "PREEMPT"
                                                                                : "no kernel preemption";
  return {name, kind == "no kernel preemption" ? Verdict::costs : Verdict::good, kind,
          kind == "no kernel preemption" ? "a system call of another program may hold a core for milliseconds" : "",
          kind == "no kernel preemption" ? "a kernel with PREEMPT, best PREEMPT_RT (Debian: linux-image-rt-amd64)" : ""};
}

Finding locked_memory() {
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_cur == RLIM_INFINITY || geteuid() == 0) return good("locked memory", "a worker may keep all of its memory in place");
  return {"locked memory", Verdict::costs, fmt::format("at most {}", format_bytes(limit.rlim_cur)),
          "a worker's pages may be taken away; a page fault costs micro- to milliseconds",
          "ulimit -l unlimited (systemd: LimitMEMLOCK=infinity)"};
}

}  // namespace rtchan::probe
