// Policing by logical arrival:  l(m) = max(g(m), l(m-1) + T),  g = the worker's first sight of the message.
// A message with l - g > (B-1)*T + J exceeds its contract: it is held until l (shaping) or refused, and a refused
// message leaves l unchanged. So whatever a source does, its messages arrive here at least T apart. J is the worker's own
// (limits::sight_jitter): of two messages that a source hands over T apart the first may be seen late and the second at once.
//
// A worker that was kept from looking (the machine was taken away) dates what it then finds from the instant at which it
// should have looked, `since`: as early as a source that keeps its contract could have sent it. Otherwise one pause
// would put every later message of a source at its full rate behind by the length of the pause, for ever.
//
// Messages are sighted by count: a burst of any size costs O(1), and the memory is one run per message of the
// queue at worst (a run is a series of messages whose logical arrivals are exactly T apart).
#pragma once

#include <algorithm>
#include <cassert>
#include <cstdint>

#include "base/fifo.hpp"
#include "base/limits.hpp"
#include "base/time.hpp"
#include "clips/spec.hpp"

namespace rtchan::clips {

class LogicalArrivals {
 public:
  // `messages`: how many may be sighted and not yet taken.
  LogicalArrivals(const Contract& contract, Policing policing, std::size_t messages)
      : period_(contract.period),
        tolerance_(contract.period * static_cast<std::int64_t>(std::max(contract.burst, 1u) - 1) + limits::sight_jitter),
        policing_(policing),
        runs_(messages) {}

  struct Sighting {
    std::uint32_t conforming{};
    std::uint32_t exceeding{};  // held or refused, as the policing says
    bool quiet{};               // the source had caught up with its contract: l == g
  };

  // `count` further messages (> 0) are seen at `now`; together with those not yet taken at most `messages`. Had the
  // worker kept its own pace it would have looked at `since` <= now.
  Sighting sight(std::uint32_t count, Instant since, Instant now) noexcept {
    assert(since <= now);
    const Instant first = std::max(since, last_ + period_);
    const Instant limit = now + tolerance_;
    Sighting s;
    s.quiet = first == since;
    if (first <= limit) {
      s.conforming = period_ == Duration{0}
                         ? count
                         : static_cast<std::uint32_t>(std::min<std::int64_t>(count, (limit - first) / period_ + 1));
    }
    s.exceeding = count - s.conforming;
    const std::uint32_t kept = policing_ == Policing::shape ? count : s.conforming;
    if (kept > 0) {
      append(Run{first, kept, false});
      last_ = first + period_ * static_cast<std::int64_t>(kept - 1);
    }
    if (kept < count) append(Run{now, count - kept, true});
    waiting_ += count;
    return s;
  }

  [[nodiscard]] std::uint32_t waiting() const noexcept { return waiting_; }
  [[nodiscard]] bool empty() const noexcept { return waiting_ == 0; }
  // Of the oldest message that was not taken; !empty().
  [[nodiscard]] Instant front() const noexcept { return runs_.front().first; }
  [[nodiscard]] bool front_refused() const noexcept { return runs_.front().refused; }

  void pop() noexcept {
    assert(!empty());
    Run& run = runs_.front();
    --waiting_;
    if (--run.count == 0) {
      runs_.pop();
    } else if (!run.refused) {
      run.first += period_;
    }
  }
  void clear() noexcept {
    while (!runs_.empty()) runs_.pop();
    waiting_ = 0;
  }

 private:
  struct Run {
    Instant first{};
    std::uint32_t count{};
    bool refused{};
  };

  void append(Run run) noexcept {
    if (!runs_.empty()) {
      Run& last = runs_[runs_.size() - 1];
      const Instant continues = last.first + period_ * static_cast<std::int64_t>(last.count);
      if (last.refused == run.refused && (run.refused || run.first == continues)) {
        last.count += run.count;
        return;
      }
    }
    [[maybe_unused]] const bool pushed = runs_.push(run);
    assert(pushed);
  }

  Duration period_;
  Duration tolerance_;
  Policing policing_;
  Fifo<Run> runs_;
  Instant last_ = long_ago;
  std::uint32_t waiting_ = 0;
};

}  // namespace rtchan::clips
