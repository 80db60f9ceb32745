// A real rtcd on a loopback address, without namespaces or privileges: two of them are two hosts. Scheduling is left to
// the host (SCHED_OTHER), so such tests assert what happens, never how fast.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace rtchan::testing {

class LoopbackDaemon {
 public:
  struct Options {
    std::uint16_t port{};             // UDP; the next one is used too
    std::uint16_t neighbour_port{};   // of the others; 0: the same
    std::vector<int> neighbours{};    // numbers of the daemons it can reach
    std::string lease = "2s";         // each channel is refreshed four times in it
    std::string daemon_extra{};       // further lines inside [daemon]
    std::string extra{};              // further TOML
    int workers = 1;                  // the link is served by the last
  };
  // Number n is 127.77.0.n. Starts it and waits until its socket accepts; check running().
  LoopbackDaemon(const std::filesystem::path& directory, int number, const Options& options);
  ~LoopbackDaemon();
  LoopbackDaemon(const LoopbackDaemon&) = delete;
  LoopbackDaemon& operator=(const LoopbackDaemon&) = delete;

  [[nodiscard]] static std::string address(int number) { return "127.77.0." + std::to_string(number); }
  [[nodiscard]] const std::string& socket() const noexcept { return socket_; }
  [[nodiscard]] int pid() const noexcept { return pid_; }
  [[nodiscard]] bool running() const;
  [[nodiscard]] std::string log() const;
  // Sends the signal and waits for its end; returns the exit status, 128 + signal, or -1 if it did not end.
  int end(int signal);
  // Starts it anew with the same configuration.
  void start();

 private:
  std::filesystem::path config_, log_;
  std::string socket_;
  int pid_ = -1;
};

// A directory that goes with the test.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

// What a process has: to see that nothing leaks.
[[nodiscard]] std::size_t open_descriptors(int pid);
[[nodiscard]] std::size_t resident_kilobytes(int pid);
[[nodiscard]] std::vector<int> children(int pid);

}  // namespace rtchan::testing
