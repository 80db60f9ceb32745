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
  totals_.add(task);
  bursts_ += burst_work(task);
  return EntryId{slot};
}

void EntrySet::erase(EntryId id) {
  Entry& e = entries_[id.value];
  e.used = false;
  free_.push_back(id.value);
  --size_;
  totals_.remove(e.task);
  bursts_ -= burst_work(e.task);
}

void EntrySet::set_delay(EntryId id, Duration delay) {
  Task& task = entries_[id.value].task;
  if (delay <= task.delay) return;
  totals_.remove(task);
  task.delay = std::min(delay, duration_limit);
  totals_.add(task);
}

std::vector<Task> EntrySet::tasks() const {
  std::vector<Task> all;
  for (const Entry& e : entries_)
    if (e.used) all.push_back(e.task);
  return all;
}

bool EntrySet::reconciles() const {
  EntrySet fresh;
  for (const Entry& e : entries_)
    if (e.used) fresh.insert(e.task);
  return fresh.size_ == size_ && fresh.totals_ == totals_ && fresh.bursts_ == bursts_;
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

std::expected<Duration, StageRefusal> ControlledLoadPolicy::test(const Candidate& c, Duration) const {
  if (!valid(c) || c.burst == 0 || !settings_.supply.valid()) return refuse(Reason::invalid);
  if (c.service > c.period) return refuse(Reason::utilisation);
  if (c.chunk > settings_.base_blocking) return refuse(Reason::blocking);
  const Wide share = rate() * options_.share_ppm / 1'000'000;
  const Wide load = set_.totals().load + utilisation(c);
  const Wide bursts = set_.bursts() + Wide{c.service.count()} * c.burst;
  if (load - rounding(set_.size()) > share || bursts > options_.burst_limit.count())
    return refuse(Reason::share);
  if (load - rounding(set_.size()) + load_above() > rate()) return refuse(Reason::utilisation);
  const Wide typical = ceil_div((bursts + settings_.base_blocking.count()) << utilisation_bits, share);
  if (typical > duration_limit.count()) return refuse(Reason::share);  // no delay that anybody could be told
  return duration(typical);
}

}  // namespace rtchan::admission
