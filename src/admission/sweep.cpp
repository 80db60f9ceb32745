#include "admission/sweep.hpp"

#include <algorithm>
#include <boost/multiprecision/cpp_int.hpp>
#include <ranges>
#include <vector>

#include "admission/sweep_step.hpp"

namespace rtchan::admission {
namespace {

std::unexpected<StageRefusal> refuse(Reason reason, Wide when = 0) {
  return std::unexpected(StageRefusal{.reason = reason, .binding_time = duration(when)});
}

// The longest busy period that a violation can lie in: least L with
// L = inv( max(0, b0-eps) + sum of everything that arrives in L ). Infinity: not found within the limit.
std::int64_t busy_period(std::span<const Task> tasks, const Candidate& extra, const StageSettings& s) {
  const auto arrived = [](const Candidate& c, Wide length) {
    const Wide jobs = ceil_div(length, c.period.count());
    const Wide inputs = (length + c.input_jitter.count()) / c.period.count() + 1;
    return jobs * c.service.count() + inputs * c.input_service.count();
  };
  const Wide start = blocking(s.base_blocking, s.granularity);
  Wide length = 1;
  std::uint64_t steps = 0;
  for (;;) {
    Wide work = start + arrived(extra, length);
    for (const Task& t : tasks) work += arrived(t, length);
    if (work > duration_limit.count()) return infinity;
    const Duration next = s.supply.time_for(duration(work));
    if (next == Duration::max()) return infinity;
    if (next.count() <= length) return narrow(length);
    length = next.count();
    steps += tasks.size() + 1;
    if (steps > s.step_limit) return infinity;
  }
}

// Deadlines of a simultaneous start in order. Input events (work without a deadline) are among them.
class Deadlines {
 public:
  explicit Deadlines(std::span<const Task> tasks, const Candidate& extra) {
    for (const Task& t : tasks) {
      push({t.delay.count(), t.period.count(), t.service.count(), true});
      add_input(t);
    }
    add_input(extra);
    std::make_heap(heap_.begin(), heap_.end(), later);
  }
  [[nodiscard]] std::int64_t next() const { return heap_.empty() ? infinity : heap_.front().at; }
  struct Taken {
    Wide work = 0, input = 0;
    bool deadline = false;  // a real deadline was among it
  };
  // Takes everything at next().
  Taken take() {
    const std::int64_t at = next();
    Taken taken;
    while (next() == at) {
      std::pop_heap(heap_.begin(), heap_.end(), later);
      Event& e = heap_.back();
      (e.deadline ? taken.work : taken.input) += e.work;
      taken.deadline = taken.deadline || e.deadline;
      e.at = e.at > infinity - e.period ? infinity : e.at + e.period;
      if (e.at == infinity) {
        heap_.pop_back();
      } else {
        std::push_heap(heap_.begin(), heap_.end(), later);
      }
    }
    return taken;
  }
  Wide at_once = 0;  // input that may have gathered before time zero

 private:
  struct Event {
    std::int64_t at, period, work;
    bool deadline;
  };
  static bool later(const Event& a, const Event& b) { return a.at > b.at; }
  void push(const Event& e) { heap_.push_back(e); }
  void add_input(const Candidate& c) {
    if (c.input_service.count() == 0) return;
    const std::int64_t gathered = c.input_jitter / c.period + 1;
    at_once += Wide{gathered} * c.input_service.count();
    push({narrow(Wide{gathered} * c.period.count() - c.input_jitter.count()), c.period.count(),
          c.input_service.count(), false});
  }
  std::vector<Event> heap_;
};

// Input so far, which counts up to what the wire can have brought.
class ArrivedInput {
 public:
  ArrivedInput(Wide at_once, const InputBound& bound, const TimeGrid& grid)
      : bound_(bound), grid_(grid), sum_(at_once) {}
  void add(Wide work) { sum_ += work; }
  [[nodiscard]] Wide at(std::int64_t t) const {
    return bound_.known() ? std::min<Wide>(sum_, bound_.in_bucket(grid_, grid_.bucket_of(t))) : sum_;
  }
  // The next instant after t at which the bound is higher.
  [[nodiscard]] std::int64_t next_rise(std::int64_t t) const {
    const std::uint32_t k = grid_.bucket_of(t);
    return bound_.known() && k < TimeGrid::buckets ? grid_.edge(k + 1) : infinity;
  }

