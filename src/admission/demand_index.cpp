#include "admission/demand_index.hpp"

#include <algorithm>
#include <bit>

#include "admission/sweep.hpp"

namespace rtchan::admission {
namespace {

constexpr std::int64_t no_deadline = INT64_MAX / 2;  // `least` of a bucket without deadlines

// Counts the events offset, offset + period, ... that lie before a rising instant.
struct Counter {
  std::int64_t next, period, count = 0;
  Counter(std::int64_t offset, std::int64_t every, std::int64_t before) : next(offset), period(every) {
    advance(before);
  }
  void advance(std::int64_t before) {
    if (next >= before) return;
    const std::int64_t jobs = (before - 1 - next) / period + 1;
    count += jobs;
    next += jobs * period;  // <= before + period: far from overflow
  }
};

// count <= (t + J)/T + 1 and work <= T (a set is never loaded beyond 1): far from overflow.
std::int64_t product(std::int64_t count, std::int64_t work) {
  return count * work;
}

}  // namespace

DemandIndex::DemandIndex(const StageSettings& settings, unsigned finest_bits)
    : settings_(settings),
      finest_bits_(finest_bits),
      supply_(buckets + 1),
      demand_(buckets + 1, 0),
      gathered_(buckets, 0),
      blocker_(buckets + 1, 0),
      chunk_(buckets + 1, 0),
      chunk_count_(buckets + 1, 0),
      least_(buckets, no_deadline),
      known_at_(buckets, known_max) {
  edge_.reserve(buckets + 1);
  for (std::uint32_t k = 0; k <= buckets; ++k) edge_.push_back(edge(k));
  for (std::uint32_t k = 0; k <= buckets; ++k)
    supply_[k] = settings_.supply.available(Duration{edge_[k]}).count();
}

std::int64_t DemandIndex::edge(std::uint32_t k) const noexcept {
  if (k < 256) return std::int64_t{k} << finest_bits_;
  const unsigned shift = (k - 256) / 128 + 1;
  return (std::int64_t{(k - 256) % 128 + 128} << shift) << finest_bits_;
}

std::uint32_t DemandIndex::bucket_of(std::int64_t t) const noexcept {
  if (t < 0) return 0;
  const auto v = static_cast<std::uint64_t>(t) >> finest_bits_;
  if (v < 256) return static_cast<std::uint32_t>(v);
  const auto shift = static_cast<unsigned>(std::bit_width(v)) - sub_bits;
  if (shift > octaves) return buckets;
  return 256 + (shift - 1) * 128 + static_cast<std::uint32_t>(v >> shift) - 128;
}

std::uint32_t DemandIndex::class_of(std::int64_t offset) const noexcept {
  const std::uint32_t k = bucket_of(offset);
  return k < 256 ? 0 : (k - 256) / 128 + 1;  // `buckets` falls into the last
}

// --- the set
// ------------------------------------------------------------------------------------------------

EntryId DemandIndex::insert(const Task& task) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(entries_.size()));
    entries_.emplace_back();
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  entries_[slot].task = task;
  entries_[slot].used = true;
  ++size_;
  totals_.add(task);
  const std::int64_t period = task.period.count();
  add_flow({task.delay.count(), period, task.service.count(), slot, true});
  if (task.input_service.count() > 0)
    add_flow({-task.input_jitter.count(), period, task.input_service.count(), slot, false});
  raise_blocker(bucket_of(task.delay.count()), task.chunk.count());
  return EntryId{slot};
}

void DemandIndex::erase(EntryId id) {
  const Task task = entries_[id.value].task;
  const std::int64_t period = task.period.count();
  remove_flow({task.delay.count(), period, task.service.count(), id.value, true});
  if (task.input_service.count() > 0)
    remove_flow({-task.input_jitter.count(), period, task.input_service.count(), id.value, false});
  entries_[id.value].used = false;
  free_.push_back(id.value);
  --size_;
  totals_.remove(task);
  lower_blocker(bucket_of(task.delay.count()), task.chunk.count());
}

std::vector<Task> DemandIndex::tasks() const {
  std::vector<Task> all;
  all.reserve(size_);
  for (const Entry& e : entries_)
    if (e.used) all.push_back(e.task);
  return all;
}

