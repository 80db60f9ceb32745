// What one channel asks of one stage (a CPU or a link), in whole nanoseconds. The whole of a traffic contract
// is reduced to this before any schedulability test sees it (stages.hpp does the reduction).
//
// Logical arrivals l(m) = max(sight(m), l(m-1) + T) are sporadic with period T whatever the source does, so
// bursts never enter a test: they only need buffers.
#pragma once

#include <compare>
#include <cstdint>

#include "base/ids.hpp"
#include "base/time.hpp"

namespace rtchan::admission {

// The largest duration that a test accepts anywhere (about 36 years): sums of many stay inside 128 bits.
inline constexpr Duration duration_limit = Duration{std::int64_t{1} << 60};

// A request whose local delay is still to be found. Valid: 0 < last <= chunk <= service <= duration_limit,
// 0 < period <= duration_limit, 0 <= input_service, 0 <= input_jitter <= duration_limit.
struct Candidate {
  Duration service{};  // C: work per message on this stage
  Duration period{};   // T: logical arrivals are at least this far apart
  Duration chunk{};  // q: longest piece that cannot be interrupted (one packet on a link, P packets on a CPU)
  Duration last{};   // length of the last piece; `chunk` is always safe

  // CPU of a receiver or router: work done at each arrival, before the deadline is known. It is supply that
  // is lost, not part of C: at most input_service * (floor((t + input_jitter)/T) + 1) in any interval t.
  Duration input_service{};
  Duration input_jitter{};

  // Read by the models that are not deterministic guarantees; ignored by edf and d_order.
  std::uint32_t burst = 1;                 // messages (controlled_load)
  std::uint32_t activity_ppm = 1'000'000;  // probability that the channel is active (statistical)

  friend bool operator==(const Candidate&, const Candidate&) = default;
};

// A channel that was admitted with local delay d: each message is finished by its logical arrival here + d.
struct Task : Candidate {
  Duration delay{};  // d
  friend bool operator==(const Task&, const Task&) = default;
};

[[nodiscard]] constexpr Task with_delay(const Candidate& c, Duration delay) noexcept {
  Task task;
  static_cast<Candidate&>(task) = c;
  task.delay = delay;
  return task;
}

[[nodiscard]] constexpr bool valid(const Candidate& c) noexcept {
  constexpr Duration zero{0};
  return zero < c.last && c.last <= c.chunk && c.chunk <= c.service && c.service <= duration_limit &&
         zero < c.period && c.period <= duration_limit && zero <= c.input_service &&
         c.input_service <= duration_limit && zero <= c.input_jitter && c.input_jitter <= duration_limit;
}

[[nodiscard]] constexpr bool valid(const Task& t) noexcept {
  return valid(static_cast<const Candidate&>(t)) && Duration{0} < t.delay && t.delay <= duration_limit;
}

// Names an entry inside one policy object; drawn by reserve(), reused after release().
using EntryId = Id<struct AdmissionEntryTag, std::uint32_t>;

}  // namespace rtchan::admission
