// From hand-over to the kernel and back, in the packet's order: open, transmit, receive.
#include "link/udp.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/limits.hpp"
#include "link/interface.hpp"
#include "link/udp_socket.hpp"

namespace rtchan::link {

namespace {

constexpr std::size_t udp_header_bytes = 8;
constexpr std::size_t ethernet_header_bytes = 14;
std::size_t ip_header_bytes(const Endpoint& local) {
  return local.address.is_v4() ? 20 : 40;
}
// Room for what GRO joins, or for one packet.
std::size_t datagram_bytes(const UdpConfig& config) {
  return config.segmentation ? limits::udp_datagram_bytes : limits::mtu_bytes_max;
}
std::size_t index(TrafficClass cls) {
  return static_cast<std::size_t>(cls);
}

}  // namespace

struct UdpDriver::State {
  State(const UdpConfig& config, std::size_t payload, std::array<UdpSocket, traffic_classes> opened)
      : sockets(std::move(opened)),
        senders{UdpSender(config.segmentation && sockets[0].can_segment(), 0),
                UdpSender(config.segmentation && sockets[1].can_segment(), 1),
                UdpSender(config.segmentation && sockets[2].can_segment(), 2)},
        receivers{UdpReceiver(config.receive_batch[0], datagram_bytes(config)),
                  UdpReceiver(config.receive_batch[1], datagram_bytes(config)),
                  UdpReceiver(config.receive_batch[2], datagram_bytes(config))},
        payload_bytes(payload),
        header_bytes(static_cast<std::uint32_t>(ethernet_header_bytes + ip_header_bytes(config.local) +
                                                udp_header_bytes)) {}

  std::array<UdpSocket, traffic_classes> sockets;
  std::array<UdpSender, traffic_classes> senders;
  std::array<UdpReceiver, traffic_classes> receivers;
  std::size_t payload_bytes;
  std::uint32_t header_bytes;
  std::size_t handed_over = 0;  // since the last completed()
  Counters counters;
  std::vector<std::string> shortcomings;
};

UdpDriver::UdpDriver(std::unique_ptr<State> state) : state_(std::move(state)) {}
UdpDriver::~UdpDriver() = default;

std::expected<std::unique_ptr<UdpDriver>, Error> UdpDriver::open(const UdpConfig& config) {
  if (config.local.port == 0 || config.local.port > UINT16_MAX - 2) {
    return std::unexpected(Error{.code = Errc::invalid_argument,
                                 .text = "a link's port is 1 to 65533 (the next two are used too)"});
  }
  std::uint32_t mtu = config.mtu_bytes;
  if (mtu == 0) {
    const auto under = config.interface.empty() ? interface_by_address(config.local.address)
                                                : interface_by_name(config.interface);
    if (!under) return std::unexpected(under.error());
    mtu = std::min(under->mtu_bytes, limits::mtu_bytes_max);
  }
  if (mtu < limits::mtu_bytes_min || mtu > limits::mtu_bytes_max) {
    return std::unexpected(Error{.code = Errc::invalid_argument,
                                 .text = fmt::format("MTU {} is not within {} to {} (signalling packets must fit)", mtu,
                                                     limits::mtu_bytes_min, limits::mtu_bytes_max)});
  }
  std::vector<std::string> shortcomings;
  auto real_time = UdpSocket::open(config, TrafficClass::real_time, shortcomings);
  if (!real_time) return std::unexpected(real_time.error());
  auto best_effort = UdpSocket::open(config, TrafficClass::best_effort, shortcomings);
  if (!best_effort) return std::unexpected(best_effort.error());
  auto middle = UdpSocket::open(config, TrafficClass::middle, shortcomings);
  if (!middle) return std::unexpected(middle.error());
  auto state = std::make_unique<State>(config, mtu - ip_header_bytes(config.local) - udp_header_bytes,
                                       std::array{std::move(*real_time), std::move(*best_effort), std::move(*middle)});
  state->shortcomings = std::move(shortcomings);
  return std::unique_ptr<UdpDriver>(new UdpDriver(std::move(state)));
}

std::size_t UdpDriver::transmit(TrafficClass cls, std::span<const TxPacket> packets) {
  State& s = *state_;
  const std::size_t taken =
      s.senders[index(cls)].send(s.sockets[index(cls)].fd(), packets, s.payload_bytes, s.counters);
  s.handed_over += taken;
  if (taken < packets.size()) ++s.counters.device_full;
  return taken;
}

std::size_t UdpDriver::receive(TrafficClass cls, Instant now, std::span<RxPacket> out) {
  State& s = *state_;
  const std::size_t n = s.receivers[index(cls)].receive(s.sockets[index(cls)].fd(), now, out,
                                                        s.counters.kernel_drops[index(cls)]);
  s.counters.received += n;
  return n;
}

// A socket does not tell when the NIC is done: all of it counts as done, and the link clock paces.
std::size_t UdpDriver::completed() {
  return std::exchange(state_->handed_over, 0);
}
std::size_t UdpDriver::payload_bytes() const {
  return state_->payload_bytes;
}
int UdpDriver::fd(TrafficClass cls) const {
  return state_->sockets[index(cls)].fd();
}
Driver::Counters UdpDriver::counters() const {
  return state_->counters;
}
const std::vector<std::string>& UdpDriver::shortcomings() const {
  return state_->shortcomings;
}
bool UdpDriver::segmenting() const {
  return state_->senders[0].segmenting();
}
std::uint32_t UdpDriver::header_bytes() const {
  return state_->header_bytes;
}

}  // namespace rtchan::link
