#include "plan/head_room.hpp"

#include <algorithm>
#include <cmath>

#include "admission/stages.hpp"
#include "base/limits.hpp"

namespace rtchan::plan {
namespace {

// As its policy answers, one message size at several rates. The smallest period that still fits the
// reference's local delay, by bisection: a larger period keeps whatever fits fitting.
HeadRoom head_room(const admission::AdmissionPolicy& policy, admission::Candidate candidate,
                   const Reference& reference) {
  HeadRoom room;
  if (const auto least = policy.test(candidate)) room.smallest_delay = *least;
  const auto fits = [&](std::int64_t period) {
    candidate.period = Duration{period};
    const auto least = policy.test(candidate, reference.local_delay);
    return least && *least <= reference.local_delay;
  };
  constexpr std::int64_t slowest = 1'000'000'000'000;  // one message in 1,000 s, the slowest contract
  if (!fits(slowest)) return room;
  std::int64_t low = std::max<std::int64_t>(1, candidate.service.count() / 2),
               high = slowest;  // low: twice what there is
  while (high - low > 1 + low / 1000) {
    const auto middle =
        static_cast<std::int64_t>(std::sqrt(static_cast<double>(low) * static_cast<double>(high)));
    const std::int64_t period = std::clamp(middle, low + 1, high - 1);
    (fits(period) ? high : low) = period;
  }
  room.largest_rate = 1e9 / static_cast<double>(high);
  return room;
}

// Where the policy's own bound lies: its share of what the stage supplies.
std::uint64_t limit_ppm(const admission::StageSettings& settings) {
  const double supply = std::ldexp(static_cast<double>(settings.supply.rate_q40()), -40);
  return static_cast<std::uint64_t>(supply * settings.utilisation_limit_ppm);
}

admission::Contract contract_of(const Reference& reference) {
  return {Duration{static_cast<std::int64_t>(1e9 / reference.rate)}, 1, reference.message_bytes};
}

// What signalling and best effort hold for ever is no channel.
std::size_t permanent(const node::NodeConfig& config, std::uint32_t worker) {
  const auto links = std::ranges::count(config.links, worker, &node::LinkSettings::worker);
  return 1 + static_cast<std::size_t>(links);
}

// A router's worker is asked for forwarding, a host's for sending.
StageLoad cpu_load(const Network& network, const Fabric& fabric, HostIndex host, std::uint32_t worker) {
  const node::NodeConfig& config = fabric.config(host);
  const node::WorkerSettings& settings = config.workers[worker];
  const auto stage = admission::StageId{worker};
  const auto view = fabric.node(host).ledger().view(stage);
  admission::PacketFormat format{1'400, 100};
  for (const node::LinkSettings& link : config.links) {
    if (link.worker == worker) format = link.model.format;
  }
  StageLoad load;
  load.host = host;
  load.worker = worker;
  load.promised_ppm = view.utilisation_ppm;
  load.limit_ppm = limit_ppm(admission::cpu_settings(settings.costs, format));
  load.channels = view.entries - std::min(view.entries, permanent(config, worker));
  const admission::Contract contract = contract_of(network.reference);
  const bool router = std::ranges::count(config.links, worker, &node::LinkSettings::worker) > 1;
  const auto candidate =
      router ? admission::forward_cpu(settings.costs, contract, format, network.reference.local_delay)
             : admission::send_cpu(settings.costs, contract, format);
  load.head_room = head_room(fabric.node(host).ledger().policy(stage), candidate, network.reference);
  return load;
}

StageLoad link_load(const Network& network, const Routes& routes, const Fabric& fabric, LinkIndex link,
                    std::size_t side) {
  const HostIndex host = network.links[link].ends[side].host;
  const node::NodeConfig& config = fabric.config(host);
  const std::uint32_t number = routes.number_at(host, link);
  const node::LinkSettings& settings = config.links[number];
  const auto stage = admission::StageId{static_cast<std::uint32_t>(config.workers.size()) + number};
  const auto view = fabric.node(host).ledger().view(stage);
  const auto bounds = node::link_stage_settings(config, settings);
  StageLoad load;
  load.host = host;
  load.worker = settings.worker;
  load.link = link;
  load.bits_per_second = settings.model.bits_per_second;
  load.promised_ppm = view.utilisation_ppm;
  load.limit_ppm = limit_ppm(bounds);
  load.channels = view.entries - std::min<std::size_t>(view.entries, 1);
  load.head_room =
      head_room(fabric.node(host).ledger().policy(stage),
                admission::link_stage(settings.model, contract_of(network.reference)), network.reference);
  return load;
}

}  // namespace

void look_at_stages(const Network& network, const Routes& routes, const Fabric& fabric, Outcome& out) {
  for (HostIndex h = 0; h < network.hosts.size(); ++h) {
    for (std::uint32_t w = 0; w < network.hosts[h].workers.size(); ++w)
      out.cpus.push_back(cpu_load(network, fabric, h, w));
    HostLoad& memory = out.hosts.emplace_back();
    for (const node::PoolStatus& pool : fabric.node(h).status().pools) {
      const bool packets = pool.name.starts_with("packet");
      (packets ? memory.packet_buffers : memory.memory_bytes) += static_cast<std::uint64_t>(pool.used);
      (packets ? memory.packet_buffers_limit : memory.memory_limit_bytes) +=
          static_cast<std::uint64_t>(pool.bytes);
    }
  }
  for (LinkIndex l = 0; l < network.links.size(); ++l) {
    for (const std::size_t side : {0U, 1U}) out.links.push_back(link_load(network, routes, fabric, l, side));
  }
}

}  // namespace rtchan::plan
