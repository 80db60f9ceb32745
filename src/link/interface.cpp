#include "link/interface.hpp"

#include <fmt/format.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/text.hpp"
#include "link/netlink.hpp"

namespace rtchan::link {

Error netlink_error(std::string_view what, int nl_error) {
  const bool denied = nl_error == -NLE_PERM || nl_error == -NLE_NOACCESS;
  return {.code = denied ? Errc::permission_denied : Errc::system,
          .text = fmt::format("netlink, {}: {}", what, nl_geterror(nl_error))};
}

std::expected<Netlink<nl_sock>, Error> netlink_route_socket() {
  Netlink<nl_sock> socket(nl_socket_alloc());
  if (!socket) return std::unexpected(netlink_error("socket", -NLE_NOMEM));
  if (const int error = nl_connect(socket.get(), NETLINK_ROUTE); error < 0) {
    return std::unexpected(netlink_error("connect", error));
  }
  return socket;
}

namespace {

// The negotiated speed. Asked by ioctl rather than read from /sys, which may show another namespace.
std::uint64_t speed_of(const std::string& name) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 0;
  ethtool_cmd command{};
  command.cmd = ETHTOOL_GSET;
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&command);
  const bool answered = ioctl(fd, SIOCETHTOOL, &request) == 0;
  close(fd);
  const std::uint32_t megabits = ethtool_cmd_speed(&command);
  return answered && megabits != static_cast<std::uint32_t>(SPEED_UNKNOWN)
             ? megabits * std::uint64_t{1'000'000}
             : 0;
}

Interface describe(rtnl_link* link) {
  Interface found;
  found.index = rtnl_link_get_ifindex(link);
  if (const char* name = rtnl_link_get_name(link)) found.name = name;
  found.mtu_bytes = rtnl_link_get_mtu(link);
  const unsigned flags = rtnl_link_get_flags(link);
  found.up = (flags & IFF_UP) != 0 && (flags & IFF_RUNNING) != 0;
  found.loopback = (flags & IFF_LOOPBACK) != 0;
  found.bits_per_second = speed_of(found.name);
  return found;
}

std::optional<IpAddress> address_of(nl_addr* local) {
  if (local == nullptr) return std::nullopt;
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (nl_addr_fill_sockaddr(local, reinterpret_cast<sockaddr*>(&storage), &length) < 0) return std::nullopt;
  const auto endpoint = Endpoint::from_sockaddr(storage);
  return endpoint ? std::optional(endpoint->address) : std::nullopt;
}

void add_addresses(nl_cache* addresses, std::vector<Interface>& interfaces) {
  for (nl_object* object = nl_cache_get_first(addresses); object != nullptr;
       object = nl_cache_get_next(object)) {
    auto* entry = reinterpret_cast<rtnl_addr*>(object);
    const auto address = address_of(rtnl_addr_get_local(entry));
    const auto owner = std::ranges::find(interfaces, rtnl_addr_get_ifindex(entry), &Interface::index);
    if (address && owner != interfaces.end()) owner->addresses.push_back(*address);
  }
}

template <class Matches>
std::expected<Interface, Error> find_interface(const std::string& what, Matches&& matches) {
  auto all = interfaces();
  if (!all) return std::unexpected(all.error());
  for (Interface& candidate : *all) {
    if (matches(candidate)) return std::move(candidate);
  }
  return std::unexpected(Error{.code = Errc::invalid_argument, .text = "no interface " + what});
}

}  // namespace

std::expected<std::vector<Interface>, Error> interfaces() {
  auto socket = netlink_route_socket();
  if (!socket) return std::unexpected(socket.error());
  nl_cache* raw = nullptr;
  if (const int error = rtnl_link_alloc_cache(socket->get(), AF_UNSPEC, &raw); error < 0) {
    return std::unexpected(netlink_error("list of interfaces", error));
  }
  const Netlink<nl_cache> links(raw);
  if (const int error = rtnl_addr_alloc_cache(socket->get(), &raw); error < 0) {
    return std::unexpected(netlink_error("list of addresses", error));
  }
  const Netlink<nl_cache> addresses(raw);
  std::vector<Interface> found;
  for (nl_object* object = nl_cache_get_first(links.get()); object != nullptr;
       object = nl_cache_get_next(object)) {
    found.push_back(describe(reinterpret_cast<rtnl_link*>(object)));
  }
  add_addresses(addresses.get(), found);
  return found;
}

std::expected<Interface, Error> interface_by_name(const std::string& name) {
  return find_interface("named " + name, [&](const Interface& i) { return i.name == name; });
}

std::expected<Interface, Error> interface_by_index(int index) {
  return find_interface(fmt::format("number {}", index),
                        [&](const Interface& i) { return i.index == index; });
}

std::expected<Interface, Error> interface_by_address(const IpAddress& address) {
  return find_interface("has the address " + address.text(), [&](const Interface& i) {
    return std::ranges::find(i.addresses, address) != i.addresses.end();
  });
}

std::optional<std::string> changed(const Interface& before, const Interface& after,
                                   const IpAddress& address) {
  if (before.index != after.index) return fmt::format("{} was taken away and made anew", before.name);
  if (!after.up) return fmt::format("{} is down", after.name);
  if (before.mtu_bytes != after.mtu_bytes) {
    return fmt::format("MTU of {} went from {} to {}", after.name, before.mtu_bytes, after.mtu_bytes);
  }
  if (before.bits_per_second != after.bits_per_second) {
    return fmt::format("speed of {} went from {} to {}", after.name, format_bit_rate(before.bits_per_second),
                       format_bit_rate(after.bits_per_second));
  }
  if (std::ranges::find(after.addresses, address) == after.addresses.end()) {
    return fmt::format("{} lost the address {}", after.name, address.text());
  }
  return std::nullopt;
}

std::expected<std::uint64_t, Error> sent_bytes(int index) {
  auto socket = netlink_route_socket();
  if (!socket) return std::unexpected(socket.error());
  rtnl_link* link = nullptr;
  if (const int error = rtnl_link_get_kernel(socket->get(), index, nullptr, &link); error < 0) {
    return std::unexpected(netlink_error(fmt::format("interface number {}", index), error));
  }
  const std::uint64_t bytes = rtnl_link_get_stat(link, RTNL_LINK_TX_BYTES);
  rtnl_link_put(link);
  return bytes;
}

}  // namespace rtchan::link
