// An IP address and port, the name of one end of a channel (paper 4.1). Plain values: no allocation but for
// text, no I/O, no name service (Session::connect resolves host names).
#pragma once

#include <netinet/in.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rtchan {

// IPv4 addresses are kept as IPv4-mapped IPv6 (::ffff:a.b.c.d), so that there is one form to compare.
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};
  friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) = default;

  [[nodiscard]] bool is_v4() const noexcept;
  [[nodiscard]] bool is_unspecified() const noexcept;
  [[nodiscard]] std::string text() const;                                   // "10.0.0.1", "fe80::1"
  static std::optional<IpAddress> parse(std::string_view text);             // numeric forms only
};

struct Endpoint {
  IpAddress address{};
  std::uint16_t port{};  // host byte order
  friend constexpr auto operator<=>(const Endpoint&, const Endpoint&) = default;

  [[nodiscard]] std::string text() const;                                   // "10.0.0.1:80", "[fe80::1]:80"
  static std::optional<Endpoint> parse(std::string_view text);              // numeric "host:port"
  [[nodiscard]] sockaddr_storage to_sockaddr(socklen_t& length) const noexcept;  // AF_INET for v4, else AF_INET6
  static std::optional<Endpoint> from_sockaddr(const sockaddr_storage& address) noexcept;
};

}  // namespace rtchan
