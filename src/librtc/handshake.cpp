// How a session begins: connect, Hello, Welcome (arena and doorbells), map, Mapped, Ready. Everything here runs on
// the caller's thread, before the control thread exists.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "ipc/packet_socket.hpp"
#include "librtc/session_core.hpp"

namespace rtchan::api {

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* default_socket = "/run/rtchan/rtcd.sock";
constexpr std::chrono::nanoseconds longest_spin = std::chrono::milliseconds{1};

std::unexpected<Error> fail(Errc code, std::string text) { return std::unexpected(make_error(code, std::move(text))); }
std::unexpected<Error> fail_with_errno(const char* call) {
  return fail(Errc::system, std::string{call} + ": " + std::strerror(errno));
}

std::string socket_path(const SessionOptions& options) {
  if (!options.socket.empty()) return options.socket;
  const char* from_environment = std::getenv("RTCHAN_SOCKET");
  return from_environment != nullptr && *from_environment != '\0' ? from_environment : default_socket;
}

std::expected<ipc::Fd, Error> connect_to(const std::string& path, Clock::time_point deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(Errc::invalid_argument, "socket path is too long: " + path);
  path.copy(address.sun_path, path.size());
  ipc::Fd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_with_errno("socket");
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EINTR) continue;
    if (errno == EACCES || errno == EPERM) return fail(Errc::permission_denied, "not allowed to talk to rtcd at " + path);
    if (errno != EAGAIN) return fail(Errc::no_daemon, "no rtcd answers at " + path + ": " + std::strerror(errno));
    if (Clock::now() >= deadline) return fail(Errc::timed_out, "rtcd at " + path + " does not accept sessions");
    std::this_thread::sleep_for(std::chrono::milliseconds{1});  // its backlog is full
  }
  return fd;
}

bool wait_for(int fd, short events, Clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd waited{fd, events, 0};
    const int result = poll(&waited, 1, static_cast<int>(std::min<std::int64_t>(left, 1'000)));
    if (result > 0) return true;
    if (result < 0 && errno != EINTR) return false;
  }
}

std::expected<void, Error> send_now(int fd, const ipc::Request& request, Clock::time_point deadline) {
  const auto bytes = ipc::encode(request);
  while (true) {
    switch (ipc::send_packet(fd, bytes)) {
      case ipc::Transfer::done: return {};
      case ipc::Transfer::would_block:
        if (!wait_for(fd, POLLOUT, deadline)) return fail(Errc::timed_out, "rtcd does not read");
        break;
      case ipc::Transfer::closed: return {};  // the receive that follows finds what rtcd has said before
      case ipc::Transfer::failed: return fail_with_errno("sendmsg");
    }
  }
}

// The next message, which must be a `Wanted`.
template <class Wanted>
std::expected<Wanted, Error> receive_now(int fd, std::vector<ipc::Fd>& descriptors, Clock::time_point deadline) {
  std::vector<std::byte> bytes;
  while (true) {
    if (!wait_for(fd, POLLIN, deadline)) return fail(Errc::timed_out, "rtcd does not answer");
    const ipc::Transfer got = ipc::receive_packet(fd, bytes, descriptors);
    if (got == ipc::Transfer::would_block) continue;
    if (got == ipc::Transfer::closed) return fail(Errc::no_daemon, "rtcd closed the connection");
    if (got == ipc::Transfer::failed) return fail_with_errno("recvmsg");
    auto reply = ipc::decode_reply(bytes);
    if (!reply) return fail(Errc::protocol_error, "rtcd: " + reply.error());
    if (auto* failed = std::get_if<ipc::Failed>(&*reply)) return std::unexpected(std::move(failed->error));
    if (auto* wanted = std::get_if<Wanted>(&*reply)) return std::move(*wanted);
    return fail(Errc::protocol_error, "rtcd sent something else than what begins a session");
  }
}

}  // namespace

std::expected<void, Error> SessionCore::map_arena(int memfd, std::uint64_t bytes) {
  if (bytes < ipc::queues_offset || bytes > limits::arena_bytes) {
    return fail(Errc::protocol_error, "rtcd offers an arena of an impossible size");
  }
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memfd, 0);
  if (at == MAP_FAILED) {
    return fail(Errc::exhausted, std::string{"mapping the arena (sparse address space; see ulimit -v): "} + std::strerror(errno));
  }
  arena_ = {static_cast<std::byte*>(at), bytes};
  madvise(at, bytes, MADV_DONTDUMP);
  if (madvise(at, bytes, MADV_DONTFORK) != 0) return fail_with_errno("madvise(MADV_DONTFORK)");
  return {};
}

std::expected<void, Error> SessionCore::shake_hands(const SessionOptions& options) {
  const auto deadline = deadline_after(options.timeout);
  spin_ = std::clamp(options.spin, std::chrono::nanoseconds::zero(), longest_spin);
  linger_ = options.linger;
  auto connected = connect_to(socket_path(options), deadline);
  if (!connected) return std::unexpected(std::move(connected.error()));
  control_ = std::move(*connected);
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return fail_with_errno("eventfd");

  // If rtcd has closed already, it has said why: the answer is to be read all the same.
  auto sent = send_now(control_.get(), ipc::Hello{ipc::protocol_version}, deadline);
  if (!sent && sent.error().code != Errc::no_daemon) return sent;
  std::vector<ipc::Fd> descriptors;
  const auto welcome = receive_now<ipc::Welcome>(control_.get(), descriptors, deadline);
  if (!welcome) return std::unexpected(welcome.error());
  if (welcome->version != ipc::protocol_version) {
    return fail(Errc::version_mismatch, "rtcd speaks version " + std::to_string(welcome->version) + " of the session protocol, this library " +
                                            std::to_string(ipc::protocol_version));
  }
  if (descriptors.size() != 1 + welcome->workers) {
    return fail(Errc::protocol_error, "rtcd sent " + std::to_string(descriptors.size()) +
                                          " descriptors: an arena and a doorbell per worker are needed (fd limit?)");
  }
  if (auto mapped = map_arena(descriptors.front().get(), welcome->arena_bytes); !mapped) return mapped;
  doorbells_.assign(std::make_move_iterator(descriptors.begin() + 1), std::make_move_iterator(descriptors.end()));
  descriptors.clear();  // the memfd too: the mapping keeps the memory
  if (block().version != ipc::layout_version) return fail(Errc::version_mismatch, "rtcd lays out shared memory differently");

  if (sent = send_now(control_.get(), ipc::Mapped{}, deadline); !sent) return sent;
  const auto ready = receive_now<ipc::Ready>(control_.get(), descriptors, deadline);
  if (!ready) return std::unexpected(ready.error());
  return {};
}

}  // namespace rtchan::api
