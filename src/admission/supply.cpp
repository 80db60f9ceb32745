#include "admission/supply.hpp"

#include "admission/arithmetic.hpp"

namespace rtchan::admission {
namespace {

// sbf(t) - loss(t), t >= 0; may fall and may be negative.
Wide net(const Supply& s, Wide t) noexcept {
  const Wide q = s.quantum.count();
  const Wide p = s.period.count();
  Wide served = t;
  if (q != p) {
    const Wide x = t - (p - q);
    served = 0;
    if (x >= 0) {
      const Wide k = x / p;
      const Wide in_period = x - k * p - (p - q);
      served = k * q + (in_period > 0 ? in_period : 0);
    }
  }
  return served - s.loss_burst.count() - ceil_div(t * s.loss_ppm, 1'000'000);
}

// The latest instant <= t at which a stretch of service ends: there sbf - loss has its last local maximum.
Wide last_peak(const Supply& s, Wide t) noexcept {
  const Wide q = s.quantum.count();
  const Wide p = s.period.count();
  // Service runs in [2(P-Q) + kP, 2(P-Q) + kP + Q], k = 0, 1, ...
  const Wide since = t - 2 * (p - q) - q;
  return since < 0 ? 0 : t - since % p;
}

}  // namespace

bool Supply::valid() const noexcept {
  return Duration{0} < quantum && quantum <= period && period <= duration_limit &&
         Duration{0} <= loss_burst && loss_burst <= duration_limit && loss_ppm < 1'000'000 && rate_q40() > 0;
}

Duration Supply::available_in_gaps(Duration t) const noexcept {
  Wide best = net(*this, t.count());
  if (quantum != period) {
    const Wide peak = net(*this, last_peak(*this, t.count()));
    if (peak > best) best = peak;
  }
  return duration(best > 0 ? best : 0);
}

Duration Supply::time_for(Duration work) const noexcept {
  if (whole()) return work;
  if (work <= Duration{0}) return Duration{0};
  constexpr std::int64_t horizon = std::int64_t{1} << 61;
  // available() never falls, so the least t is found by bisection.
  std::int64_t low = work.count() - 1;  // available(low) < work, since A(t) <= t
  if (low >= horizon || available(Duration{horizon}) < work) return Duration::max();
  std::int64_t step = 1;
  std::int64_t high = work.count();
  while (available(Duration{high}) < work) {
    low = high;
    high = high > horizon - step ? horizon : high + step;
    step = step > horizon / 2 ? horizon : step * 2;
  }
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (available(Duration{middle}) < work ? low : high) = middle;
  }
  return Duration{high};
}

std::int64_t Supply::rate_q40() const noexcept {
  const Wide one = Wide{1} << 40;
  const Wide share = quantum == period ? one : one * quantum.count() / period.count();
  return narrow(share - ceil_div(one * loss_ppm, 1'000'000));
}

}  // namespace rtchan::admission
