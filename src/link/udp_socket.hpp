// The three parts of the UDP driver: one configured socket, sending on it, receiving from it.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.hpp"
#include "base/pool.hpp"
#include "link/stamp_clock.hpp"
#include "link/udp.hpp"

namespace rtchan::link {

// Owns the descriptor; everything about the socket that never changes is set here.
class UdpSocket {
 public:
  static std::expected<UdpSocket, Error> open(const UdpConfig& config, TrafficClass cls,
                                              std::vector<std::string>& shortcomings);
  ~UdpSocket();
  UdpSocket(UdpSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UdpSocket& operator=(UdpSocket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  [[nodiscard]] int fd() const { return fd_; }
  // The kernel knows UDP_SEGMENT.
  [[nodiscard]] bool can_segment() const;

 private:
  explicit UdpSocket(int fd) : fd_(fd) {}
  int fd_;
};

// Groups packets into datagrams and datagrams into system calls. A datagram of several packets ("batch") is
// cut apart again by the kernel or the NIC (UDP_SEGMENT): same neighbour, all packets equally long, the last
// may be shorter.
class UdpSender {
 public:
  // `port_offset` is added to every neighbour's port: a class's packets go to that class's socket.
  UdpSender(bool segmentation, std::uint16_t port_offset) : segmentation_(segmentation), port_offset_(port_offset) {}
  // How many of the first packets were taken (sent, or counted as lost); fewer than given: the socket is
  // full.
  std::size_t send(int fd, std::span<const TxPacket> packets, std::size_t payload_bytes,
                   Driver::Counters& counters);
  [[nodiscard]] bool segmenting() const { return segmentation_; }

 private:
  struct Batch {
    std::size_t packets{};
    std::size_t bytes{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> control{};
    sockaddr_storage to{};
  };

  std::size_t segments_from(std::span<const TxPacket> packets) const;
  std::size_t prepare(std::span<const TxPacket> packets, std::size_t payload_bytes);
  void fill(std::size_t batch, std::span<const TxPacket> packets, iovec* vectors);
  // The first batch was refused with `error`. True: it is dealt with (lost, or to be tried again without
  // segmentation); false: the socket is full.
  bool refused(int error, const Batch& batch, Driver::Counters& counters, std::size_t& taken);
  void passed(const Batch& batch);

  bool segmentation_;       // the kernel and the route take UDP_SEGMENT
  std::uint16_t port_offset_;
  std::size_t single_ = 0;  // so many packets must go one by one: their batch was refused
  bool suspect_ = false;    // ... and so far none of them was refused alone
  std::array<Batch, limits::udp_batches_per_call> batches_{};
  std::array<mmsghdr, limits::udp_batches_per_call> messages_{};
  std::array<iovec, limits::udp_packets_per_call> vectors_{};
};

// Takes datagrams in and cuts those apart again that the kernel has joined (UDP_GRO).
class UdpReceiver {
 public:
  // `batch` datagrams a call, each of up to `datagram_bytes` (longer ones arrive cut and are of no use).
  UdpReceiver(std::uint32_t batch, std::size_t datagram_bytes);
  std::size_t receive(int fd, Instant now, std::span<RxPacket> out, std::uint64_t& kernel_drops);

 private:
  static constexpr std::size_t control_bytes = 128;

  struct Datagram {  // taken from the kernel; `cut` bytes of it have been given out
    Endpoint from{};
    std::span<const std::byte> bytes{};
    std::size_t segment = 0;
    Instant arrival{};
    bool stamped = false;
    std::size_t cut = 0;
  };
  void ready(std::size_t i);
  void take_in(int fd, Instant now, std::uint64_t& kernel_drops);
  Datagram read(std::size_t i, Instant now, std::uint64_t& kernel_drops);

  Pool buffers_;
  std::vector<std::array<char, control_bytes>> control_;
  std::vector<sockaddr_storage> from_;
  std::vector<iovec> vectors_;
  std::vector<mmsghdr> messages_;
  std::vector<Datagram> datagrams_;
  std::size_t next_ = 0;   // first datagram that is not wholly given out
  std::size_t count_ = 0;  // datagrams from the last system call
  std::uint32_t drops_seen_ = 0;
  StampClock clock_;
};

}  // namespace rtchan::link
