#include "rtcd/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

#include "base/text.hpp"

namespace rtchan::rtcd {

void describe(CLI::App& app, Options& options) {
  app.set_version_flag("--version", "rtcd " RTCHAN_VERSION);
  app.add_option("-c,--config", options.config, "Configuration file (TOML; packaging/rtcd.toml shows every key)")->capture_default_str();
  app.add_flag("--check-config", options.check_only, "Report everything that is wrong in the configuration, start nothing");
  app.add_option("--link", options.links,
                 "INTERFACE=RATE: serve this interface at this capacity, e.g. eth0=97Mbit; everything else by default, no file is read");
  app.add_option("--name", options.name, "Overrides daemon.name");
  app.add_option("--socket", options.socket, "Overrides daemon.socket");
  app.add_option("--log", options.log, "Overrides daemon.log")->check(CLI::IsMember({"error", "warn", "info", "debug"}));
  app.add_option("--workers", options.workers, "Overrides daemon.workers")->check(CLI::IsMember({"processes", "threads"}));
  app.add_option("--scheduling", options.scheduling, "Overrides worker.scheduling of every worker")
      ->check(CLI::IsMember({"auto", "fifo", "other"}));
  app.add_option("--rate", options.rates, "LINK=RATE: overrides link.rate of the link, e.g. net0=97Mbit");
}

namespace {

std::expected<Config, ConfigErrors> from_links(const std::vector<std::string>& links) {
  static constexpr auto fits_a_name = [](unsigned char c) { return std::isalnum(c) != 0 || std::string_view{"-_.@"}.find(static_cast<char>(c)) != std::string_view::npos; };
  std::string toml;
  for (const std::string& text : links) {
    const std::size_t equals = text.find('=');
    const std::string interface = text.substr(0, equals);
    const auto rate = parse_bit_rate(equals == std::string::npos ? "" : text.substr(equals + 1));
    if (!rate) return std::unexpected(ConfigErrors{fmt::format("--link {}: INTERFACE=RATE is expected: {}", text, rate.error())});
    if (interface.empty() || !std::ranges::all_of(interface, fits_a_name)) {
      return std::unexpected(ConfigErrors{fmt::format("--link {}: \"{}\" is no interface's name", text, interface)});
    }
    toml += fmt::format("[[link]]\nname = \"{0}\"\ninterface = \"{0}\"\nrate = \"{1}bit\"\n", interface, *rate);
  }
  return parse_config(toml, "--link");
}

std::expected<Config, ConfigErrors> override(Config config, const Options& o) {
  ConfigErrors errors;
  if (!o.name.empty()) config.daemon.name = o.name;
  if (!o.socket.empty()) config.daemon.socket = o.socket;
  if (config.daemon.socket.string().size() >= 108) errors.emplace_back("--socket: longer than 107 characters");
  static const std::vector<std::string> levels{"error", "warn", "info", "debug"}, classes{"auto", "fifo", "other"};
  if (!o.log.empty()) config.daemon.log = static_cast<LogLevel>(std::ranges::find(levels, o.log) - levels.begin());
  if (!o.workers.empty()) config.daemon.workers = o.workers == "threads" ? WorkerKind::threads : WorkerKind::processes;
  if (!o.scheduling.empty()) {
    const auto scheduling = static_cast<Scheduling>(std::ranges::find(classes, o.scheduling) - classes.begin());
    for (WorkerSection& worker : config.workers) worker.scheduling = scheduling;
  }
  for (const std::string& text : o.rates) {
    const std::size_t equals = text.find('=');
    const auto link = std::ranges::find(config.links, text.substr(0, equals), &LinkSection::name);
    const auto rate = parse_bit_rate(equals == std::string::npos ? "" : text.substr(equals + 1));
    if (link == config.links.end()) {
      errors.push_back(fmt::format("--rate {}: there is no link \"{}\"", text, text.substr(0, equals)));
    } else if (!rate || *rate < 64'000) {
      errors.push_back(fmt::format("--rate {}: {}", text, rate ? "must be at least 64kbit" : rate.error()));
    } else {
      link->bits_per_second = *rate;
    }
  }
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return config;
}

}  // namespace

std::expected<Config, ConfigErrors> configuration(const Options& options) {
  auto config = options.links.empty() ? load_config(options.config) : from_links(options.links);
  if (!config) return config;
  return override(*std::move(config), options);
}

}  // namespace rtchan::rtcd
