#include "admission/demand_index.hpp"

#include <algorithm>
#include <cstdlib>

#include "admission/sweep.hpp"

namespace rtchan::admission {
namespace {

constexpr std::uint32_t buckets = TimeGrid::buckets;
constexpr std::int64_t no_deadline = DemandSums::no_deadline;

}  // namespace

DemandIndex::DemandIndex(const StageSettings& settings, unsigned finest_bits)
    : settings_(settings), grid_(finest_bits), sums_(settings, grid_), store_(grid_) {}

// --- the set ------------------------------------------------------------------------------------------------------

namespace {

Flow deadlines_of(const Task& t, std::uint32_t owner) {
  return {t.delay.count(), t.period.count(), t.service.count(), owner, true};
}
Flow input_of(const Task& t, std::uint32_t owner) {
  return {-t.input_jitter.count(), t.period.count(), t.input_service.count(), owner, false};
}

}  // namespace

EntryId DemandIndex::insert(const Task& task) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(entries_.size()));
    entries_.emplace_back();
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  entries_[slot] = {task, true};
  ++size_;
  totals_.add(task);
  for (const Flow& flow : {deadlines_of(task, slot), input_of(task, slot)}) {
    if (flow.work == 0) continue;
    sums_.add(flow);
    store_.add(flow);
  }
  const std::uint32_t bucket = grid_.bucket_of(task.delay.count());
  sums_.raise_blocker(bucket, task.chunk.count());
  sums_.refresh_blockers(bucket);
  return EntryId{slot};
}

void DemandIndex::erase(EntryId id) {
  const Task task = entries_[id.value].task;
  for (const Flow& flow : {deadlines_of(task, id.value), input_of(task, id.value)}) {
    if (flow.work == 0) continue;
    sums_.remove(flow);
    store_.remove(flow);
  }
  entries_[id.value].used = false;
  free_.push_back(id.value);
  --size_;
  totals_.remove(task);
  drop_blocker(task);
}

// Its input stays where it is.
void DemandIndex::raise_delay(EntryId id, Duration delay) {
  Task& task = entries_[id.value].task;
  const Task before = task;
  sums_.remove(deadlines_of(before, id.value));
  store_.remove(deadlines_of(before, id.value));
  totals_.remove(before);
  task.delay = delay;
  totals_.add(task);
  sums_.add(deadlines_of(task, id.value));
  store_.add(deadlines_of(task, id.value));
  const std::uint32_t bucket = grid_.bucket_of(delay.count());
  sums_.raise_blocker(bucket, task.chunk.count());
  sums_.refresh_blockers(bucket);
  drop_blocker(before);
}

// The task's flow of deadlines is not (or no longer) where it was.
void DemandIndex::drop_blocker(const Task& task) {
  const std::uint32_t bucket = grid_.bucket_of(task.delay.count());
  if (sums_.lower_blocker(bucket, task.chunk.count())) return;
  store_.each_beginning_in(bucket, [&](std::int64_t, std::uint32_t owner) {
    sums_.raise_blocker(bucket, entries_[owner].task.chunk.count());
  });
  sums_.refresh_blockers(bucket);
}

std::vector<Task> DemandIndex::tasks() const {
  std::vector<Task> all;
  all.reserve(size_);
  for (const Entry& e : entries_)
    if (e.used) all.push_back(e.task);
  return all;
}

// --- questions ----------------------------------------------------------------------------------------------------

// One question on its way through the buckets. The candidate was found plausible beside the set, so all work until the
// grid's end, its own included, stays far below 2^63.
struct DemandIndex::Question {
  const Candidate& candidate;
  const TimeGrid& grid;
  const std::int64_t service, period, input_service, own_blocking;
  const std::int64_t end;  // nothing can be late from here on (a larger delay would only shorten it)
  std::int64_t delay;
  GridCounter jobs, input;  // the candidate's own deadlines and input
  std::uint64_t steps = 0;
  std::expected<Duration, StageRefusal> refusal = Duration{0};

