// `rtc demo` on the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

namespace rtchan::demo {

struct CommandOptions {
  double seconds = 20;
  std::filesystem::path out;  // empty: ./rtchan-demo
  bool json = false;
};

// Adds the subcommand `demo` with its options to `app`; `options` must live as long as the parse.
CLI::App* add_command(CLI::App& app, CommandOptions& options);

// Runs it. It must be the only thread of the process when called (it may enter a user namespace).
// Returns the exit status: 0 every promise kept, 1 a promise broken, 2 inconclusive or could not be run.
[[nodiscard]] int execute(const CommandOptions& options);

}  // namespace rtchan::demo
