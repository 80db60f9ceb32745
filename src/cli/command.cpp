#include "cli/command.hpp"

#include <fmt/format.h>

#include <charconv>
#include <system_error>

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

namespace {

// Names are resolved later, by the library.
std::string complaint_about(const std::string& to) {
  const auto colon = to.rfind(':');
  const std::string host = to.substr(0, colon);
  if (colon == std::string::npos) return to + ": no port; HOST:PORT or [IPv6]:PORT";
  if (host.empty()) return to + ": no host; HOST:PORT or [IPv6]:PORT";
  if (host.find(':') != std::string::npos && (host.front() != '[' || host.back() != ']')) return to + ": IPv6 addresses stand in brackets, [IPv6]:PORT";
  unsigned port = 0;
  const auto [end, error] = std::from_chars(to.data() + colon + 1, to.data() + to.size(), port);
  if (error != std::errc{} || end != to.data() + to.size() || port == 0 || port > 65'535) return to + ": a port is 1 to 65535";
  return {};
}

}  // namespace

CLI::Option* add_destination(CLI::App& app, const std::string& name, std::string& to, const std::string& description) {
  return app.add_option(name, to, description)->type_name("")->check(complaint_about, "");
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
