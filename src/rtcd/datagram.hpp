// Datagrams with descriptors over a Unix seqpacket socket (SCM_RIGHTS).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "rtcd/fd.hpp"

namespace rtchan::rtcd {

inline constexpr std::size_t descriptors_most = 16;  // in one datagram

enum class Sent : std::uint8_t { whole, would_block, failed };  // failed: errno says why

// One datagram, with up to descriptors_most descriptors. `flags` as for sendmsg.
Sent send_datagram(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors, int flags) noexcept;

struct Received {
  enum class Kind : std::uint8_t { datagram, nothing, closed, too_long, failed } kind{};
  std::size_t bytes = 0;
  std::vector<Fd> descriptors{};
};
// Descriptors beyond descriptors_most are closed by the kernel.
Received receive_datagram(int socket, std::span<std::byte> buffer, int flags);

}  // namespace rtchan::rtcd