void DemandIndex::add_flow(const Flow& flow) {
  FlowClass& c = flows_[class_of(flow.offset)];
  entries_[flow.owner].place[flow.deadline] = static_cast<std::uint32_t>(c.offset.size());
  c.offset.push_back(flow.offset);
  c.period.push_back(flow.period);
  c.inverse.push_back(flow.period == 1 ? UINT64_MAX
                                       : static_cast<std::uint64_t>((Wide{1} << 64) / flow.period));
  c.work.push_back(flow.work);
  c.owner.push_back(flow.owner * 2 + (flow.deadline ? 1 : 0));
  account(flow, +1);
  update_known(flow, +1);
}

void DemandIndex::remove_flow(const Flow& flow) {
  FlowClass& c = flows_[class_of(flow.offset)];
  const std::uint32_t place = entries_[flow.owner].place[flow.deadline];
  const auto take_last = [place](auto& column) {
    column[place] = column.back();
    column.pop_back();
  };
  entries_[c.owner.back() / 2].place[c.owner.back() % 2] = place;
  take_last(c.offset);
  take_last(c.period);
  take_last(c.inverse);
  take_last(c.work);
  take_last(c.owner);
  account(flow, -1);
  update_known(flow, -1);
}

// Keeps every bucket's sums true, and its bound on the safe side, when a flow comes (+1) or goes (-1).
void DemandIndex::account(const Flow& flow, int sign) {
  const std::uint32_t first = bucket_of(flow.offset);
  Counter counter(flow.offset, flow.period, edge_[std::min(first, buckets)]);
  for (std::uint32_t k = first; k < buckets; ++k) {
    const std::int64_t before = counter.count;
    counter.advance(edge_[k + 1]);
    const std::int64_t inside = counter.count - before;
    const std::int64_t start = supply_[k] - demand_[k];
    demand_[k] += sign * product(before, flow.work);
    if (!flow.deadline) gathered_[k] += sign * product(inside, flow.work);
    if (sign < 0) {  // what was there before the bucket is gone from all of it
      if (least_[k] != no_deadline) least_[k] += product(before, flow.work);
      continue;
    }
    if (flow.deadline && inside > 0)  // its own deadlines may fall anywhere in the bucket
      least_[k] = std::min(least_[k], start) - gathered_[k];
    if (least_[k] != no_deadline) least_[k] -= product(counter.count, flow.work);
  }
  demand_[buckets] += sign * product(counter.count, flow.work);
}

// --- blocking
// -----------------------------------------------------------------------------------------------

void DemandIndex::raise_blocker(std::uint32_t bucket, std::int64_t chunk) {
  if (chunk > chunk_[bucket]) {
    chunk_[bucket] = chunk;
    chunk_count_[bucket] = 0;
  }
  if (chunk == chunk_[bucket]) ++chunk_count_[bucket];
  refresh_blockers(bucket);
}

void DemandIndex::lower_blocker(std::uint32_t bucket, std::int64_t chunk) {
  if (chunk != chunk_[bucket] || --chunk_count_[bucket] > 0) return;
  chunk_[bucket] = 0;
  const std::uint32_t group = bucket == buckets ? classes - 1 : class_of(edge_[bucket]);
  const FlowClass& c = flows_[group];
  for (std::size_t i = 0; i < c.offset.size(); ++i) {
    if (c.owner[i] % 2 == 0 || bucket_of(c.offset[i]) != bucket) continue;
    const std::int64_t other = entries_[c.owner[i] / 2].task.chunk.count();
    if (other > chunk_[bucket]) {
      chunk_[bucket] = other;
      chunk_count_[bucket] = 0;
    }
    if (other == chunk_[bucket]) ++chunk_count_[bucket];
  }
  refresh_blockers(bucket);
}

void DemandIndex::refresh_blockers(std::uint32_t from) {
  for (std::uint32_t k = from + 1; k-- > 0;) {
    const std::int64_t longest = std::max(chunk_[k], k < buckets ? blocker_[k + 1] : 0);
    if (blocker_[k] == longest && k < from) return;
    blocker_[k] = longest;
  }
}

