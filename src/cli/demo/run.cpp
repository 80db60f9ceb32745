#include "cli/demo/run.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <iterator>
#include <optional>
#include <thread>

#include "cli/demo/daemon_account.hpp"
#include "cli/demo/progress.hpp"
#include "lab/canary.hpp"
#include "lab/daemon.hpp"
#include "lab/privileges.hpp"
#include "lab/topology.hpp"

namespace rtchan::demo {
namespace {

using std::chrono::seconds;
using Done = std::expected<void, Error>;

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in{file};
  return {std::istreambuf_iterator<char>{in}, {}};
}

// The last lines of what a program said: enough to see why it ended.
std::string ending(const std::string& text) {
  return text.size() <= 800 ? text : "..." + text.substr(text.size() - 800);
}

// "best effort" -> "best-effort"
std::string file_name(const Flow& flow) {
  std::string name = flow.name;
  std::ranges::replace(name, ' ', '-');
  return name;
}

std::string seconds_text(Duration d) {
  return fmt::format("{:.3f}s", std::chrono::duration<double>(d).count());
}

// Everything that lives as long as the run. Members are destroyed from the last to the first: load, daemons,
// probes, then the network.
class Experiment {
 public:
  Experiment(const RunOptions& options, const Watch& watch) : options_(options), watch_(watch) {}

  Done prepare();
  Done start_load();
  Done follow();
  std::expected<Report, Error> collect();

 private:
  Done start_probes();
  Done start_daemons();
  [[nodiscard]] lab::Argv receiver_command(const Flow& flow) const;
  [[nodiscard]] lab::Argv sender_command(const Flow& flow) const;
  [[nodiscard]] std::filesystem::path file(const Flow& flow, const char* ending) const {
    return options_.directory / (file_name(flow) + ending);
  }
  Done check_alive();
  void ask_daemons();
  Done end_receivers();
  std::expected<FlowResult, Error> result_of(const Flow& flow) const;
  [[nodiscard]] Circumstances circumstances();

