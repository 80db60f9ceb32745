#include "admission/shares.hpp"

#include <algorithm>

namespace rtchan::admission {
namespace {

std::unexpected<StageRefusal> refuse(Reason reason) {
  return std::unexpected(StageRefusal{.reason = reason});
}

// Every C/T is rounded up by less than one unit: what the rounding of n+1 of them can add.
Wide rounding(std::size_t n) {
  return static_cast<std::int64_t>(n) + 1;
}

Wide burst_work(const Task& t) {
  return Wide{t.service.count()} * t.burst;
}

}  // namespace

EntryId EntrySet::insert(const Task& task) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(entries_.size()));
    entries_.emplace_back();
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  entries_[slot] = {task, true};
  ++size_;
  count(task);
  return EntryId{slot};
}

Task EntrySet::charged(const Task& task) const {
  Task t = task;
  if (input_apart_) t.input_service = t.input_jitter = Duration{0};
  return t;
}

void EntrySet::count(const Task& task) {
  totals_.add(charged(task));
  bursts_ += burst_work(task);
  input_ += utilisation(task.input_service, task.period);
}

void EntrySet::erase(EntryId id) {
  Entry& e = entries_[id.value];
  e.used = false;
  free_.push_back(id.value);
  --size_;
  totals_.remove(charged(e.task));
  bursts_ -= burst_work(e.task);
  input_ -= utilisation(e.task.input_service, e.task.period);
}

void EntrySet::set_delay(EntryId id, Duration delay) {
  Task& task = entries_[id.value].task;
  if (delay <= task.delay) return;
  totals_.remove(charged(task));
  task.delay = std::min(delay, duration_limit);
  totals_.add(charged(task));
}

std::vector<Task> EntrySet::tasks() const {
  std::vector<Task> all;
  for (const Entry& e : entries_)
    if (e.used) all.push_back(charged(e.task));
  return all;
}

bool EntrySet::reconciles() const {
  EntrySet fresh{input_apart_};
  for (const Entry& e : entries_)
    if (e.used) fresh.insert(e.task);
  return fresh.size_ == size_ && fresh.totals_ == totals_ && fresh.bursts_ == bursts_ &&
         fresh.input_ == input_;
}

std::uint64_t SharePolicy::utilisation_ppm() const noexcept {
  return static_cast<std::uint64_t>(ceil_div(set_.totals().load * 1'000'000, utilisation_one));
}

Wide SharePolicy::load_above() const noexcept {
  return options_.above == nullptr ? 0 : from_ppm(options_.above->utilisation_ppm()) + 1;
}

std::expected<Duration, StageRefusal> UtilisationPolicy::test(const Candidate& c, Duration) const {
  if (!valid(c) || !settings_.supply.valid()) return refuse(Reason::invalid);
  if (c.service > c.period) return refuse(Reason::utilisation);
  const Wide load = set_.totals().load + utilisation(c);
  if (load - rounding(set_.size()) > rate() * options_.share_ppm / 1'000'000) return refuse(Reason::share);
  if (load - rounding(set_.size()) + load_above() > rate()) return refuse(Reason::utilisation);
  return c.period;
}

Reason BelowPolicy::flaw(const Candidate& c) const noexcept {
  if (!valid(c) || !settings_.supply.valid()) return Reason::invalid;
  if (c.service > c.period) return Reason::utilisation;
  if (c.chunk > settings_.base_blocking) return Reason::blocking;
  const Wide input = set_.input() + utilisation(c.input_service, c.period);
  if (input - rounding(set_.size()) > from_ppm(options_.input_ppm)) return Reason::input;
  return Reason::none;
}

std::expected<Duration, StageRefusal> ControlledLoadPolicy::test(const Candidate& c, Duration) const {
  if (const Reason why = flaw(c); why != Reason::none) return refuse(why);
  if (c.burst == 0) return refuse(Reason::invalid);
  const Wide share = rate() * options_.share_ppm / 1'000'000;
  const Wide load = set_.totals().load + utilisation(c.service, c.period);
  const Wide bursts = set_.bursts() + Wide{c.service.count()} * c.burst;
  if (load - rounding(set_.size()) > share || bursts > options_.burst_limit.count())
    return refuse(Reason::share);
  if (load - rounding(set_.size()) + load_above() > rate()) return refuse(Reason::utilisation);
  const Wide typical = ceil_div((bursts + settings_.base_blocking.count()) << utilisation_bits, share);
  if (typical > duration_limit.count()) return refuse(Reason::share);  // no delay that anybody could be told
  return duration(typical);
}

Reason ControlledLoadPolicy::bears(const Candidate& more) const {
  if (set_.size() == 0) return Reason::none;
  const Wide load = set_.totals().load + load_above() + utilisation(more);
  return load - rounding(set_.size() + 1) > rate() ? Reason::share : Reason::none;
}

}  // namespace rtchan::admission
