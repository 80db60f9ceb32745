#include <algorithm>

#include "plan/head_room.hpp"
#include "plan/nearest.hpp"
#include "plan/outcome.hpp"

namespace rtchan::plan {
namespace {

// Asks for the channels of the file until all have been, or until `until` of them.
struct Asked {
  std::vector<Verdict> verdicts;
  std::vector<std::optional<ChannelId>> ids;
};
Asked ask_for_channels(const Network& network, Fabric& fabric, std::size_t until) {
  Asked asked;
  for (std::size_t g = 0; g < network.channels.size(); ++g) {
    const ChannelGroup& group = network.channels[g];
    for (std::uint32_t n = 1; n <= group.count; ++n) {
      if (asked.verdicts.size() == until) return asked;
      Verdict& verdict = asked.verdicts.emplace_back();
      verdict.group = g;
      verdict.number = n;
      const auto channel = fabric.create(group);
      asked.ids.push_back(channel ? std::optional{*channel} : std::nullopt);
      if (!channel) verdict.refused = channel.error();
    }
  }
  return asked;
}

void describe_way(const Network& network, const Routes& routes, Verdict& verdict) {
  Duration given{0};
  for (const Passage& p : verdict.way) {
    verdict.minima += p.cpu_minimum + p.link_minimum;
    given += p.cpu_delay + p.link_delay;
    if (p.out)
      verdict.propagation += network.links[*p.out].ends[routes.side(p.host, *p.out)].settings.propagation;
  }
  verdict.slack = std::max(Duration{0}, given - verdict.minima);
}

}  // namespace

std::size_t Outcome::admitted() const {
  return static_cast<std::size_t>(std::ranges::count_if(verdicts, &Verdict::admitted));
}

Outcome evaluate(const Network& network) {
  const Routes routes{network};
  Fabric fabric{network, routes};
  Asked asked = ask_for_channels(network, fabric, SIZE_MAX);
  Outcome out;
  out.verdicts = std::move(asked.verdicts);
  auto ways = fabric.ways();
  for (std::size_t i = 0; i < out.verdicts.size(); ++i) {
    Verdict& verdict = out.verdicts[i];
    if (verdict.refused) {
      if (!out.first_refused) out.first_refused = i;
      continue;
    }
    verdict.way = std::move(ways[network.channels[verdict.group].from][*asked.ids[i]]);
    describe_way(network, routes, verdict);
  }
  look_at_stages(network, routes, fabric, out);
  out.remarks = fabric.remarks();
  if (out.first_refused) {
    const Verdict& first = out.verdicts[*out.first_refused];
    Fabric then{network, routes};
    (void)ask_for_channels(network, then, *out.first_refused);
    out.nearest = find_nearest(then, network.channels[first.group], *first.refused);
  }
  return out;
}

}  // namespace rtchan::plan
