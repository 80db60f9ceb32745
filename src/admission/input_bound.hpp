// How much work arriving packets can bring, whatever the channels say: nothing arrives faster than the wire carries it.
//
// Packets of a link end on its wire one after the other. Between the end of a packet there and the instant at which
// the worker can see it lie at most `spread` (interrupt, driver, softirq). So what becomes visible within t has ended
// on the wire within t + spread: the first of these packets at the beginning, each of the others at least one smallest
// wire time after the one before. At most floor((t + spread)/wire) + 1 packets, `work` each. A message may be shorter
// than its contract allows, so the smallest packet is one that carries a single byte, for every mix of channels.
//
// Sound only if `wire` is computed from the rate of this host's own port, which no number of senders exceeds.
#pragma once

#include <cstdint>

#include "admission/arithmetic.hpp"
#include "admission/time_grid.hpp"

namespace rtchan::admission {

class InputBound {
 public:
  // One more link into the stage. work >= 0, wire > 0, spread >= 0, all <= duration_limit.
  void add(Duration work, Duration wire, Duration spread) noexcept {
    known_ = true;
    at_once_ += work.count() + ceil_div(Wide{work.count()} * spread.count(), wire.count());
    rate_q40_ += ceil_div(Wide{work.count()} << 40, wire.count());
  }
  [[nodiscard]] bool known() const noexcept { return known_; }
  // Most input within t >= 0: the straight line above the steps.
  [[nodiscard]] Duration at(Duration t) const noexcept {
    return duration(at_once_ + ceil_div(rate_q40_ * t.count(), Wide{1} << 40));
  }
  // The same bound for a whole bucket of the grid, which is what the tests reckon with.
  [[nodiscard]] std::int64_t in_bucket(const TimeGrid& grid, std::uint32_t k) const noexcept {
    if (!known_ || k >= TimeGrid::buckets) return none;
    const std::int64_t most = at(Duration{grid.edge(k + 1)}).count();
    return most < none ? most : none;
  }
  static constexpr std::int64_t none = INT64_MAX / 2;  // above whatever a stage that is not overloaded takes in

  friend bool operator==(const InputBound&, const InputBound&) = default;

 private:
  bool known_ = false;
  Wide at_once_ = 0;   // ns
  Wide rate_q40_ = 0;  // ns of work per ns, in 2^-40
};

}  // namespace rtchan::admission