  RunOptions options_;
  const Watch& watch_;
  Scenario scenario_;
  std::optional<lab::SlowPair> net_;
  std::vector<lab::Canary> probes_;
  std::vector<lab::CanaryLog> probe_logs_;
  std::optional<lab::Daemon> daemon_a_, daemon_b_;
  std::vector<lab::Process> receivers_, senders_;
  std::string channels_a_, channels_b_;  // what the daemons said near the end; empty: nothing
};

Done Experiment::prepare() {
  watch_.step("compressing a video with ffmpeg");
  const auto video = make_video(options_.directory, options_.duration + seconds{1});
  if (!video) return std::unexpected(video.error());
  scenario_ = standard_scenario(*video, options_.duration);
  watch_.step("making two hosts and a 100 Mbit/s bottleneck between them");
  auto net = lab::bottleneck_pair("demo", {.bits_per_second = scenario_.bottleneck_bits});
  if (!net) return std::unexpected(net.error());
  net_ = std::move(*net);
  if (auto done = start_probes(); !done) return done;
  watch_.step("starting rtcd on both");
  return start_daemons();
}

// One worker per host, each on a core of its own if there are two.
int core_a() {
  return 0;
}
int core_b() {
  return std::thread::hardware_concurrency() > 1 ? 1 : 0;
}

Done Experiment::start_probes() {
  std::vector<int> cores{core_a()};
  if (core_b() != core_a()) cores.push_back(core_b());
  for (const int core : cores) {
    auto probe = lab::Canary::start(core, options_.directory / fmt::format("probe-core{}.txt", core));
    if (!probe) return std::unexpected(probe.error());
    probes_.push_back(std::move(*probe));
  }
  return {};
}

Done Experiment::start_daemons() {
  lab::DaemonOptions options{.rate = scenario_.link_rate, .guard = "share", .core = core_a()};
  auto a = lab::Daemon::start(*net_->lab, net_->a, options);
  if (!a) return std::unexpected(a.error());
  daemon_a_ = std::move(*a);
  options.core = core_b();
  auto b = lab::Daemon::start(*net_->lab, net_->b, options);
  if (!b) return std::unexpected(b.error());
  daemon_b_ = std::move(*b);
  return {};
}

// Applications that ask for guarantees run above the machine's other programs where that is permitted, and
// below rtcd (priority 50): their own lateness would otherwise hide what is measured.
lab::Argv urgent(const Flow& flow, lab::Argv command) {
  if (!flow.contract.guaranteed || !lab::privileges().realtime) return command;
  command.insert(command.begin(), {"chrt", "--fifo", "10"});
  return command;
}

lab::Argv Experiment::receiver_command(const Flow& flow) const {
  return {lab::program("rtc"),        "perf", "--listen", std::to_string(flow.port), "--json", "--log",
          file(flow, ".csv").string()};
}

lab::Argv Experiment::sender_command(const Flow& flow) const {
  const Contract& c = flow.contract;
  lab::Argv argv{lab::program("rtc"),
                 "perf",
                 "--to",
                 fmt::format("{}:{}", net_->address_b(), flow.port),
                 "--json",
                 "--rate",
                 fmt::format("{:.6f}", c.rate),
                 "--size",
                 std::to_string(c.message_bytes),
                 "--at-once",
                 std::to_string(flow.at_once),
                 "--duration",
                 seconds_text(options_.duration),
                 "--schedule",
                 schedule_text(flow.schedule),
                 "--when-full",
                 c.guaranteed ? "wait" : "drop"};
  if (c.guaranteed) {
    argv.insert(argv.end(), {"--burst", std::to_string(c.burst), "--delay", seconds_text(c.delay)});
  } else {
    argv.emplace_back("--best-effort");
  }
  if (!flow.sizes.empty()) argv.insert(argv.end(), {"--sizes", flow.sizes.string()});
  return argv;
}

Done Experiment::start_load() {
  watch_.step("opening three guaranteed channels and one without a promise");
  for (const Flow& flow : scenario_.flows) {
    auto receiver = net_->lab->start(net_->b, urgent(flow, receiver_command(flow)),
                                     {.output = lab::Output::file,
                                      .output_file = file(flow, ".received.json"),
                                      .error_file = file(flow, ".received.log"),
                                      .environment = {daemon_b_->environment()}});
    if (!receiver) return std::unexpected(receiver.error());
    receivers_.push_back(std::move(*receiver));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds{300});  // their ports are registered by then
  for (const Flow& flow : scenario_.flows) {
    auto sender = net_->lab->start(net_->a, urgent(flow, sender_command(flow)),
                                   {.output = lab::Output::file,
                                    .output_file = file(flow, ".sent.json"),
                                    .error_file = file(flow, ".sent.log"),
                                    .environment = {daemon_a_->environment()}});
    if (!sender) return std::unexpected(sender.error());
    senders_.push_back(std::move(*sender));
  }
  return {};
}

// A load tool that ends early was refused or met an error: its own words are the explanation.
Done Experiment::check_alive() {
  for (std::size_t i = 0; i < senders_.size(); ++i) {
    const Flow& flow = scenario_.flows[i];
    if (const auto exit = receivers_[i].wait(Duration::zero());
        exit && !exit->ok() && senders_[i].running()) {
      return std::unexpected(
          Error{Errc::system, fmt::format("the receiver of {} {}: {}", flow.name, exit->text(),
                                          ending(text_of(file(flow, ".received.log"))))});
    }
    if (const auto exit = senders_[i].wait(Duration::zero());
        exit && !exit->ok() && text_of(file(flow, ".csv")).size() < 200) {
      return std::unexpected(
          Error{Errc::refused,
                fmt::format("the sender of {} {}: {}", flow.name, exit->text(),
                            ending(text_of(file(flow, ".sent.log")) + text_of(file(flow, ".sent.json"))))});
    }
  }
  for (lab::Daemon* daemon : {&*daemon_a_, &*daemon_b_}) {
    if (!daemon->process().running())
      return std::unexpected(Error{Errc::daemon_gone, "rtcd ended: " + ending(daemon->log())});
  }
  return {};
}

// Asked while the channels are still open; the answers stay beside the page for whoever wants to know more.
void Experiment::ask_daemons() {
  const auto ask = [&](std::size_t host, const lab::Daemon& daemon, const std::string& what) -> std::string {
    auto query = net_->lab->start(host, {lab::program("rtc"), what, "--json"},
                                  {.output = lab::Output::pipe, .environment = {daemon.environment()}});
    if (!query) return {};
    const auto exit = query->wait(seconds{2});
    std::string text = exit && exit->ok() ? query->take_output() : std::string{};
    std::ofstream{options_.directory / fmt::format("{}-{}.json", what, net_->lab->host(host).name)} << text;
    return text;
  };
  channels_a_ = ask(net_->a, *daemon_a_, "channels");
  channels_b_ = ask(net_->b, *daemon_b_, "channels");
  ask(net_->a, *daemon_a_, "status");
  ask(net_->b, *daemon_b_, "status");
}

Done Experiment::follow() {
  std::vector<Follower> followers;
  for (const Flow& flow : scenario_.flows) followers.emplace_back(flow, file(flow, ".csv"));
  const Instant start = RawClock::now();
  const Instant patience = start + options_.duration + seconds{20};
  Instant last = start;
  bool all_ended = false;
  while (!all_ended && RawClock::now() < patience) {
    std::this_thread::sleep_for(seconds{1});
    const Instant now = RawClock::now();
    if (auto alive = check_alive(); !alive) return alive;
    if (now - start <= options_.duration + seconds{1})
      watch_.progress(progress_line(followers, now - start, now - last));
    last = now;
    if (channels_a_.empty() && now - start > options_.duration - std::chrono::milliseconds{1500})
      ask_daemons();
    all_ended = std::ranges::none_of(senders_, [](lab::Process& sender) { return sender.running(); });
  }
  if (!all_ended) return std::unexpected(Error{Errc::timed_out, "a sender did not end in time"});
  return end_receivers();
}

// Once the senders have ended, their last messages are due within the largest bound; then the receivers are
// asked to write their summaries.
Done Experiment::end_receivers() {
  std::this_thread::sleep_for(std::chrono::milliseconds{500});
  for (lab::Process& receiver : receivers_) receiver.kill(SIGTERM);
  for (std::size_t i = 0; i < receivers_.size(); ++i) {
    if (!receivers_[i].wait(seconds{10})) {
      return std::unexpected(Error{
          Errc::timed_out, "the receiver of " + scenario_.flows[i].name + " did not end when asked to"});
    }
  }
  for (lab::Canary& probe : probes_) probe_logs_.push_back(probe.stop());
  return {};
}

std::expected<FlowResult, Error> Experiment::result_of(const Flow& flow) const {
  FlowResult result;
  result.name = flow.name;
  result.contract = flow.contract;
  result.schedule = flow.schedule;
  auto records = read_log(file(flow, ".csv"));
  if (!records) return std::unexpected(records.error());
  result.records = std::move(*records);
  auto sent = read_sent(text_of(file(flow, ".sent.json")));
  if (!sent) return std::unexpected(Error{sent.error().code, flow.name + ": " + sent.error().text});
  result.sent = *sent;
  const auto first = std::ranges::min_element(result.records, {}, &Record::intended);
  result.start = first != result.records.end() ? first->intended : Instant{};
  return result;
}

Circumstances Experiment::circumstances() {
  Circumstances c;
  c.weaker = lab::privileges().weaker();
  c.conditions = {
      fmt::format("rtcd schedules {} of a {} Mbit/s wire, guard \"share\": nothing is installed against "
                  "other programs, which do not "
                  "exist here, the hosts being namespaces made for this run.",
                  scenario_.link_rate, scenario_.bottleneck_bits / 1'000'000),
      "Sender and receiver read the same clock (one machine), so one-way delays need no synchronisation."};
  for (const Flow& flow : scenario_.flows) {
    const auto sender = find_channel(channels_a_, flow.port), receiver = find_channel(channels_b_, flow.port);
    c.attributions.push_back(attribution(sender, receiver));
    for (const auto& [end, host] : {std::pair{sender, "A"}, std::pair{receiver, "B"}}) {
      if (!end) continue;
      for (const std::string& condition : end->conditions) {
        std::string sentence =
            fmt::format("rtcd on host {} makes its promises under this condition: {}.", host, condition);
        if (std::ranges::count(c.conditions, sentence) == 0) c.conditions.push_back(std::move(sentence));
      }
    }
  }
  c.probes = probe_logs_;
  utsname system{};
  uname(&system);
  c.machine =
      fmt::format("{} cores, {} {}", std::thread::hardware_concurrency(), system.sysname, system.release);
  c.when = fmt::format("{:%Y-%m-%d %H:%M}", fmt::localtime(std::time(nullptr)));
  return c;
}

std::expected<Report, Error> Experiment::collect() {
  Report report{.scenario = scenario_, .evidence = {}, .judgement = {}, .circumstances = circumstances()};
  report.evidence.duration = options_.duration;
  report.evidence.start = never;
  for (const Flow& flow : scenario_.flows) {
    auto result = result_of(flow);
    if (!result) return std::unexpected(result.error());
    if (!result->records.empty()) report.evidence.start = std::min(report.evidence.start, result->start);
    report.evidence.flows.push_back(std::move(*result));
  }
  if (report.evidence.start == never)
    return std::unexpected(Error{Errc::timed_out, "nothing at all was received"});
  for (const lab::CanaryLog& log : probe_logs_) {
    report.evidence.gaps.insert(report.evidence.gaps.end(), log.gaps.begin(), log.gaps.end());
  }
  report.judgement = judge(report.evidence);
  return report;
}

}  // namespace

std::expected<Report, Error> run(const RunOptions& options, const Watch& watch) {
  Experiment experiment{options, watch};
  for (const auto step : {&Experiment::prepare, &Experiment::start_load, &Experiment::follow}) {
    if (auto done = (experiment.*step)(); !done) return std::unexpected(done.error());
  }
  return experiment.collect();
}

}  // namespace rtchan::demo
