#include "admission/supply.hpp"

#include <algorithm>

#include "admission/arithmetic.hpp"

namespace rtchan::admission {
namespace {

// sbf(t) - loss(t), t >= 0; may fall and may be negative. Int: 64 bits do where t < 2^43.
template <class Int>
Int net(const Supply& s, Int t) noexcept {
  const Int q = s.quantum.count();
  const Int p = s.period.count();
  Int served = t;
  if (q != p) {
    const Int x = t - (p - q);
    served = 0;
    if (x >= 0) {
      const Int k = x / p;
      const Int in_period = x - k * p - (p - q);
      served = k * q + (in_period > 0 ? in_period : 0);
    }
  }
  const Int lost = s.loss_ppm == 0 ? 0 : (t * s.loss_ppm + 999'999) / 1'000'000;
  return served - s.loss_burst.count() - lost;
}

// The latest instant <= t at which a stretch of service ends: there sbf - loss has its last local maximum.
template <class Int>
Int last_peak(const Supply& s, Int t) noexcept {
  const Int q = s.quantum.count();
  const Int p = s.period.count();
  // Service runs in [2(P-Q) + kP, 2(P-Q) + kP + Q], k = 0, 1, ...
  const Int since = t - 2 * (p - q) - q;
  return since < 0 ? 0 : t - since % p;
}

template <class Int>
Int available(const Supply& s, Int t) noexcept {
  Int best = net(s, t);
  if (s.quantum != s.period) best = std::max(best, net(s, last_peak(s, t)));
  return std::max<Int>(best, 0);
}

}  // namespace

bool Supply::valid() const noexcept {
  return Duration{0} < quantum && quantum <= period && period <= duration_limit &&
         Duration{0} <= loss_burst && loss_burst <= duration_limit && loss_ppm < 1'000'000 && rate_q40() > 0;
}

Duration Supply::available_in_gaps(Duration t) const noexcept {
  if (t.count() < std::int64_t{1} << 43) return Duration{admission::available<std::int64_t>(*this, t.count())};
  return duration(admission::available<Wide>(*this, t.count()));
}

Duration Supply::time_for(Duration work) const noexcept {
  if (whole()) return work;
  if (work <= Duration{0}) return Duration{0};
  constexpr std::int64_t horizon = std::int64_t{1} << 61;
  if (loss_ppm == 0) {  // what is lost at once comes first; then so many whole quanta, each a period after the one before
    const Wide q = quantum.count(), p = period.count();
    const Wide wanted = Wide{work.count()} + loss_burst.count();
    const Wide before = (wanted - 1) / q;
    const Wide when = 2 * (p - q) + before * p + (wanted - before * q);
    return when > horizon ? Duration::max() : Duration{static_cast<std::int64_t>(when)};
  }
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
