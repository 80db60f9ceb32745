// Names of things, as types: an id of one kind cannot be passed where another is meant.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace rtchan {

// A strong integer. `Tag` keeps kinds apart and costs nothing.
template <class Tag, class Rep>
struct Id {
  Rep value{};
  friend constexpr auto operator<=>(const Id&, const Id&) = default;
};

using SessionId = Id<struct SessionTag, std::uint32_t>;  // an application's connection to its rtcd
using ChannelId = Id<struct ChannelTag, std::uint32_t>;  // a channel end within one session (what the API shows)
using ClipSlot = Id<struct ClipTag, std::uint32_t>;      // index of a clip in one worker's table
using HostId = Id<struct HostTag, std::uint64_t>;        // a host, network-wide

// Where a packet goes at its receiver: slot in the worker's table and the generation that was drawn when
// the slot was given out, so that a stale or guessed label hits nothing.
struct Label {
  std::uint32_t slot{};
  std::uint32_t generation{};
  friend constexpr auto operator<=>(const Label&, const Label&) = default;
};

// Globally unique name of a path (paper 5.2: host name + sender-based connection id). Signalling only.
struct PathId {
  HostId source{};
  std::uint64_t sequence{};
  friend constexpr auto operator<=>(const PathId&, const PathId&) = default;
};

}  // namespace rtchan

template <class Tag, class Rep>
struct std::hash<rtchan::Id<Tag, Rep>> {
  std::size_t operator()(const rtchan::Id<Tag, Rep>& id) const noexcept { return std::hash<Rep>{}(id.value); }
};
template <>
struct std::hash<rtchan::PathId> {
  std::size_t operator()(const rtchan::PathId& p) const noexcept {
    return std::hash<std::uint64_t>{}(p.source.value * 0x9e3779b97f4a7c15ULL ^ p.sequence);
  }
};
