// How every subcommand of `rtc` speaks: results on stdout (sentences and tables, or JSON with --json, one object a
// line), progress and complaints on stderr, and an exit status that a script can act on.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

#include "base/time.hpp"
#include <rtchan/error.hpp>

namespace rtchan::cli {

enum class ExitStatus : int {
  ok = 0,           // done, every promise kept
  failed = 1,       // a promise was broken, something was lost, or the request was refused
  usage = 2,        // the command line makes no sense; nothing was done
  unavailable = 3,  // rtcd cannot be reached or went away, or the operating system refused
};

// What of an error matters to a script.
[[nodiscard]] ExitStatus status_of(Errc code) noexcept;
// "refused at 10.0.0.1 (link): ...; would fit: a delay of 12ms, or 300/s" - one line, without a final stop.
[[nodiscard]] std::string sentence(const Error& error);
[[nodiscard]] nlohmann::json to_json(const Error& error);

class Console {
 public:
  // `command`: "rtc pipe", the beginning of every complaint. Progress is shown when stderr is a terminal and results
  // are for a person, or always one JSON object a second with `stream` (see progress_due).
  Console(std::string command, bool json);

  [[nodiscard]] bool json() const noexcept { return json_; }
  [[nodiscard]] bool shows_progress() const noexcept { return progress_; }

  void line(std::string_view text);              // a result for a person, to stdout; with --json nothing
  void object(const nlohmann::json& value);      // a result for a program, to stdout; without --json nothing
  void progress(std::string_view text);          // replaces the progress line on stderr, if there is one
  void note(std::string_view sentence);          // to stderr, for a person; with --json nothing
  ExitStatus fail(ExitStatus status, std::string_view sentence);           // complains and returns `status`
  ExitStatus fail(std::string_view doing, const Error& error);             // "rtc pipe: DOING: why"

 private:
  void clear_progress();
  std::string command_;
  bool json_;
  bool progress_;
  bool progress_shown_ = false;
};

// SIGINT and SIGTERM ask for an orderly end: install once in main, then ask. SIGPIPE is ignored: writing to a closed
// stdout is an error that write() returns.
void catch_interrupts();
[[nodiscard]] bool interrupted() noexcept;

// Once a second (by default), counted from the first call: when to show progress.
class Metronome {
 public:
  explicit Metronome(Duration period = std::chrono::seconds{1}) : period_(period) {}
  [[nodiscard]] bool due(Instant now) noexcept;
  [[nodiscard]] Instant next() const noexcept { return next_; }

 private:
  Duration period_;
  Instant next_ = long_ago;
};

}  // namespace rtchan::cli
