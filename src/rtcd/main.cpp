// rtcd: the daemon. Command line, configuration, logging; everything else is in Control.
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "rtcd/config.hpp"
#include "rtcd/control.hpp"
#include "rtcd/options.hpp"

namespace {

constexpr int wrong_configuration = 2;

void start_log(rtchan::rtcd::LogLevel level) {
  static constexpr spdlog::level::level_enum levels[] = {spdlog::level::err, spdlog::level::warn, spdlog::level::info,
                                                         spdlog::level::debug};
  spdlog::set_default_logger(spdlog::stderr_logger_st("rtcd"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%f %l: %v");
  spdlog::set_level(levels[static_cast<std::size_t>(level)]);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace rtchan::rtcd;
  Options options;
  CLI::App app{"rtcd: guaranteed-QoS channels for the applications of this host", "rtcd"};
  describe(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : wrong_configuration;
  }

  auto config = configuration(options);
  if (!config) {
    for (const std::string& error : config.error()) fmt::print(stderr, "{}\n", error);
    return wrong_configuration;
  }
  if (options.check_only) {
    fmt::print("{}: valid\n", options.links.empty() ? options.config : "--link");
    return 0;
  }
  signal(SIGPIPE, SIG_IGN);
  start_log(config->daemon.log);
  auto control = Control::start(*config);
  if (!control) {
    spdlog::error("{}", control.error());
    return 1;
  }
  return (*control)->run();
}
