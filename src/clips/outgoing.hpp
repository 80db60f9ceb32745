// The handler of an outgoing clip: messages of the application become packets on the clip's way to the link.
//
// It works on message m only from l(m) on (or as early as the horizon allows): that is its budget. One message
// of at most M bytes per period, however much is queued. It yields after P packets, in the middle of a message if
// need be, and blocks while all its frames wait for the link.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "clips/domain.hpp"
#include "clips/edf_queue.hpp"
#include "clips/logical_arrival.hpp"
#include "clips/spec.hpp"

namespace rtchan::clips {

class LinkScheduler;
class PacketStore;
struct LinkFlow;

class Outgoing {
 public:
  Outgoing(const ClipSpec& spec, std::unique_ptr<MessageSource> source, ProtocolStack* stack);

  // Takes note of messages that were published since the last look, which should have been followed by one at `since`
  // <= now. True: the source has begun to exceed its contract (once, until it has caught up again).
  bool sight(Instant since, Instant now, ClipCounters& counters) noexcept;

  // When and how urgently the handler wants to run; nullopt: nothing to do, or blocked.
  [[nodiscard]] std::optional<Urgency> urgency() const noexcept;

  // One step: up to P packets. Returns how many were made (a refused message counts as one).
  std::uint32_t step(Instant now, LinkFlow& flow, LinkScheduler& link, PacketStore& store,
                     ClipCounters& counters) noexcept;

  // A frame came back while the handler waited for one: it can go on.
  [[nodiscard]] bool unblock() noexcept;
  void connect(const Endpoint& next_hop, Label next_label) noexcept;
  [[nodiscard]] bool idle() const noexcept { return !in_work_ && arrivals_.empty(); }
  // Another clip will take its place: the message in work is the last. What else was sighted stays in the queue.
  void finish(ClipCounters& counters) noexcept;
  // For the clip that takes its place. Nothing else may be called afterwards.
  [[nodiscard]] std::unique_ptr<MessageSource> hand_over() noexcept { return std::move(source_); }
  [[nodiscard]] std::uint64_t next_message() const noexcept { return next_message_; }
  [[nodiscard]] bool violated() const noexcept { return source_->violated(); }

 private:
  // The message that is being cut into packets.
  struct InWork {
    MessageRef ref{};
    Instant logical{};
    std::uint64_t number{};
    std::uint32_t done_bytes{};
    std::uint32_t fragment_bytes{};  // 0: it fits one packet as a whole
  };

  [[nodiscard]] std::size_t packet_bytes(const LinkScheduler& link) const noexcept;
  bool begin(Instant now, std::size_t packet_bytes, ClipCounters& counters) noexcept;
  void refuse(ClipCounters& counters) noexcept;
  std::uint32_t write_packet(std::span<std::byte> frame) noexcept;
  std::uint32_t write_body(std::span<std::byte> packet, std::size_t at, std::uint32_t length) noexcept;
  [[nodiscard]] Instant eligible(Instant logical) const noexcept;

  ClipSpec spec_;
  std::unique_ptr<MessageSource> source_;
  ProtocolStack* stack_;
  LogicalArrivals arrivals_;
  std::optional<InWork> in_work_;
  Duration ahead_{};                 // how long before l(m) work may begin
  std::uint64_t next_message_;       // 64 bits here, 32 on the wire
  std::uint32_t next_packet_ = 0;
  bool exceeding_ = false;           // the application has been told
  bool gathered_;                    // not looked yet at what has gathered while its route changed, which is no fault of it
  bool blocked_ = false;             // all frames wait for the link
};

}  // namespace rtchan::clips
