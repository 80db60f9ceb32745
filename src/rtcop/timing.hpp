// Every interval of the signalling protocol, with its reason. One value per node.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/time.hpp"

namespace rtchan::rtcop {

struct Timing {
  // A message that is not acknowledged is sent again after `retransmit_first` (until a round trip was measured,
  // then after srtt + 4 * deviation, at least `retransmit_least`), doubling up to `retransmit_cap`, each +-25 %
  // at random so that two nodes do not keep colliding.
  Duration retransmit_first = std::chrono::milliseconds{20};
  Duration retransmit_least = std::chrono::milliseconds{5};
  Duration retransmit_cap = std::chrono::milliseconds{500};
  // A path that its neighbour has not refreshed for so long is released. Also how long one message is tried.
  Duration lease = std::chrono::seconds{5};
  // Every so often what lives is listed (acknowledged and retransmitted like any message) and leases are looked at;
  // what was not listed for `kept` is released then, hence within one lease.
  [[nodiscard]] constexpr Duration refresh() const noexcept { return lease / 5; }
  [[nodiscard]] constexpr Duration kept() const noexcept { return lease - refresh(); }
  // A neighbour with whom paths live says so at least so often, by whatever it sends or else by a heartbeat; more seldom
  // where a link's signalling channel has many neighbours to serve (engine.hpp).
  Duration heartbeat = std::chrono::milliseconds{100};
  // One that was not heard for so many of its heartbeats, and for `silence`, is lost, long before the lease. Twenty: at 30 %
  // loss it happens once in ten years; and control processes of a busy machine may be kept from running for a second.
  unsigned silent_heartbeats = 20;
  Duration silence = std::chrono::seconds{2};
  // A tentative reservation outlives the asker's own patience by this much, so that the asker decides first.
  Duration grace = std::chrono::seconds{1};
  // The longest that a set-up may ask neighbours to hold a tentative reservation.
  Duration setup_longest = std::chrono::seconds{60};
};

}  // namespace rtchan::rtcop
