#include "route/watch.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace rtchan::route {

Watch::Watch() : socket_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)) {
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (socket_ >= 0 && bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return;
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
}

Watch::~Watch() {
  if (socket_ >= 0) close(socket_);
}

bool Watch::changed() {
  constexpr int messages_at_once = 256;  // what is left says the same a little later
  bool any = false;
  std::array<char, 8192> ignored;
  for (int i = 0; socket_ >= 0 && i < messages_at_once; ++i) {
    const ssize_t n = recv(socket_, ignored.data(), ignored.size(), MSG_DONTWAIT);
    if (n < 0 && errno == ENOBUFS) any = true;  // more than it could keep for us
    if (n < 0 && errno != ENOBUFS && errno != EINTR) break;
    any = any || n > 0;
  }
  return any;
}

}  // namespace rtchan::route
