#include "cli/demo/command.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "cli/demo/plot.hpp"
#include "cli/demo/run.hpp"
#include "lab/privileges.hpp"

namespace rtchan::demo {
namespace {

constexpr int kCouldNotRun = static_cast<int>(Verdict::inconclusive);

int complain(const std::string& sentence) {
  fmt::print(stderr, "rtc demo: {}\n", sentence);
  return kCouldNotRun;
}

// Steps and progress go to stderr, so that stdout holds the result alone. On a terminal the progress line
// replaces itself.
Watch console() {
  const bool terminal = isatty(STDERR_FILENO) != 0;
  return {.step = [](const std::string& what) { fmt::print(stderr, "{} ...\n", what); },
          .progress =
              [terminal](const std::string& line) {
                fmt::print(stderr, "{}{}{}", terminal ? "\r\033[K" : "", line, terminal ? "" : "\n");
                std::fflush(stderr);
              }};
}

// Only a directory of our own is emptied: one that is new or empty, or that an earlier run has marked.
std::expected<void, Error> prepare(const std::filesystem::path& directory) {
  const std::filesystem::path mark = directory / ".rtchan-demo";
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return std::unexpected(Error{Errc::system, fmt::format("cannot create {}: {}", directory.string(), error.message()), {}});
  if (!std::filesystem::exists(mark) && !std::filesystem::is_empty(directory, error)) {
    return std::unexpected(Error{Errc::invalid_argument, fmt::format("{} holds files that no demo wrote: choose another with --out", directory.string()), {}});
  }
  for (const auto& entry : std::filesystem::directory_iterator{directory}) {
    const std::string kind = entry.path().extension();
    if (kind == ".csv" || kind == ".log" || kind == ".json" || kind == ".txt") std::filesystem::remove(entry.path(), error);
  }
  if (!std::ofstream{mark}) return std::unexpected(Error{Errc::system, "cannot write to " + directory.string(), {}});
  return {};
}

std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

std::expected<void, Error> write_files(const Report& report, const std::filesystem::path& directory) {
  if (auto drawn = plot(report.scenario, report.evidence, directory / "demo.svg", Picture::svg); !drawn)
    return drawn;
  if (auto drawn = plot(report.scenario, report.evidence, directory / "demo.png", Picture::png); !drawn)
    return drawn;
  std::ofstream html{directory / "demo.html"};
  html << page(report, bytes_of(directory / "demo.svg"), bytes_of(directory / "demo.png"));
  std::ofstream data{directory / "demo.json"};
  data << json(report);
  if (!html.flush() || !data.flush())
    return std::unexpected(Error{Errc::system, "cannot write to " + directory.string()});
  return {};
}

}  // namespace

CLI::App* add_command(CLI::App& app, CommandOptions& options) {
  CLI::App* demo = app.add_subcommand(
      "demo", "Two hosts, one bottleneck: three guarantees, one cheat, one flood, and a verdict");
  demo->add_option("--duration", options.seconds, "How long to send, in seconds")
      ->check(CLI::Range(4.0, 600.0))
      ->capture_default_str();
  demo->add_option("--out", options.out,
                   "Directory for the page, the pictures and every log (default: ./rtchan-demo)");
  demo->add_flag("--json", options.json, "Print the outcome as JSON instead of a table");
  demo->footer(
      "Makes two hosts in network namespaces, with a 100 Mbit/s bottleneck one hop beyond the sender, and a "
      "real rtcd on\n"
      "each. Writes demo.html (one self-contained page), demo.png, demo.json and every message's times.\n"
      "Without root it runs in a user namespace, without the real-time class.\n"
      "Exit status: 0 every promise kept, 1 a promise broken, 2 inconclusive or could not be run.");
  return demo;
}

int execute(const CommandOptions& options) {
  if (auto ready = lab::become_privileged(); !ready) return complain(ready.error().text);
  const std::string weaker = lab::privileges().weaker();
  if (!weaker.empty()) fmt::print(stderr, "Weaker here: {}.\n", weaker);

  const std::filesystem::path directory =
      std::filesystem::absolute(options.out.empty() ? "rtchan-demo" : options.out);
  if (auto ready = prepare(directory); !ready) return complain(ready.error().text);

  const RunOptions run_options{
      .duration = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options.seconds)),
      .directory = directory};
  const auto report = run(run_options, console());
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\n");
  if (!report) return complain(report.error().text);
  if (auto written = write_files(*report, directory); !written) return complain(written.error().text);
  fmt::print("{}", options.json ? json(*report) : table(*report, isatty(STDOUT_FILENO) != 0));
  if (!options.json) fmt::print("\nThe whole story: {}\n", (directory / "demo.html").string());
  return static_cast<int>(report->judgement.verdict);
}

}  // namespace rtchan::demo
