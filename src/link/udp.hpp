// Packets as UDP datagrams through the kernel's sockets: the driver that works everywhere. One socket for
// real-time traffic (the link's port), one for best effort (port + 1) and one for the class between them (port + 2), so that
// none fills another's buffers. Batches go by sendmmsg/recvmmsg; runs of equal-sized packets to one neighbour as one GSO datagram,
// and GRO on receive (14 times the packet rate on the machine this was designed on). Never fragments (DF).
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <rtchan/error.hpp>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "link/driver.hpp"

namespace rtchan::link {

struct UdpConfig {
  Endpoint local{};                // the link's own address; port: real-time, + 1: best effort, + 2: middle
  std::string interface;           // bind to this interface by name; empty: not bound, found by `local`
  std::uint32_t mtu_bytes = 0;     // 0: what the interface says (at most limits::mtu_bytes_max)
  std::uint8_t dscp[traffic_classes] = {46, 0, 26};  // per TrafficClass: EF, default forwarding, AF31
  std::uint32_t priority[traffic_classes] = {6, 0, 6};  // SO_PRIORITY per TrafficClass; a guard may ask for others. Above 6
                                    // needs CAP_NET_ADMIN: the guard depends on it, so open() fails without
  bool segmentation = true;         // GSO and GRO, where the kernel has them
  std::uint32_t receive_buffer_bytes = 4u << 20;  // per socket, as SO_RCVBUF counts (see below)
  std::uint32_t send_buffer_bytes = 1u << 20;
  std::uint32_t receive_batch[traffic_classes] = {64, 16, 16};  // datagrams taken by one receive(), per TrafficClass
};

class UdpDriver final : public Driver {
 public:
  // Opens and binds the sockets. Fails with Errc::invalid_argument (address not ours, MTU below
  // limits::mtu_bytes_min), Errc::port_in_use or Errc::system; text names the call.
  static std::expected<std::unique_ptr<UdpDriver>, Error> open(const UdpConfig& config);
  ~UdpDriver() override;

  std::size_t transmit(TrafficClass cls, std::span<const TxPacket> packets) override;
  std::size_t receive(TrafficClass cls, Instant now, std::span<RxPacket> out) override;
  std::size_t completed() override;
  [[nodiscard]] std::size_t payload_bytes() const override;
  [[nodiscard]] int fd(TrafficClass cls) const override;
  [[nodiscard]] Counters counters() const override;

  // What was asked for and not granted ("receive buffer 425,984 of 4,194,304 bytes: raise
  // net.core.rmem_max"), one sentence each, for the log and `rtc status`.
  [[nodiscard]] const std::vector<std::string>& shortcomings() const;
  // Whether batches go out as GSO datagrams at the moment.
  [[nodiscard]] bool segmenting() const;
  // What a payload gains up to the Ethernet header as interfaces count it: 14 + 20/40 + 8.
  [[nodiscard]] std::uint32_t header_bytes() const;

 private:
  struct State;
  explicit UdpDriver(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace rtchan::link