std::int64_t DemandIndex::blocked(std::uint32_t k) const noexcept {
  return blocking(std::max(Duration{blocker_[k]}, settings_.base_blocking), settings_.granularity);
}

// --- questions
// ----------------------------------------------------------------------------------------------

// One question on its way through the buckets.
struct DemandIndex::Question {
  const Candidate& candidate;
  const std::int64_t own_blocking;
  Wide delay;
  const std::int64_t end;  // nothing can be late from here on (a larger delay would only shorten it)
  Counter jobs, input;     // the candidate's own deadlines and input before the current bucket's end
  std::uint64_t steps = 0;
  std::expected<Duration, StageRefusal> refusal = Duration{0};

  Question(const Candidate& c, const DemandIndex& index)
      : candidate(c),
        own_blocking(blocking(c.chunk, index.settings_.granularity)),
        delay(c.service.count()),
        end(Horizon(index.totals_, std::max(Duration{index.blocker_[0]}, index.settings_.base_blocking), c,
                    index.settings_)
                .end(delay)),
        jobs(c.service.count(), c.period.count(), 0),
        input(-c.input_jitter.count(), c.period.count(), 0) {}

  // The delay has grown; counts again before `edge`.
  void set_delay(Wide d, std::int64_t edge) {
    if (d == delay) return;
    delay = d;
    jobs = Counter(narrow(delay), candidate.period.count(), edge);
  }
  bool refuse(Reason reason, std::int64_t when) {
    refusal = std::unexpected(StageRefusal{.reason = reason, .binding_time = Duration{when}});
    return false;
  }
};

// Lower bound on A(t) - h(t) at the deadlines of bucket k.
std::int64_t DemandIndex::least(std::uint32_t k) const noexcept {
  if (least_[k] == no_deadline) return no_deadline;
  // A feasible set leaves at least b0 at every deadline; all of the bucket's work may come at its start.
  return std::max(
      {least_[k], supply_[k] - demand_[k + 1], blocking(settings_.base_blocking, settings_.granularity)});
}

// What the existing deadlines of bucket k must have left: room for the candidate's longest chunk and, where
// it brings input that takes from them, for what blocks them already.
std::int64_t DemandIndex::needed_left(const Question& q, std::uint32_t k) const noexcept {
  return q.candidate.input_service.count() == 0 ? q.own_blocking : std::max(q.own_blocking, blocked(k));
}

// Decides the bucket by its bounds alone. False: not decided.
bool DemandIndex::settle(Question& q, std::uint32_t k) const {
  const std::int64_t service = q.candidate.service.count();
  const Wide own_input = Wide{q.input.count} * q.candidate.input_service.count();
  const std::int64_t at_deadlines = least(k);
  if (at_deadlines != no_deadline && at_deadlines - own_input < needed_left(q, k)) return false;
  if (q.jobs.count == 0) return true;
  // Its own deadlines: as many jobs as it has before the bucket's end must fit at the bucket's lowest point
  // ...
  const Wide start = Wide{supply_[k]} - demand_[k];
  const Wide room = std::min<Wide>(start, at_deadlines) - gathered_[k] - own_input - blocked(k);
  if (Wide{q.jobs.count} * service <= room) return true;
  // ... or be moved past its end, where no more than `fitting` of them fit.
  const Wide at_end = Wide{supply_[k + 1]} - demand_[k + 1] - own_input - blocked(k + 1);
  const Wide fitting = at_end < service ? 0 : at_end / service;
  if (fitting >= q.jobs.count) return false;
  q.set_delay(std::max<Wide>(q.delay, edge_[k + 1] - fitting * q.candidate.period.count()), edge_[k + 1]);
  return q.jobs.count == 0 || Wide{q.jobs.count} * service <= room;
}

