#include "admission/statistical.hpp"

#include <algorithm>
#include <optional>

namespace rtchan::admission {
namespace {

constexpr Wide one = Wide{1} << 60;
constexpr int value_bits = 40;  // excess and demands are scaled below 2^40 before they are squared

// Demand of one channel within x by the straight line above its steps, rounded up.
Wide demand_within(const Task& t, Wide x) {
  if (x < t.delay.count()) return 0;
  return t.service.count() + ceil_div((x - t.delay.count()) * t.service.count(), t.period.count());
}

int shift_for(Wide largest) {
  int shift = 0;
  while (largest >> shift >= Wide{1} << value_bits) ++shift;
  return shift;
}

// P(sum of the active ones > capacity), values >= 0 in any unit. Nullopt: the mean alone is too much.
std::optional<Wide> overflow_bound(std::span<const Task> tasks, std::span<const Wide> values, Wide capacity) {
  Wide mean = 0;  // of value * ppm
  Wide largest = std::max<Wide>(capacity, 0);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    mean += values[i] * tasks[i].activity_ppm;
    largest = std::max(largest, values[i]);
  }
  const Wide excess = capacity - ceil_div(mean, 1'000'000);
  if (excess <= 0) return std::nullopt;
  const int shift = shift_for(largest);
  Wide squares = 0;
  for (const Wide v : values) {
    const Wide scaled = ceil_div(v, Wide{1} << shift);
    squares += scaled * scaled;
  }
  return hoeffding_bound(excess >> shift, squares);
}

}  // namespace

Wide hoeffding_bound(Wide excess, Wide squares) noexcept {
  if (squares == 0) return 0;
  const Wide exponent = (2 * excess * excess << 16) / squares;  // rounded down, 2^-16
  if (exponent >= Wide{100} << 16) return 1;
  const Wide doublings = exponent * 94'548 >> 16;  // * log2(e) = 1.442695..., rounded down
  const auto whole = static_cast<int>(doublings >> 16);
  if (whole >= 60) return 1;
  const Wide fraction = doublings & 0xffff;
  // 2^-f <= 1 - f/2 on [0, 1]
  return (one >> whole) - (((one >> whole) * fraction) >> 17) + 1;
}

namespace {

// Sum of the bounds over all checkpoints; `one` or more when there is no promise.
Wide set_bound(std::span<const Task> tasks, const StageSettings& s, const AdmissionPolicy* above, Wide rate,
               Wide load_above) {
  std::vector<Wide> values(tasks.size());
  Wide total = 0;
  for (const Task& checkpoint : tasks) {
    const Wide x = checkpoint.delay.count();
    Wide capacity =
        Wide{s.supply.available(checkpoint.delay).count()} - blocking(s.base_blocking, s.granularity);
    if (above != nullptr) capacity -= above->arrivals(checkpoint.delay).count();
    for (std::size_t i = 0; i < tasks.size(); ++i) values[i] = demand_within(tasks[i], x);
    const auto bound = overflow_bound(tasks, values, capacity);
    if (!bound) return one;
    total += *bound;
    if (total >= one) return one;
  }
  for (std::size_t i = 0; i < tasks.size(); ++i) values[i] = utilisation(tasks[i]);
  const auto bound = overflow_bound(tasks, values, rate - load_above);
  return bound ? std::min(one, total + *bound) : one;
}

}  // namespace

Wide StatisticalPolicy::miss_bound() const {
  return set_bound(set_.tasks(), settings_, options_.above, rate(), load_above());
}

std::expected<Duration, StageRefusal> StatisticalPolicy::test(const Candidate& c, Duration) const {
  const auto refuse = [](Reason reason) { return std::unexpected(StageRefusal{.reason = reason}); };
  if (!valid(c) || c.activity_ppm > 1'000'000 || !settings_.supply.valid()) return refuse(Reason::invalid);
  if (c.service > c.period) return refuse(Reason::utilisation);
  if (c.chunk > settings_.base_blocking) return refuse(Reason::blocking);
  if (set_.size() >= channels_max) return refuse(Reason::too_complex);
  std::vector<Task> tasks = set_.tasks();
  tasks.push_back(with_delay(c, c.service));
  const Wide target = from_ppm(options_.target_ppm);
  const auto fits = [&](std::int64_t delay) {
    tasks.back().delay = Duration{delay};
    return set_bound(tasks, settings_, options_.above, rate(), load_above()) <= target;
  };
  // Doubling, then bisection: what is answered has passed the test itself.
  std::int64_t high = c.service.count();
  std::int64_t low = high - 1;
  while (!fits(high)) {
    if (high > duration_limit.count() / 2) return refuse(Reason::probability);
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (fits(middle) ? high : low) = middle;
  }
  return Duration{high};
}

}  // namespace rtchan::admission
