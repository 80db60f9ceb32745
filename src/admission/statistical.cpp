#include "admission/statistical.hpp"

#include <algorithm>
#include <utility>

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

// Values of independent channels, each there with its probability: P(sum of those that are there > capacity). The unit is
// any; `largest` is an upper bound of all values and of the capacity.
class Overflow {
 public:
  Overflow(Wide capacity, Wide largest) : capacity_(capacity), shift_(shift_for(std::max(capacity, largest))) {}
  void add(Wide value, std::uint32_t ppm) {
    mean_ppm_ += value * ppm;
    const Wide scaled = ceil_div(value, Wide{1} << shift_);
    squares_ += scaled * scaled;
  }
  // Of 2^-60, at most 1: then there is no promise.
  [[nodiscard]] Wide bound() const {
    const Wide excess = capacity_ - ceil_div(mean_ppm_, 1'000'000);
    return excess <= 0 ? one : hoeffding_bound(excess >> shift_, squares_);
  }

 private:
  Wide capacity_;
  int shift_;
  Wide mean_ppm_ = 0, squares_ = 0;
};

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

StatisticalPolicy::Above StatisticalPolicy::above(const Candidate& more) const {
  Wide load = load_above();
  if (more.service > Duration{0}) load += utilisation(more);
  return {options_.above, more, load};
}

Wide StatisticalPolicy::Above::arrivals(Duration t) const {
  Wide work = policy == nullptr ? 0 : policy->arrivals(t).count();
  if (more.service > Duration{0}) work += gathered(more) + ceil_div(utilisation(more) * t.count(), utilisation_one);
  return work;
}

// The bound of a set with one channel whose delay is still open: what the others bring is summed up once.
class StatisticalPolicy::Checkpoints {
 public:
  Checkpoints(const StatisticalPolicy& policy, std::vector<Task> others, const Above& above, const Task* open)
      : policy_(policy), others_(std::move(others)), above_(above), open_(open),
        rate_(policy.rate() - above.load, utilisation_one) {
    for (const Task& t : others_) at_.push_back(without_open(t.delay));
    for (const Task& t : others_) rate_.add(utilisation(t.service, t.period), t.activity_ppm);
    if (open_ != nullptr) rate_.add(utilisation(open_->service, open_->period), open_->activity_ppm);
  }
  // With the open channel's delay as it is now.
  [[nodiscard]] Wide bound() const {
    Wide total = rate_.bound();
    for (std::size_t i = 0; i < at_.size() && total < one; ++i) total += with_open(at_[i], others_[i].delay);
    if (open_ != nullptr && total < one) total += with_open(without_open(open_->delay), open_->delay);
    return std::min(one, total);
  }

 private:
  [[nodiscard]] Overflow without_open(Duration x) const {
    const StageSettings& s = policy_.settings_;
    const Wide capacity = Wide{s.supply.available(x).count()} - blocking(s.base_blocking, s.granularity) - above_.arrivals(x);
    Wide largest = 0;
    for (const Task& t : others_) largest = std::max(largest, demand_within(t, x.count()));
    if (open_ != nullptr) {
      Task earliest = *open_;
      earliest.delay = Duration{1};
      largest = std::max(largest, demand_within(earliest, x.count()));
    }
    Overflow sum(capacity, largest);
    for (const Task& t : others_) sum.add(demand_within(t, x.count()), t.activity_ppm);
    return sum;
  }
  [[nodiscard]] Wide with_open(Overflow sum, Duration x) const {
    if (open_ != nullptr) sum.add(demand_within(*open_, x.count()), open_->activity_ppm);
    return sum.bound();
  }

  const StatisticalPolicy& policy_;
  std::vector<Task> others_;
  Above above_;
  const Task* open_;
  Overflow rate_;
  std::vector<Overflow> at_;  // by checkpoint: every delay of the others
};

Wide StatisticalPolicy::miss_bound() const { return Checkpoints(*this, set_.tasks(), above(), nullptr).bound(); }

Reason StatisticalPolicy::bears(const Candidate& more) const {
  if (set_.size() == 0) return Reason::none;
  const Wide bound = Checkpoints(*this, set_.tasks(), above(more), nullptr).bound();
  return bound <= from_ppm(options_.target_ppm) ? Reason::none : Reason::probability;
}

std::expected<Duration, StageRefusal> StatisticalPolicy::test(const Candidate& c, Duration) const {
  const auto refuse = [](Reason reason) { return std::unexpected(StageRefusal{.reason = reason}); };
  if (c.activity_ppm > 1'000'000) return refuse(Reason::invalid);
  if (const Reason why = flaw(c); why != Reason::none) return refuse(why);
  if (set_.size() >= channels_max) return refuse(Reason::too_complex);
  Task open = with_delay(c, c.service);
  open.input_service = open.input_jitter = Duration{0};
  const Checkpoints checkpoints(*this, set_.tasks(), above(), &open);
  const Wide target = from_ppm(options_.target_ppm);
  const auto fits = [&](std::int64_t delay) {
    open.delay = Duration{delay};
    return checkpoints.bound() <= target;
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
