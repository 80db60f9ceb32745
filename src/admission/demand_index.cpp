#include "admission/demand_index.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ranges>

#include "admission/sweep.hpp"

namespace rtchan::admission {
namespace {

constexpr std::uint32_t buckets = TimeGrid::buckets;
constexpr std::int64_t no_deadline = DemandSums::no_deadline;

}  // namespace

DemandIndex::DemandIndex(const StageSettings& settings, unsigned finest_bits)
    : settings_(settings), grid_(finest_bits), sums_(settings, grid_), store_(grid_), beginning_(buckets + 1) {}

// --- the set ------------------------------------------------------------------------------------------------------

namespace {

Flow deadlines_of(const Task& t, std::uint32_t owner) {
  return {t.delay.count(), t.period.count(), t.service.count(), owner, true};
}
Flow input_of(const Task& t, std::uint32_t owner) {
  return {-t.input_jitter.count(), t.period.count(), t.input_service.count(), owner, false};
}

}  // namespace

void DemandIndex::come(const Flow& flow) {
  if (flow.work == 0) return;
  sums_.gather(flow, +1);
  each_bucket_with(grid_, flow.offset, flow.period, 0, sums_.reach(), [&](auto k, std::int64_t at, std::int64_t count) {
    sums_.come(k, flow, at, count);
    store_.come(k, flow, at, count);
  });
  store_.add(flow);
}

void DemandIndex::go(const Flow& flow) {
  if (flow.work == 0) return;
  sums_.gather(flow, -1);
  each_bucket_with(grid_, flow.offset, flow.period, 0, sums_.reach(), [&](auto k, std::int64_t at, std::int64_t count) {
    sums_.go(k, flow, at, count);
    store_.go(k, flow, at, count);
  });
  store_.remove(flow);
}

void DemandIndex::look_further() const {
  const std::uint32_t from = sums_.reach();
  sums_.extend();
  store_.each_flow([&](const Flow& flow) {
    each_bucket_with(grid_, flow.offset, flow.period, from, sums_.reach(),
                     [&](auto k, std::int64_t at, std::int64_t count) { sums_.come(k, flow, at, count); });
  });
}

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
  come(deadlines_of(task, slot));
  come(input_of(task, slot));
  place_blocker(slot);
  return EntryId{slot};
}

void DemandIndex::erase(EntryId id) {
  const Task task = entries_[id.value].task;
  go(deadlines_of(task, id.value));
  go(input_of(task, id.value));
  drop_blocker(id.value, task);
  totals_.remove(task);
  entries_[id.value].used = false;
  free_.push_back(id.value);
  --size_;
}

// Its input stays where it is.
void DemandIndex::raise_delay(EntryId id, Duration delay) {
  Task& task = entries_[id.value].task;
  const Task before = task;
  go(deadlines_of(before, id.value));
  drop_blocker(id.value, before);
  totals_.remove(before);
  task.delay = delay;
  totals_.add(task);
  come(deadlines_of(task, id.value));
  place_blocker(id.value);
}

void DemandIndex::place_blocker(std::uint32_t slot) {
  Entry& entry = entries_[slot];
  const std::uint32_t bucket = grid_.bucket_of(entry.task.delay.count());
  entry.place = static_cast<std::uint32_t>(beginning_[bucket].size());
  beginning_[bucket].push_back(slot);
  sums_.raise_blocker(bucket, entry.task.chunk.count());
  sums_.refresh_blockers(bucket);
}

