// A child process that is always reaped, optionally inside a network namespace.
//
// The child dies with the thread that started it (PR_SET_PDEATHSIG), so a test that crashes leaves no daemon
// behind. Start processes from a thread that lives as long as they should.
#pragma once

#include <sys/types.h>

#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "rtchan/error.hpp"

namespace rtchan::lab {

enum class Output : std::uint8_t {
  inherit,  // the child writes where we write
  discard,  // /dev/null
  file,     // both stdout and stderr appended to `output_file` (stderr to `error_file` if that is given)
  pipe,     // both stdout and stderr into a pipe: read with take_output()
};

struct ProcessOptions {
  std::string netns{};  // name of a network namespace as `ip netns` knows it; empty: ours
  Output output = Output::inherit;
  std::filesystem::path output_file{};
  std::filesystem::path error_file{};
  std::vector<std::string> environment{};  // "NAME=value", added to ours
  std::optional<int> core{};               // pin to this core
  int stdin_fd = -1;                       // -1: /dev/null
};

struct Exit {
  int code = 0;    // exit status, when signal == 0
  int signal = 0;  // signal that ended it, or 0
  [[nodiscard]] bool ok() const noexcept { return code == 0 && signal == 0; }
  [[nodiscard]] std::string text() const;  // "exited with 3", "was ended by signal 9 (Killed)"
};

// Not thread-safe; move-only. The destructor ends the process (TERM, then KILL after 2 s) and reaps it.
class Process {
 public:
  // argv[0] is searched in PATH, then in /usr/sbin and /sbin (where iproute2 lives for non-root users).
  // Errors: Errc::system with the failing call when the program cannot be executed or the namespace entered.
  [[nodiscard]] static std::expected<Process, Error> start(const std::vector<std::string>& argv,
                                                           const ProcessOptions& options = {});

  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] bool running();  // false once it has ended (and it is reaped then)

  // Waits at most `timeout` for the end; nullopt when it still runs. With Output::pipe it reads meanwhile, so
  // a talkative child does not block. Repeated calls return the same result.
  std::optional<Exit> wait(Duration timeout);

  void kill(int signal) noexcept;                          // no effect once ended
  Exit stop(Duration patience = std::chrono::seconds{2});  // TERM, wait, KILL, reap

  // What arrived on the pipe until now (Output::pipe), at most 16 MiB (the rest is dropped); empties it.
  std::string take_output();
  // Waits until the piped output holds a whole line and returns it without its newline; nullopt: time is over
  // or the child closed its output.
  std::optional<std::string> read_line(Duration timeout);

 private:
  Process(pid_t pid, int pidfd, int out) noexcept : pid_(pid), pidfd_(pidfd), out_(out) {}
  void drain();  // reads what is there, without blocking
  void release() noexcept;

  pid_t pid_ = -1;
  int pidfd_ = -1;
  int out_ = -1;
  std::string text_;
  std::optional<Exit> exit_;
};

}  // namespace rtchan::lab
