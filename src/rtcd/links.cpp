#include "rtcd/links.hpp"

#include "base/limits.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "link/interface.hpp"
#include "rtcd/node_settings.hpp"

namespace rtchan::rtcd {
namespace {

constexpr std::uint32_t ethernet_header_bytes = 14;

std::expected<link::Interface, Error> interface_of(const LinkSection& section) {
  return section.interface.empty() ? link::interface_by_address(*section.address)
                                   : link::interface_by_name(section.interface);
}

std::expected<Link, std::string> prepare(const LinkSection& section) {
  const auto in_words = [&](const std::string& what) { return std::unexpected(fmt::format("link {}: {}", section.name, what)); };
  const auto interface = interface_of(section);
  if (!interface) return in_words(interface.error().text);
  if (section.mtu_bytes > interface->mtu_bytes) {
    return in_words(fmt::format("mtu {} is above the {} of {}", section.mtu_bytes, interface->mtu_bytes, interface->name));
  }
  Link link;
  link.name = section.name;
  link.under = *interface;
  link.interface = interface->name;
  link.interface_index = interface->index;
  // A virtual interface names a speed too, but does not keep to it.
  const bool physical = access(fmt::format("/sys/class/net/{}/device", interface->name).c_str(), F_OK) == 0;
  if (physical) link.arrival_bits_per_second = interface->bits_per_second;
  link.worker = section.worker;
  if (section.address) {
    link.address = {*section.address, section.port};
  } else if (!interface->addresses.empty()) {
    const auto v4 = std::ranges::find_if(interface->addresses, &IpAddress::is_v4);
    link.address = {v4 != interface->addresses.end() ? *v4 : interface->addresses.front(), section.port};
  } else {
    return in_words(fmt::format("interface {} has no address", interface->name));
  }
  link.mtu_bytes = section.mtu_bytes != 0 ? section.mtu_bytes : std::min(interface->mtu_bytes, limits::mtu_bytes_max);
  if (link.mtu_bytes < limits::mtu_bytes_min) {
    return in_words(fmt::format("the MTU of {} is {}: at least {} is needed (signalling packets are never fragmented)",
                                interface->name, link.mtu_bytes, limits::mtu_bytes_min));
  }
  link.header_bytes = ethernet_header_bytes + ip_udp_bytes(link.address.address);

  static constexpr link::GuardKind kinds[] = {link::GuardKind::none, link::GuardKind::share, link::GuardKind::htb};
  auto guard = link::make_guard({.kind = kinds[static_cast<std::size_t>(section.guard)],
                                 .interface = interface->name,
                                 .bits_per_second = section.bits_per_second,
                                 .share_bits_per_second = section.foreign_bits_per_second});
  if (!guard) return in_words(guard.error().text);
  link.guard = std::move(*guard);
  return link;
}

bool everybodys(const IpAddress& address) {
  const IpAddress loopback = *IpAddress::parse("::1");
  return address == loopback || (address.is_v4() && address.bytes[12] == 127);
}

}  // namespace

std::expected<std::vector<Link>, std::string> prepare_links(const Config& config) {
  std::vector<Link> links;
  std::vector<std::uint32_t> of_worker(config.workers.size());
  for (const LinkSection& section : config.links) {
    auto link = prepare(section);
    if (!link) return std::unexpected(link.error());
    link->worker_link = of_worker[link->worker]++;
    links.push_back(std::move(*link));
  }
  return links;
}

Duration foreign_blocking(const link::Guard& guard) noexcept {
  return blocking_on_wire(guard.foreign_blocking_bytes(), guard.guarded_bits_per_second());
}

WorkerLink worker_link(const Link& link, const node::LinkSettings& admitted) {
  WorkerLink result;
  result.udp = {.local = link.address, .interface = link.interface, .mtu_bytes = link.mtu_bytes};
  for (const auto cls : {link::TrafficClass::real_time, link::TrafficClass::best_effort, link::TrafficClass::middle}) {
    result.udp.priority[static_cast<std::size_t>(cls)] = link.guard->priority(cls);
  }
  result.bits_per_second = link.guard->guarded_bits_per_second();
  result.foreign = foreign_blocking(*link.guard);
  result.signal_period = admitted.signal_period;
  result.signal_delay = admitted.signal_delay;
  return result;
}

node::LinkSettings node_link(const Link& link, const Config& config, std::size_t index) {
  return link_settings(config.links[index], config.admission,
                       {.address = link.address,
                        .mtu_bytes = link.mtu_bytes,
                        .guarded_bits_per_second = link.guard->guarded_bits_per_second(),
                        .foreign = foreign_blocking(*link.guard),
                        .arrival_bits_per_second = link.arrival_bits_per_second,
                        .worker_link = link.worker_link});
}

std::vector<IpAddress> own_addresses(const std::vector<Link>& links) {
  std::vector<IpAddress> own;
  for (const Link& link : links) own.push_back(link.address.address);
  for (const link::Interface& interface : link::interfaces().value_or(std::vector<link::Interface>{})) {
    // A router's address of its own often is one of `lo`; every host has 127.0.0.0/8 and ::1.
    for (const IpAddress& address : interface.addresses) {
      if (!everybodys(address)) own.push_back(address);
    }
  }
  std::ranges::sort(own);
  own.erase(std::ranges::unique(own).begin(), own.end());
  return own;
}

// --- routes -------------------------------------------------------------------------------------------------

namespace {

std::vector<route::StaticRoute> configured(const Config& config) {
  std::vector<route::StaticRoute> routes;
  for (const RouteSection& r : config.routes) {
    routes.push_back({.to = {r.prefix, static_cast<std::uint8_t>(r.prefix_bits)}, .via = r.neighbour.address, .link = r.link});
  }
  return routes;
}

std::vector<int> indices(const std::vector<Link>& links) {
  std::vector<int> result;
  for (const Link& link : links) result.push_back(link.interface_index);
  return result;
}

}  // namespace

Routes::Routes(const Config& config, const std::vector<Link>& links) : configured_(configured(config)), kernel_(indices(links)) {
  for (const RouteSection& r : config.routes) ports_[{r.neighbour.address, r.link}] = r.neighbour.port;
  for (const Link& link : links) link_ports_.push_back(link.address.port);
}

std::optional<node::NextHop> Routes::next_hop(const IpAddress& destination) const {
  auto hop = configured_.next_hop(destination);
  if (!hop) hop = kernel_.next_hop(destination);
  if (!hop || hop->local) return std::nullopt;
  return with_port(*hop);
}

std::vector<node::NextHop> Routes::alternatives(const IpAddress& destination) const {
  std::vector<node::NextHop> ways;
  for (route::Router* router : std::initializer_list<route::Router*>{&configured_, &kernel_}) {
    for (const route::Hop& hop : router->alternatives(destination)) {
      if (ways.size() < limits::alternatives) ways.push_back(with_port(hop));
    }
  }
  return ways;
}

node::NextHop Routes::with_port(const route::Hop& hop) const {
  const auto port = ports_.find({hop.neighbour, hop.link});
  return node::NextHop{hop.link, {hop.neighbour, port != ports_.end() ? port->second : link_ports_[hop.link]}};
}

}  // namespace rtchan::rtcd
