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
  std::vector<std::string> links;  // "INTERFACE=RATE": instead of a file
  std::vector<std::string> rates;  // "LINK=RATE"
};

void describe(CLI::App& app, Options& options);
// The file's, or (with --link) what the two facts about each interface make with every default; then the command line's
// overrides. Errors name the file and key, or the option.
[[nodiscard]] std::expected<Config, ConfigErrors> configuration(const Options& options);

}  // namespace rtchan::rtcd
