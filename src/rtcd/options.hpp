// rtcd's command line: where the configuration is, and overrides of the keys that are changed most.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "rtcd/config.hpp"

namespace rtchan::rtcd {

struct Options {
  std::string config = "/etc/rtchan/rtcd.toml";
  bool check_only = false;
  std::string name, socket, log, scheduling, workers;
  std::vector<std::string> rates;  // "LINK=RATE"
};

void describe(CLI::App& app, Options& options);
// The command line wins over the file. Errors name the option.
[[nodiscard]] std::expected<Config, ConfigErrors> override(Config config, const Options& options);

}  // namespace rtchan::rtcd
