#include "sim/topology.hpp"

#include <algorithm>
#include <cassert>
#include <deque>

namespace rtchan::sim {

namespace {

IpAddress v4(std::uint32_t bits) noexcept {
  IpAddress a;
  a.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff,
             static_cast<std::uint8_t>(bits >> 24), static_cast<std::uint8_t>(bits >> 16),
             static_cast<std::uint8_t>(bits >> 8), static_cast<std::uint8_t>(bits)};
  return a;
}

constexpr std::uint32_t hosts_net = 0xac100000;  // 172.16.0.0
constexpr std::uint32_t links_net = 0x0a000000;  // 10.0.0.0
constexpr std::uint16_t link_port = 7000;

}  // namespace

std::vector<Joint> joints(Shape shape, std::uint32_t hosts, rtcop::Random& random) {
  std::vector<Joint> all;
  for (std::uint32_t h = 1; h < hosts; ++h) {
    switch (shape) {
      case Shape::line: all.push_back({h - 1, h}); break;
      case Shape::star: all.push_back({0, h}); break;
      case Shape::tree: all.push_back({(h - 1) / 3, h}); break;
      case Shape::random: all.push_back({static_cast<std::uint32_t>(random.below(h)), h}); break;
    }
  }
  if (shape != Shape::random) return all;
  const auto joined = [&](std::uint32_t a, std::uint32_t b) {
    return std::ranges::any_of(all, [&](const Joint& j) { return (j.a == a && j.b == b) || (j.a == b && j.b == a); });
  };
  for (std::uint32_t more = hosts / 3; more > 0; --more) {
    const auto a = static_cast<std::uint32_t>(random.below(hosts));
    const auto b = static_cast<std::uint32_t>(random.below(hosts));
    if (a != b && !joined(a, b)) all.push_back({a, b});
  }
  return all;
}

Routes::Routes(std::uint32_t hosts, std::span<const Joint> links)
    : ports_(hosts), table_(std::size_t{hosts} * hosts, nowhere) {
  for (std::uint32_t l = 0; l < links.size(); ++l) {
    ports_[links[l].a].push_back({l, links[l].b});
    ports_[links[l].b].push_back({l, links[l].a});
  }
  // Breadth first from every destination: who is reached goes back the way it was reached.
  for (std::uint32_t to = 0; to < hosts; ++to) {
    std::vector<bool> reached(hosts);
    reached[to] = true;
    std::deque<std::uint32_t> border{to};
    while (!border.empty()) {
      const std::uint32_t here = border.front();
      border.pop_front();
      for (const Port& port : ports_[here]) {
        if (reached[port.peer]) continue;
        reached[port.peer] = true;
        const auto back = std::ranges::find(ports_[port.peer], port.link, &Port::link);
        table_[std::size_t{port.peer} * hosts + to] = static_cast<std::uint16_t>(back - ports_[port.peer].begin());
        border.push_back(port.peer);
      }
    }
  }
}

std::uint32_t Routes::port_toward(std::uint32_t host, std::uint32_t neighbour) const noexcept {
  const auto found = std::ranges::find(ports_[host], neighbour, &Port::peer);
  assert(found != ports_[host].end());
  return static_cast<std::uint32_t>(found - ports_[host].begin());
}

std::vector<std::uint32_t> Routes::way(std::uint32_t from, std::uint32_t to) const {
  std::vector<std::uint32_t> all{from};
  while (all.back() != to) {
    const std::uint16_t port = next(all.back(), to);
    if (port == nowhere) break;
    all.push_back(ports_[all.back()][port].peer);
  }
  return all;
}

IpAddress address_of_host(std::uint32_t host) noexcept { return v4(hosts_net + host); }

std::optional<std::uint32_t> host_of(const IpAddress& address) noexcept {
  const auto& b = address.bytes;
  const std::uint32_t bits = static_cast<std::uint32_t>(b[12]) << 24 | static_cast<std::uint32_t>(b[13]) << 16 |
                             static_cast<std::uint32_t>(b[14]) << 8 | b[15];
  if ((bits & 0xffff0000) != hosts_net) return std::nullopt;
  return bits - hosts_net;
}

Endpoint endpoint_of(std::uint32_t link, bool side_b) noexcept {
  return {v4(links_net + 2 * link + (side_b ? 1 : 0)), link_port};
}

}  // namespace rtchan::sim
