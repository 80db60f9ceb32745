// Where a destination's traffic goes next: the neighbour to signal to and the link it is behind. The answers
// come from a table in the configuration or from the kernel's routing table, so that FRR, BIRD or hand-made
// routes all serve. Control thread only.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <rtchan/error.hpp>
#include <string_view>
#include <vector>

#include "base/address.hpp"

namespace rtchan::route {

struct Hop {
  IpAddress neighbour{};   // the destination itself when it is on the link
  std::uint32_t link = 0;  // index in the configuration's list of links
  bool local = false;      // the destination is this host; `neighbour` is it, `link` means nothing
  friend bool operator==(const Hop&, const Hop&) = default;
};

class Router {
 public:
  virtual ~Router() = default;
  // Fails with no_route (text names the destination and why), or system.
  [[nodiscard]] virtual std::expected<Hop, Error> next_hop(const IpAddress& destination) = 0;
  // Every way there, best first, next_hop()'s among them; at most limits::alternatives. For when that one does not do: may
  // cost a look at the whole table. Errors: none is known.
  [[nodiscard]] virtual std::vector<Hop> alternatives(const IpAddress& destination) = 0;
};

// An address range: the first `bits` bits count. For IPv4 `bits` is 0..32 in text and 96..128 here.
struct Prefix {
  IpAddress address{};
  std::uint8_t bits = 0;
  [[nodiscard]] bool contains(const IpAddress& other) const noexcept;
  // "10.1.0.0/16", "fd00::/8", "10.0.0.7" (the one address), "default" (everything of both families)
  static std::optional<Prefix> parse(std::string_view text);
};

struct StaticRoute {
  Prefix to{};
  std::optional<IpAddress> via;  // none: the destination is itself the neighbour
  std::uint32_t link = 0;
};

// Longest prefix wins; among equals the first. The others are the alternatives, in this order.
class StaticRouter final : public Router {
 public:
  explicit StaticRouter(std::vector<StaticRoute> routes) : routes_(std::move(routes)) {}
  [[nodiscard]] std::expected<Hop, Error> next_hop(const IpAddress& destination) override;
  [[nodiscard]] std::vector<Hop> alternatives(const IpAddress& destination) override;

 private:
  std::vector<StaticRoute> routes_;
};

// Asks the kernel each time (RTM_GETROUTE): the answer follows policy rules, metrics and routing daemons. The alternatives are
// the other routes of the main table: next hops of equal cost, then larger metrics, then shorter prefixes.
class KernelRouter final : public Router {
 public:
  // interface_indices[i]: kernel index of link i's interface.
  explicit KernelRouter(std::vector<int> interface_indices) : interfaces_(std::move(interface_indices)) {}
  [[nodiscard]] std::expected<Hop, Error> next_hop(const IpAddress& destination) override;
  [[nodiscard]] std::vector<Hop> alternatives(const IpAddress& destination) override;

 private:
  std::vector<int> interfaces_;
};

// The first router that has an answer; routers outlive this.
class RouterChain final : public Router {
 public:
  explicit RouterChain(std::vector<Router*> routers) : routers_(std::move(routers)) {}
  [[nodiscard]] std::expected<Hop, Error> next_hop(const IpAddress& destination) override;
  [[nodiscard]] std::vector<Hop> alternatives(const IpAddress& destination) override;

 private:
  std::vector<Router*> routers_;
};

}  // namespace rtchan::route