 private:
  const InputBound& bound_;
  const TimeGrid& grid_;
  Wide sum_;
};

// b(t): longest chunk among what may have a later deadline.
class Blocking {
 public:
  Blocking(std::span<const Task> tasks, const StageSettings& s) : settings_(s) {
    for (const Task& t : tasks) by_delay_.emplace_back(t.delay.count(), t.chunk.count());
    std::ranges::sort(by_delay_);
    std::int64_t longest = s.base_blocking.count();
    for (auto& [delay, chunk] : by_delay_ | std::views::reverse) chunk = longest = std::max(longest, chunk);
  }
  // t must not fall from call to call.
  std::int64_t at(std::int64_t t) {
    while (next_ < by_delay_.size() && by_delay_[next_].first <= t) ++next_;
    const Duration longest =
        next_ < by_delay_.size() ? Duration{by_delay_[next_].second} : settings_.base_blocking;
    return blocking(longest, settings_.granularity);
  }

 private:
  const StageSettings& settings_;
  std::vector<std::pair<std::int64_t, std::int64_t>> by_delay_;  // second: largest chunk from here on
  std::size_t next_ = 0;
};

}  // namespace

bool valid(const StageSettings& s) noexcept {
  return Duration{0} <= s.base_blocking && s.base_blocking <= duration_limit && Duration{0} <= s.granularity &&
         s.granularity <= Duration{1} && s.supply.valid() && s.utilisation_limit_ppm <= 1'000'000;
}

LoadVerdict load_verdict(std::span<const Task> tasks, const Candidate* extra, const StageSettings& settings) {
  const Wide rate = Wide{settings.supply.rate_q40()} << (utilisation_bits - 40);
  Wide high = extra ? utilisation(*extra) : 0;
  for (const Task& t : tasks) {
    if (high > 2 * utilisation_one) return LoadVerdict::above;  // before the sum can overflow
    high += utilisation(t);
  }
  const Wide limit = std::min(rate, rate * settings.utilisation_limit_ppm / 1'000'000);
  if (settings.utilisation_limit_ppm < 1'000'000 || !settings.supply.whole()) {
    return high < rate && high <= limit ? LoadVerdict::below : LoadVerdict::above;
  }
  const Wide rounding = 2 * (Wide{static_cast<std::int64_t>(tasks.size())} + 1);
  if (high < utilisation_one) return LoadVerdict::below;
  if (high - rounding > utilisation_one) return LoadVerdict::above;
  // Within rounding of 1: exact fractions. So rare that their size does not matter, but bound it.
  if (tasks.size() > 4096) return LoadVerdict::above;
  boost::multiprecision::cpp_rational sum = 0;
  const auto add = [&sum](const Candidate& c) {
    sum += boost::multiprecision::cpp_rational(c.service.count(), c.period.count());
    if (c.input_service.count() > 0)
      sum += boost::multiprecision::cpp_rational(c.input_service.count(), c.period.count());
  };
  for (const Task& t : tasks) add(t);
  if (extra) add(*extra);
  if (sum < 1) return LoadVerdict::below;
  return sum == 1 ? LoadVerdict::full : LoadVerdict::above;
}

std::expected<Duration, StageRefusal> smallest_delay_edf(std::span<const Task> existing,
                                                         const Candidate& candidate,
                                                         const StageSettings& settings,
                                                         const TimeGrid& grid) {
  const auto well_formed = [](const Task& t) { return valid(t); };
  if (!valid(candidate) || !valid(settings) || !std::ranges::all_of(existing, well_formed))
    return refuse(Reason::invalid);
  if (candidate.service > candidate.period) return refuse(Reason::utilisation);
  const auto load = load_verdict(existing, &candidate, settings);
  if (load == LoadVerdict::above ||
      (load == LoadVerdict::full && settings.base_blocking > settings.granularity))
    return refuse(Reason::utilisation);

  std::int64_t last = busy_period(existing, candidate, settings);
  if (last == infinity && load == LoadVerdict::full) return refuse(Reason::too_complex);
  // Input events count as demand wherever they fall, deadline or not (a little more than is needed, and
  // monotone in the delay): that the busy period ends the search is only known for deadlines.
  const auto has_input = [](const Candidate& c) { return c.input_service > Duration{0}; };
  if (load == LoadVerdict::below && (has_input(candidate) || std::ranges::any_of(existing, has_input)))
    last = infinity;
  Totals totals;
  Duration longest_chunk = settings.base_blocking;
  for (const Task& task : existing) {
    totals.add(task);
    longest_chunk = std::max(longest_chunk, task.chunk);
  }
  const Horizon horizon(totals, longest_chunk, candidate, settings);
  Deadlines deadlines(existing, candidate);
  Blocking longest(existing, settings);
  const std::int64_t own_blocking = blocking(candidate.chunk, settings.granularity);

  Wide delay = candidate.service.count();
  Wide h = 0;
  ArrivedInput input(deadlines.at_once, settings.input_bound, grid);
  std::int64_t t = 0;
  for (std::uint64_t steps = 0;; ++steps) {
    const std::int64_t next = std::min(deadlines.next(), input.next_rise(t));
    const Wide demand = h + input.at(t) + longest.at(t);
    const Wide slack = settings.supply.available(Duration{t}).count() - demand;
    delay = raise(delay, candidate, settings, {t, next, slack, demand}, horizon.end(delay), steps);
    if (steps >= settings.step_limit) return refuse(Reason::too_complex, t);
    if (delay > duration_limit.count()) return refuse(Reason::infeasible, t);
    if (next > last || next == infinity || t >= horizon.end(delay)) return duration(delay);

    t = next;
    if (deadlines.next() > t) continue;
    const auto taken = deadlines.take();
    h += taken.work;
    input.add(taken.input);
    if (!taken.deadline) continue;
    const Wide left = Wide{settings.supply.available(Duration{t}).count()} - h - input.at(t);
    if (left < longest.at(t)) {
      return refuse(candidate.input_service.count() > 0 ? Reason::infeasible : Reason::existing_infeasible,
                    t);
    }
    // Also where t >= delay so far: too little is left there for a whole message, so delay will pass t.
    if (left < own_blocking) return refuse(Reason::blocking, t);
  }
}

std::expected<Duration, StageRefusal> smallest_delay_envelope(std::span<const Task> existing,
                                                              const Candidate& candidate,
                                                              const StageSettings& settings) {
  const auto well_formed = [](const Task& t) { return valid(t); };
  if (!valid(candidate) || !valid(settings) || !std::ranges::all_of(existing, well_formed))
    return refuse(Reason::invalid);
  if (!settings.supply.whole() || candidate.input_service.count() > 0) return refuse(Reason::infeasible);
  std::vector<Task> tasks(existing.begin(), existing.end());
  std::ranges::stable_sort(tasks, {}, [](const Task& t) { return t.delay; });
  Blocking longest(existing, settings);
  const Wide own_blocking = blocking(candidate.chunk, settings.granularity);
  const Wide service = candidate.service.count();

  // Everything scaled by 2^60: demand line = fixed + rate * t.
  Wide load = utilisation(candidate);
  Wide services = service;
  for (const Task& t : tasks) {
    load += utilisation(t);
    services += t.service.count();
    if (load >= utilisation_one) return refuse(Reason::utilisation);
  }
  if (load >= utilisation_one) return refuse(Reason::utilisation);
  if (services > Wide{1} << 64) return refuse(Reason::too_complex);  // sums below would leave 128 bits

  Wide rate = 0;
  Wide fixed = 0;  // in 2^-60 ns: sum of C - U*d
  Wide delay = service;
  std::int64_t t = 0;
  for (std::size_t i = 0;;) {
    const std::int64_t next = i < tasks.size() ? tasks[i].delay.count() : infinity;
    const Wide demand = ceil_div(fixed + rate * t, utilisation_one);
    const Wide slack = t - demand - longest.at(t);
    if (i > 0) {
      if (slack < 0) return refuse(Reason::infeasible, t);
      if (t - demand < own_blocking) return refuse(Reason::blocking, t);
    }
    if (slack >= service) {
      delay = std::max(delay, t - floor_div((slack - service) * candidate.period.count(), service));
    } else {
      const Wide wait = ceil_div((service - slack) << utilisation_bits, utilisation_one - rate);
      delay = std::max(delay, std::min<Wide>(next, t + wait));
    }
    if (delay > duration_limit.count()) return refuse(Reason::infeasible, t);
    if (next == infinity) return duration(delay);
    t = next;
    for (; i < tasks.size() && tasks[i].delay.count() == t; ++i) {
      if (tasks[i].input_service.count() > 0) return refuse(Reason::infeasible, t);
      const Wide u = utilisation(tasks[i]);
      rate += u;
      fixed += (Wide{tasks[i].service.count()} << utilisation_bits) - u * t;
    }
  }
}

}  // namespace rtchan::admission
