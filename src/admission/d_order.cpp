#include "admission/d_order.hpp"

#include <algorithm>
#include <vector>

#include "admission/arithmetic.hpp"
#include "admission/sweep.hpp"

namespace rtchan::admission {
namespace {

// One priority level: everything that can run before, or instead of, the subject.
class Level {
 public:
  // `work`: of the whole question so far.
  Level(const Task& subject, std::span<const Task> above, Duration longest_below,
        const StageSettings& settings, std::uint64_t& work)
      : subject_(subject),
        above_(above),
        settings_(settings),
        work_(work),
        blocked_(blocking(std::max(longest_below, settings.base_blocking), settings.granularity)) {}

  std::expected<Duration, StageRefusal> response() {
    const Wide busy = busy_period();
    if (busy < 0) return give_up();
    const Wide jobs = ceil_div(busy, subject_.period.count());
    const Wide service = subject_.service.count();
    Wide worst = 0;
    for (Wide job = 0; job < jobs; ++job) {
      const Wide finish = finish_of(blocked_ + (job + 1) * service - subject_.last.count());
      if (finish < 0 || ++steps_ > settings_.step_limit) return give_up();
      worst = std::max(worst, finish - job * subject_.period.count());
    }
    return duration(worst);
  }

 private:
  [[nodiscard]] Wide inverse(Wide work) const {  // -1: beyond every horizon
    if (work > duration_limit.count()) return -1;
    const Duration t = settings_.supply.time_for(duration(work));
    return t == Duration::max() ? -1 : t.count();
  }
  // Input of `c` that can fall into an interval of this length, its gathered backlog included.
  static Wide input(const Candidate& c, Wide length) {
    if (c.input_service.count() == 0) return 0;
    return ((length + c.input_jitter.count()) / c.period.count() + 1) * c.input_service.count();
  }
  Wide busy_period() {
    Wide length = 1;
    while (may_go_on()) {
      Wide work = blocked_ + ceil_div(length, subject_.period.count()) * subject_.service.count() +
                  input(subject_, length);
      for (const Task& t : above_)
        work += ceil_div(length, t.period.count()) * t.service.count() + input(t, length);
      const Wide next = inverse(work);
      if (next <= length) return next < 0 ? next : length;
      length = next;
      if ((steps_ += above_.size() + 1) > settings_.step_limit) return -1;
    }
    return -1;
  }
  // When a job finishes whose own and earlier work, except its last chunk, is `base`. A job of higher
  // priority that arrives at the very instant the last chunk could start goes first: floor + 1.
  Wide finish_of(Wide base) {
    Wide start = inverse(base);
    while (may_go_on()) {
      if (start < 0) return -1;
      Wide work = base + input(subject_, start);
      for (const Task& t : above_)
        work += (start / t.period.count() + 1) * t.service.count() + input(t, start);
      const Wide next = inverse(work);
      if (next <= start) return next < 0 ? next : inverse(work + subject_.last.count());
      start = next;
      if ((steps_ += above_.size() + 1) > settings_.step_limit) return -1;
    }
    return -1;
  }
  // One more sum over everything above, and the searches in the supply that go with it.
  bool may_go_on() {
    work_ += above_.size() + 1 + 3 * static_cast<std::uint64_t>(settings_.supply.search_steps());
    return work_ <= settings_.work_limit;
  }
  static std::unexpected<StageRefusal> give_up() {
    return std::unexpected(StageRefusal{.reason = Reason::too_complex});
  }

  const Task& subject_;
  std::span<const Task> above_;
  const StageSettings& settings_;
  std::uint64_t& work_;
  Wide blocked_;
  std::uint64_t steps_ = 0;
};

// By delay; the older first on ties.
std::vector<Task> by_priority(std::span<const Task> existing) {
  std::vector<Task> order(existing.begin(), existing.end());
  std::ranges::stable_sort(order, {}, [](const Task& t) { return t.delay; });
  return order;
}

}  // namespace

std::expected<Duration, StageRefusal> response_time(const Task& subject, std::span<const Task> above,
                                                    Duration longest_below, const StageSettings& settings) {
  std::uint64_t work = 0;
  return Level(subject, above, longest_below, settings, work).response();
}

std::expected<Duration, StageRefusal> smallest_delay_d_order(std::span<const Task> existing,
                                                             const Candidate& candidate,
                                                             const StageSettings& settings) {
  // Steps 1 and 2 (load, blocking of those above) are those of the exact test, which also serves as the floor
  // where supply is lost: the theorem is proved for a stage of our own.
  const auto exact = smallest_delay_edf(existing, candidate, settings);
  if (!exact) return exact;

  std::vector<Task> order = by_priority(existing);
  std::vector<Duration> longest_below(order.size() + 1);  // of positions >= i
  for (std::size_t i = order.size(); i-- > 0;)
    longest_below[i] = std::max(longest_below[i + 1], order[i].chunk);

  // Step 4. `order` is rearranged so that [0, place) is above the new channel at index `place`, the rest
  // below.
  std::uint64_t work = 0;
  std::size_t place = order.size();
  order.push_back(with_delay(candidate, candidate.service));
  while (place > 0) {
    // Is the channel just above the new one still in time when the new one passes it? Undecided counts as no.
    std::swap(order[place - 1], order[place]);
    const Task& passed = order[place];
    const auto response = Level(passed, std::span(order).first(place), longest_below[place], settings, work).response();
    if (!response || *response > passed.delay) {
      std::swap(order[place - 1], order[place]);
      break;
    }
    --place;
  }
  auto own = Level(order[place], std::span(order).first(place), longest_below[place], settings, work).response();
  if (!own) return own;
  if (*own > duration_limit) return std::unexpected(StageRefusal{.reason = Reason::infeasible});
  const auto has_input = [](const Candidate& c) { return c.input_service > Duration{0}; };
  const bool proved =
      settings.supply.whole() && !has_input(candidate) && std::ranges::none_of(existing, has_input);
  return proved ? *own : std::max(*own, *exact);
}

}  // namespace rtchan::admission
