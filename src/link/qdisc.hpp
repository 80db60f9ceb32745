// The queueing discipline at the root of an interface.
#pragma once

#include <cstdint>
#include <expected>
#include <rtchan/error.hpp>
#include <string>

struct nl_sock;

namespace rtchan::link {

struct RootQdisc {
  std::string kind;          // empty: none
  std::uint32_t handle = 0;  // 0: put there by the kernel itself, nobody configured it
};
// Asks the kernel; Errc::system if it does not answer.
[[nodiscard]] std::expected<RootQdisc, Error> root_qdisc(nl_sock* socket, int interface_index);

}  // namespace rtchan::link
