#include "system/wire_tap.hpp"

#include <fmt/format.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <span>

#include "lab/netns.hpp"

namespace rtchan::system_test {

namespace {

int open_socket(const std::string& interface) {
  const int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IP));  // arriving packets only
  if (fd < 0) return -1;
  const int room = 32 << 20;
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  const timeval wait{0, 100'000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_IP);
  address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

// Payload bytes of an IPv4 UDP datagram to `port`; 0: something else.
std::size_t payload_to(std::span<const std::byte> packet, std::uint16_t port) {
  iphdr ip{};
  if (packet.size() < sizeof ip) return 0;
  std::memcpy(&ip, packet.data(), sizeof ip);
  const std::size_t header = ip.ihl * 4u;
  udphdr udp{};
  if (ip.protocol != IPPROTO_UDP || packet.size() < header + sizeof udp) return 0;
  std::memcpy(&udp, packet.data() + header, sizeof udp);
  return ntohs(udp.dest) == port ? ntohs(udp.len) - sizeof udp : 0;
}

}  // namespace

std::expected<std::unique_ptr<WireTap>, std::string> WireTap::open(const std::string& netns, const std::string& interface,
                                                                   std::uint16_t port, std::size_t payload_min) {
  int fd = -1;
  if (const auto inside = lab::in_netns(netns, [&] { fd = open_socket(interface); }); !inside) return std::unexpected(inside.error().text);
  if (fd < 0) return std::unexpected(fmt::format("cannot capture on {}: {}", interface, std::strerror(errno)));
  return std::unique_ptr<WireTap>(new WireTap(fd, port, payload_min));
}

WireTap::WireTap(int fd, std::uint16_t port, std::size_t payload_min)
    : fd_(fd), port_(port), payload_min_(payload_min), thread_([this](const std::stop_token& stop) { listen(stop); }) {}

WireTap::~WireTap() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  close(fd_);
}

void WireTap::listen(const std::stop_token& stop) {
  std::array<std::byte, 256> packet;  // headers are enough: the length stands in them
  std::array<char, 256> control;
  while (!stop.stop_requested()) {
    iovec part{packet.data(), packet.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = recvmsg(fd_, &message, 0);
    if (got <= 0 || payload_to(std::span(packet).first(static_cast<std::size_t>(got)), port_) < payload_min_) continue;
    ++capture_.marks[std::to_integer<unsigned>(packet[1]) >> 2];  // RFC 2474: the second byte of an IPv4 header
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_TIMESTAMPNS) continue;
      timespec at{};
      std::memcpy(&at, CMSG_DATA(c), sizeof at);
      capture_.times.emplace_back(at.tv_sec * 1'000'000'000LL + at.tv_nsec);
    }
  }
}

Capture WireTap::stop() {
  thread_.request_stop();
  thread_.join();
  tpacket_stats statistics{};
  socklen_t length = sizeof statistics;
  getsockopt(fd_, SOL_PACKET, PACKET_STATISTICS, &statistics, &length);
  capture_.missed = statistics.tp_drops;
  std::sort(capture_.times.begin(), capture_.times.end());
  return std::move(capture_);
}

double worst_excess(const std::vector<Duration>& times, double burst, double rate) {
  // A window from packet i to packet j holds j - i + 1 of them and lasts t_j - t_i:
  // excess = (j - R t_j) - (i - R t_i) + 1 - B. One pass keeps the smallest (i - R t_i) so far.
  if (times.empty()) return -burst;
  double smallest = std::numeric_limits<double>::infinity();
  double worst = -std::numeric_limits<double>::infinity();
  for (std::size_t j = 0; j < times.size(); ++j) {
    const double seconds = std::chrono::duration<double>(times[j] - times.front()).count();
    const double position = static_cast<double>(j) - rate * seconds;
    smallest = std::min(smallest, position);
    worst = std::max(worst, position - smallest + 1 - burst);
  }
  return worst;
}

}  // namespace rtchan::system_test
