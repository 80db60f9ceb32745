// Hosts joined by links, and the ways between them: generated shapes, and shortest routes (by hops; the lower link number
// among equals, so that a run is a function of its script).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/address.hpp"
#include "base/time.hpp"
#include "rtcop/random.hpp"

namespace rtchan::sim {

enum class Shape : std::uint8_t { line, star, tree, random };

// Pairs of hosts that are joined: connected, `hosts` - 1 links, `random` some more.
struct Joint {
  std::uint32_t a = 0, b = 0;
};
[[nodiscard]] std::vector<Joint> joints(Shape shape, std::uint32_t hosts, rtcop::Random& random);

class Routes {
 public:
  Routes(std::uint32_t hosts, std::span<const Joint> links);

  struct Port {                  // a host's end of a link
    std::uint32_t link = 0;
    std::uint32_t peer = 0;
  };
  static constexpr std::uint16_t nowhere = UINT16_MAX;

  [[nodiscard]] std::uint32_t hosts() const noexcept { return static_cast<std::uint32_t>(ports_.size()); }
  // A host's links, numbered by their place here: as node::NodeConfig::links of that host.
  [[nodiscard]] std::span<const Port> ports(std::uint32_t host) const noexcept { return ports_[host]; }
  [[nodiscard]] std::uint32_t port_toward(std::uint32_t host, std::uint32_t neighbour) const noexcept;
  // By which of its ports; nowhere: no way.
  [[nodiscard]] std::uint16_t next(std::uint32_t from, std::uint32_t to) const noexcept {
    return table_[std::size_t{from} * hosts() + to];
  }
  // Every host on the way, both ends included.
  [[nodiscard]] std::vector<std::uint32_t> way(std::uint32_t from, std::uint32_t to) const;

 private:
  std::vector<std::vector<Port>> ports_;
  std::vector<std::uint16_t> table_;
};

// The host's own address, and the address of its end of a link.
[[nodiscard]] IpAddress address_of_host(std::uint32_t host) noexcept;
[[nodiscard]] std::optional<std::uint32_t> host_of(const IpAddress& address) noexcept;
[[nodiscard]] Endpoint endpoint_of(std::uint32_t link, bool side_b) noexcept;

}  // namespace rtchan::sim
