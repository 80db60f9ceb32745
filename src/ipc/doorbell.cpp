#include "ipc/doorbell.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace rtchan::ipc {

bool ring_if_sleeping(std::atomic<std::uint32_t>& sleeping, int doorbell) noexcept {
  // The load is enough to see an announcement that came before our publication (both are sequentially
  // consistent); only one of several ringers gets the 1 and pays for the system call.
  if (sleeping.load(std::memory_order_seq_cst) == 0) return false;
  if (sleeping.exchange(0, std::memory_order_seq_cst) == 0) return false;
  const char byte = 1;
  return send(doorbell, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

bool drain(int doorbell) noexcept {
  std::array<char, 4'096> bytes;  // a full socket is empty after some fifty looks
  const ssize_t got = recv(doorbell, bytes.data(), bytes.size(), MSG_DONTWAIT);
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}

}  // namespace rtchan::ipc
