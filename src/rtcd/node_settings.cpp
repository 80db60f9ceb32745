#include "rtcd/node_settings.hpp"

#include <algorithm>

#include "rtcd/pacing.hpp"
#include "wire/data_packet.hpp"

namespace rtchan::rtcd {
namespace {

constexpr std::uint32_t ethernet_header_bytes = 14;
constexpr std::uint32_t ethernet_wire_bytes = 24;  // preamble 8, frame check sequence 4, gap 12

node::BelowSettings below_settings(const StagePolicy& p) {
  node::BelowSettings below;
  if (*p.below != "none") below.policy = *p.below;
  below.share_ppm = *p.controlled_share_ppm;
  below.burst_limit = *p.controlled_burst;
  below.target_ppm = *p.statistical_target_ppm;
  return below;
}

}  // namespace

std::uint32_t ip_udp_bytes(const IpAddress& address) noexcept {
  return (address.is_v4() ? 20u : 40u) + 8u;
}

// A frame of the smallest size, 60 bytes, takes 84 on the wire; larger ones add less.
Duration blocking_on_wire(std::uint64_t link_layer_bytes, std::uint64_t bits_per_second) noexcept {
  const std::uint64_t bits = (link_layer_bytes * 84 + 59) / 60 * 8;
  const std::uint64_t rate = std::max<std::uint64_t>(bits_per_second, 1);
  return Duration{static_cast<std::int64_t>((bits * 1'000'000'000 + rate - 1) / rate)};
}

node::LinkSettings link_settings(const LinkSection& section, const AdmissionSection& admission,
                                 const LinkFacts& facts) {
  const std::uint32_t headers = ip_udp_bytes(facts.address.address);
  const StagePolicy policy = merged(section.admission, admission.link);
  const auto overhead = static_cast<std::uint32_t>(wire::fragment_overhead_bytes);
  node::LinkSettings link{.name = section.name,
                          .worker = section.worker,
                          .worker_link = facts.worker_link,
                          .address = facts.address,
                          .model = {.bits_per_second = facts.guarded_bits_per_second,
                                    .format = {.payload_per_packet_bytes = facts.mtu_bytes - headers - overhead,
                                               .packet_overhead_bytes =
                                                   overhead + headers + ethernet_header_bytes + ethernet_wire_bytes},
                                    .frame_cost = {},
                                    .foreign = facts.foreign},
                          .limit_ppm = *policy.limit_ppm,
                          .policy = *policy.policy,
                          .below = below_settings(policy),
                          .horizon = section.horizon,
                          .propagation = section.propagation,
                          .arrival_bits_per_second = facts.arrival_bits_per_second};
  link.signal_period = node::signal_period(link.model);
  link.signal_delay = std::max(link.signal_delay, link.signal_period / 2);
  return link;
}

admission::CostModel worker_costs(const WorkerSection& section, const admission::CostModel& general, bool real_time) {
  admission::CostModel costs = general;
  if (real_time) {
    costs.core.period = Pacing::Settings{}.period;
    costs.core.quantum = costs.core.period * section.duty_ppm / 1'000'000;
  }
  return costs;
}

node::WorkerSettings worker_settings(const WorkerSection& section, const LimitsSection& limits,
                                     const AdmissionSection& admission, bool real_time) {
  admission::CostModel costs = worker_costs(section, admission.costs, real_time);
  const StagePolicy policy = merged(section.admission, admission.cpu);
  costs.core_limit_ppm = *policy.limit_ppm;
  return {.clips = limits.clips_per_worker,
          .packet_buffers = limits.packet_buffers,
          .costs = costs,
          .policy = *policy.policy,
          .below = below_settings(policy)};
}

node::NodeLimits node_limits(const LimitsSection& limits) {
  node::NodeLimits result;
  result.channels_per_uid = limits.channels_per_uid;
  result.memory_per_uid_bytes = limits.memory_per_uid_bytes;
  result.packet_buffers_per_uid = limits.packet_buffers_per_uid;
  result.memory_bytes = limits.memory_bytes;
  return result;
}

}  // namespace rtchan::rtcd