// Decides the bucket on the safe side. False: refused.
bool DemandIndex::approximate(Question& q, std::uint32_t k) const {
  const Wide own_input = Wide{q.input.count} * q.candidate.input_service.count();
  const std::int64_t at_deadlines = least(k);
  if (at_deadlines != no_deadline && at_deadlines - own_input < needed_left(q, k))
    return q.refuse(Reason::infeasible, edge_[k]);
  const Wide room =
      std::min<Wide>(Wide{supply_[k]} - demand_[k], at_deadlines) - gathered_[k] - own_input - blocked(k);
  const Wide fitting = room < q.candidate.service.count() ? 0 : room / q.candidate.service.count();
  q.set_delay(std::max<Wide>(q.delay, edge_[k + 1] - fitting * q.candidate.period.count()), edge_[k + 1]);
  return true;
}

void DemandIndex::enumerate(const FlowClass& flows, std::int64_t from, std::int64_t to) const {
  for (std::size_t i = 0; i < flows.offset.size(); ++i) {
    std::int64_t at = flows.offset[i];
    const std::int64_t period = flows.period[i];
    if (at < from) {  // the first not before `from`
      const auto since = static_cast<std::uint64_t>(from - at);
      __extension__ typedef unsigned __int128 Unsigned;
      auto rest = since - static_cast<std::uint64_t>(Unsigned{since} * flows.inverse[i] >> 64) *
                              static_cast<std::uint64_t>(period);
      if (rest >= static_cast<std::uint64_t>(period)) rest -= static_cast<std::uint64_t>(period);
      at = rest == 0 ? from : from + (period - static_cast<std::int64_t>(rest));
    }
    for (; at < to && events_.size() <= bucket_events_max; at += period)
      events_.push_back({at, flows.work[i], flows.owner[i] % 2 == 1});
  }
}

void DemandIndex::enumerate(std::uint32_t k) const {
  events_.clear();
  if (demand_[k] != demand_[k + 1]) {
    for (std::uint32_t group = 0; group <= class_of(edge_[k]); ++group)
      enumerate(flows_[group], edge_[k], edge_[k + 1]);
  }
}

const std::vector<DemandIndex::Event>& DemandIndex::events_in(std::uint32_t k) const {
  if (known_at_[k] < known_max) {
    Known& known = known_[known_at_[k]];
    known.used = ++clock_;
    return known.events;
  }
  enumerate(k);
  std::ranges::sort(events_, {}, &Event::at);
  if (events_.size() > known_events_max) return events_;
  if (known_.size() < known_max) known_.emplace_back();
  Known& oldest =
      known_.back().bucket == buckets ? known_.back() : *std::ranges::min_element(known_, {}, &Known::used);
  if (oldest.bucket != buckets) known_at_[oldest.bucket] = known_max;
  oldest.bucket = k;
  oldest.used = ++clock_;
  oldest.events.assign(events_.begin(), events_.end());
  known_at_[k] = static_cast<std::uint16_t>(&oldest - known_.data());
  return oldest.events;
}

// A flow has come (+1) or gone (-1): the kept events follow.
void DemandIndex::update_known(const Flow& flow, int sign) {
  for (Known& known : known_) {
    if (known.bucket == buckets || edge_[known.bucket + 1] <= flow.offset) continue;
    if ((edge_[known.bucket + 1] - edge_[known.bucket]) / flow.period > std::int64_t{known_events_max}) {
      known_at_[known.bucket] = known_max;
      known = Known{};
      continue;
    }
    const std::int64_t from = edge_[known.bucket];
    const std::int64_t behind = from - flow.offset;
    std::int64_t at = behind <= 0 ? flow.offset : from + (flow.period - 1 - (behind - 1) % flow.period);
    for (; at < edge_[known.bucket + 1]; at += flow.period) {
      const Event event{at, flow.work, flow.deadline};
      auto place = std::ranges::lower_bound(known.events, at, {}, &Event::at);
      if (sign > 0) {
        known.events.insert(place, event);
        continue;
      }
      while (!(*place == event)) ++place;  // it is there: among those of the same instant
      known.events.erase(place);
    }
    if (known.events.size() > 2 * known_events_max) {
      known_at_[known.bucket] = known_max;
      known = Known{};
    }
  }
}