  Question(const Candidate& c, const DemandIndex& index)
      : candidate(c),
        grid(index.grid_),
        service(c.service.count()),
        period(c.period.count()),
        input_service(c.input_service.count()),
        own_blocking(blocking(c.chunk, index.settings_.granularity)),
        end(Horizon(index.totals_, std::max(Duration{index.sums_.blocker(0)}, index.settings_.base_blocking), c,
                    index.settings_)
                .end(service)),
        delay(service),
        jobs(grid, delay, period, 0),
        input(grid, -c.input_jitter.count(), period, 0) {}

  // Counts from bucket k on with a larger delay.
  void set_delay(std::int64_t d, std::uint32_t k) {
    if (d == delay) return;
    delay = d;
    jobs = GridCounter(grid, delay, period, k);
  }
  void advance() noexcept {
    jobs.advance();
    input.advance();
  }
  [[nodiscard]] std::int64_t own_input() const noexcept { return input.until_end() * input_service; }
  // Moves all but `fitting` jobs past the end of bucket k.
  void push_past(std::uint32_t k, std::int64_t fitting) {
    const std::int64_t first = grid.edge(k + 1) - std::min(fitting, jobs.until_end()) * period;
    set_delay(std::max(delay, first), k);
  }
  bool refuse(Reason reason, std::int64_t when) {
    refusal = std::unexpected(StageRefusal{.reason = reason, .binding_time = Duration{when}});
    return false;
  }
};

// What the existing deadlines of bucket k must have left: room for the candidate's longest chunk and, where
// it brings input that takes from them, for what blocks them already.
std::int64_t DemandIndex::needed_left(const Question& q, std::uint32_t k) const noexcept {
  return q.input_service == 0 ? q.own_blocking : std::max(q.own_blocking, sums_.blocked(k));
}

// Decides the bucket by its bounds alone. False: not decided.
bool DemandIndex::settle(Question& q, std::uint32_t k) const {
  const std::int64_t at_deadlines = sums_.least(k);
  const std::int64_t jobs = q.jobs.until_end();
  if (at_deadlines == no_deadline && jobs == 0) return true;
  const std::int64_t input = sums_.input_within(k, q.own_input());
  if (at_deadlines != no_deadline && at_deadlines - input < needed_left(q, k)) return false;
  if (jobs == 0) return true;
  // Its own deadlines: as many jobs as it has before the bucket's end must fit at the bucket's lowest point
  // ...
  const std::int64_t start = sums_.supply(k) - sums_.demand(k);
  const std::int64_t room = std::min(start, at_deadlines) - input - sums_.blocked(k);
  if (jobs * q.service <= room) return true;
  // ... or be moved past its end, where no more than `fitting` of them fit.
  const std::int64_t at_end = sums_.supply(k + 1) - sums_.demand(k + 1) - input - sums_.blocked(k + 1);
  const std::int64_t fitting = at_end < q.service ? 0 : at_end / q.service;
  if (fitting >= jobs) return false;
  q.push_past(k, fitting);
  return q.jobs.until_end() == 0 || q.jobs.until_end() * q.service <= room;
}

// Decides the bucket on the safe side. False: refused.
bool DemandIndex::approximate(Question& q, std::uint32_t k) const {
  const std::int64_t input = sums_.input_within(k, q.own_input());
  const std::int64_t at_deadlines = sums_.least(k);
  if (at_deadlines != no_deadline && at_deadlines - input < needed_left(q, k))
    return q.refuse(Reason::infeasible, sums_.edge(k));
  const std::int64_t room = std::min(sums_.supply(k) - sums_.demand(k), at_deadlines) - input - sums_.blocked(k);
  q.push_past(k, room < q.service ? 0 : room / q.service);
  return true;
}

