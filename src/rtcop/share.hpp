// Sharing out the slack of an end-to-end delay without anybody knowing every stage: each stage knows the sum of
// minima before it (from the set-up), its own minimum, and the totals (from the commit), and takes
//
//     d = r + floor(slack * (before + r) / minima) - floor(slack * before / minima)
//
// These telescope: over all stages they sum to minima + slack exactly, weighted by r, whoever computes them. A
// neighbour computes d of the stage before it in the same way, so nothing else has to travel.
#pragma once

#include "base/time.hpp"
#include "wire/signal.hpp"

namespace rtchan::rtcop {

__extension__ typedef __int128 Wide;

// Local delay of a stage with minimum `own`, when the stages before it promised `before`.
[[nodiscard]] constexpr Duration share(const wire::Terms& terms, Duration before, Duration own) noexcept {
  if (terms.minima <= Duration{0}) return own;
  const auto part = [&](Duration upto) {
    return static_cast<std::int64_t>(Wide{terms.slack.count()} * upto.count() / terms.minima.count());
  };
  return own + Duration{part(before + own) - part(before)};
}

// What the destination may share out: what the request leaves, but no more than every stage has buffers for.
[[nodiscard]] constexpr wire::Terms settle(const wire::Promised& promised, Duration max_delay) noexcept {
  const Duration left = max_delay - promised.minima - promised.propagation;
  const Wide room = Wide{promised.minima.count()} * promised.stretch / 1024;
  const Duration slack = room < left.count() ? Duration{static_cast<std::int64_t>(room)} : left;
  return wire::Terms{promised.minima, promised.propagation, slack};
}

// The stretch of a stage that has buffers up to a delay of `most`, in the unit of Promised::stretch.
[[nodiscard]] constexpr std::uint64_t stretch(Duration own, Duration most) noexcept {
  if (own <= Duration{0}) return UINT64_MAX;
  if (most <= own) return 0;
  return static_cast<std::uint64_t>(Wide{(most - own).count()} * 1024 / own.count());
}

}  // namespace rtchan::rtcop
