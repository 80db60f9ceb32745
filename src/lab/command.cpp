#include "lab/command.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sstream>

#include "lab/process.hpp"

namespace rtchan::lab {

std::expected<std::string, Error> run(const Argv& argv, Duration timeout) {
  auto process = Process::start(argv, {.output = Output::pipe});
  if (!process) return std::unexpected(process.error());
  const std::optional<Exit> exit = process->wait(timeout);
  std::string text = process->take_output();
  const std::string line = fmt::format("{}", fmt::join(argv, " "));
  if (!exit)
    return std::unexpected(Error{Errc::system, fmt::format("'{}' did not finish in time: {}", line, text)});
  if (!exit->ok())
    return std::unexpected(Error{Errc::system, fmt::format("'{}' {}: {}", line, exit->text(), text)});
  return text;
}

Argv words(std::string_view line) {
  Argv result;
  std::istringstream in{std::string{line}};
  for (std::string word; in >> word;) result.push_back(std::move(word));
  return result;
}

}  // namespace rtchan::lab
