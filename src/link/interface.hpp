// What a link must know about the network interface under it, asked from the kernel. Control thread only:
// these calls talk netlink, allocate and may take milliseconds.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <rtchan/error.hpp>
#include <string>
#include <vector>

#include "base/address.hpp"

namespace rtchan::link {

struct Interface {
  int index = 0;
  std::string name;
  std::uint32_t mtu_bytes = 0;
  bool up = false;  // administratively up and with carrier
  bool loopback = false;
  std::uint64_t bits_per_second = 0;  // what the NIC says it has negotiated; 0: it does not say
  std::vector<IpAddress> addresses;
};

// All fail with Errc::system, or Errc::invalid_argument when there is no such interface.
[[nodiscard]] std::expected<std::vector<Interface>, Error> interfaces();
[[nodiscard]] std::expected<Interface, Error> interface_by_name(const std::string& name);
[[nodiscard]] std::expected<Interface, Error> interface_by_index(int index);
// The interface that carries this local address.
[[nodiscard]] std::expected<Interface, Error> interface_by_address(const IpAddress& address);

// Why promises made on `before` need a second look now that the interface is `after`: MTU, speed, name or
// state changed, or `address` (the link's own) is gone. nullopt: nothing that matters.
[[nodiscard]] std::optional<std::string> changed(const Interface& before, const Interface& after,
                                                 const IpAddress& address);

// Bytes sent so far as the interface counts them (link header included, frame check sequence not).
[[nodiscard]] std::expected<std::uint64_t, Error> sent_bytes(int index);

}  // namespace rtchan::link
