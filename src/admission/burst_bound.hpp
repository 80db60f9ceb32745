// beta*: how much may be outstanding at a device, as a step table that a worker can keep beside its link.
//
// Hand-over rule. A burst that starts at `now` may always take its first packet. It may grow by the EDF-next
// packet (early real-time and best effort once nothing current waits) while
//
//     wire time outstanding + that packet's wire time  <=  lookup(deadline - now)
//
// with deadline - now of the packet that is added; best effort: Duration::max(). Admission then counts one
// frame (plus the longest interval between two visits to the link scheduler) as blocking, however deep the
// device. Exactly, beta*(x) = min { A(t) - dbf(t) : deadlines t < x of a simultaneous start }; the table
// never says more. Only sound for the set it was computed from: compute it anew when the set changes, and let
// what was handed over drain before a new channel's first packet counts as admitted.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>

#include "base/time.hpp"

namespace rtchan::admission {

class BurstBound {
 public:
  static constexpr std::size_t steps_max = 32;

  struct Step {
    Duration above{};  // applies to x > above (step 0: to every x)
    Duration bound{};
    friend bool operator==(const Step&, const Step&) = default;
  };

  // The most cautious bound, 0: one packet at a time.
  constexpr BurstBound() noexcept : count_(1) {}
  // The same bound whatever the deadline; for a link without guaranteed channels.
  static constexpr BurstBound constant(Duration bound) noexcept {
    BurstBound b;
    b.steps_[0].bound = bound;
    return b;
  }

  // A table from bounds that fall while `above` rises; `most` applies before the first. Neighbouring steps become one,
  // at the lower bound, until they fit.
  [[nodiscard]] static BurstBound of_falls(Duration most, std::span<const Step> falls);

  // Largest safe outstanding wire time for a packet due `x` from now (x <= 0: it is late already). Falls as x
  // grows. At most 6 comparisons.
  [[nodiscard]] constexpr Duration lookup(Duration x) const noexcept {
    // The last step whose `above` is < x; step 0 serves everything before.
    std::uint32_t low = 0;
    std::uint32_t high = count_;
    while (high - low > 1) {
      const std::uint32_t middle = (low + high) / 2;
      if (steps_[middle].above < x) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return steps_[low].bound;
  }

  [[nodiscard]] constexpr std::uint32_t size() const noexcept { return count_; }
  [[nodiscard]] constexpr const Step& step(std::uint32_t i) const noexcept { return steps_[i]; }
  // For the table's maker: bounds must fall while `above` rises. False: the table is full.
  constexpr bool append(Step step) noexcept {
    if (count_ == steps_max) return false;
    steps_[count_++] = step;
    return true;
  }
  friend bool operator==(const BurstBound&, const BurstBound&) = default;

 private:
  std::array<Step, steps_max> steps_{};
  std::uint32_t count_ = 1;
};

static_assert(std::is_trivially_copyable_v<BurstBound>);

}  // namespace rtchan::admission
