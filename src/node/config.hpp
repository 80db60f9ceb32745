// What a node is told once, when it is made: who it is, its workers and links, its limits and its timing.
// Plain values; rtcd fills them from the configuration file, tests and the simulator by hand.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "admission/cost_model.hpp"
#include "admission/stages.hpp"
#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "rtcop/timing.hpp"

namespace rtchan::node {

// The class below guaranteed on a stage.
struct BelowSettings {
  std::string policy;                      // "controlled_load" or "statistical"; empty: this stage has none
  std::uint32_t share_ppm = 250'000;       // controlled_load: of the stage's rate
  Duration burst_limit{20'000'000};        // controlled_load: work of all bursts together
  std::uint32_t target_ppm = 10'000;       // statistical: probability of being behind at an instant
};

struct WorkerSettings {
  std::uint32_t clips = 1'024;             // size of its clip table: channel ends it can serve
  std::uint32_t packet_buffers = 8'192;    // packets it can stage
  admission::CostModel costs{};
  std::string policy = "edf";              // admission::make_policy; of the guaranteed class
  BelowSettings below{};
};

struct LinkSettings {
  std::string name;                        // shown in refusals
  std::uint32_t worker = 0;                // who owns it
  std::uint32_t worker_link = 0;           // its index among that worker's links
  Endpoint address{};                      // our data endpoint on it
  admission::LinkModel model{};
  std::uint32_t limit_ppm = 980'000;       // share of the capacity that may be promised
  std::string policy = "edf";
  BelowSettings below{};
  // H: how early packets may leave here. Not set: as soon as the handler has made them, so H is the CPU's local delay.
  std::optional<Duration> horizon{};
  Duration propagation{};                  // pi: from the end of transmission to the neighbour's arrival stamp
  // Rate of this host's own port: nothing arrives faster, however many send. 0: not known (a virtual interface).
  std::uint64_t arrival_bits_per_second = 0;
  // The signalling channel of this link, admitted like any other; the worker's link scheduler gives it the same
  // (clips::LinkConfig).
  Duration signal_period = std::chrono::milliseconds{2};
  Duration signal_delay = std::chrono::milliseconds{10};
};

// One signalling packet so often is at most a tenth of the link, however slow it is.
[[nodiscard]] Duration signal_period(const admission::LinkModel& model) noexcept;

struct NodeLimits {
  std::uint32_t channels_per_uid = 16'384;
  std::uint64_t memory_per_uid_bytes = std::uint64_t{1} << 30;  // message buffers of one user's channels
  std::uint32_t packet_buffers_per_uid = UINT32_MAX;            // of the channel ends of one user's applications
  std::uint64_t memory_bytes = std::uint64_t{4} << 30;          // message buffers of all channels together
  std::uint64_t arena_bytes = 0;                                // of one session; 0: limits::arena_bytes
};

struct NodeConfig {
  std::string name;                        // of this host, in texts
  HostId host{};                           // network-wide; from the host's key or machine-id
  std::uint64_t epoch{};                   // differs at every start (random or wall clock); not 0
  std::vector<IpAddress> addresses;        // that are this host; links' addresses are added
  std::vector<WorkerSettings> workers;
  std::vector<LinkSettings> links;
  NodeLimits limits{};
  rtcop::Timing timing{};
  Duration agent_timeout = std::chrono::seconds{5};  // an agent that does not answer has said no
};

struct NextHop {
  std::uint32_t link = 0;
  Endpoint neighbour{};                    // its data endpoint
  friend bool operator==(const NextHop&, const NextHop&) = default;
};

// Where a destination lies. Called from inside Node::step(); must not call back.
class Router {
 public:
  virtual ~Router() = default;
  // nullopt: no route. Never called for this node's own addresses.
  [[nodiscard]] virtual std::optional<NextHop> next_hop(const IpAddress& destination) const = 0;
  // Further ways there, best first, for when that one is refused; it may be among them. At most limits::alternatives.
  [[nodiscard]] virtual std::vector<NextHop> alternatives(const IpAddress&) const { return {}; }
};

// How a link is admitted to: blocked by a frame and by how late its worker may visit it, beside that worker's other links.
[[nodiscard]] admission::StageSettings link_stage_settings(const NodeConfig& config, const LinkSettings& link);

}  // namespace rtchan::node
