// What a channel's packets from its neighbour upstream mean, for whoever takes them (incoming, forward): which message
// they are of, whether they were here before, when they arrive logically, and how much of a message there may be.
//
// Logical arrival without synchronised clocks (docs: admission, section 5). rem travels in each packet: the
// time that was left to its sender when it had left. Packet j of message m arrives logically at
//
//     lambda(m,j) = max( arrival_j + rem_j,  lambda(m,j-1),  max_k lambda(m-1,k) + T )
//
// and must be handled by lambda + d. So a neighbour that sends faster than the contract is held here too. A neighbour
// that was late says so by a negative rem, which counts in what is reported but not in lambda.
#pragma once

#include <cstdint>

#include "base/time.hpp"
#include "clips/spec.hpp"
#include "wire/data_packet.hpp"

namespace rtchan::clips {

// What one packet brings.
struct Extent {
  std::uint32_t messages = 0;  // a fragment counts as one
  std::uint32_t longest = 0;   // length of the longest message that it is of
  std::uint32_t bytes = 0;     // of messages
};
[[nodiscard]] Extent extent_of(const wire::DataPacket& packet) noexcept;

class PacketArrivals {
 public:
  explicit PacketArrivals(const ClipSpec& spec);

  // Counts packets that were lost on this hop, whatever becomes of their messages; one that was only late is taken off
  // again, unless it is older than the last 64. True: a packet of that number was here before, as far as the last 64 tell.
  bool repeated(std::uint32_t packet_number, ClipCounters& counters) noexcept;

  // The message of that number on the wire, unwrapped; negative: before the first. A router takes the first for what it says:
  // a channel whose route has changed goes on counting.
  [[nodiscard]] std::int64_t unwrap(std::uint32_t first_message) const noexcept {
    if (counts_on_ && !begun_) return first_message;
    return static_cast<std::int64_t>(newest_) +
           static_cast<std::int32_t>(first_message - static_cast<std::uint32_t>(newest_));
  }
  // A later message has begun, or nothing more of this one is wanted.
  [[nodiscard]] bool overtaken(std::int64_t message) const noexcept {
    return message < static_cast<std::int64_t>(newest_) || spoiled(static_cast<std::uint64_t>(message));
  }

  // Takes the packet from what its message may bring: so many packets, and its bytes. False: it has had them all. That is
  // what admission has counted with, however small or often repeated a peer makes its fragments.
  bool within_budget(std::uint64_t message, const Extent& extent) noexcept;

  struct Dated {
    Instant logical{};  // lambda; of several messages in one packet: of the last
    Instant due{};      // here by the sender's account, lateness included; never after `logical`
  };
  // Of the newest message or a later one.
  Dated date(std::uint64_t message, std::uint32_t messages, Duration rem, Instant arrival, ClipCounters& counters) noexcept;

  // A packet of the message was dropped or refused: the others are worth nothing.
  void spoil(std::uint64_t message) noexcept { spoiled_ = message; }
  [[nodiscard]] bool spoiled(std::uint64_t message) const noexcept { return message == spoiled_; }

  // What keeps the contract may be handled so long before its logical arrival, also after the sender's host was away.
  // What came faster than that explains waits until it might have come.
  [[nodiscard]] Duration early() const noexcept { return early_; }

 private:
  Duration period_;
  Duration upstream_rem_;
  Duration upstream_propagation_;
  Duration early_;
  std::uint32_t packets_most_;             // of one message; 0: as many as it likes
  std::uint64_t bytes_most_;               // of one message

  std::uint64_t newest_;                   // largest message number seen
  bool counts_on_;                         // a router: the first packet says where the count stands
  bool begun_ = false;
  Instant lambda_ = long_ago;              // of the last packet of message newest_
  Instant lambda_before_ = long_ago;       // largest of any earlier message
  std::uint64_t spoiled_ = UINT64_MAX;

  std::uint64_t budget_of_ = UINT64_MAX;   // the message that the next two are about
  std::uint32_t packets_ = 0;
  std::uint64_t bytes_ = 0;

  std::uint32_t next_packet_ = 0;
  std::uint64_t packets_seen_ = UINT64_MAX;  // bit i: packet next_packet_ - 1 - i has come
};

}  // namespace rtchan::clips
