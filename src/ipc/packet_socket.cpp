#include "ipc/packet_socket.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "ipc/requests.hpp"

namespace rtchan::ipc {

namespace {

constexpr std::size_t ancillary_bytes = CMSG_SPACE(descriptors_max * sizeof(int));

Transfer outcome_of_error() noexcept {
  switch (errno) {
    case EAGAIN:
    case EINTR:
    case ENOBUFS: return Transfer::would_block;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN: return Transfer::closed;
    default: return Transfer::failed;
  }
}

void collect(const msghdr& head, std::vector<Fd>& descriptors) {
  for (const cmsghdr* c = CMSG_FIRSTHDR(&head); c != nullptr; c = CMSG_NXTHDR(const_cast<msghdr*>(&head), const_cast<cmsghdr*>(c))) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      descriptors.emplace_back(fd);
    }
  }
}

// The other side closed with words of ours unread. What it had said before is still there, behind this error.
ssize_t behind_reset(auto&& receive) noexcept {
  const ssize_t got = receive();
  return got < 0 && errno == ECONNRESET ? receive() : got;
}

}  // namespace

Transfer send_packet(int socket, std::span<const std::byte> message, std::span<const int> descriptors) noexcept {
  iovec part{const_cast<std::byte*>(message.data()), message.size()};
  alignas(cmsghdr) std::array<char, ancillary_bytes> ancillary{};
  msghdr head{};
  head.msg_iov = &part;
  head.msg_iovlen = 1;
  if (!descriptors.empty() && descriptors.size() <= descriptors_max) {
    head.msg_control = ancillary.data();
    head.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&head);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(c), descriptors.data(), descriptors.size_bytes());
  }
  if (sendmsg(socket, &head, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return Transfer::done;
  return outcome_of_error();
}

Transfer receive_packet(int socket, std::vector<std::byte>& message, std::vector<Fd>& descriptors) {
  // Not to zero room for the longest for each short one: how long it is, is asked first.
  const ssize_t length = behind_reset([&] { return recv(socket, nullptr, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT); });
  if (length < 0) return outcome_of_error();
  message.resize(std::min(static_cast<std::size_t>(length), request_bytes_max));
  iovec part{message.data(), message.size()};
  alignas(cmsghdr) std::array<char, ancillary_bytes> ancillary{};
  msghdr head{};
  head.msg_iov = &part;
  head.msg_iovlen = 1;
  head.msg_control = ancillary.data();
  head.msg_controllen = ancillary.size();
  const ssize_t got = behind_reset([&] { return recvmsg(socket, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC); });
  if (got < 0) return outcome_of_error();
  collect(head, descriptors);
  if (got == 0) return Transfer::closed;
  if ((head.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    errno = EMSGSIZE;
    return Transfer::failed;
  }
  message.resize(static_cast<std::size_t>(got));
  return Transfer::done;
}

}  // namespace rtchan::ipc
