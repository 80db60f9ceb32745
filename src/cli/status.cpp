// rtc status and rtc channels: what the daemon says of itself.
#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/channels_table.hpp"
#include "cli/command.hpp"
#include "cli/common/contract_options.hpp"
#include "cli/common/table.hpp"
#include "cli/patience.hpp"
#include "cli/status_page.hpp"

namespace rtchan::cli {

namespace {

struct QueryOptions {
  Common common;
  std::optional<Duration> watch;
  bool all = false;
};

std::string page(const std::string& what, const nlohmann::ordered_json& value, bool all) {
  if (what == "channels") return channels_table(value);
  return all ? render(value) : status_page(value);
}

ExitStatus show(Session& session, const std::string& what, Console& console, bool clear, bool all) {
  const auto text = session.query(what);
  if (!text) return console.fail(what, text.error());
  const auto value = nlohmann::ordered_json::parse(*text, nullptr, false);
  if (value.is_discarded()) return console.fail(ExitStatus::failed, "rtcd's answer is not understood");
  if (console.json()) {
    fmt::print("{}\n", value.dump());
    std::fflush(stdout);
  } else {
    if (clear) fmt::print("\033[H\033[J");
    std::string shown = page(what, value, all);
    if (!shown.empty() && shown.back() == '\n') shown.pop_back();
    console.line(shown);
  }
  return ExitStatus::ok;
}

ExitStatus run(const std::string& what, const QueryOptions& options) {
  Console console("rtc " + what, options.common.json);
  auto session = open_session(options.common);
  if (!session) return no_session(console, session.error());
  const bool clear = options.watch && !options.common.json && isatty(STDOUT_FILENO) != 0;
  while (true) {
    const ExitStatus status = show(*session, what, console, clear, options.all);
    if (status != ExitStatus::ok || !options.watch) return status;
    const Instant until = RawClock::now() + *options.watch;
    while (RawClock::now() < until && !interrupted()) wait_readable({}, std::min<Duration>(until - RawClock::now(), patience_slice));
    if (interrupted()) return ExitStatus::ok;
  }
}

void add_query(CLI::App& root, Chosen& chosen, const std::string& what, const std::string& description, const std::string& examples) {
  auto options = std::make_shared<QueryOptions>();
  CLI::App* app = add_command(root, options->common, what, description, examples);
  app->add_option_function<std::string>(
         "--watch",
         [options](const std::string& text) {
           const auto period = parse_duration(text);
           if (!period) throw CLI::ValidationError("--watch", period.error());
           options->watch = *period;
         },
         "again and again, so long apart [1s]")
      ->expected(0, 1)
      ->default_str("1s")
      ->type_name("PERIOD");
  if (what == "status") app->add_flag("--all", options->all, "every fact and counter, also those that are 0");
  app->callback([options, what, &chosen] { chosen.run = [options, what] { return run(what, *options); }; });
}

}  // namespace

void add_status(CLI::App& root, Chosen& chosen) {
  add_query(root, chosen, "status", "What the local rtcd runs on, what it has promised, what it has counted.",
            "  rtc status\n  rtc status --all\n  rtc status --watch\n  rtc status --json | jq .counters");
}

void add_channels(CLI::App& root, Chosen& chosen) {
  add_query(root, chosen, "channels", "Every channel of the local rtcd: contract, state, worst delay beside its bound.",
            "  rtc channels\n  rtc channels --watch 500ms\n  rtc channels --json");
}

}  // namespace rtchan::cli