// Sweeps the bucket deadline by deadline. False: refused.
bool DemandIndex::expand(Question& q, std::uint32_t k) const {
  ++work_.expansions;
  const std::vector<Event>* in_order = &events_in(k);
  if (in_order->size() > bucket_events_max ||
      (edge_[k + 1] - edge_[k]) / q.candidate.period.count() > std::int64_t{bucket_events_max}) {
    if (approximate(q, k)) return true;  // too many to look at: by the bounds alone, on the safe side
    return q.refuse(Reason::too_complex, edge_[k]);
  }
  const std::int64_t input = q.candidate.input_service.count();
  Wide own = 0;  // the candidate's input so far
  if (input > 0) {
    Counter counter(-q.candidate.input_jitter.count(), q.candidate.period.count(), edge_[k]);
    own = Wide{counter.count} * input;
    if (in_order != &events_) events_ = *in_order;
    for (std::int64_t at = counter.next; at < edge_[k + 1]; at += counter.period)
      events_.push_back({at, 0, false});
    std::ranges::sort(events_, {}, &Event::at);
    in_order = &events_;
  }
  const std::vector<Event>& events = *in_order;
  work_.swept += events.size();

  Wide h = demand_[k];
  std::int64_t t = edge_[k];
  std::int64_t lowest = no_deadline;
  const std::int64_t longest = blocked(k);
  if (blocker_[k] != blocker_[k + 1]) list_blockers(k);
  const auto longest_at = [&](std::int64_t at) {
    return blocker_[k] == blocker_[k + 1] ? longest : blocking_at(k, at);
  };
  Wide delay = q.delay;
  for (std::size_t i = 0;;) {
    const std::int64_t next = i < events.size() ? events[i].at : edge_[k + 1];
    const Wide demand = h + own + longest_at(t);
    delay =
        raise(delay, q.candidate, settings_,
              {t, next, settings_.supply.available(Duration{t}).count() - demand, demand}, q.end, q.steps);
    if (i == events.size()) break;
    t = next;
    bool deadline = false;
    for (; i < events.size() && events[i].at == t; ++i) {
      h += events[i].work;
      if (events[i].work == 0) own += input;
      deadline = deadline || events[i].deadline;
    }
    if (!deadline) continue;
    const std::int64_t left = narrow(settings_.supply.available(Duration{t}).count() - h);
    lowest = std::min(lowest, left);
    if (left - own < longest_at(t))
      return q.refuse(input > 0 ? Reason::infeasible : Reason::existing_infeasible, t);
    if (left - own < q.own_blocking) return q.refuse(Reason::blocking, t);
  }
  least_[k] = lowest;
  q.set_delay(delay, edge_[k + 1]);
  if (q.steps >= settings_.step_limit) return q.refuse(Reason::too_complex, t);
  return true;
}

// The chunks of channels whose d lies in the bucket: there b(t) falls inside it.
void DemandIndex::list_blockers(std::uint32_t k) const {
  inside_.clear();
  const FlowClass& c = flows_[class_of(edge_[k])];
  for (std::size_t i = 0; i < c.offset.size(); ++i) {
    if (c.owner[i] % 2 == 1 && c.offset[i] >= edge_[k] && c.offset[i] < edge_[k + 1])
      inside_.emplace_back(c.offset[i], entries_[c.owner[i] / 2].task.chunk.count());
  }
  std::ranges::sort(inside_);
  std::int64_t longest = std::max(blocker_[k + 1], settings_.base_blocking.count());
  for (std::size_t i = inside_.size(); i-- > 0;)
    inside_[i].second = longest = std::max(longest, inside_[i].second);
}

std::int64_t DemandIndex::blocking_at(std::uint32_t k, std::int64_t t) const {
  const auto later = std::ranges::upper_bound(inside_, t, {}, &std::pair<std::int64_t, std::int64_t>::first);
  if (later == inside_.end()) return blocked(k + 1);
  return blocking(Duration{later->second}, settings_.granularity);
}

std::expected<Duration, StageRefusal> DemandIndex::walk(const Candidate& candidate, bool exact) const {
  Question q(candidate, *this);
  const std::uint64_t before = work_.swept;
  for (std::uint32_t k = 0; k < buckets; ++k) {
    if (edge_[k] >= q.end) {
      work_.expanded_questions += exact && work_.swept > before;
      return duration(q.delay);
    }
    q.jobs.advance(edge_[k + 1]);
    q.input.advance(edge_[k + 1]);
    if (settle(q, k)) continue;
    if (exact ? expand(q, k) : approximate(q, k)) continue;
    work_.expanded_questions += exact && work_.swept > before;
    return q.refusal;
  }
  ++work_.fallbacks;  // deadlines beyond the last bucket may matter
  return smallest_delay_edf(tasks(), candidate, settings_);
}

