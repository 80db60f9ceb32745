// A link's signalling clip: RTCOP's packets of this hop, with a small budget of their own, so that no flood of
// data can hold up refreshes and no burst of signalling can hold up data. One packet per period has a deadline
// that is kept; what is queued beyond takes its turn with best effort.
#pragma once

#include <cstdint>
#include <span>

#include "base/address.hpp"
#include "clips/link_scheduler.hpp"

namespace rtchan::clips {

class Signalling {
 public:
  Signalling(const LinkConfig& config, LinkScheduler& link, PacketStore& store);

  // False: the queue is full, or the signal does not fit one packet; nothing was taken.
  bool send(const Endpoint& to, std::span<const std::byte> bytes, Instant now) noexcept;

 private:
  LinkScheduler& link_;
  PacketStore& store_;
  LinkFlow flow_;
  std::uint32_t next_packet_ = 0;
};

}  // namespace rtchan::clips
