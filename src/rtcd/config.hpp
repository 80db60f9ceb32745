// What the administrator wants of this daemon: one TOML file, every key of which stands commented in
// packaging/rtcd.toml. A value that is wrong, and a key that does not exist, are errors that name file, line, key and
// what is allowed; all of them are reported, not only the first. Reads nothing but the file; starts nothing.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admission/cost_model.hpp"
#include "base/address.hpp"
#include "base/time.hpp"

namespace rtchan::rtcd {

enum class LogLevel : std::uint8_t { error, warn, info, debug };
enum class Scheduling : std::uint8_t {
  automatic,  // SCHED_FIFO where permitted, else SCHED_OTHER, and said so
  fifo,       // SCHED_FIFO or refuse to start
  other,      // SCHED_OTHER: every promise is conditional on the host being idle enough
};
enum class WorkerKind : std::uint8_t { processes, threads };
enum class Guard : std::uint8_t { none, share, htb };

struct DaemonSection {
  std::string name;                                     // of this host in reports; default: the host's name
  std::filesystem::path socket = "/run/rtchan/rtcd.sock";
  std::filesystem::path run_dir = "/run/rtchan";        // lock file
  std::uint32_t socket_mode = 0666;                     // who may connect; quotas are per uid
  LogLevel log = LogLevel::info;
  Duration lease = std::chrono::seconds{5};             // a path that is not refreshed for so long is released
  WorkerKind workers = WorkerKind::processes;
};

struct LimitsSection {
  std::uint32_t sessions = 512;                         // of all users together
  std::uint32_t sessions_per_uid = 64;
  std::uint32_t channels_per_uid = 16'384;
  std::uint64_t memory_per_uid_bytes = std::uint64_t{1} << 30;  // message buffers of one user's channels
  std::uint64_t memory_bytes = std::uint64_t{4} << 30;  // message buffers of all channels together
  std::uint32_t clips_per_worker = 32'768;              // channel ends one worker can serve
  std::uint32_t packet_buffers = 16'384;                // packets that one worker can stage
  std::uint32_t packet_buffers_per_uid = 12'288;        // of them for the applications of one user
};

// How a stage (a worker's CPU, a link) admits: what a [[worker]] or [[link]] says for itself, else what [admission] says.
struct StagePolicy {
  std::optional<std::string> policy;                    // of the guaranteed class: "edf", "d_order", "utilisation"
  std::optional<std::uint32_t> limit_ppm;               // promised share at most
  std::optional<std::string> below;                     // class below guaranteed: "none", "controlled_load", "statistical"
  std::optional<std::uint32_t> controlled_share_ppm;    // of the rate, for the sum of controlled-load rates
  std::optional<Duration> controlled_burst;             // work of all controlled-load bursts together
  std::optional<std::uint32_t> statistical_target_ppm;  // probability of being behind at an instant
};

struct WorkerSection {
  std::optional<std::uint32_t> core;                    // none: not pinned
  Scheduling scheduling = Scheduling::automatic;
  std::uint32_t priority = 50;                          // SCHED_FIFO 1..98
  Duration spin{};                                      // look for new work so long before sleeping
  std::uint32_t duty_ppm = 900'000;                     // of each period, at most so much without sleeping (FIFO)
  StagePolicy admission{};
};

struct LinkSection {
  std::string name;
  std::string interface;
  std::optional<IpAddress> address;                     // none: the interface's first address
  std::uint16_t port = 7747;
  std::uint64_t bits_per_second = 0;                    // capacity that channels and best effort share, wire bits
  std::uint32_t mtu_bytes = 0;                          // 0: the interface's
  Guard guard = Guard::share;
  std::uint64_t foreign_bits_per_second = 1'000'000;    // guard = share: others on the interface send at most this
  std::uint32_t worker = 0;
  std::optional<Duration> horizon;                      // H; none: a packet leaves once it is made and its turn has come
  Duration propagation = std::chrono::microseconds{100};// pi: to the neighbour's arrival stamp
  StagePolicy admission{};
  int line = 0;                                         // in the file, for errors found when it is opened
};

struct RouteSection {
  IpAddress prefix{};
  std::uint32_t prefix_bits = 0;                        // of the 128 of the mapped form
  Endpoint neighbour{};                                 // its data endpoint
  std::uint32_t link = 0;
};

struct AdmissionSection {
  StagePolicy cpu{.policy = "edf",
                  .limit_ppm = 850'000,
                  .below = "none",
                  .controlled_share_ppm = 250'000,
                  .controlled_burst = std::chrono::milliseconds{20},
                  .statistical_target_ppm = 10'000};
  StagePolicy link{.policy = "edf",
                   .limit_ppm = 980'000,
                   .below = "none",
                   .controlled_share_ppm = 250'000,
                   .controlled_burst = std::chrono::milliseconds{20},
                   .statistical_target_ppm = 10'000};
  admission::CostModel costs{};
};

// What counts at a stage: its own word, else the general one (which has all of them).
[[nodiscard]] StagePolicy merged(const StagePolicy& own, const StagePolicy& general);

struct Config {
  DaemonSection daemon;
  LimitsSection limits;
  std::vector<WorkerSection> workers;
  std::vector<LinkSection> links;
  std::vector<RouteSection> routes;
  AdmissionSection admission;
};

// Lines of text, each "FILE:LINE: KEY: what is wrong; what is allowed".
using ConfigErrors = std::vector<std::string>;

[[nodiscard]] std::expected<Config, ConfigErrors> load_config(const std::filesystem::path& file);
// `file` is only the name that errors show.
[[nodiscard]] std::expected<Config, ConfigErrors> parse_config(std::string_view toml, std::string_view file);

}  // namespace rtchan::rtcd
