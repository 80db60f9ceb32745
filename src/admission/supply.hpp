// How much work a stage is certain to get done: A(t), the least service in any interval of length t.
//
//   A(t) = max over s <= t of ( sbf(s) - loss_burst - loss_ppm * s / 10^6 )       never below 0
//   sbf: quantum Q in every period P (worst case: Q at the start of one period, then at the end of the next);
//        x = t - (P-Q); 0 if x < 0, else k*Q + max(0, x - k*P - (P-Q)) with k = floor(x/P).  Q == P: sbf(t) =
//        t.
//
// The loss is work that is done ahead of every deadline: kernel softirq for packets, charged as burst + rate.
// Pure arithmetic in 128-bit integers; any value is safe.
#pragma once

#include <cstdint>

#include "base/time.hpp"

namespace rtchan::admission {

struct Supply {
  // Q of P. Equal (whatever the value): the stage is ours alone.
  Duration quantum{1};
  Duration period{1};
  Duration loss_burst{};
  std::uint32_t loss_ppm = 0;

  [[nodiscard]] constexpr bool whole() const noexcept {
    return quantum == period && loss_burst == Duration{0} && loss_ppm == 0;
  }
  [[nodiscard]] bool valid() const noexcept;  // 0 < Q <= P, losses in range, and something is left over
  // A(t); t >= 0.
  [[nodiscard]] Duration available(Duration t) const noexcept {
    if (whole()) return t;
    if (quantum == period && t.count() < std::int64_t{1} << 43) {  // the usual worker: softirq only; 64 bits do
      const std::int64_t lost = loss_burst.count() + (t.count() * loss_ppm + 999'999) / 1'000'000;
      return Duration{lost < t.count() ? t.count() - lost : 0};
    }
    return available_in_gaps(t);
  }
  // Least t with A(t) >= work; Duration::max() if that is beyond 2^61 ns.
  [[nodiscard]] Duration time_for(Duration work) const noexcept;
  // What time_for() costs at most, in the time that a sum of a few products takes.
  [[nodiscard]] constexpr int search_steps() const noexcept { return whole() ? 1 : loss_ppm == 0 ? 4 : 200; }
  // Long-run share of the stage, rounded down, in units of 2^-40.
  [[nodiscard]] std::int64_t rate_q40() const noexcept;

  friend bool operator==(const Supply&, const Supply&) = default;

 private:
  [[nodiscard]] Duration available_in_gaps(Duration t) const noexcept;
};

}  // namespace rtchan::admission
