// One control message over an AF_UNIX SOCK_SEQPACKET socket, with the descriptors that travel along.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ipc/fd.hpp"

namespace rtchan::ipc {

inline constexpr std::size_t descriptors_max = 16;  // an arena and a doorbell per worker, with room

enum class Transfer : std::uint8_t { done, would_block, closed, failed };  // failed: errno says why

// Never blocks, never raises SIGPIPE. A message goes whole or not at all.
[[nodiscard]] Transfer send_packet(int socket, std::span<const std::byte> message, std::span<const int> descriptors = {}) noexcept;

// Never blocks. Resizes `message` to what came; appends descriptors (close-on-exec) to `descriptors`. A message
// longer than requests allow is `failed` (EMSGSIZE).
[[nodiscard]] Transfer receive_packet(int socket, std::vector<std::byte>& message, std::vector<Fd>& descriptors);

}  // namespace rtchan::ipc
