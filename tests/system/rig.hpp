// Two hosts with a real rtcd on each, an independent probe on every core, and `rtc` run on either host as a person
// would: its JSON is what the tests judge.
#pragma once

#include <signal.h>

#include <expected>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lab/canary.hpp"
#include "lab/daemon.hpp"
#include "lab/topology.hpp"

namespace rtchan::system_test {

enum class Wire : std::uint8_t {
  direct,      // nothing between the hosts limits them
  bottleneck,  // 100 Mbit/s, one hop beyond the sender
};

// An `rtc` that runs, and what it leaves behind.
class Command {
 public:
  Command(lab::Process process, std::filesystem::path out, std::filesystem::path err)
      : process_(std::move(process)), out_(std::move(out)), err_(std::move(err)) {}
  // Its exit status; -1 when it does not end in time (it is stopped then) or was killed.
  int wait(Duration patience);
  void interrupt() { process_.kill(SIGINT); }
  [[nodiscard]] std::string output() const;
  [[nodiscard]] std::string complaints() const;
  // The last line of its output that is a JSON object without "progress"; null if there is none.
  [[nodiscard]] nlohmann::json result() const;

 private:
  lab::Process process_;
  std::filesystem::path out_, err_;
};

class Rig {
 public:
  // Errors: one text with what could not be set up.
  [[nodiscard]] static std::expected<std::unique_ptr<Rig>, std::string> make(const std::string& label, Wire wire,
                                                                             lab::DaemonOptions options = {});

  static constexpr std::size_t a = 0;  // sends
  static constexpr std::size_t b = 1;  // receives

  // Runs a program in a host with RTCHAN_SOCKET of its daemon; `name` names its output files. argv[0] "rtc" is ours.
  Command run(std::size_t host, lab::Argv argv, const std::string& name);
  // "rtc WORDS" in a host.
  Command rtc(std::size_t host, std::string_view words, const std::string& name);

  [[nodiscard]] const std::string& address_b() const { return net_.address_b(); }
  [[nodiscard]] std::string to(std::uint16_t port) const { return address_b() + ":" + std::to_string(port); }
  [[nodiscard]] lab::Lab& lab() { return *net_.lab; }
  [[nodiscard]] const lab::Host& host(std::size_t which) const { return net_.lab->host(which == a ? net_.a : net_.b); }
  [[nodiscard]] std::filesystem::path file(const std::string& name) const { return net_.lab->directory() / name; }
  [[nodiscard]] std::string daemon_log(std::size_t which) const { return daemons_[which].log(); }

  // Ends a host's daemon as whoever stops it would; how it ended.
  lab::Exit end_daemon(std::size_t which) { return daemons_[which].process().stop(std::chrono::seconds{20}); }

  // Ends the probes and returns what they saw.
  std::vector<lab::Gap> gaps();

 private:
  lab::TwoHosts net_;
  std::vector<lab::Canary> probes_;
  std::vector<lab::Daemon> daemons_;
};

// A message that came too late is excused as far as gaps that overlap its way explain it.
[[nodiscard]] bool excused(Instant readable, Duration delay, Duration bound, const std::vector<lab::Gap>& gaps);

// One message of `rtc perf --log`.
struct LoggedMessage {
  std::uint64_t sequence{};
  Instant handed_over{};
  Instant readable{};
  Duration delay{};
};
[[nodiscard]] std::vector<LoggedMessage> read_message_log(const std::filesystem::path& file);

}  // namespace rtchan::system_test
