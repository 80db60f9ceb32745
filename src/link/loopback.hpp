// A full-duplex cable between two drivers in one process and virtual time, for tests and the simulator: each
// direction is a wire of given capacity and delay behind a device queue of given depth. Deterministic; reads
// no clock: advance() tells the time. One thread uses a cable and both its drivers.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "link/driver.hpp"

namespace rtchan::link {

struct CableConfig {
  std::array<Endpoint, 2> ends{};          // address and port of side 0 and side 1; must differ
  std::uint64_t bits_per_second = 0;       // of wire bits; 0: unlimited
  std::uint32_t frame_overhead_bytes = 0;  // what a payload gains on the wire
  Duration delay{};                        // propagation
  std::size_t payload_bytes = 1'472;
  std::uint32_t device_packets = 1'024;   // handed over and not yet on the wire; beyond: "device full"
  std::uint32_t frames = 4'096;           // packets in flight or waiting to be received, per direction
  std::uint32_t receive_packets = 4'096;  // waiting at the receiver per class; beyond: kernel_drops
};

class Cable {
 public:
  explicit Cable(const CableConfig& config);
  ~Cable();
  Cable(const Cable&) = delete;
  Cable& operator=(const Cable&) = delete;

  // side 0 or 1; lives as long as the cable.
  [[nodiscard]] Driver& driver(unsigned side);

  // Time moves on (never back); what is transmitted from now on starts at `now`.
  void advance(Instant now);
  // Earliest instant after the last advance() at which a packet arrives or a transmission completes; `never`
  // if nothing is under way.
  [[nodiscard]] Instant next_event() const;

 private:
  class Side;
  std::array<std::unique_ptr<Side>, 2> sides_;
};

}  // namespace rtchan::link
