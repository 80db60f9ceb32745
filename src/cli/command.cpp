#include "cli/command.hpp"

#include <fmt/format.h>

namespace rtchan::cli {

CLI::App* add_command(CLI::App& root, Common& common, const std::string& name, const std::string& description,
                      const std::string& examples) {
  CLI::App* app = root.add_subcommand(name, description);
  app->footer("Examples:\n" + examples);
  app->add_flag("--json", common.json, "results as JSON, one object a line")->group("Common");
  app->add_option("--socket", common.socket, "control socket of rtcd [$RTCHAN_SOCKET or /run/rtchan/rtcd.sock]")
      ->type_name("PATH")
      ->group("Common");
  return app;
}

std::expected<Session, Error> open_session(const Common& common, Duration spin) {
  SessionOptions options;
  options.socket = common.socket;
  options.spin = spin;
  return Session::open(options);
}

ExitStatus no_session(Console& console, const Error& why) {
  const bool absent = why.code == Errc::no_daemon;
  return console.fail(ExitStatus::unavailable, fmt::format("cannot talk to rtcd: {}{}", sentence(why),
                                                           absent ? "; start one, or name its socket by --socket or $RTCHAN_SOCKET" : ""));
}

}  // namespace rtchan::cli
