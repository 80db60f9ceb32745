#include "cli/udp_peer.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace rtchan::cli {

namespace {

constexpr std::uint32_t magic = 0x75637472;  // "rtcu"
enum class Kind : std::uint32_t { request = 0, answer = 1, burst = 2, how_many = 3, so_many = 4 };

// The beginning of every datagram, in the machine's byte order: both ends run the same program.
struct Head {
  std::uint32_t magic;
  Kind kind;
  std::uint64_t number;   // of a request; of the test otherwise
  std::uint64_t received;
  std::int64_t first_ns;
  std::int64_t last_ns;
};
static_assert(sizeof(Head) <= udp_bytes_min);

Error system_error(std::string_view doing) {
  return {Errc::system, fmt::format("{}: {}", doing, std::strerror(errno)), {}};
}

void limit_waiting(int fd, Duration timeout) {
  const timeval tv{timeout.count() / 1'000'000'000, timeout.count() % 1'000'000'000 / 1000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
}

bool read_head(std::span<const std::byte> datagram, Head& head) {
  if (datagram.size() < sizeof head) return false;
  std::memcpy(&head, datagram.data(), sizeof head);
  return head.magic == magic;
}

}  // namespace

struct UdpResponder::State {
  explicit State(int socket) : fd(socket), thread([this](const std::stop_token& stop) { serve(stop); }) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    thread.request_stop();
    thread.join();
    close(fd);
  }

  void serve(const std::stop_token& stop) {
    std::vector<std::byte> datagram(udp_bytes_max + 1);
    sockaddr_storage from{};
    while (!stop.stop_requested()) {
      socklen_t length = sizeof from;
      const ssize_t got = recvfrom(fd, datagram.data(), datagram.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
      Head head{};
      if (got <= 0 || !read_head(std::span(datagram).first(static_cast<std::size_t>(got)), head)) continue;
      if (head.kind == Kind::burst) {
        count(head);
        continue;
      }
      std::size_t answer = static_cast<std::size_t>(got);
      if (head.kind == Kind::request) {
        head.kind = Kind::answer;
      } else if (head.kind == Kind::how_many) {
        head = {magic, Kind::so_many, head.number, head.number == test ? received : 0, first, last};
        answer = sizeof head;
      } else {
        continue;
      }
      std::memcpy(datagram.data(), &head, sizeof head);
      static_cast<void>(sendto(fd, datagram.data(), answer, 0, reinterpret_cast<const sockaddr*>(&from), length));
    }
  }

  void count(const Head& head) {
    const std::int64_t now = RawClock::now().time_since_epoch().count();
    if (head.number != test) {
      test = head.number;
      received = 0;
      first = now;
    }
    ++received;
    last = now;
  }

  int fd;
  std::uint64_t test = UINT64_MAX;  // this and below: the thread's
  std::uint64_t received = 0;
  std::int64_t first = 0;
  std::int64_t last = 0;
  std::jthread thread;
};

UdpResponder::UdpResponder(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
UdpResponder::UdpResponder(UdpResponder&&) noexcept = default;
UdpResponder::~UdpResponder() = default;

std::expected<UdpResponder, Error> UdpResponder::start(std::uint16_t port) {
  const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::unexpected(system_error("socket"));
  const int off = 0;
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(port);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) {
    const Error error = system_error(fmt::format("UDP port {}", port));
    close(fd);
    return std::unexpected(error);
  }
  limit_waiting(fd, std::chrono::milliseconds{100});
  return UdpResponder(std::make_unique<State>(fd));
}

std::expected<UdpCaller, Error> UdpCaller::connect(const Endpoint& responder) {
  socklen_t length{};
  const sockaddr_storage address = responder.to_sockaddr(length);
  const int fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::unexpected(system_error("socket"));
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    const Error error = system_error("UDP to " + responder.text());
    close(fd);
    return std::unexpected(error);
  }
  return UdpCaller(fd);
}

UdpCaller::UdpCaller(UdpCaller&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
UdpCaller::~UdpCaller() {
  if (fd_ >= 0) close(fd_);
}

std::expected<Duration, Error> UdpCaller::round_trip(std::uint64_t sequence, std::uint32_t bytes, Duration timeout) {
  std::vector<std::byte> datagram(bytes);
  Head head{magic, Kind::request, sequence, 0, 0, 0};
  std::memcpy(datagram.data(), &head, sizeof head);
  limit_waiting(fd_, timeout);
  const Instant start = RawClock::now();
  if (::send(fd_, datagram.data(), datagram.size(), 0) < 0) return std::unexpected(system_error("UDP send"));
  while (RawClock::now() - start < timeout) {
    const ssize_t got = recv(fd_, datagram.data(), datagram.size(), 0);
    const Instant end = RawClock::now();
    if (got < 0 && errno == ECONNREFUSED) return std::unexpected(system_error("nobody answers plain UDP (--beside-udp there too?)"));
    if (got < 0) break;
    if (read_head(std::span(datagram).first(static_cast<std::size_t>(got)), head) && head.kind == Kind::answer &&
        head.number == sequence) {
      return end - start;
    }
  }
  return std::unexpected(Error{Errc::timed_out, "no answer over plain UDP", {}});
}

std::expected<BurstResult, Error> UdpCaller::burst(std::uint32_t test, std::uint32_t bytes, Duration time) {
  std::vector<std::byte> datagram(bytes);
  Head head{magic, Kind::burst, test, 0, 0, 0};
  std::memcpy(datagram.data(), &head, sizeof head);
  BurstResult result;
  for (const Instant start = RawClock::now(); RawClock::now() - start < time;) {
    if (::send(fd_, datagram.data(), datagram.size(), 0) >= 0) ++result.sent;
  }
  limit_waiting(fd_, std::chrono::milliseconds{300});
  for (int attempt = 0; attempt < 10; ++attempt) {
    head = {magic, Kind::how_many, test, 0, 0, 0};
    if (::send(fd_, &head, sizeof head, 0) < 0) return std::unexpected(system_error("UDP send"));
    Head answer{};
    while (recv(fd_, &answer, sizeof answer, 0) == sizeof answer) {
      if (answer.magic != magic || answer.kind != Kind::so_many || answer.number != test) continue;
      result.received = answer.received;
      const double seconds = static_cast<double>(answer.last_ns - answer.first_ns) / 1e9;
      if (seconds > 0) result.received_per_second = static_cast<double>(result.received - 1) / seconds;
      return result;
    }
  }
  return std::unexpected(Error{Errc::timed_out, "the receiver does not say how many datagrams arrived", {}});
}

}  // namespace rtchan::cli
