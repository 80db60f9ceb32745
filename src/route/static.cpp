#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>

#include "base/limits.hpp"
#include "route/router.hpp"

namespace rtchan::route {

bool Prefix::contains(const IpAddress& other) const noexcept {
  const std::size_t whole = bits / 8;
  for (std::size_t i = 0; i < whole; ++i) {
    if (address.bytes[i] != other.bytes[i]) return false;
  }
  const unsigned rest = bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
  return ((address.bytes[whole] ^ other.bytes[whole]) & mask) == 0;
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  if (text == "default") return Prefix{};
  const auto slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  const unsigned most = address->is_v4() ? 32 : 128;
  unsigned bits = most;
  if (slash != text.npos) {
    const std::string_view number = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), bits);
    if (error != std::errc{} || end != number.data() + number.size() || bits > most) return std::nullopt;
  }
  return Prefix{*address, static_cast<std::uint8_t>(128 - most + bits)};  // IPv4 is kept IPv4-mapped
}

std::expected<Hop, Error> StaticRouter::next_hop(const IpAddress& destination) {
  const StaticRoute* best = nullptr;
  for (const StaticRoute& route : routes_) {
    if (route.to.contains(destination) && (best == nullptr || route.to.bits > best->to.bits)) best = &route;
  }
  if (best == nullptr) {
    return std::unexpected(
        Error{.code = Errc::no_route, .text = fmt::format("no configured route to {}", destination.text())});
  }
  return Hop{best->via.value_or(destination), best->link, false};
}

std::vector<Hop> StaticRouter::alternatives(const IpAddress& destination) {
  std::vector<const StaticRoute*> fit;
  for (const StaticRoute& route : routes_) {
    if (route.to.contains(destination)) fit.push_back(&route);
  }
  std::ranges::stable_sort(fit, std::greater{}, [](const StaticRoute* r) { return r->to.bits; });
  if (fit.size() > limits::alternatives) fit.resize(limits::alternatives);
  std::vector<Hop> hops;
  for (const StaticRoute* route : fit) hops.push_back({route->via.value_or(destination), route->link, false});
  return hops;
}

std::vector<Hop> RouterChain::alternatives(const IpAddress& destination) {
  std::vector<Hop> all;
  for (Router* router : routers_) {
    for (const Hop& hop : router->alternatives(destination)) {
      if (all.size() < limits::alternatives && std::ranges::find(all, hop) == all.end()) all.push_back(hop);
    }
  }
  return all;
}

std::expected<Hop, Error> RouterChain::next_hop(const IpAddress& destination) {
  Error last{.code = Errc::no_route, .text = fmt::format("no route to {}", destination.text())};
  for (Router* router : routers_) {
    auto hop = router->next_hop(destination);
    if (hop) return hop;
    last = std::move(hop.error());
  }
  return std::unexpected(std::move(last));
}

}  // namespace rtchan::route
