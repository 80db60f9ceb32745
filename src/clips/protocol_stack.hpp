// What a user of the library may put into a clip's handlers (paper 4.3: "communication handlers execute a
// user-defined protocol stack, then return to CLIPS after processing each message or packet").
//
// Called on the worker's thread, inside the handler's step and so charged to its channel: it must not block,
// allocate or throw, and its cost belongs into the channel's admission.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rtchan::clips {

// The part of a message that one packet carries.
struct Piece {
  std::uint64_t message{};         // number of the message on this channel
  std::uint32_t offset{};          // of the first byte in the message
  std::uint32_t message_length{};
};

class ProtocolStack {
 public:
  virtual ~ProtocolStack() = default;
  // The packet's bytes before they are sealed; may be changed in place (same length).
  virtual void outgoing(const Piece& piece, std::span<std::byte> bytes) noexcept = 0;
  // The packet's bytes as they arrived; may be changed in place. False: refused, as if it had not arrived.
  virtual bool incoming(const Piece& piece, std::span<std::byte> bytes) noexcept = 0;
  // All packets of the message have been passed on (outgoing), or it is about to become readable (incoming).
  virtual void complete(std::uint64_t /*message*/, std::uint32_t /*length*/) noexcept {}
};

}  // namespace rtchan::clips
