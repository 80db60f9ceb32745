// The life of a path at one node, as a table: docs/protocol/rtcop.md shows it for people, transition.cpp has the one
// switch, and a test holds the two against each other.
//
// Every node on the route goes through the same states. The ends are mirrors: at the destination a set-up turns
// into a question to the agent, whose yes counts as the COMMIT from beyond; at the source that COMMIT turns into
// the CONFIRM, and so on:
//
//     SETUP   source ----> destination   reserve tentatively
//     COMMIT  source <---- destination   open the clips; downstream of the sender everything is in place
//     CONFIRM source ----> destination   all have; the receiving application gets its channel
//     START   source <---- destination   it has; the sending application gets its channel
#pragma once

#include <cstdint>
#include <memory>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "wire/signal.hpp"

namespace rtchan::rtcop {

enum class PathState : std::uint8_t {
  none,
  reserving,   // the node is asked whether it has the resources
  tentative,   // reserved at the minimum delays; the set-up went on
  opening,     // final delays are known; the clip is being made
  committed,   // the clip is ready; the commit went on
  confirmed,   // every node has committed; kept by leases from here on
  open,        // both applications have their channel
};
inline constexpr std::size_t path_states = 7;

enum class PathEvent : std::uint8_t {
  setup,       // from upstream, or the source's application
  reserved,    // the node: resources are tentatively set aside
  denied,      // the node: they are not there
  commit,      // from downstream, or the destination's agent says yes
  refuse,      // from downstream, or the destination's agent says no
  opened,      // the node: the clip is ready
  failed,      // the node: the clip could not be made
  confirm,     // from upstream; at the source: after its own commit
  start,       // from downstream; at the destination: after its own confirm
  teardown,    // from either neighbour
  close,       // the node: an application ended it, or died
  expire,      // set-up or lease ran out, or a neighbour was lost
  voided,      // the node, or either neighbour: what was promised holds no more
};
inline constexpr std::size_t path_events = 13;

enum class Deed : std::uint8_t {
  ignore,        // late or repeated: nothing to do
  disown,        // tell the sender that there is no such path
  reserve,       // ask the node for resources
  pass_setup,    // SETUP downstream; at the destination: ask the agent
  open_clip,     // have the node open its clip
  pass_commit,   // COMMIT upstream; at the source: event confirm
  pass_confirm,  // CONFIRM downstream; at the destination: tell the application, event start
  pass_start,    // START upstream; at the source: tell the application
  refuse_back,   // REFUSE upstream; the node frees
  detour,        // ask the node for resources on another route; it has none: denied
  give_up,       // REFUSE upstream, TEARDOWN downstream; the node frees
  end,           // TEARDOWN to both neighbours but the one who said so; the node frees
  pass_void,     // VOIDED to both neighbours but the one who said so; the node tells its application
};

struct Transition {
  PathState next{};
  Deed deed{};
};
[[nodiscard]] Transition transition(PathState state, PathEvent event) noexcept;

[[nodiscard]] const char* name(PathState state) noexcept;
[[nodiscard]] const char* name(PathEvent event) noexcept;
[[nodiscard]] const char* name(Deed deed) noexcept;

using NeighbourIndex = std::uint32_t;
inline constexpr NeighbourIndex nobody = UINT32_MAX;  // the node itself

struct Path {
  PathState state = PathState::none;
  NeighbourIndex up = nobody;                // nobody: this is the source
  NeighbourIndex down = nobody;              // nobody: this is the destination (or not routed yet)
  bool source = false;
  bool destination = false;
  bool told_down = false;                    // the SETUP was queued: downstream may know of the path
  std::uint64_t setup_sent = 0;              // number of that SETUP, and
  std::uint64_t setup_taken = 0;             // of the one that came from upstream: which of a path's lives this is
  std::unique_ptr<wire::Setup> setup;        // as sent on; only until committed
  wire::Promised arrived{};                  // what it had promised when it came
  wire::Terms terms{};
  Label next_label{};                        // downstream's
  Label label{};                             // ours
  Instant expires = never;                   // until confirmed
  Instant lease_up = never, lease_down = never;  // from confirmed on
};

}  // namespace rtchan::rtcop
