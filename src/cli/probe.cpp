// rtc probe: can this host and this interface keep a promise?
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/text.hpp"
#include "cli/command.hpp"
#include "cli/common/contract_options.hpp"
#include "link/netlink.hpp"
#include "link/udp.hpp"
#include "probe/clock.hpp"
#include "probe/core.hpp"
#include "probe/network.hpp"
#include "probe/scheduling.hpp"

namespace rtchan::cli {

namespace {

constexpr std::uint32_t default_duty_ppm = 900'000;  // worker.duty

struct ProbeOptions {
  Common common;
  std::string interface;
  unsigned core = 0;
  Duration duration = std::chrono::seconds{4};
};

using Findings = std::vector<probe::Finding>;

void look_at_scheduler(const probe::Files& files, Findings& found) {
  found.push_back(probe::real_time_class());
  found.push_back(probe::throttling(files, default_duty_ppm));
  found.push_back(probe::control_group(files));
  found.push_back(probe::preemption(files));
  found.push_back(probe::locked_memory());
}

// Half of the time as a worker sleeps, half as an ordinary program does.
void look_at_core(const probe::Files& files, const ProbeOptions& options, Findings& found) {
  found.push_back(probe::company(files, options.core));
  found.push_back(probe::idle_states(files, options.core));
  found.push_back(probe::frequency(files, options.core));
  found.push_back(probe::clock_source(files));
  const auto before = probe::core_counts(files, options.core);
  const Instant began = RawClock::now();
  const auto worker = probe::measure_timer(options.core, true, options.duration / 2);
  const auto ordinary = probe::measure_timer(options.core, false, options.duration / 2);
  const Duration meanwhile = RawClock::now() - began;
  const auto after = probe::core_counts(files, options.core);
  found.push_back(probe::timer(worker, ordinary));
  if (!before || !after) return;
  found.push_back(probe::stolen(files, *before, *after));
  found.push_back(probe::interrupts(*before, *after, meanwhile, options.core));
}

std::expected<void, Error> look_at_interface(const probe::Files& files, const std::string& name, Findings& found) {
  const auto interface = link::interface_by_name(name);
  if (!interface) return std::unexpected(interface.error());
  const auto socket = link::netlink_route_socket();
  if (!socket) return std::unexpected(socket.error());
  const auto root = link::root_qdisc(socket->get(), interface->index);
  if (!root) return std::unexpected(root.error());
  const probe::Device device = probe::device_of(name);
  found.push_back(probe::interface_state(*interface));
  found.push_back(probe::queueing(*root));
  found.push_back(probe::device(device));
  found.push_back(probe::express_path(device));
  found.push_back(probe::socket_buffers(files, link::UdpConfig{}.receive_buffer_bytes, geteuid() == 0));
  return {};
}

void show(const Findings& findings, Console& console) {
  for (const probe::Finding& f : findings) {
    console.line(fmt::format("{:<8}{:<22}{}", text(f.verdict), f.name, f.found));
    if (!f.costs.empty()) console.line(fmt::format("{:<30}costs: {}", "", f.costs));
    if (!f.mend.empty()) console.line(fmt::format("{:<30}mend:  {}", "", f.mend));
  }
}

nlohmann::json to_json(const Findings& findings) {
  nlohmann::json list = nlohmann::json::array();
  for (const probe::Finding& f : findings) {
    list.push_back({{"name", f.name}, {"verdict", std::string{text(f.verdict)}}, {"found", f.found}, {"costs", f.costs}, {"mend", f.mend}});
  }
  return list;
}

std::string conclusion(std::size_t bad, std::size_t costs) {
  if (bad > 0) return fmt::format("promises cannot be counted on here: {} to mend first", bad);
  if (costs > 0) return fmt::format("promises can be kept here, on conditions: {} of them cost something", costs);
  return "promises can be kept here";
}

ExitStatus run(const ProbeOptions& options) {
  Console console("rtc probe", options.common.json);
  if (const long cores = sysconf(_SC_NPROCESSORS_CONF); options.core >= static_cast<unsigned long>(cores)) {
    return console.fail(ExitStatus::usage, fmt::format("--core: this host has the cores 0 to {}", cores - 1));
  }
  const probe::Files files;
  Findings found;
  if (!options.interface.empty()) {
    if (const auto looked = look_at_interface(files, options.interface, found); !looked) return console.fail("--interface", looked.error());
  }
  look_at_scheduler(files, found);
  console.progress(fmt::format("measuring core {} for {}", options.core, format_duration(options.duration)));
  look_at_core(files, options, found);
  std::ranges::stable_sort(found, std::ranges::greater{}, [](const probe::Finding& f) { return f.verdict == probe::Verdict::bad; });
  const auto count = [&](probe::Verdict v) { return static_cast<std::size_t>(std::ranges::count(found, v, &probe::Finding::verdict)); };
  const std::size_t bad = count(probe::Verdict::bad);
  show(found, console);
  console.line("\n" + conclusion(bad, count(probe::Verdict::costs)));
  console.object({{"findings", to_json(found)}, {"core", options.core}, {"interface", options.interface}, {"bad", bad}});
  return bad == 0 ? ExitStatus::ok : ExitStatus::failed;
}

}  // namespace

void add_probe(CLI::App& root, Chosen& chosen) {
  auto options = std::make_shared<ProbeOptions>();
  CLI::App* app = add_command(root, options->common, "probe", "Can this host and interface keep a promise? What it costs, how to mend it.",
                              "  rtc probe --interface eth0\n"
                              "  rtc probe --interface eth0 --core 3 --duration 1min   # while the host does its usual work");
  app->add_option("--interface", options->interface, "that rtcd shall use")->type_name("NAME");
  app->add_option("--core", options->core, "that a worker shall run on [0]")->type_name("N");
  add_quantity(*app, "--duration", options->duration, parse_duration, "of the measurement [4s]");
  app->callback([options, &chosen] { chosen.run = [options] { return run(*options); }; });
}

}  // namespace rtchan::cli
