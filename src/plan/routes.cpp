#include "plan/routes.hpp"

#include <algorithm>
#include <deque>

namespace rtchan::plan {
namespace {

constexpr std::uint16_t signal_port = 7747;
constexpr std::size_t first_octet = 12;  // of the IPv4 address in the mapped form

}  // namespace

Routes::Routes(const Network& network)
    : network_(network), links_of_(network.hosts.size()), next_(network.hosts.size()) {
  for (LinkIndex l = 0; l < network.links.size(); ++l) {
    for (const LinkEnd& end : network.links[l].ends) links_of_[end.host].push_back(l);
  }
  for (HostIndex to = 0; to < network.hosts.size(); ++to) find_shortest(to);
  for (const Route& route : network.routes) {
    if (route.at != route.to) next_[route.to][route.at] = route.link;
  }
}

// Breadth first from the destination; whoever is reached over a link goes back by it.
void Routes::find_shortest(HostIndex to) {
  constexpr std::size_t unreached = SIZE_MAX;
  std::vector<std::size_t> distance(network_.hosts.size(), unreached);
  distance[to] = 0;
  std::deque<HostIndex> edge{to};
  while (!edge.empty()) {
    const HostIndex host = edge.front();
    edge.pop_front();
    for (const LinkIndex link : links_of_[host]) {
      const HostIndex other = peer(host, link);
      if (distance[other] != unreached) continue;
      distance[other] = distance[host] + 1;
      edge.push_back(other);
    }
  }
  auto& next = next_[to];
  next.resize(network_.hosts.size());
  for (HostIndex at = 0; at < next.size(); ++at) {
    if (at == to || distance[at] == unreached) continue;
    const auto closer = std::ranges::find_if(
        links_of_[at], [&](LinkIndex l) { return distance[peer(at, l)] + 1 == distance[at]; });
    next[at] = *closer;
  }
}

std::optional<LinkIndex> Routes::next(HostIndex at, HostIndex to) const {
  return next_[to][at];
}

std::uint32_t Routes::number_at(HostIndex host, LinkIndex link) const {
  const auto& links = links_of_[host];
  return static_cast<std::uint32_t>(std::ranges::find(links, link) - links.begin());
}

std::size_t Routes::side(HostIndex host, LinkIndex link) const {
  return network_.links[link].ends[0].host == host ? 0 : 1;
}
HostIndex Routes::peer(HostIndex host, LinkIndex link) const {
  return network_.links[link].ends[1 - side(host, link)].host;
}

Endpoint Routes::endpoint(LinkIndex link, std::size_t side) {
  IpAddress address{};
  address.bytes[10] = address.bytes[11] = 0xff;
  address.bytes[first_octet] = 10;
  address.bytes[first_octet + 1] = static_cast<std::uint8_t>(link >> 8);
  address.bytes[first_octet + 2] = static_cast<std::uint8_t>(link);
  address.bytes[first_octet + 3] = static_cast<std::uint8_t>(side + 1);
  return {address, signal_port};
}

IpAddress Routes::address_of(HostIndex host) const {
  const LinkIndex link = links_of_[host].front();
  return endpoint(link, side(host, link)).address;
}

std::optional<HostIndex> Routes::host_of(const IpAddress& address) const {
  const LinkIndex link = std::size_t{address.bytes[first_octet + 1]} << 8 | address.bytes[first_octet + 2];
  const std::size_t side = address.bytes[first_octet + 3] - std::size_t{1};
  if (link >= network_.links.size() || side > 1 || endpoint(link, side).address != address)
    return std::nullopt;
  return network_.links[link].ends[side].host;
}

std::optional<node::NextHop> HostRouter::next_hop(const IpAddress& destination) const {
  const auto to = routes_.host_of(destination);
  const auto link = to ? routes_.next(host_, *to) : std::nullopt;
  if (!link) return std::nullopt;
  return node::NextHop{routes_.number_at(host_, *link),
                       Routes::endpoint(*link, 1 - routes_.side(host_, *link))};
}

}  // namespace rtchan::plan
