// An rtcd of a test: its configuration written, started inside a lab host, ready when its control socket is.
#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <vector>

#include "lab/lab.hpp"

namespace rtchan::lab {

struct DaemonOptions {
  std::string rate = "97Mbit";    // capacity of the link as rtcd writes it
  std::string guard = "share";    // "share" | "htb" | "none"
  std::string foreign = "1Mbit";  // with guard "share": what other programs may send; taken off the capacity
  std::uint16_t port = 7747;      // UDP, all daemons of a lab alike
  int core = 0;                   // of its worker
  std::string daemon_extra{};     // further lines inside [daemon]
  std::string link_extra{};       // further lines inside [[link]]
  std::string worker_extra{};     // further lines inside [[worker]]
  std::string extra{};            // further TOML, after everything else
  std::vector<std::string> arguments{};  // further command line arguments of rtcd
};

// Where a built program of this project is: beside the running program, in ../bin of it, or $RTCHAN_BIN, or
// PATH.
[[nodiscard]] std::string program(const std::string& name);

// Move-only. The destructor stops the daemon.
class Daemon {
 public:
  // One [[link]] per interface of the host that has an address. Errors: Errc::system with the end of rtcd's
  // log when it ends or does not answer on its control socket within 10 s.
  [[nodiscard]] static std::expected<Daemon, Error> start(const Lab& lab, std::size_t host,
                                                          const DaemonOptions& options = {});

  [[nodiscard]] const std::filesystem::path& socket() const { return socket_; }
  // "RTCHAN_SOCKET=...": pass it to programs that talk to this daemon.
  [[nodiscard]] std::string environment() const { return "RTCHAN_SOCKET=" + socket_.string(); }
  [[nodiscard]] std::string log() const;  // what it wrote until now
  [[nodiscard]] Process& process() { return process_; }

 private:
  Daemon(Process process, std::filesystem::path socket, std::filesystem::path log)
      : process_(std::move(process)), socket_(std::move(socket)), log_(std::move(log)) {}
  [[nodiscard]] std::expected<void, Error> wait_ready();

  Process process_;
  std::filesystem::path socket_;
  std::filesystem::path log_;
};

}  // namespace rtchan::lab