// Sweeps the bucket event by event. False: refused.
bool DemandIndex::expand(Question& q, std::uint32_t k) const {
  ++work_.expansions;
  const std::int64_t begin = sums_.edge(k), end = sums_.edge(k + 1);
  const auto& events = store_.events_in(k, sums_.empty(k));
  if (events.size() > EventStore::bucket_events_max ||
      (end - begin) / q.period > std::int64_t{EventStore::bucket_events_max}) {
    if (approximate(q, k)) return true;  // too many to look at: by the bounds alone, on the safe side
    return q.refuse(Reason::too_complex, begin);
  }
  work_.swept += events.size();

  const std::int64_t longest = sums_.blocked(k);
  const bool blocking_falls = longest != sums_.blocked(k + 1);
  if (blocking_falls) list_blockers(k);
  const std::int64_t most_input = sums_.input_bound(k);
  std::int64_t h = sums_.demand(k);
  std::int64_t input = sums_.input(k) + q.input.before() * q.input_service;
  std::int64_t own_input_at = q.input_service > 0 ? begin + q.input.phase() : infinity;
  std::int64_t due = begin + q.jobs.phase();  // its first deadline that is not counted in `jobs`
  std::int64_t jobs = q.jobs.before();
  std::int64_t lowest = no_deadline;
  std::int64_t t = begin;
  std::int64_t supply = sums_.supply(k);
  for (std::size_t i = 0;;) {
    const std::int64_t next =
        std::min(own_input_at, i < events.size() ? std::min(events[i].at, end) : end);
    const std::int64_t blocked = blocking_falls ? blocking_at(k, t) : longest;
    const std::int64_t demand = h + std::min(input, most_input) + blocked;
    for (; due < next && due < q.end; due += q.period) ++jobs;
    if (jobs * q.service > supply - demand) {
      const Wide raised = raise(q.delay, q.candidate, settings_, {t, next, supply - demand, demand}, q.end, q.steps);
      if (raised != q.delay) {
        q.set_delay(narrow(raised), k);
        jobs = q.jobs.before();
        due = begin + q.jobs.phase();
        for (; due < next && due < q.end; due += q.period) ++jobs;
      }
    }
    if (next >= end) break;
    t = next;
    bool deadline = false;
    for (; i < events.size() && events[i].at == t; ++i) {
      if (events[i].deadline()) {
        h += events[i].work;
        deadline = true;
      } else {
        input -= events[i].work;
      }
    }
    if (own_input_at == t) {
      input += q.input_service;
      own_input_at += q.period;
    }
    supply = settings_.supply.available(Duration{t}).count();
    if (!deadline) continue;
    const std::int64_t left = supply - h;
    lowest = std::min(lowest, left);
    const std::int64_t beside = left - std::min(input, most_input);
    if (beside < (blocking_falls ? blocking_at(k, t) : longest))
      return q.refuse(q.input_service > 0 ? Reason::infeasible : Reason::existing_infeasible, t);
    if (beside < q.own_blocking) return q.refuse(Reason::blocking, t);
  }
  sums_.set_least(k, lowest);
  if (q.steps >= settings_.step_limit) return q.refuse(Reason::too_complex, t);
  return true;
}

// The chunks of channels whose d lies in the bucket: there b(t) falls inside it.
void DemandIndex::list_blockers(std::uint32_t k) const {
  inside_.clear();
  store_.each_beginning_in(k, [&](std::int64_t delay, std::uint32_t owner) {
    inside_.emplace_back(delay, entries_[owner].task.chunk.count());
  });
  std::ranges::sort(inside_);
  std::int64_t longest = std::max(sums_.blocker(k + 1), settings_.base_blocking.count());
  for (std::size_t i = inside_.size(); i-- > 0;)
    inside_[i].second = longest = std::max(longest, inside_[i].second);
}

std::int64_t DemandIndex::blocking_at(std::uint32_t k, std::int64_t t) const {
  const auto later = std::ranges::upper_bound(inside_, t, {}, &std::pair<std::int64_t, std::int64_t>::first);
  if (later == inside_.end()) return sums_.blocked(k + 1);
  return blocking(Duration{later->second}, settings_.granularity);
}

