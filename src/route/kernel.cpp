// RTM_GETROUTE asks the question that sending a packet would ask; libnl carries it and cuts the answer.
#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/limits.hpp"
#include "route/router.hpp"

namespace rtchan::route {

namespace {

struct Free {
  void operator()(nl_sock* socket) const { nl_socket_free(socket); }
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};

struct Answer {
  bool seen = false;
  std::uint8_t type = RTN_UNSPEC;
  int interface = 0;
  std::optional<IpAddress> gateway;
};

Error system_error(std::string_view what, int nl_error) {
  return {.code = Errc::system,
          .text = fmt::format("asking the kernel for a route, {}: {}", what, nl_geterror(nl_error))};
}

Error no_route(const IpAddress& destination, std::string_view why) {
  return {.code = Errc::no_route, .text = fmt::format("no route to {}: {}", destination.text(), why)};
}

std::optional<IpAddress> address_from(int family, const void* bytes, int length) {
  sockaddr_storage storage{};
  storage.ss_family = static_cast<sa_family_t>(family);
  if (family == AF_INET && length == 4) {
    std::memcpy(&reinterpret_cast<sockaddr_in*>(&storage)->sin_addr, bytes, 4);
  } else if (family == AF_INET6 && length == 16) {
    std::memcpy(&reinterpret_cast<sockaddr_in6*>(&storage)->sin6_addr, bytes, 16);
  } else {
    return std::nullopt;
  }
  const auto endpoint = Endpoint::from_sockaddr(storage);
  return endpoint ? std::optional(endpoint->address) : std::nullopt;
}

// RTA_GATEWAY, or RTA_VIA where the gateway is of the other family (RFC 5549).
std::optional<IpAddress> gateway_of(const rtmsg* route, nlattr* const* attributes) {
  if (const nlattr* gateway = attributes[RTA_GATEWAY]) {
    return address_from(route->rtm_family, nla_data(gateway), nla_len(gateway));
  }
  if (const nlattr* via = attributes[RTA_VIA]; via != nullptr && nla_len(via) > 2) {
    const auto* data = static_cast<const rtvia*>(nla_data(via));
    return address_from(data->rtvia_family, data->rtvia_addr, nla_len(via) - 2);
  }
  return std::nullopt;
}

int take_answer(nl_msg* message, void* argument) {
  auto& answer = *static_cast<Answer*>(argument);
  nlmsghdr* header = nlmsg_hdr(message);
  if (header->nlmsg_type != RTM_NEWROUTE || !nlmsg_valid_hdr(header, sizeof(rtmsg))) return NL_SKIP;
  nlattr* attributes[RTA_MAX + 1]{};
  if (nlmsg_parse(header, sizeof(rtmsg), attributes, RTA_MAX, nullptr) < 0) return NL_SKIP;
  const auto* route = static_cast<const rtmsg*>(nlmsg_data(header));
  answer.seen = true;
  answer.type = route->rtm_type;
  if (attributes[RTA_OIF] != nullptr) answer.interface = static_cast<int>(nla_get_u32(attributes[RTA_OIF]));
  answer.gateway = gateway_of(route, attributes);
  return NL_OK;
}

// Negative: libnl's error. The kernel answers with one message, or with an error.
int ask(const IpAddress& destination, Answer& answer) {
  const std::unique_ptr<nl_sock, Free> socket(nl_socket_alloc());
  if (!socket) return -NLE_NOMEM;
  if (const int error = nl_connect(socket.get(), NETLINK_ROUTE); error < 0) return error;
  nl_socket_disable_auto_ack(socket.get());
  nl_socket_modify_cb(socket.get(), NL_CB_VALID, NL_CB_CUSTOM, take_answer, &answer);
  const std::unique_ptr<nl_msg, Free> message(nlmsg_alloc_simple(RTM_GETROUTE, 0));
  if (!message) return -NLE_NOMEM;
  const bool v4 = destination.is_v4();
  const int length = v4 ? 4 : 16;
  rtmsg query{};
  query.rtm_family = v4 ? AF_INET : AF_INET6;
  query.rtm_dst_len = static_cast<unsigned char>(length * 8);
  if (nlmsg_append(message.get(), &query, sizeof query, NLMSG_ALIGNTO) < 0 ||
      nla_put(message.get(), RTA_DST, length, destination.bytes.data() + (16 - length)) < 0) {
    return -NLE_NOMEM;
  }
  const int sent = nl_send_auto(socket.get(), message.get());
  return sent < 0 ? sent : nl_recvmsgs_default(socket.get());
}

// A route of the main table to the destination, one for each of its next hops.
struct Way {
  unsigned bits = 0;       // of its prefix
  std::uint32_t metric = 0;
  int interface = 0;
  std::optional<IpAddress> gateway;
};

struct Table {
  const IpAddress& destination;
  std::vector<Way> ways;
};

void take_multipath(nlattr* attribute, const rtmsg* route, Way way, std::vector<Way>& out) {
  auto* hop = static_cast<rtnexthop*>(nla_data(attribute));
  for (int left = nla_len(attribute); RTNH_OK(hop, left);) {
    nlattr* attributes[RTA_MAX + 1]{};
    const int bytes = static_cast<int>(hop->rtnh_len) - static_cast<int>(RTNH_LENGTH(0));
    if (nla_parse(attributes, RTA_MAX, reinterpret_cast<nlattr*>(RTNH_DATA(hop)), bytes, nullptr) < 0) return;
    way.interface = hop->rtnh_ifindex;
    way.gateway = gateway_of(route, attributes);
    if ((hop->rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) == 0) out.push_back(way);
    left -= RTNH_ALIGN(hop->rtnh_len);
    hop = RTNH_NEXT(hop);
  }
}

int take_way(nl_msg* message, void* argument) {
  auto& table = *static_cast<Table*>(argument);
  nlmsghdr* header = nlmsg_hdr(message);
  if (header->nlmsg_type != RTM_NEWROUTE || !nlmsg_valid_hdr(header, sizeof(rtmsg))) return NL_SKIP;
  const auto* route = static_cast<const rtmsg*>(nlmsg_data(header));
  nlattr* attributes[RTA_MAX + 1]{};
  if (nlmsg_parse(header, sizeof(rtmsg), attributes, RTA_MAX, nullptr) < 0) return NL_SKIP;
  const bool usable = route->rtm_type == RTN_UNICAST && route->rtm_table == RT_TABLE_MAIN && route->rtm_tos == 0 &&
                      (route->rtm_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN | RTM_F_CLONED)) == 0;
  if (!usable) return NL_SKIP;
  const unsigned narrower = table.destination.is_v4() ? 96 : 0;  // IPv4 is kept IPv4-mapped
  Prefix to{{}, static_cast<std::uint8_t>(route->rtm_dst_len + narrower)};
  if (attributes[RTA_DST] != nullptr) {
    const auto address = address_from(route->rtm_family, nla_data(attributes[RTA_DST]), nla_len(attributes[RTA_DST]));
    if (!address) return NL_SKIP;
    to.address = *address;
    if (!to.contains(table.destination)) return NL_SKIP;
  } else if (route->rtm_dst_len != 0) {
    return NL_SKIP;
  }
  Way way{.bits = to.bits, .metric = 0, .interface = 0, .gateway = std::nullopt};
  if (attributes[RTA_PRIORITY] != nullptr) way.metric = nla_get_u32(attributes[RTA_PRIORITY]);
  if (attributes[RTA_MULTIPATH] != nullptr) {
    take_multipath(attributes[RTA_MULTIPATH], route, way, table.ways);
  } else if (attributes[RTA_OIF] != nullptr) {
    way.interface = static_cast<int>(nla_get_u32(attributes[RTA_OIF]));
    way.gateway = gateway_of(route, attributes);
    table.ways.push_back(way);
  }
  return NL_OK;
}

// Empty where the kernel does not answer.
std::vector<Way> main_table(const IpAddress& destination) {
  Table table{destination, {}};
  const std::unique_ptr<nl_sock, Free> socket(nl_socket_alloc());
  if (!socket || nl_connect(socket.get(), NETLINK_ROUTE) < 0) return {};
  nl_socket_modify_cb(socket.get(), NL_CB_VALID, NL_CB_CUSTOM, take_way, &table);
  rtmsg query{};
  query.rtm_family = destination.is_v4() ? AF_INET : AF_INET6;
  const std::unique_ptr<nl_msg, Free> message(nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_DUMP));
  if (!message || nlmsg_append(message.get(), &query, sizeof query, NLMSG_ALIGNTO) < 0) return {};
  if (nl_send_auto(socket.get(), message.get()) < 0 || nl_recvmsgs_default(socket.get()) < 0) return {};
  return std::move(table.ways);
}

}  // namespace

