// Where traffic goes in a planned network: fewest links, the first of the file where several ways are equally
// short, unless a [[route]] says otherwise. Addresses are invented: link K joins 10.x.y.1 and 10.x.y.2 with K
// = 256 x + y.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "node/config.hpp"
#include "plan/network.hpp"

namespace rtchan::plan {

class Routes {
 public:
  explicit Routes(const Network& network);

  // By which link traffic for `to` leaves `at`. nullopt: there is no way, or they are the same.
  [[nodiscard]] std::optional<LinkIndex> next(HostIndex at, HostIndex to) const;

  // A host's links in the order of the file: the numbers that its node knows them by.
  [[nodiscard]] const std::vector<LinkIndex>& links_of(HostIndex host) const { return links_of_[host]; }
  [[nodiscard]] std::uint32_t number_at(HostIndex host, LinkIndex link) const;
  // Which side of the link the host is.
  [[nodiscard]] std::size_t side(HostIndex host, LinkIndex link) const;
  [[nodiscard]] HostIndex peer(HostIndex host, LinkIndex link) const;

  [[nodiscard]] static Endpoint endpoint(LinkIndex link, std::size_t side);
  // Any of the host's addresses.
  [[nodiscard]] IpAddress address_of(HostIndex host) const;
  [[nodiscard]] std::optional<HostIndex> host_of(const IpAddress& address) const;

 private:
  void find_shortest(HostIndex to);

  const Network& network_;
  std::vector<std::vector<LinkIndex>> links_of_;
  std::vector<std::vector<std::optional<LinkIndex>>> next_;  // [to][at]
};

// One host's view of it.
class HostRouter final : public node::Router {
 public:
  HostRouter(const Routes& routes, HostIndex host) : routes_(routes), host_(host) {}
  [[nodiscard]] std::optional<node::NextHop> next_hop(const IpAddress& destination) const override;

 private:
  const Routes& routes_;
  HostIndex host_;
};

}  // namespace rtchan::plan
