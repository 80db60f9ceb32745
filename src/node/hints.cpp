#include "node/hints.hpp"

namespace rtchan::node {

namespace {

constexpr std::uint64_t nano_per_period = 1'000'000'000'000'000'000U;  // nano-messages a second, if the period is 1 ns
constexpr std::int64_t slowest = 1'000'000'000'000;                    // a message in 1,000 s

}  // namespace

std::uint64_t fitting_rate_nano(const wire::Setup& refused, const std::function<bool(const wire::Setup&)>& fits) {
  const auto fits_at = [&](std::int64_t period) {
    wire::Setup slower = refused;
    slower.qos.period = Duration{period};
    slower.qos.rate_nano = nano_per_period / static_cast<std::uint64_t>(period);
    slower.promised.stretch = 0;  // as little slack before us as need be: so the last attempt asks
    return fits(slower);
  };
  std::int64_t low = refused.qos.period.count();  // does not fit
  if (low <= 0 || low >= slowest || fits_at(low)) return 0;
  std::int64_t high = low;
  do {
    if (high == slowest) return 0;
    low = high;
    high = high > slowest / 2 ? slowest : high * 2;
  } while (!fits_at(high));
  while (high - low > 1 + low / 1'000) {  // to 0.1 %
    const std::int64_t middle = low + (high - low) / 2;
    (fits_at(middle) ? high : low) = middle;
  }
  // A period longer by one, so that a rate in floating point never means one that is shorter.
  return nano_per_period / static_cast<std::uint64_t>(high + 1);
}

}  // namespace rtchan::node
