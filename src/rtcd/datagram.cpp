#include "rtcd/datagram.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cassert>
#include <cerrno>
#include <cstring>

namespace rtchan::rtcd {

Sent send_datagram(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors, int flags) noexcept {
  assert(descriptors.size() <= descriptors_most);
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * descriptors_most)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    std::memset(control, 0, sizeof control);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(head), descriptors.data(), descriptors.size_bytes());
  }
  for (;;) {
    if (sendmsg(socket, &message, flags | MSG_NOSIGNAL) >= 0) return Sent::whole;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? Sent::would_block : Sent::failed;
  }
}

Received receive_datagram(int socket, std::span<std::byte> buffer, int flags) {
  iovec part{buffer.data(), buffer.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * descriptors_most)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = 0;
  do {
    got = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  Received result;
  if (got < 0) {
    result.kind = errno == EAGAIN || errno == EWOULDBLOCK ? Received::Kind::nothing : Received::Kind::failed;
    return result;
  }
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr; head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
      result.descriptors.emplace_back(fd);
    }
  }
  result.bytes = static_cast<std::size_t>(got);
  if ((message.msg_flags & MSG_TRUNC) != 0) {
    result.kind = Received::Kind::too_long;
  } else {
    result.kind = got == 0 ? Received::Kind::closed : Received::Kind::datagram;
  }
  return result;
}

}  // namespace rtchan::rtcd
