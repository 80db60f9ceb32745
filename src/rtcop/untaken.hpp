// Cells of the transition table that no run of these daemons takes. They stand in the table because a neighbour may be another
// program, and a node may answer later: then they are what is to be done. Marked † in docs/protocol/rtcop.md, which has the argument;
// the simulator's campaign holds that they are never taken, and a test of the engine takes each by hand.
#pragma once

#include "rtcop/path.hpp"

namespace rtchan::rtcop {

[[nodiscard]] constexpr bool untaken(PathState state, PathEvent event) noexcept {
  const bool promised_upstream = state >= PathState::committed;
  switch (event) {
    // The node answers Reserve before it hears of anything else, and no packet of ours carries a SETUP together with what ends it.
    case PathEvent::teardown:
    case PathEvent::close:
    case PathEvent::expire:
    case PathEvent::voided: return state == PathState::reserving;
    // Downstream refuses a SETUP or commits to it, never both, and an answer to another SETUP is stale.
    case PathEvent::refuse: return state == PathState::opening || promised_upstream;
    // The node says once whether its clip could be opened.
    case PathEvent::failed: return promised_upstream;
    case PathEvent::setup:
    case PathEvent::reserved:
    case PathEvent::denied:
    case PathEvent::commit:
    case PathEvent::opened:
    case PathEvent::confirm:
    case PathEvent::start: return false;
  }
  return false;
}

}  // namespace rtchan::rtcop
