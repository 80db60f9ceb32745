#include "link/qdisc.hpp"

#include <linux/pkt_sched.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/tc.h>

#include "link/netlink.hpp"

namespace rtchan::link {

std::expected<RootQdisc, Error> root_qdisc(nl_sock* socket, int interface_index) {
  nl_cache* raw = nullptr;
  if (const int error = rtnl_qdisc_alloc_cache(socket, &raw); error < 0) {
    return std::unexpected(netlink_error("list of queueing disciplines", error));
  }
  const Netlink<nl_cache> cache(raw);
  for (nl_object* object = nl_cache_get_first(raw); object != nullptr; object = nl_cache_get_next(object)) {
    auto* tc = reinterpret_cast<rtnl_tc*>(object);
    if (rtnl_tc_get_ifindex(tc) != interface_index || rtnl_tc_get_parent(tc) != TC_H_ROOT) continue;
    const char* kind = rtnl_tc_get_kind(tc);
    return RootQdisc{kind != nullptr ? kind : "", rtnl_tc_get_handle(tc)};
  }
  return RootQdisc{};
}

}  // namespace rtchan::link
