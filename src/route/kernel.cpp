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

}  // namespace

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
