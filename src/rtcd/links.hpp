// From the [[link]] and [[route]] tables to what workers, the node and the router need: asks the kernel about interfaces
// and installs the guards.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "link/guard/guard.hpp"
#include "link/interface.hpp"
#include "node/config.hpp"
#include "route/router.hpp"
#include "route/watch.hpp"
#include "rtcd/config.hpp"
#include "rtcd/worker.hpp"

namespace rtchan::rtcd {

struct Link {
  std::string name;
  std::string interface;
  int interface_index = 0;
  Endpoint address{};
  std::uint32_t mtu_bytes = 0;
  link::Interface under{};               // as it was when the link was made
  std::uint32_t header_bytes = 0;        // IP, UDP and Ethernet header of a packet, as interfaces count
  std::uint64_t arrival_bits_per_second = 0;  // of a physical port; 0: nobody knows how fast packets may come
  std::uint32_t worker = 0;
  std::uint32_t worker_link = 0;         // index among that worker's links
  std::unique_ptr<link::Guard> guard;
  std::string voided;                    // why its promises do not hold any more
  bool held = false;                     // its interface is down: the worker hands nothing over
};

// All links, guards installed. Error: one sentence that names the link.
[[nodiscard]] std::expected<std::vector<Link>, std::string> prepare_links(const Config& config);
// Time on the wire of what other programs may have in the device ahead of a packet of ours.
[[nodiscard]] Duration foreign_blocking(const link::Guard& guard) noexcept;
[[nodiscard]] WorkerLink worker_link(const Link& link, const node::LinkSettings& admitted);
[[nodiscard]] node::LinkSettings node_link(const Link& link, const Config& config, std::size_t index);
// This host's own addresses, but for those that every host has (127.0.0.0/8, ::1).
[[nodiscard]] std::vector<IpAddress> own_addresses(const std::vector<Link>& links);

// [[route]] tables first, then the kernel's routing table.
class Routes final : public node::Router {
 public:
  Routes(const Config& config, const std::vector<Link>& links);
  [[nodiscard]] std::optional<node::NextHop> next_hop(const IpAddress& destination) const override;
  [[nodiscard]] std::vector<node::NextHop> alternatives(const IpAddress& destination) const override;

 private:
  [[nodiscard]] node::NextHop with_port(const route::Hop& hop) const;
  mutable route::StaticRouter configured_;
  mutable route::KernelRouter kernel_;
  std::map<std::pair<IpAddress, std::uint32_t>, std::uint16_t> ports_;  // of neighbours that differ from the link's
  std::vector<std::uint16_t> link_ports_;
};

}  // namespace rtchan::rtcd
