// What a clip is made from: the abstract requirements of one channel end on one worker (paper 4.1, 4.3) after
// admission has given each stage its local delay. Plain values: they cross from control to worker and into the
// simulator unchanged.
#pragma once

#include <cstdint>

#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include <rtchan/qos.hpp>

namespace rtchan::clips {

enum class Role : std::uint8_t {
  outgoing,  // messages of a local application (or of control) become packets of a link
  incoming,  // packets of a link become messages of a local application
  forward,   // packets of one link become packets of another
};

// Traffic contract in integers: at most burst + t/period messages in every interval t.
struct Contract {
  Duration period{};               // T = floor(1/R); 0: no limit (best effort)
  std::uint32_t burst = 1;         // B, messages
  std::uint32_t message_bytes = 0; // M
};

// What happens to a message that exceeds the contract (logical arrival - sight > (B-1)*T).
enum class Policing : std::uint8_t { shape, refuse };

struct ClipSpec {
  ClipSlot slot{};                 // index in the worker's table; also the slot of the local label
  std::uint32_t generation{};      // generation of the local label (incoming, forward)
  Role role = Role::outgoing;
  ServiceClass service = ServiceClass::guaranteed;
  Contract contract{};
  Policing policing = Policing::shape;

  // Local delays given by admission (0 for best effort). A message's CPU deadline is l + cpu_delay; on an
  // outgoing or forward clip the link stage starts there: l_link = l + cpu_delay, deadline l_link + link_delay.
  Duration cpu_delay{};
  Duration link_delay{};
  Duration horizon{};              // H: how early a packet may leave; 0 toward unscheduled switch ports
  std::uint32_t packets_per_step = 8;   // P: the handler yields after this many packets
  std::uint32_t packet_buffers = 0;     // packets of this clip that may be staged at once (reserved for it)
  // Packets of one message: what admission has counted with (incoming, forward). 0: as many as it likes (best effort).
  std::uint32_t packets_per_message = 0;
  // outgoing: largest packet, so that it fits every link of the route. 0: whatever fits the first.
  std::uint32_t packet_bytes = 0;

  // outgoing, forward
  std::uint32_t link = 0;          // index of the worker's link
  Endpoint next_hop{};             // neighbour's data endpoint of that link
  Label next_label{};              // the neighbour's label for this channel

  // incoming, forward
  Duration upstream_rem{};         // d_prev + H_prev: what rem is clamped to
  Duration upstream_propagation{}; // pi: bound from the neighbour's finish to our arrival stamp

  // incoming: the promise, for accounting
  Duration end_to_end{};           // D

  // outgoing, incoming: another clip of the channel went before (its route has changed). Messages are counted on from there, so
  // that what was lost in between is seen.
  bool takes_over = false;
  std::uint64_t first_message = 0;
};

enum class CloseMode : std::uint8_t {
  drain,    // what has been accepted is still delivered, then the clip goes
  abandon,  // now: the application or the peer is gone
  hand_back,  // its application goes on: another clip will read from, or write to, the same queue. A message in work still leaves
};

// Counters of one clip, written by its worker with relaxed stores, readable from outside at any time.
struct alignas(64) ClipCounters {
  // messages
  std::uint64_t accepted{};        // sighted in the queue (outgoing) or begun (incoming, forward)
  std::uint64_t delivered{};       // their end is handed to the link (outgoing, forward), or readable at the receiver (incoming)
  std::uint64_t shaped{};          // held because they exceeded the contract
  std::uint64_t refused{};         // dropped by refuse policing
  std::uint64_t late{};            // past the stage's (outgoing, forward) or the end-to-end (incoming) deadline
  std::uint64_t lost{};            // message numbers that never completed (incoming)
  std::uint64_t no_slot{};         // complete or beginning, but the application was behind: dropped
  // packets (of several messages in one packet: messages)
  std::uint64_t stale{};           // of messages that are over, given up or overtaken
  std::uint64_t excess{};          // beyond what one message may bring: more packets or bytes than its length comes to
  std::uint64_t duplicate{};       // here already
  std::uint64_t misfit{};          // fragments that contradict what is here of their message
  std::uint64_t rejected{};        // refused by the clip's protocol stack
  // messages again
  std::uint64_t unpoliced{};       // arrived earlier than the contract allows (incoming, forward): upstream exceeds it
  // packets and bytes
  std::uint64_t packets{};
  std::uint64_t bytes{};           // message bytes
  std::uint64_t no_buffer{};       // packets dropped because packet_buffers were all in use
  std::uint64_t packets_missing{}; // packet numbers that did not come (incoming, forward): lost on this hop
  // delays, ns
  std::int64_t worst_delay{};      // from logical arrival: end to end (incoming), to the link (outgoing), from here to the link (forward)
  std::int64_t worst_cpu{};        // handler finish - stage's logical arrival, worst
  std::int64_t worst_link{};       // link finish bound - stage's logical arrival, worst
};

}  // namespace rtchan::clips
