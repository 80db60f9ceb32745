// rtc sim: a whole network in virtual time, with whatever can go wrong, judged by independent observers.
#include <fmt/format.h>

#include <cctype>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "cli/command.hpp"
#include "sim/campaign.hpp"
#include "sim/minimise.hpp"
#include "sim/world.hpp"

namespace rtchan::cli {

namespace {

using nlohmann::json;

constexpr std::uint32_t minimise_tries = 2'000;

struct SimOptions {
  std::string file;
  std::uint64_t seed = 1;
  std::uint64_t seeds = 1;
  unsigned jobs = 0;
  std::string write;
  bool trace = false, smaller = false, json = false;
};

json to_json(const sim::Totals& t, double seconds) {
  const double hours = static_cast<double>(t.node_ns) / 3.6e12;
  json all = {{"runs", t.runs}, {"events", t.events}, {"worker_turns", t.turns}, {"node_steps", t.node_steps},
              {"setups", t.setups}, {"created", t.created}, {"refused", t.refused}, {"messages", t.messages},
              {"delivered", t.delivered}, {"excused", t.excused}, {"packets", t.packets}, {"packets_lost", t.lost},
              {"packets_corrupted", t.corrupted}, {"packets_copied", t.copied}, {"packets_held", t.held},
              {"packets_cut", t.cut}, {"signal_packets", t.signal_packets}, {"signals", t.signals},
              {"signals_again", t.signals_again}, {"node_hours", hours}, {"digest", fmt::format("{:016x}", t.digest)}};
  if (seconds > 0) {
    all["seconds"] = seconds;
    all["events_per_second"] = static_cast<double>(t.events) / seconds;
  }
  return all;
}

void print_totals(const sim::Totals& t, double seconds) {
  fmt::print("{} run{}, {:.2f} node-hours, {} events ({:.0f} a second)\n", t.runs, t.runs == 1 ? "" : "s",
             static_cast<double>(t.node_ns) / 3.6e12, t.events, static_cast<double>(t.events) / std::max(seconds, 1e-9));
  fmt::print("set-ups {}: {} created, {} refused; messages {}: {} delivered, {} late or lost by a fault\n", t.setups, t.created,
             t.refused, t.messages, t.delivered, t.excused);
  fmt::print("packets {}: {} lost, {} corrupted, {} copied, {} held back, {} cut off\n", t.packets, t.lost, t.corrupted,
             t.copied, t.held, t.cut);
}

// A file is a script if it does not end in .toml.
std::expected<sim::Script, std::string> read_script(const std::string& name) {
  std::ifstream file{name};
  if (!file) return std::unexpected(fmt::format("{} cannot be read", name));
  std::stringstream text;
  text << file.rdbuf();
  auto script = sim::parse_script(text.str());
  if (!script) return std::unexpected(fmt::format("{}: {}", name, script.error()));
  return script;
}

sim::Script made_smaller(const sim::Script& script, const sim::Outcome& outcome) {
  // The same kind of failure: the words of its first line, whatever the numbers.
  const auto kind = [](const std::string& line) {
    std::string all;
    for (const char c : line.substr(line.find(':'))) {
      if (std::isdigit(static_cast<unsigned char>(c)) == 0) all += c;
    }
    return all;
  };
  const std::string wanted = kind(outcome.wrong.front());
  return sim::minimise(script, [&](const sim::Script& less) {
    const sim::Outcome o = sim::run(less);
    return !o.wrong.empty() && kind(o.wrong.front()) == wanted;
  }, minimise_tries);
}

ExitStatus run_one(const SimOptions& options, sim::Script script, Console& console) {
  std::vector<std::string> trace;
  const Instant began = RawClock::now();
  sim::Outcome outcome = sim::run(script, options.trace ? &trace : nullptr);
  const double seconds = std::chrono::duration<double>(RawClock::now() - began).count();
  if (options.smaller && !outcome.wrong.empty()) {
    script = made_smaller(script, outcome);
    trace.clear();
    outcome = sim::run(script, options.trace ? &trace : nullptr);
  }
  if (!options.write.empty()) {
    std::ofstream file{options.write};
    file << sim::to_text(script);
    if (!file.flush()) return console.fail(ExitStatus::unavailable, fmt::format("{} cannot be written", options.write));
  }
  if (options.json) {
    json all = to_json(outcome.totals, seconds);
    all["hosts"] = outcome.hosts;
    all["wrong"] = outcome.wrong;
    if (options.trace) all["trace"] = trace;
    fmt::print("{}\n", all.dump());
  } else {
    for (const std::string& line : trace) fmt::print("{}\n", line);
    print_totals(outcome.totals, seconds);
    for (const std::string& line : outcome.wrong) fmt::print("WRONG at {}\n", line);
    fmt::print("{}\n", outcome.wrong.empty() ? "clean" : "not clean");
  }
  return outcome.wrong.empty() ? ExitStatus::ok : ExitStatus::failed;
}

ExitStatus run_many(const SimOptions& options, const sim::Sketch& sketch) {
  const unsigned jobs = options.jobs != 0 ? options.jobs : std::max(1U, std::thread::hardware_concurrency());
  const sim::Campaign c = sim::run_seeds(sketch, options.seed, options.seeds, jobs);
  if (options.json) {
    json all = to_json(c.totals, c.seconds);
    all["median"] = {{"hosts", c.median_hosts}, {"setups", c.median_setups}, {"fault_kinds", c.median_fault_kinds}};
    all["failures"] = json::array();
    for (const auto& f : c.failures) all["failures"].push_back({{"seed", f.seed}, {"wrong", f.wrong}});
    fmt::print("{}\n", all.dump());
  } else {
    print_totals(c.totals, c.seconds);
    fmt::print("the median run: {} hosts, {} set-ups, {} kinds of fault\n", c.median_hosts, c.median_setups, c.median_fault_kinds);
    for (const auto& f : c.failures) fmt::print("seed {}: WRONG at {}\n", f.seed, f.wrong.front());
    if (!c.failures.empty()) {
      fmt::print("replay: rtc sim {} --seed {} --trace\n", options.file, c.failures.front().seed);
    } else {
      fmt::print("clean\n");
    }
  }
  return c.failures.empty() ? ExitStatus::ok : ExitStatus::failed;
}

ExitStatus run(const SimOptions& options) {
  Console console("rtc sim", options.json);
  if (!options.file.ends_with(".toml")) {
    auto script = read_script(options.file);
    if (!script) return console.fail(ExitStatus::usage, script.error());
    return run_one(options, *std::move(script), console);
  }
  const auto sketch = sim::load_sketch(options.file);
  if (!sketch) {
    for (const std::string& error : sketch.error()) fmt::print(stderr, "{}\n", error);
    console.object({{"error", {{"text", sketch.error().front()}}}});
    return ExitStatus::usage;
  }
  if (options.seeds > 1) return run_many(options, *sketch);
  return run_one(options, sim::make_script(*sketch, options.seed), console);
}

}  // namespace

void add_sim(CLI::App& root, Chosen& chosen) {
  auto options = std::make_shared<SimOptions>();
  CLI::App* app = root.add_subcommand(
      "sim", "A whole network in virtual time: the daemons' own code, with loss, crashes, pauses and partitions, judged.");
  app->footer(
      "FILE.toml says within which bounds networks, channels and faults are drawn from the seed; any other FILE is a script\n"
      "(docs/guide/simulator.md).\n"
      "Exit status: 0 clean, 1 something was not as promised, 2 the file makes no sense.\n"
      "Examples:\n"
      "  rtc sim examples/sim.toml --seed 7 --json\n"
      "  rtc sim examples/sim.toml --seeds 10000\n"
      "  rtc sim examples/sim.toml --seed 7 --smaller --write failing.sim\n"
      "  rtc sim failing.sim --trace");
  app->add_option("FILE", options->file, "a sketch (.toml), or a script")->required()->type_name("");
  app->add_option("--seed", options->seed, "what everything is drawn from");
  app->add_option("--seeds", options->seeds, "so many seeds, from --seed on")->check(CLI::PositiveNumber);
  app->add_option("--jobs", options->jobs, "threads for --seeds [all cores]");
  app->add_flag("--trace", options->trace, "what happened, a line each");
  app->add_flag("--smaller", options->smaller, "leave out what a failure does not need");
  app->add_option("--write", options->write, "the run as a script, into this file")->type_name("FILE");
  app->add_flag("--json", options->json, "one JSON object");
  app->callback([options, &chosen] { chosen.run = [options] { return run(*options); }; });
}

}  // namespace rtchan::cli
