#include <fmt/format.h>

#include <charconv>

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
