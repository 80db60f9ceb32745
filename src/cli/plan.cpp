// rtc plan: a whole network on paper, decided by the code that decides in the real one.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.hpp"
#include "cli/plan/picture.hpp"
#include "cli/plan/show.hpp"
#include "plan/network.hpp"
#include "plan/outcome.hpp"

namespace rtchan::cli {

namespace {

struct PlanOptions {
  std::string file;
  std::string picture;
  bool json = false;
  bool brief = false;
};

ExitStatus run(const PlanOptions& options) {
  Console console("rtc plan", options.json);
  const auto network = plan::load_network(options.file);
  if (!network) {
    for (const std::string& error : network.error()) fmt::print(stderr, "{}\n", error);
    console.object({{"error", {{"text", fmt::format("{}", fmt::join(network.error(), "\n"))}}}});
    return ExitStatus::usage;
  }
  const plan::Outcome outcome = plan::evaluate(*network);
  if (options.json) {
    fmt::print("{}\n", plan_json(*network, outcome).dump());
  } else {
    fmt::print("{}", plan_text(*network, outcome, !options.brief));
  }
  std::fflush(stdout);
  if (!options.picture.empty()) {
    if (const auto drawn = draw_plan(*network, outcome, options.picture); !drawn) {
      return console.fail(ExitStatus::unavailable, drawn.error());
    }
  }
  return outcome.first_refused ? ExitStatus::failed : ExitStatus::ok;
}

}  // namespace

void add_plan(CLI::App& root, Chosen& chosen) {
  auto options = std::make_shared<PlanOptions>();
  CLI::App* app = root.add_subcommand(
      "plan", "A whole network on paper: what would be admitted, with which delays, and what is left.");
  app->footer(
      "The file lists hosts, links and channels (docs/guide/plan.md); the answer is that of the daemons on "
      "such a network.\n"
      "Exit status: 0 everything is admitted, 1 something is refused, 2 the file makes no sense, 3 the picture could not be "
      "written.\n"
      "Examples:\n"
      "  rtc plan network.toml\n"
      "  rtc plan network.toml --picture network.svg\n"
      "  rtc plan network.toml --json | jq .first_refused");
  app->add_option("FILE", options->file, "the network, as TOML; - is standard input")->required()->type_name("");
  app->add_flag("--json", options->json, "one JSON object");
  app->add_flag("--brief", options->brief, "without the stages of each channel");
  app->add_option("--picture", options->picture,
                  "draw hosts, links and their loads into this file, .svg or .png")
      ->type_name("FILE")
      ->check([](const std::string& name) {
        return name.ends_with(".svg") || name.ends_with(".png") ? std::string{} : "must end in .svg or .png";
      });
  app->callback([options, &chosen] { chosen.run = [options] { return run(*options); }; });
}

}  // namespace rtchan::cli