std::expected<Duration, StageRefusal> DemandIndex::smallest_delay(const Candidate& candidate,
                                                                  Duration enough) const {
  ++work_.questions;
  if (enough > Duration{0}) {
    const auto quick = walk(candidate, false);
    if (quick && *quick <= enough) return quick;
  }
  return walk(candidate, true);
}

// --- what the link may hand over
// ------------------------------------------------------------------------------

BurstBound DemandIndex::burst_bound() const {
  const std::int64_t cap = std::max(settings_.burst_cap, settings_.base_blocking).count();
  std::vector<BurstBound::Step> falls;  // bound applies to x > above
  std::int64_t lowest = cap;
  for (std::uint32_t k = 0; k < buckets; ++k) {
    if (least(k) >= lowest) continue;
    lowest = least(k);
    falls.push_back({Duration{edge_[k]}, Duration{lowest}});
  }
  // Beyond the last bucket: demand <= load*t + K, and load < rate.
  const Wide slope = (Wide{settings_.supply.rate_q40()} << (utilisation_bits - 40)) - totals_.load;
  const Wide lost = settings_.supply.loss_burst.count() +
                    2 * (settings_.supply.period - settings_.supply.quantum).count() + 1;
  const std::int64_t beyond =
      narrow(floor_div(slope * edge_[buckets], utilisation_one) - totals_.intercept - lost);
  if (size_ > 0 && beyond < lowest) {
    const std::int64_t floor = blocking(settings_.base_blocking, settings_.granularity);
    falls.push_back({Duration{edge_[buckets]}, Duration{std::max(beyond, std::min(floor, lowest))}});
  }
  // Neighbouring steps become one, at the lower bound, until they fit.
  for (const int eighths : {8, 7, 6, 4, 2, 0}) {
    BurstBound table = BurstBound::constant(Duration{cap});
    bool fits = true;
    for (std::size_t i = 0; i < falls.size() && fits;) {
      const Duration first = falls[i].bound;
      std::size_t end = i + 1;
      while (end < falls.size() && falls[end].bound >= first / 8 * eighths) ++end;
      fits = table.append({falls[i].above, falls[end - 1].bound});
      i = end;
    }
    if (fits) return table;
  }
  return BurstBound::constant(Duration{std::max<std::int64_t>(0, lowest)});
}

// --- debug
// ----------------------------------------------------------------------------------------------------

bool DemandIndex::reconciles() const {
  DemandIndex fresh(settings_, finest_bits_);
  for (const Entry& e : entries_)
    if (e.used) fresh.insert(e.task);
  if (fresh.demand_ != demand_ || fresh.gathered_ != gathered_ || fresh.blocker_ != blocker_ ||
      fresh.chunk_ != chunk_ || fresh.chunk_count_ != chunk_count_ || !(fresh.totals_ == totals_) ||
      fresh.size_ != size_)
    return false;
  // No bound may promise more than is there; recomputed where that is affordable.
  if (size_ > 256) return true;
  std::size_t looked_at = 0;
  for (std::uint32_t k = 0; k < buckets && looked_at < 20'000; ++k) {
    enumerate(k);
    looked_at += events_.size();
    if (events_.size() > bucket_events_max) break;
    std::ranges::sort(events_, {}, &Event::at);
    std::int64_t h = demand_[k];
    for (std::size_t i = 0; i < events_.size();) {
      const std::int64_t t = events_[i].at;
      bool deadline = false;
      for (; i < events_.size() && events_[i].at == t; ++i) {
        h += events_[i].work;
        deadline = deadline || events_[i].deadline;
      }
      if (deadline && settings_.supply.available(Duration{t}).count() - h < least(k)) return false;
    }
    if (h != demand_[k + 1]) return false;
  }
  return true;
}

}  // namespace rtchan::admission
