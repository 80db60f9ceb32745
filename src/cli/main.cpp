// rtc: one command for everything a person does with channels.
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "cli/command.hpp"
#include "cli/demo/command.hpp"

namespace {

constexpr const char* footer =
    "`rtc COMMAND --help` shows its options and examples.\n"
    "Exit status: 0 done, every promise kept; 1 a promise broken, something lost, or refused; 2 the command line makes\n"
    "no sense (demo: inconclusive); 3 rtcd cannot be reached, or the operating system refused.";

}  // namespace

namespace {

int run(int argc, char** argv) {
  using namespace rtchan;
  CLI::App app{"rtc: guaranteed-QoS channels between hosts"};
  app.footer(footer);
  app.set_version_flag("--version", "rtc " RTCHAN_VERSION);
  app.require_subcommand(1);
  cli::Chosen chosen;
  for (const auto add : {cli::add_send, cli::add_recv, cli::add_pipe, cli::add_perf, cli::add_ping, cli::add_status,
                         cli::add_channels, cli::add_probe, cli::add_admit, cli::add_plan, cli::add_sim}) {
    add(app, chosen);
  }
  demo::CommandOptions demo_options;
  CLI::App* demo = demo::add_command(app, demo_options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& error) {
    if (argc < 2 || argv[1][0] == '-') return app.exit(error) == 0 ? 0 : static_cast<int>(cli::ExitStatus::usage);
    fmt::print(stderr, "rtc: {}\n", app.get_subcommands().empty() ? fmt::format("no command \"{}\"", argv[1]) : error.what());
    return static_cast<int>(cli::ExitStatus::usage);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(cli::ExitStatus::usage);
  }
  if (demo->parsed()) return demo::execute(demo_options);
  cli::catch_interrupts();
  return static_cast<int>(chosen.run());
}

}  // namespace

// A full disk or a closed pipe under stdout is no reason to abort, nor to claim success.
int main(int argc, char** argv) {
  int status = static_cast<int>(rtchan::cli::ExitStatus::unavailable);
  try {
    status = run(argc, argv);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) throw std::system_error(errno, std::generic_category(), "standard output");
  } catch (const std::exception& error) {
    fmt::print(stderr, "rtc: {}\n", error.what());
    return static_cast<int>(rtchan::cli::ExitStatus::unavailable);
  }
  return status;
}
