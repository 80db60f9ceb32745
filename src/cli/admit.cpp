// rtc admit: the admission tests as a calculator.
#include <fstream>
#include <iostream>
#include <memory>

#include "admission/decide.hpp"
#include "cli/command.hpp"

namespace rtchan::cli {

namespace {

ExitStatus run(const std::string& file) {
  if (file == "-") return static_cast<ExitStatus>(admission::run_admit(std::cin, std::cout));
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
      "Exit status: 0, or 1 if a line was not understood.\n"
      "Examples:\n"
      "  echo '{\"policy\":\"edf\",\"existing\":[{\"C\":2,\"T\":10,\"d\":5}],\"new\":{\"C\":1,\"T\":4}}' | rtc admit\n"
      "  rtc admit questions.jsonl > answers.jsonl");
  app->add_option("FILE", *file, "questions; - is standard input [-]")->type_name("");
  app->callback([file, &chosen] { chosen.run = [file] { return run(*file); }; });
}

}  // namespace rtchan::cli