// `task`: as it was placed.
void DemandIndex::drop_blocker(std::uint32_t slot, const Task& task) {
  const std::uint32_t bucket = grid_.bucket_of(task.delay.count());
  auto& here = beginning_[bucket];
  const std::uint32_t place = entries_[slot].place;
  entries_[here.back()].place = place;
  here[place] = here.back();
  here.pop_back();
  if (sums_.lower_blocker(bucket, task.chunk.count())) return;
  for (const std::uint32_t other : here) sums_.raise_blocker(bucket, entries_[other].task.chunk.count());
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
  std::uint64_t steps = 0;
  std::uint64_t looked_at = 0;  // deadlines, one by one
  bool too_many = false;        // of them
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
        delay(service) {}

  // The candidate's own deadlines before an instant, and the work of its input before it.
  [[nodiscard]] std::int64_t jobs_before(std::int64_t t) const noexcept { return events_before(t, delay, period); }
  [[nodiscard]] std::int64_t own_input_before(std::int64_t t) const noexcept {
    return input_service == 0 ? 0 : input_service * events_before(t, -candidate.input_jitter.count(), period);
  }
  // Of the `jobs` due before an instant, moves all past it for which there is no room.
  void push_past(std::int64_t instant, std::int64_t jobs, std::int64_t room) {
    if (jobs * service <= room) return;
    delay = std::max(delay, instant - (room < service ? 0 : room / service) * period);
  }
  bool refuse(Reason reason, std::int64_t when) {
    refusal = std::unexpected(StageRefusal{.reason = reason, .binding_time = Duration{when}});
    return false;
  }
};

// What the existing deadlines from bucket k on must have left: room for the candidate's longest chunk and, where
// it brings input that takes from them, for what blocks them already.
std::int64_t DemandIndex::needed_left(const Question& q, std::uint32_t k) const noexcept {
  return q.input_service == 0 ? q.own_blocking : std::max(q.own_blocking, sums_.blocked(k));
}

// Decides a bucket or a group by its bounds alone. False: not decided (the delay may have been raised, never too far).
bool DemandIndex::settle(Question& q, const Stretch& s) const {
  const std::int64_t end = sums_.edge(s.end);
  std::int64_t jobs = q.jobs_before(end);
  if (s.least == no_deadline && jobs == 0) return true;
  const std::int64_t input = sums_.input_within(s, q.own_input_before(end));
  const bool others_fit = s.least == no_deadline || s.least - input >= needed_left(q, s.first);
  if (jobs == 0) return others_fit;
  // Its own deadlines: as many jobs as it has before the end must fit at the lowest point ...
  const std::int64_t start = sums_.supply(s.first) - s.before.demand;
  const std::int64_t room = std::min(start, s.least) - input - sums_.blocked(s.first);
  if (jobs * q.service > room) {
    // ... or be moved past an instant at which it is known exactly that not so many of them fit.
    const std::int64_t at_end = sums_.supply(s.end) - s.after.demand - input - sums_.blocked(s.end);
    q.push_past(end, jobs, at_end);
    if (s.end == s.first + 1) push_past_witness(q, s);
    jobs = q.jobs_before(end);
  }
  return others_fit && (jobs == 0 || jobs * q.service <= room);
}

void DemandIndex::push_past_witness(Question& q, const Stretch& bucket) const {
  const auto& witness = sums_.witness(bucket.first);
  if (witness.at == INT64_MAX) return;
  const std::int64_t input = std::min(bucket.before.input + q.own_input_before(sums_.edge(bucket.first)),
                                      sums_.input_bound(bucket.first));
  const std::int64_t left = sums_.supply(bucket.first) - bucket.before.demand + witness.dip;
  q.push_past(witness.at + 1, q.jobs_before(witness.at + 1), left - input - sums_.blocked(bucket.end));
}

// Decides the bucket on the safe side. False: refused.
bool DemandIndex::approximate(Question& q, const Stretch& bucket) const {
  const std::int64_t end = sums_.edge(bucket.end);
  const std::int64_t input = sums_.input_within(bucket, q.own_input_before(end));
  if (bucket.least != no_deadline && bucket.least - input < needed_left(q, bucket.first))
    return q.refuse(Reason::infeasible, sums_.edge(bucket.first));
  const std::int64_t start = sums_.supply(bucket.first) - bucket.before.demand;
  const std::int64_t room = std::min(start, bucket.least) - input - sums_.blocked(bucket.first);
  q.push_past(end, q.jobs_before(end), room);
  return true;
}

