// The narrow interface between the link scheduler and whatever moves packets: hand over, take in, and what
// is known about completion. A driver neither schedules nor interprets packets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/address.hpp"
#include "base/time.hpp"

namespace rtchan::link {

// Each class uses a socket/queue of its own, so that a flood of one cannot fill another's buffers. `middle`: served below
// real-time, above best effort.
enum class TrafficClass : std::uint8_t { real_time = 0, best_effort = 1, middle = 2 };
inline constexpr std::size_t traffic_classes = 3;

struct TxPacket {
  const Endpoint* to{};               // neighbour, at its link's port whatever the class; outlives the call
  std::span<const std::byte> bytes;   // whole UDP payload
};

struct RxPacket {
  Endpoint from{};
  std::span<const std::byte> bytes;   // valid until the next receive() on the same class
  Instant arrival{};                  // kernel or NIC stamp converted to the raw clock where there is one, else time of the call
  bool stamped{};                     // arrival is a stamp
};

class Driver {
 public:
  virtual ~Driver() = default;
  // Hands over the first n packets, in order, and returns n; fewer than given means "the device is full now"
  // for this class: another class may still have room, and must not wait for this one.
  // A packet that cannot be sent at all (EMSGSIZE, unreachable) counts as taken and is counted in errors().
  virtual std::size_t transmit(TrafficClass cls, std::span<const TxPacket> packets) = 0;
  // Fills up to out.size() packets that have arrived; returns how many. Never blocks. `arrival` is never later
  // than `now`. A full `out` means that there may be more, perhaps already taken from the socket: call again
  // before waiting on fd().
  virtual std::size_t receive(TrafficClass cls, Instant now, std::span<RxPacket> out) = 0;
  // Packets whose transmission has been reported complete since the last call; drivers that cannot know
  // return everything handed over (the link clock alone then bounds what is outstanding).
  virtual std::size_t completed() = 0;
  // Largest UDP payload that fits one frame to any configured neighbour.
  [[nodiscard]] virtual std::size_t payload_bytes() const = 0;
  // File descriptor that is readable when receive(cls) has something; -1 if there is none (loopback).
  [[nodiscard]] virtual int fd(TrafficClass cls) const = 0;

  struct Counters {
    std::uint64_t sent{}, received{};          // packets
    std::uint64_t sent_bytes{};                // their UDP payload
    std::uint64_t send_errors{};               // refused by the system for good (unreachable, ...): lost
    std::uint64_t device_full{};               // calls that could not take everything
    std::uint64_t kernel_drops[traffic_classes]{};           // arrived but found the receive buffer full, per TrafficClass; what
                                               // the kernel had joined (GRO) counts once
    std::uint64_t oversized{};                 // EMSGSIZE, or longer than payload_bytes(): lost
  };
  [[nodiscard]] virtual Counters counters() const = 0;
};

}  // namespace rtchan::link
