// The handler of a forward clip, in a router: packets of one link become packets of another.
//
//   demux -> accept (logical arrival, budget) -> queue -> step (EDF) -> LinkFlow -> link scheduler
//
// Each packet goes on by itself, whether its message is complete or not, in the order in which the channel's packets came.
// What it carries is not touched: label, packet number and rem are this hop's own. Its logical arrival is restored from
// what the neighbour upstream says (packet_arrivals.hpp), so that a delay on the way here neither adds up over hops nor
// lets messages bunch: whatever upstream does, the link sees at most the contract. A packet may be handled as soon as it
// is here, but its link stage begins at lambda + d_cpu, and it leaves at most the horizon earlier.
//
// A frame of the clip holds a packet from its arrival to its departure: the one budget bounds both queues.
//
// It assembles nothing and knows no application. A message that lost a packet is discarded here only as far as that
// packet was dropped here; otherwise its rest is forwarded, and its receiver counts it lost.
#pragma once

#include <cstdint>
#include <optional>

#include "clips/edf_queue.hpp"
#include "clips/packet_arrivals.hpp"
#include "clips/packet_store.hpp"
#include "clips/spec.hpp"
#include "wire/data_packet.hpp"

namespace rtchan::clips {

class LinkScheduler;
struct LinkFlow;

class Forward {
 public:
  explicit Forward(const ClipSpec& spec) : spec_(spec), arrivals_(spec) {}

  // At input, before any deadline is known: copies the packet into a frame of the flow, or drops and counts it. False: it is
  // not what the contract or the outgoing link (packets of `packet_bytes` at most) allows.
  bool accept(const wire::DataPacket& packet, Instant arrival, std::size_t packet_bytes, FrameBudget& frames,
              PacketStore& store, ClipCounters& counters) noexcept;

  [[nodiscard]] std::optional<Urgency> urgency(PacketStore& store) const noexcept;
  // One step: up to P packets. Returns how many were passed on.
  std::uint32_t step(Instant now, LinkFlow& flow, LinkScheduler& link, PacketStore& store,
                     ClipCounters& counters) noexcept;

  void connect(const Endpoint& next_hop, Label next_label) noexcept;
  // Gives back the frames of what was not passed on.
  void abandon(PacketStore& store, FrameBudget& frames) noexcept { packets_.clear(store, frames); }
  [[nodiscard]] bool idle() const noexcept { return packets_.empty(); }

 private:
  [[nodiscard]] bool best_effort() const noexcept { return spec_.service == ServiceClass::best_effort; }
  void address(Packet& packet, std::span<std::byte> bytes) noexcept;

  ClipSpec spec_;
  PacketArrivals arrivals_;
  PacketQueue packets_;            // here, and not handled yet
  std::uint64_t next_message_ = 0; // all below have begun here
  std::uint32_t next_packet_ = 0;  // number on the outgoing link
};

}  // namespace rtchan::clips
