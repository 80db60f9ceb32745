// The two pieces that both exact tests (sweep.cpp, demand_index.cpp) are made of: what one stretch of time
// between deadlines demands of a new channel's delay, and the instant after which nothing can be late.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "admission/arithmetic.hpp"
#include "admission/policy.hpp"

namespace rtchan::admission {

inline constexpr std::int64_t infinity = std::numeric_limits<std::int64_t>::max();

// Sums over a set from which straight-line bounds follow: demand(t) <= load*t + intercept.
struct Totals {
  Wide load = 0;       // sum of C/T, each rounded up, 2^-60
  Wide intercept = 0;  // sum of K, ns
  Wide at_once = 0;    // most work that can be there at one instant, ns: arrivals(t) <= load*t + at_once

  void add(const Task& t) noexcept {
    load += utilisation(t);
    intercept += admission::intercept(t);
    at_once += gathered(t);
  }
  void remove(const Task& t) noexcept {
    load -= utilisation(t);
    intercept -= admission::intercept(t);
    at_once -= gathered(t);
  }
  [[nodiscard]] Duration arrivals(Duration t) const noexcept {
    return duration(at_once + ceil_div(load * t.count(), utilisation_one));
  }
  friend bool operator==(const Totals&, const Totals&) = default;
};

// Where every later deadline is certain to be met: demand <= load*t + K, supply >= rate*t - what it loses at
// once.
class Horizon {
 public:
  // `longest`: longest chunk of the set and b0.
  Horizon(Totals totals, Duration longest, const Candidate& c, const StageSettings& s) noexcept
      : service_(c.service.count()), period_(c.period.count()) {
    Task input;  // what the candidate adds whatever its delay
    static_cast<Candidate&>(input) = c;
    input.service = Duration{0};
    totals.add(input);
    const Wide rate = Wide{s.supply.rate_q40()} << (utilisation_bits - 40);
    slope_ = rate - totals.load - utilisation(c.service, c.period);
    fixed_ = totals.intercept + blocking(std::max(longest, c.chunk), s.granularity) +
             s.supply.loss_burst.count() + 2 * (Wide{s.supply.period.count()} - s.supply.quantum.count()) +
             2 * service_ + 1;
  }
  // From this instant on nothing can be late, given the candidate's delay.
  [[nodiscard]] std::int64_t end(Wide delay) const noexcept {
    if (slope_ <= 0) return infinity;
    const Wide early = delay < period_ ? ceil_div(service_ * (period_ - delay), period_) : 0;
    const Wide needed = fixed_ + early;
    if (needed >= infinity) return infinity;
    return narrow(std::max(needed + 1, ceil_div(needed << utilisation_bits, slope_)));
  }

 private:
  Wide slope_ = 0, fixed_ = 0, service_, period_;
};

// What is known at one instant t, up to the next deadline (or other event) of the existing set.
struct Segment {
  std::int64_t t, next;
  Wide slack;   // A(t) - demand
  Wide demand;  // h + b
};

// Smallest d that keeps every deadline of the candidate out of [t, next) where the supply cannot carry it.
// Only deadlines before `end` matter. Counts its steps, and gives up at the limit.
inline Wide raise(Wide delay, const Candidate& c, const StageSettings& settings, const Segment& at,
                  std::int64_t end, std::uint64_t& steps) noexcept {
  const Supply& supply = settings.supply;
  const Wide service = c.service.count();
  const Wide period = c.period.count();
  const std::int64_t until = std::min(at.next, end);
  Wide job = at.slack < service ? 0 : floor_div(at.slack, service);
  for (; delay + job * period < until && steps < settings.step_limit; ++job, ++steps) {
    const Wide work = at.demand + (job + 1) * service;
    if (work > duration_limit.count()) return std::max<Wide>(delay, at.next - job * period);
    const Wide due = delay + job * period;
    if (due <= at.t || supply.available(duration(due)) < duration(work)) {
      const std::int64_t ready = supply.time_for(duration(work)).count();
      delay = std::max(delay, std::min<Wide>(ready, at.next) - job * period);
    }
    if (supply.whole()) break;  // later jobs come a whole period later and need only C <= T more
  }
  return delay;
}

}  // namespace rtchan::admission
