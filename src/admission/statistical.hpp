// Channels that are active only part of the time, admitted beyond their peak sum with a stated probability of
// missing. Channel i is active with probability p_i (activity_ppm), independently of the others: that
// condition is part of the promise. Served below guaranteed: guaranteed work is taken from the capacity
// first, and the frames of this class must be no longer than b0, where the guaranteed class has counted them.
//
// At each checkpoint x (every d_i of the set) let w_i = demand of channel i within x, m = sum p_i*w_i, and c
// what is left of the supply. By Hoeffding's inequality P(demand > c) <= exp(-2 (c-m)^2 / sum w_i^2).
// Admitted if the sum of these over all checkpoints, plus the same bound for the long-run rate, is at most
// the target. The target is per instant, not per message. In integers, with the exponential bounded from
// above.
#pragma once

#include "admission/shares.hpp"

namespace rtchan::admission {

class StatisticalPolicy final : public BelowPolicy {
 public:
  using BelowPolicy::BelowPolicy;
  [[nodiscard]] std::string_view name() const noexcept override { return "statistical"; }
  [[nodiscard]] std::expected<Duration, StageRefusal> test(const Candidate& candidate,
                                                           Duration enough) const override;
  // The bound stays within the target if the class above takes this as well.
  [[nodiscard]] Reason bears(const Candidate& more) const override;
  // The bound for the present set, in units of 2^-60 (rounded up; 2^60 and more: no promise).
  [[nodiscard]] Wide miss_bound() const;

  // O(n^2) per question, so many channels at most: 10 ms.
  static constexpr std::size_t channels_max = 400;

 private:
  // What the class above brings within t, with `more` on top.
  struct Above {
    const AdmissionPolicy* policy;
    Candidate more;
    Wide load;
    [[nodiscard]] Wide arrivals(Duration t) const;
  };
  class Checkpoints;
  [[nodiscard]] Above above(const Candidate& more = {}) const;
};

// Upper bound on exp(-2 * excess^2 / squares) in units of 2^-60; excess > 0, squares >= 0. Within 7 %.
[[nodiscard]] Wide hoeffding_bound(Wide excess, Wide squares) noexcept;

}  // namespace rtchan::admission
