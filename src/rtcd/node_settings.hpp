// From the tables of a configuration to what a node counts with. Pure, so that a plan of a network that does
// not exist counts exactly as the daemons on it would.
#pragma once

#include <cstdint>

#include "node/config.hpp"
#include "rtcd/config.hpp"

namespace rtchan::rtcd {

// IP and UDP header of a packet from this address.
[[nodiscard]] std::uint32_t ip_udp_bytes(const IpAddress& address) noexcept;

// Time on the wire of so many link-layer bytes of others, at the least rate that is promised.
[[nodiscard]] Duration blocking_on_wire(std::uint64_t link_layer_bytes,
                                        std::uint64_t bits_per_second) noexcept;

// What a [[link]] table does not say itself.
struct LinkFacts {
  Endpoint address{};  // ours on it
  std::uint32_t mtu_bytes = 0;
  std::uint64_t guarded_bits_per_second = 0;  // what its guard leaves to be promised
  Duration foreign{};                         // others' traffic that its guard lets stand in front of us
  std::uint64_t arrival_bits_per_second = 0;  // of a physical port (node::LinkSettings)
  std::uint32_t worker_link = 0;              // index among its worker's links
};
[[nodiscard]] node::LinkSettings link_settings(const LinkSection& section, const AdmissionSection& admission,
                                               const LinkFacts& facts);

// What work costs on the worker's core. `real_time`: as below.
[[nodiscard]] admission::CostModel worker_costs(const WorkerSection& section, const admission::CostModel& general, bool real_time);
// `real_time`: the worker has SCHED_FIFO, and with it a duty cap.
[[nodiscard]] node::WorkerSettings worker_settings(const WorkerSection& section, const LimitsSection& limits,
                                                   const AdmissionSection& admission, bool real_time);
[[nodiscard]] node::NodeLimits node_limits(const LimitsSection& limits);

}  // namespace rtchan::rtcd