std::expected<Duration, StageRefusal> DemandIndex::walk(const Candidate& candidate, Duration enough) const {
  const bool exact = enough == Duration{0};
  Question q(candidate, *this);
  const std::uint64_t before = work_.swept;
  for (std::uint32_t k = 0; k < buckets; ++k, q.advance()) {
    if (sums_.edge(k) >= q.end) {
      work_.expanded_questions += exact && work_.swept > before;
      return Duration{q.delay};
    }
    if (k == sums_.reach()) look_further();
    if (settle(q, k)) continue;
    if (exact ? expand(q, k) : approximate(q, k)) {
      if (exact || q.delay <= enough.count()) continue;
      q.refuse(Reason::delay, sums_.edge(k));  // more than enough: only exactly can it be less
    }
    work_.expanded_questions += exact && work_.swept > before;
    return q.refusal;
  }
  ++work_.fallbacks;  // deadlines beyond the last bucket may matter
  return smallest_delay_edf(tasks(), candidate, settings_, grid_);
}

std::expected<Duration, StageRefusal> DemandIndex::smallest_delay(const Candidate& candidate,
                                                                  Duration enough) const {
  ++work_.questions;
  if (enough > Duration{0}) {
    const auto quick = walk(candidate, enough);
    if (quick && *quick <= enough) return quick;
  }
  return walk(candidate, Duration{0});
}

// --- what the link may hand over ----------------------------------------------------------------------------------

BurstBound DemandIndex::burst_bound() const {
  const std::int64_t cap = std::max(settings_.burst_cap, settings_.base_blocking).count();
  // From t on no deadline leaves less than this: demand <= load*t + K, and load < rate.
  const Wide slope = (Wide{settings_.supply.rate_q40()} << (utilisation_bits - 40)) - totals_.load;
  const Wide lost = settings_.supply.loss_burst.count() +
                    2 * (settings_.supply.period - settings_.supply.quantum).count() + 1;
  const auto left_from = [&](std::int64_t t) {
    return narrow(floor_div(slope * t, utilisation_one) - totals_.intercept - lost);
  };
  std::vector<BurstBound::Step> falls;  // bound applies to x > above
  std::int64_t lowest = cap;
  for (std::uint32_t k = 0; size_ > 0; ++k) {
    if (k == sums_.reach()) {
      const std::int64_t beyond = left_from(sums_.edge(k));
      if (beyond >= lowest) break;
      if (k == buckets) {
        const std::int64_t floor = blocking(settings_.base_blocking, settings_.granularity);
        falls.push_back({Duration{sums_.edge(k)}, Duration{std::max(beyond, std::min(floor, lowest))}});
        break;
      }
      look_further();
    }
    if (sums_.least(k) == no_deadline) continue;
    const std::int64_t least = sums_.least(k) - sums_.input_within(k, 0);
    if (least >= lowest) continue;
    lowest = least;
    falls.push_back({Duration{sums_.edge(k)}, Duration{lowest}});
  }
  return BurstBound::of_falls(Duration{cap}, falls);
}

// --- debug --------------------------------------------------------------------------------------------------------

bool DemandIndex::reconciles() const {
  DemandIndex fresh(settings_, grid_.finest_bits());
  for (const Entry& e : entries_)
    if (e.used) fresh.insert(e.task);
  while (fresh.sums_.reach() < sums_.reach()) fresh.look_further();
  if (!fresh.sums_.same_sums(sums_) || !(fresh.totals_ == totals_) || fresh.size_ != size_) return false;
  // No bound may promise more than is there; recomputed where that is affordable.
  if (size_ > 256) return true;
  std::size_t looked_at = 0;
  for (std::uint32_t k = 0; k < sums_.reach() && looked_at < 20'000; ++k) {
    auto events = store_.recount(k);
    looked_at += events.size();
    if (events.size() > EventStore::bucket_events_max) break;
    std::ranges::sort(events, {}, &EventStore::Event::at);
    std::int64_t h = sums_.demand(k), input = sums_.input(k);
    for (std::size_t i = 0; i < events.size();) {
      const std::int64_t t = events[i].at;
      bool deadline = false;
      for (; i < events.size() && events[i].at == t; ++i) {
        (events[i].deadline() ? h : input) += std::abs(events[i].work);
        deadline = deadline || events[i].deadline();
      }
      if (deadline && settings_.supply.available(Duration{t}).count() - h < sums_.least(k)) return false;
    }
    if (h != sums_.demand(k + 1) || input != sums_.input(k + 1)) return false;
  }
  return true;
}

}  // namespace rtchan::admission
