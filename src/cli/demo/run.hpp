// The demonstration itself: builds the network, starts the daemons, the probes and the load, watches,
// collects.
#pragma once

#include <expected>
#include <filesystem>
#include <functional>
#include <string>

#include "base/time.hpp"
#include "cli/demo/report.hpp"
#include "rtchan/error.hpp"

namespace rtchan::demo {

struct RunOptions {
  Duration duration = std::chrono::seconds{20};
  std::filesystem::path directory;  // exists; gets the logs, the configurations and what the daemons say
};

// How the run tells what it is doing: a step ("making the network") or the progress line of a second.
struct Watch {
  std::function<void(const std::string&)> step;
  std::function<void(const std::string&)> progress;
};

// Takes a few seconds longer than the duration. Needs lab::privileges().can_build.
// Errors: what could not be started, with the end of what it said. Everything it started is ended and
// removed.
[[nodiscard]] std::expected<Report, Error> run(const RunOptions& options, const Watch& watch);

}  // namespace rtchan::demo
