#include "system/rig.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

namespace rtchan::system_test {

using namespace std::chrono_literals;

namespace {
std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
}  // namespace

int Command::wait(Duration patience) {
  const auto exit = process_.wait(patience);
  if (!exit) {
    process_.stop();
    return -1;
  }
  return exit->signal == 0 ? exit->code : -1;
}

std::string Command::output() const { return text_of(out_); }
std::string Command::complaints() const { return text_of(err_); }

nlohmann::json Command::result() const {
  nlohmann::json last;
  std::istringstream lines(output());
  for (std::string line; std::getline(lines, line);) {
    auto value = nlohmann::json::parse(line, nullptr, false);
    if (value.is_object() && !value.contains("progress")) last = std::move(value);
  }
  return last;
}

std::expected<std::unique_ptr<Rig>, std::string> Rig::make(const std::string& label, Wire wire, lab::DaemonOptions options) {
  auto rig = std::make_unique<Rig>();
  if (wire == Wire::bottleneck) {
    auto net = lab::bottleneck_pair(label);
    if (!net) return std::unexpected(net.error().text);
    rig->net_ = std::move(*net);
  } else {
    auto net = lab::direct_pair(label);
    if (!net) return std::unexpected(net.error().text);
    rig->net_ = std::move(*net);
  }
  const int cores = std::thread::hardware_concurrency() > 1 ? 2 : 1;
  for (int core = 0; core < cores; ++core) {
    auto probe = lab::Canary::start(core, rig->file(fmt::format("probe{}.txt", core)));
    if (!probe) return std::unexpected(probe.error().text);
    rig->probes_.push_back(std::move(*probe));
  }
  // Room for a 100 Mbit/s flood at its receiver; the default would bound it well below what the wire carries.
  options.extra += "\n[costs]\nbest_effort_packets = 64\n";
  for (const std::size_t which : {a, b}) {
    options.core = static_cast<int>(which) % cores;
    auto daemon = lab::Daemon::start(*rig->net_.lab, which == a ? rig->net_.a : rig->net_.b, options);
    if (!daemon) return std::unexpected(daemon.error().text);
    rig->daemons_.push_back(std::move(*daemon));
  }
  return rig;
}

Command Rig::run(std::size_t which, lab::Argv argv, const std::string& name) {
  if (argv.front() == "rtc") argv.front() = lab::program("rtc");
  const auto out = file(name + ".out");
  const auto err = file(name + ".err");
  auto process = net_.lab->start(which == a ? net_.a : net_.b, argv,
                                 {.output = lab::Output::file,
                                  .output_file = out,
                                  .error_file = err,
                                  .environment = {daemons_[which].environment()}});
  if (!process) throw std::runtime_error(process.error().text);
  return {std::move(*process), out, err};
}

Command Rig::rtc(std::size_t which, std::string_view words, const std::string& name) {
  lab::Argv argv = lab::words(words);
  argv.insert(argv.begin(), "rtc");
  return run(which, std::move(argv), name);
}

std::vector<lab::Gap> Rig::gaps() {
  std::vector<lab::Gap> all;
  for (lab::Canary& probe : probes_) {
    const lab::CanaryLog log = probe.stop();
    all.insert(all.end(), log.gaps.begin(), log.gaps.end());
  }
  probes_.clear();
  return all;
}

bool excused(Instant readable, Duration delay, Duration bound, const std::vector<lab::Gap>& gaps) {
  Duration away{};
  for (const lab::Gap& gap : gaps) {
    if (gap.throttled) continue;
    away += std::max(Duration{}, std::min(gap.end, readable) - std::max(gap.begin, readable - delay));
  }
  return delay - away <= bound;
}

std::vector<LoggedMessage> read_message_log(const std::filesystem::path& file) {
  std::vector<LoggedMessage> messages;
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);  // stream,sequence,bytes,intended_ns,handover_ns,readable_ns,delay_ns,received_ns
  while (std::getline(in, line)) {
    std::istringstream fields(line);
    std::vector<std::int64_t> values;
    for (std::string field; std::getline(fields, field, ',');) values.push_back(std::stoll(field));
    if (values.size() != 8) continue;
    messages.push_back({static_cast<std::uint64_t>(values[1]), Instant{Duration{values[4]}}, Instant{Duration{values[5]}},
                        Duration{values[6]}});
  }
  return messages;
}

}  // namespace rtchan::system_test