std::vector<Hop> KernelRouter::alternatives(const IpAddress& destination) {
  std::vector<Hop> hops;
  if (const auto first = next_hop(destination); first && !first->local) hops.push_back(*first);
  std::vector<Way> ways = main_table(destination);
  std::ranges::stable_sort(ways, [](const Way& a, const Way& b) {
    return a.bits != b.bits ? a.bits > b.bits : a.metric < b.metric;
  });
  for (const Way& way : ways) {
    const auto link = std::ranges::find(interfaces_, way.interface);
    if (link == interfaces_.end() || hops.size() >= limits::alternatives) continue;
    const Hop hop{way.gateway.value_or(destination), static_cast<std::uint32_t>(link - interfaces_.begin()), false};
    if (std::ranges::find(hops, hop) == hops.end()) hops.push_back(hop);
  }
  return hops;
}

std::expected<Hop, Error> KernelRouter::next_hop(const IpAddress& destination) {
  Answer answer;
  const int error = ask(destination, answer);
  if (error == -NLE_NOMEM || error == -NLE_PERM)
    return std::unexpected(system_error("socket or message", error));
  if (error < 0) return std::unexpected(no_route(destination, nl_geterror(error)));
  if (!answer.seen) return std::unexpected(system_error("answer", -NLE_MSGTYPE_NOSUPPORT));
  if (answer.type == RTN_LOCAL) return Hop{destination, 0, true};
  if (answer.type != RTN_UNICAST) return std::unexpected(no_route(destination, "not a unicast route"));
  const auto link = std::ranges::find(interfaces_, answer.interface);
  if (link == interfaces_.end()) {
    return std::unexpected(no_route(
        destination,
        fmt::format("it leaves by interface number {}, which is not a configured link", answer.interface)));
  }
  return Hop{answer.gateway.value_or(destination), static_cast<std::uint32_t>(link - interfaces_.begin()),
             false};
}

}  // namespace rtchan::route
