// The commands of `rtc`: each adds itself to the command line and, when chosen, runs.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "cli/common/console.hpp"
#include <rtchan/channel.hpp>

namespace rtchan::cli {

// What every command understands.
struct Common {
  bool json = false;
  std::string socket;  // of rtcd; empty: $RTCHAN_SOCKET or the default
};

// The command that the user has chosen; main calls it after parsing.
struct Chosen {
  std::function<ExitStatus()> run;
};

// A subcommand with --json and --socket; `examples` are shown below its help, one a line.
CLI::App* add_command(CLI::App& root, Common& common, const std::string& name, const std::string& description,
                      const std::string& examples);

// An option (or, without dashes, a place on the command line) that says where messages go. What cannot be an address with a
// port is refused before anything is opened.
CLI::Option* add_destination(CLI::App& app, const std::string& name, std::string& to, const std::string& description);

[[nodiscard]] std::expected<Session, Error> open_session(const Common& common, Duration spin = Duration{0});
// Complains; whatever kept us from a session, it is rtcd that cannot be used.
ExitStatus no_session(Console& console, const Error& why);

void add_send(CLI::App& root, Chosen& chosen);
void add_recv(CLI::App& root, Chosen& chosen);
void add_pipe(CLI::App& root, Chosen& chosen);
void add_ping(CLI::App& root, Chosen& chosen);
void add_perf(CLI::App& root, Chosen& chosen);
void add_status(CLI::App& root, Chosen& chosen);
void add_channels(CLI::App& root, Chosen& chosen);
void add_probe(CLI::App& root, Chosen& chosen);
void add_admit(CLI::App& root, Chosen& chosen);
void add_plan(CLI::App& root, Chosen& chosen);
void add_sim(CLI::App& root, Chosen& chosen);

}  // namespace rtchan::cli