// Sweeps the bucket event by event. False: refused.
bool DemandIndex::expand(Question& q, const Stretch& bucket) const {
  ++work_.expansions;
  const std::uint32_t k = bucket.first;
  const std::int64_t begin = sums_.edge(k), end = sums_.edge(k + 1);
  const std::uint64_t most = std::min<std::uint64_t>(settings_.step_limit - q.looked_at, EventStore::bucket_events_max);
  const auto& events = store_.events_in(k, sums_.empty(k), most);
  const auto own_inputs = static_cast<std::uint64_t>(q.input_service == 0 ? 0 : (end - begin) / q.period + 1);
  if (events.size() + own_inputs > most) {
    q.too_many = true;
    return false;
  }
  q.looked_at += events.size() + own_inputs;
  work_.swept += events.size();

  const std::int64_t longest = sums_.blocked(k);
  const bool blocking_falls = longest != sums_.blocked(k + 1);
  if (blocking_falls) list_blockers(k);
  const std::int64_t most_input = sums_.input_bound(k);
  std::int64_t h = bucket.before.demand;
  std::int64_t input = bucket.before.input + q.own_input_before(begin);
  std::int64_t own_input_at =
      q.input_service > 0 ? q.own_input_before(begin) / q.input_service * q.period - q.candidate.input_jitter.count()
                          : infinity;
  std::int64_t jobs = q.jobs_before(begin);
  std::int64_t due = q.delay + jobs * q.period;  // its first deadline that is not counted in `jobs`
  const auto count_own = [&](std::int64_t until) {  // at once: there may be millions between two of the others
    until = std::min(until, q.end);
    if (due >= until) return;
    jobs = q.jobs_before(until);
    due = q.delay + jobs * q.period;
  };
  std::int64_t lowest = no_deadline, lowest_at = begin;
  std::int64_t t = begin;
  std::int64_t supply = sums_.supply(k);
  for (std::size_t i = 0;;) {
    const std::int64_t next =
        std::min(own_input_at, i < events.size() ? std::min(events[i].at, end) : end);
    const std::int64_t blocked = blocking_falls ? blocking_at(k, t) : longest;
    const std::int64_t demand = h + std::min(input, most_input) + blocked;
    count_own(next);
    if (jobs * q.service > supply - demand) {
      const Wide raised = raise(q.delay, q.candidate, settings_, {t, next, supply - demand, demand}, q.end, q.steps);
      if (raised != q.delay) {
        q.delay = narrow(raised);
        jobs = q.jobs_before(begin);
        due = q.delay + jobs * q.period;
        count_own(next);
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
    if (left < lowest) {
      lowest = left;
      lowest_at = t;
    }
    const std::int64_t beside = left - std::min(input, most_input);
    if (beside < (blocking_falls ? blocking_at(k, t) : longest))
      return q.refuse(q.input_service > 0 ? Reason::infeasible : Reason::existing_infeasible, t);
    if (beside < q.own_blocking) return q.refuse(Reason::blocking, t);
  }
  if (lowest != no_deadline) sums_.set_least(bucket, lowest, lowest_at);
  if (q.steps >= settings_.step_limit) return q.refuse(Reason::too_complex, t);
  return true;
}

// The chunks of channels whose d lies in the bucket: there b(t) falls inside it.
void DemandIndex::list_blockers(std::uint32_t k) const {
  inside_.clear();
  for (const std::uint32_t slot : beginning_[k]) {
    const Task& task = entries_[slot].task;
    inside_.emplace_back(task.delay.count(), task.chunk.count());
  }
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

// What is known exactly at single instants (the ends of stretches, witnesses) demands of the delay, and from where on one
// must look closer: `open`. From the last instant back to the first, since a tight spot far out makes it pointless to find
// out by how much the candidate would be late before it.
DemandIndex::Place DemandIndex::rule_out(Question& q) const {
  constexpr std::uint32_t size = DemandSums::group;
  const std::uint32_t used = std::min(sums_.reach(), (grid_.bucket_of(q.end) / size + 1) * size);
  begins_.resize(used / size + 1);
  begins_[0] = sums_.beginning();
  for (std::uint32_t g = 0; g < used / size; ++g) begins_[g + 1] = sums_.group_at(g * size, begins_[g]).after;
  Place open{used, begins_.back()};
  for (std::uint32_t g = used / size; g-- > 0;) {
    if (settle(q, sums_.group_at(g * size, begins_[g]))) continue;
    std::array<Stretch, size> inside;
    DemandSums::Before before = begins_[g];
    for (std::uint32_t i = 0; i < size; before = inside[i++].after) inside[i] = sums_.bucket_at(g * size + i, before);
    for (const Stretch& bucket : inside | std::views::reverse)
      if (!settle(q, bucket)) open = {bucket.first, bucket.before};
  }
  return open;
}

// From `open` on; everything before is settled.
std::expected<Duration, StageRefusal> DemandIndex::walk(Question& q, const Place& open, Duration enough) const {
  const bool exact = enough == Duration{0};
  DemandSums::Before before = open.before;
  for (std::uint32_t k = open.bucket; k < buckets;) {
    if (sums_.edge(k) >= q.end) return Duration{q.delay};
    if (k == sums_.reach()) look_further();
    Stretch s{};
    bool settled = false;
    if (k % DemandSums::group == 0) settled = settle(q, s = sums_.group_at(k, before));
    if (!settled) settled = settle(q, s = sums_.bucket_at(k, before));
    if (!settled && exact && !q.too_many && !expand(q, s)) {
      if (!q.too_many) return q.refusal;
      ++work_.fallbacks;  // far fewer may matter to it, which ends with the busy period
      const auto plain = smallest_delay_edf(tasks(), q.candidate, settings_, grid_);
      if (plain || plain.error().reason != Reason::too_complex) return plain;
    }
    if (!settled && (!exact || q.too_many)) {
      if (!approximate(q, s)) {
        if (q.too_many) q.refuse(Reason::too_complex, sums_.edge(s.first));  // not that it is infeasible
        return q.refusal;
      }
      if (!exact && q.delay > enough.count()) break;
    }
    before = s.after;
    k = s.end;
  }
  if (!exact) return std::unexpected(StageRefusal{.reason = Reason::delay});  // only exactly can it be less
  ++work_.fallbacks;  // deadlines beyond the last bucket may matter
  return smallest_delay_edf(tasks(), q.candidate, settings_, grid_);
}

std::expected<Duration, StageRefusal> DemandIndex::smallest_delay(const Candidate& candidate,
                                                                  Duration enough) const {
  ++work_.questions;
  Question q(candidate, *this);
  const Place open = rule_out(q);
  if (enough.count() >= q.delay) {
    Question quick = q;
    const auto answer = walk(quick, open, enough);
    if (answer && *answer <= enough) return answer;
  }
  const std::uint64_t swept = work_.swept;
  const auto answer = walk(q, open, Duration{0});
  work_.expanded_questions += work_.swept > swept;
  return answer;
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
  DemandSums::Before before = sums_.beginning();
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
    const Stretch bucket = sums_.bucket_at(k, before);
    before = bucket.after;
    if (bucket.least == no_deadline) continue;
    const std::int64_t least = bucket.least - sums_.input_within(bucket, 0);
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
  DemandSums::Before before = sums_.beginning();
  for (std::uint32_t k = 0; k < sums_.reach() && looked_at < 20'000; ++k) {
    const Stretch bucket = sums_.bucket_at(k, before);
    before = bucket.after;
    auto events = store_.recount(k);
    looked_at += events.size();
    if (events.size() > EventStore::bucket_events_max) break;
    std::ranges::sort(events, {}, &EventStore::Event::at);
    std::int64_t h = bucket.before.demand, input = bucket.before.input;
    for (std::size_t i = 0; i < events.size();) {
      const std::int64_t t = events[i].at;
      bool deadline = false;
      for (; i < events.size() && events[i].at == t; ++i) {
        (events[i].deadline() ? h : input) += std::abs(events[i].work);
        deadline = deadline || events[i].deadline();
      }
      if (deadline && settings_.supply.available(Duration{t}).count() - h < bucket.least) return false;
    }
    if (h != before.demand || input != before.input) return false;
  }
  return true;
}

}  // namespace rtchan::admission
