// Ownership of libnl's objects, and its errors in our words.
#pragma once

#include <netlink/addr.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/object.h>
#include <netlink/socket.h>

#include <expected>
#include <memory>
#include <rtchan/error.hpp>
#include <string>
#include <string_view>

namespace rtchan::link {

struct NetlinkFree {
  void operator()(nl_sock* socket) const { nl_socket_free(socket); }
  void operator()(nl_cache* cache) const { nl_cache_free(cache); }
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};
template <class T>
using Netlink = std::unique_ptr<T, NetlinkFree>;

// libnl's negative error number, as an Error; permission problems become permission_denied.
[[nodiscard]] Error netlink_error(std::string_view what, int nl_error);
// A connected NETLINK_ROUTE socket of the calling thread's network namespace.
[[nodiscard]] std::expected<Netlink<nl_sock>, Error> netlink_route_socket();

}  // namespace rtchan::link
