#include "raw_client.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "ipc/daemon_view.hpp"

namespace rtchan::testing {

using std::chrono::steady_clock;

RawClient::RawClient(RawClient&& other) noexcept
    : control_(std::exchange(other.control_, -1)),
      arena_fd_(std::exchange(other.arena_fd_, -1)),
      doorbells_(std::exchange(other.doorbells_, {})),
      arena_(std::exchange(other.arena_, {})),
      arena_bytes_(other.arena_bytes_),
      next_request_(other.next_request_),
      kept_(std::move(other.kept_)),
      closed_(other.closed_) {}

RawClient::~RawClient() {
  if (!arena_.empty()) munmap(arena_.data(), arena_.size());
  for (const int fd : doorbells_) close(fd);
  if (arena_fd_ >= 0) close(arena_fd_);
  if (control_ >= 0) close(control_);
}

bool RawClient::connect(const std::string& socket) {
  control_ = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, socket.c_str(), socket.size() + 1);
  return ::connect(control_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool RawClient::hello() {
  if (!send(ipc::Hello{ipc::protocol_version})) return false;
  const auto welcome = await<ipc::Welcome>();
  if (!welcome) return false;
  arena_bytes_ = welcome->arena_bytes;
  return arena_fd_ >= 0 && doorbells_.size() == welcome->workers;
}

bool RawClient::mapped() {
  void* at = mmap(nullptr, arena_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, arena_fd_, 0);
  if (at == MAP_FAILED) return false;
  arena_ = {static_cast<std::byte*>(at), arena_bytes_};
  return send(ipc::Mapped{}) && await<ipc::Ready>().has_value();
}

bool RawClient::send(const ipc::Request& request, bool wait) {
  const auto bytes = ipc::encode(request);
  return ::send(control_, bytes.data(), bytes.size(), MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT)) ==
         static_cast<ssize_t>(bytes.size());
}

bool RawClient::receive_one(steady_clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - steady_clock::now()).count();
  pollfd readable{control_, POLLIN, 0};
  if (closed_ || poll(&readable, 1, static_cast<int>(std::max<long>(left, 0))) <= 0) return false;
  std::vector<std::byte> buffer(ipc::request_bytes_max);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> ancillary{};
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = ancillary.data();
  message.msg_controllen = ancillary.size();
  const ssize_t got = recvmsg(control_, &message, MSG_CMSG_CLOEXEC);
  if (got <= 0) {
    closed_ = true;
    return false;
  }
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      if (arena_fd_ < 0) {
        arena_fd_ = fd;
      } else {
        doorbells_.push_back(fd);
      }
    }
  }
  auto reply = ipc::decode_reply({buffer.data(), static_cast<std::size_t>(got)});
  if (!reply) return false;
  if (const auto* asked = std::get_if<ipc::Asked>(&*reply)) {
    if (!asked->teardown) send(ipc::Decision{asked->question, true});
    return true;
  }
  kept_.push_back(std::move(*reply));
  return true;
}

bool RawClient::evicted(std::chrono::milliseconds patience) {
  const auto until = steady_clock::now() + patience;
  while (!closed_ && steady_clock::now() < until) receive_one(until);
  return closed_;
}

bool RawClient::listen(std::uint16_t port) {
  return send(ipc::RegisterPort{next_request_++, port}) && await<ipc::Registered>().has_value();
}

std::optional<ipc::Created> RawClient::create(const std::string& destination, const Qos& qos) {
  ipc::CreateChannel request{};
  request.request = next_request_++;
  request.destination = Endpoint::parse(destination).value();
  request.qos = qos;
  request.timeout = std::chrono::seconds{5};
  if (!send(request)) return std::nullopt;
  return await<ipc::Created>();
}

std::string RawClient::query(const std::string& what) {
  if (!send(ipc::Query{next_request_++, what})) return {};
  std::string json;
  while (auto page = await<ipc::Text>()) {
    json += page->json;
    if (page->last) return json;
  }
  return {};
}

void RawClient::ring(std::uint32_t worker) noexcept {
  const char byte = 1;
  ::send(doorbells_.at(worker), &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool RawClient::publish(ipc::SendEnd& end, const ipc::Created& channel, std::span<const std::byte> message) {
  const auto slot = end.acquire();
  if (!slot) return false;
  std::memcpy(end.bytes(*slot).data(), message.data(), message.size());
  end.publish(*slot, static_cast<std::uint32_t>(message.size()), RawClock::now());
  auto& to = block().to_worker[channel.worker];
  ipc::add(to.ready, channel.channel.value);
  if (to.sleeping.exchange(0) == 1) ring(channel.worker);
  return true;
}

}  // namespace rtchan::testing
