// rtc admit: the admission tests as a calculator.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>

#include "admission/decide.hpp"
#include "cli/command.hpp"

namespace rtchan::cli {

namespace {

// Nothing here has to be put in order first: a long decision is not waited for.
void end_at_once_when_asked() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

ExitStatus run(const std::string& file) {
  end_at_once_when_asked();
  if (file == "-") return static_cast<ExitStatus>(admission::run_admit(std::cin, std::cout));
  if (std::filesystem::is_directory(file)) return Console("rtc admit", false).fail(ExitStatus::unavailable, file + " is a directory");
  std::ifstream in(file);
  if (!in) return Console("rtc admit", false).fail(ExitStatus::unavailable, "cannot open " + file);
  return static_cast<ExitStatus>(admission::run_admit(in, std::cout));
}

}  // namespace

void add_admit(CLI::App& root, Chosen& chosen) {
  auto file = std::make_shared<std::string>("-");
  CLI::App* app = root.add_subcommand("admit", "Answer admission questions without a network: JSON lines in, JSON lines out.");
  app->footer(
      "Each line is a question: channels that exist, and a new one, in integers of any one unit of time\n"
      "(C: work of a message, T: period, d: local delay, q: longest piece that cannot be interrupted).\n"
      "Each answer is the smallest local delay of the new channel, or why there is none.\n"
      "Exit status: 0, 1 if a line was not understood, 3 if the file cannot be read.\n"
      "Examples:\n"
      "  echo '{\"policy\":\"edf\",\"existing\":[{\"C\":2,\"T\":10,\"d\":5}],\"new\":{\"C\":1,\"T\":4}}' | rtc admit\n"
      "  rtc admit questions.jsonl > answers.jsonl");
  app->add_option("FILE", *file, "questions; - is standard input [-]")->type_name("");
  app->callback([file, &chosen] { chosen.run = [file] { return run(*file); }; });
}

}  // namespace rtchan::cli
