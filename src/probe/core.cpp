#include "probe/core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "base/text.hpp"

namespace rtchan::probe {

namespace {

std::string of_core(unsigned core, const std::string& leaf) { return fmt::format("sys/devices/system/cpu/cpu{}/{}", core, leaf); }

// "0-2,5": whether `core` is in it, and how many are.
struct CoreList {
  std::size_t count = 0;
  bool has = false;
};
CoreList parse(const std::string& list, unsigned core) {
  CoreList found;
  std::istringstream in{list};
  for (std::string range; std::getline(in, range, ',');) {
    unsigned first = 0, last = 0;
    const int n = std::sscanf(range.c_str(), "%u-%u", &first, &last);
    if (n < 1) continue;
    if (n == 1) last = first;
    found.count += last - first + 1;
    found.has = found.has || (core >= first && core <= last);
  }
  return found;
}

}  // namespace

Finding idle_states(const Files& files, unsigned core) {
  constexpr std::int64_t harmless_us = 20;
  std::int64_t worst = -1;
  std::string deepest;
  for (const std::string& state : files.list(of_core(core, "cpuidle"))) {
    const std::string folder = of_core(core, "cpuidle/" + state);
    if (files.number(folder + "/disable").value_or(0) != 0) continue;
    const std::int64_t latency = files.number(folder + "/latency").value_or(0);
    if (latency > worst) worst = latency, deepest = files.read(folder + "/name").value_or(state);
  }
  if (worst < 0) return {"idle states", Verdict::unknown, "the kernel manages none here (a guest's host may)", {}, {}};
  const std::string found = fmt::format("deepest {}, {} us to leave", deepest, worst);
  if (worst <= harmless_us) return good("idle states", found);
  return {"idle states", Verdict::costs, found, fmt::format("a wake-up after idling is up to {} us later", worst),
          fmt::format("hold /dev/cpu_dma_latency at {} (tuned: network-latency), or boot with intel_idle.max_cstate=1", harmless_us)};
}

Finding frequency(const Files& files, unsigned core) {
  const auto governor = files.read(of_core(core, "cpufreq/scaling_governor"));
  if (!governor) return {"frequency", Verdict::unknown, "the kernel does not govern it here", {}, {}};
  const auto least = files.number(of_core(core, "cpufreq/scaling_min_freq"));
  const auto most = files.number(of_core(core, "cpufreq/scaling_max_freq"));
  const std::string span = least && most ? fmt::format(", {} to {} MHz", *least / 1'000, *most / 1'000) : "";
  if (*governor == "performance" || (least && least == most)) return good("frequency", *governor + span);
  const double times = least && most && *least > 0 ? static_cast<double>(*most) / static_cast<double>(*least) : 0;
  return {"frequency", Verdict::costs, *governor + span,
          times > 1 ? fmt::format("work after a quiet time takes up to {:.1f} times as long as measured under load", times)
                    : "work after a quiet time takes longer than measured under load",
          fmt::format("cpupower -c {} frequency-set -g performance", core)};
}

Finding company(const Files& files, unsigned core) {
  const CoreList online = parse(files.read("sys/devices/system/cpu/online").value_or(""), core);
  const bool isolated = parse(files.read("sys/devices/system/cpu/isolated").value_or(""), core).has;
  const CoreList siblings = parse(files.read(of_core(core, "topology/thread_siblings_list")).value_or(""), core);
  if (!online.has) return {"core", Verdict::bad, fmt::format("core {} is not online", core), "nothing can run on it", "choose another (--core)"};
  std::string found = fmt::format("core {} of {}{}{}", core, online.count, isolated ? ", isolated" : ", shared with ordinary programs",
                                  siblings.count > 1 ? fmt::format(", one of {} threads of its unit", siblings.count) : "");
  if (siblings.count > 1) {
    return {"core", Verdict::costs, found, "what its sibling runs makes everything here up to twice as slow",
            "leave the sibling idle (echo 0 > /sys/devices/system/cpu/cpuN/online), or profile with it busy"};
  }
  if (isolated) return good("core", found);
  return {"core", Verdict::costs, found, "caches and short stretches without preemption of other programs; counted in timer lateness",
          fmt::format("boot with isolcpus={0} nohz_full={0} where cores are to spare", core)};
}

std::optional<CoreCounts> core_counts(const Files& files, unsigned core) {
  const auto stat = files.read("proc/stat");
  const auto lines = files.read("proc/interrupts");
  if (!stat || !lines) return std::nullopt;
  CoreCounts counts;
  const auto at = stat->find(fmt::format("\ncpu{} ", core));
  if (at == std::string::npos) return std::nullopt;
  std::istringstream row{stat->substr(at + 1, stat->find('\n', at + 1) - at - 1)};
  std::string word;
  row >> word;
  std::uint64_t ticks = 0;
  for (int column = 0; column < 8 && row >> ticks; ++column) {
    counts.ticks += ticks;
    if (column == 7) counts.steal = ticks;
  }
  std::istringstream table{*lines};
  std::string line;
  std::getline(table, line);  // CPU0 CPU1 ...
  std::istringstream head{line};
  std::size_t column = 0, columns = 0;
  bool found = false;
  for (std::string cpu; head >> cpu; ++columns) {
    if (cpu == fmt::format("CPU{}", core)) column = columns, found = true;
  }
  if (!found) return std::nullopt;
  while (std::getline(table, line)) {
    std::istringstream cells{line};
    std::string name;
    cells >> name;
    std::uint64_t count = 0, mine = 0;
    for (std::size_t i = 0; i < columns && cells >> count; ++i) {
      if (i == column) mine = count;
    }
    cells.clear();
    std::string what;
    std::getline(cells >> std::ws, what);
    counts.interrupts[name + " " + what] = mine;
  }
  return counts;
}

Finding stolen(const Files& files, const CoreCounts& before, const CoreCounts& after) {
  const auto share = [](std::uint64_t steal, std::uint64_t ticks) {
    return ticks == 0 ? 0.0 : 100.0 * static_cast<double>(steal) / static_cast<double>(ticks);
  };
  const double now = share(after.steal - before.steal, after.ticks - before.ticks);
  const double ever = share(after.steal, after.ticks);
  const bool guest = files.read("proc/cpuinfo").value_or("").find(" hypervisor") != std::string::npos;
  const std::string found = fmt::format("{}: {:.2f} % of its time taken while we looked, {:.2f} % since it started",
                                        guest ? "a virtual machine" : "no virtual machine", now, ever);
  if (after.steal == 0 && !guest) return good("stolen time", found);
  return {"stolen time", Verdict::costs, found, "promises hold while the hypervisor leaves the core to this machine, and not a moment longer",
          "a core of its own for the virtual machine (pinned virtual processors, no overcommitment)"};
}

Finding interrupts(const CoreCounts& before, const CoreCounts& after, Duration meanwhile, unsigned core) {
  std::uint64_t sum = 0, most = 0;
  std::string loudest;
  for (const auto& [line, count] : after.interrupts) {
    if (line.empty() || line[0] < '0' || line[0] > '9') continue;  // LOC:, RES:, ...: the core's own
    const auto was = before.interrupts.find(line);
    const std::uint64_t since = count - (was == before.interrupts.end() ? 0 : was->second);
    sum += since;
    if (since > most) most = since, loudest = line;
  }
  const double seconds = std::chrono::duration<double>(meanwhile).count();
  const double rate = seconds > 0 ? static_cast<double>(sum) / seconds : 0;
  if (sum == 0) return good("device interrupts", fmt::format("none on core {} while we looked", core));
  const std::string found = fmt::format("{:.0f} a second on core {}, most of them {}", rate, core, loudest);
  if (rate < 1'000) return good("device interrupts", found);
  return {"device interrupts", Verdict::costs, found, fmt::format("at 5 us each they take {:.1f} % of the core", rate * 5e-6 * 100),
          "another core for them (/proc/irq/N/smp_affinity; irqbalance: IRQBALANCE_BANNED_CPULIST), or another core for the worker"};
}

}  // namespace rtchan::probe
