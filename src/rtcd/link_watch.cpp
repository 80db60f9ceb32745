#include "rtcd/link_watch.hpp"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "rtcd/links.hpp"

namespace rtchan::rtcd {
namespace {

constexpr Duration look_at_least = std::chrono::seconds{1};

ipc::Fd interface_events() {
  ipc::Fd fd{socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)};
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (fd && bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd.reset();
  return fd;
}

}  // namespace

std::optional<std::string> unfit(const link::Interface& promised, const link::Interface& now, const InterfaceNeeds& needs) {
  link::Interface before = promised;
  if (now.mtu_bytes >= needs.mtu_bytes) before.mtu_bytes = now.mtu_bytes;
  if (now.bits_per_second == 0 || now.bits_per_second >= needs.bits_per_second) before.bits_per_second = now.bits_per_second;
  link::Interface after = now;
  if (std::ranges::find(promised.addresses, needs.address) == promised.addresses.end()) after.addresses.push_back(needs.address);
  return link::changed(before, after, needs.address);
}

LinkWatch::LinkWatch(const std::vector<Link>& links) : events_(interface_events()) {
  for (const Link& link : links) {
    watched_.push_back({link.under, {link.address.address, link.mtu_bytes, link.guard->guarded_bits_per_second()}, {}});
  }
}

void LinkWatch::look(Instant now) {
  if (!something_happened() && now - looked_ < look_at_least) return;
  looked_ = now;
  const auto all = link::interfaces();
  if (!all) return;  // the kernel has no answer at the moment: the next look
  for (Watched& w : watched_) {
    const auto same = std::ranges::find(*all, w.promised.index, &link::Interface::index);
    const auto heir = std::ranges::find(*all, w.promised.name, &link::Interface::name);
    const auto found = same != all->end() ? same : heir;
    w.down = found == all->end() || !found->up;
    w.why = found == all->end() ? fmt::format("{} is gone", w.promised.name)
                                : unfit(w.promised, *found, w.needs).value_or(std::string{});
  }
}

// What is said does not matter: whatever it is, the answer is to look.
bool LinkWatch::something_happened() {
  if (!events_) return false;
  bool any = false;
  std::array<char, 8192> ignored;
  for (int i = 0; i < 64; ++i) {
    const ssize_t n = recv(events_.get(), ignored.data(), ignored.size(), MSG_DONTWAIT);
    if (n < 0 && errno == ENOBUFS) any = true;  // more than it could keep for us
    if (n < 0 && errno != ENOBUFS && errno != EINTR) break;
    any = any || n > 0;
  }
  return any;
}

}  // namespace rtchan::rtcd
