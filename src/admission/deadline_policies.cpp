#include "admission/deadline_policies.hpp"

#include <algorithm>
#include <cassert>

#include "admission/d_order.hpp"
#include "admission/sweep.hpp"

namespace rtchan::admission {
EdfPolicy::EdfPolicy(const StageSettings& settings, unsigned finest_bits)
    : index_(valid(settings) ? settings : StageSettings{}, finest_bits),
      valid_settings_(valid(settings)) {}

std::expected<void, StageRefusal> EdfPolicy::plausible(const Candidate& candidate) const {
  if (!valid_settings_ || !valid(candidate)) return std::unexpected(StageRefusal{.reason = Reason::invalid});
  const StageSettings& s = index_.settings();
  const Wide rate = Wide{s.supply.rate_q40()} << (utilisation_bits - 40);
  const Wide load = index_.totals().load + utilisation(candidate);
  if (candidate.service > candidate.period || load >= rate ||
      load > rate * s.utilisation_limit_ppm / 1'000'000)
    return std::unexpected(StageRefusal{.reason = Reason::utilisation});
  return {};
}

std::expected<Duration, StageRefusal> EdfPolicy::test(const Candidate& candidate, Duration enough) const {
  if (const auto ok = plausible(candidate); !ok) return std::unexpected(ok.error());
  return index_.smallest_delay(candidate, enough);
}

EntryId EdfPolicy::reserve(const Candidate& candidate, Duration delay) {
  assert(valid(with_delay(candidate, delay)));
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(places_.size()));
    places_.emplace_back();
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  places_[slot] = {index_.insert(with_delay(candidate, delay)), true};
  return EntryId{slot};
}

void EdfPolicy::commit(EntryId id, Duration delay) {
  Place& place = places_[id.value];
  assert(place.used);
  const Task task = index_.task(place.in_index);
  if (delay <= task.delay) return;
  index_.raise_delay(place.in_index, std::min(delay, duration_limit));
}

void EdfPolicy::release(EntryId id) {
  Place& place = places_[id.value];
  assert(place.used);
  index_.erase(place.in_index);
  place.used = false;
  free_.push_back(id.value);
}

std::size_t EdfPolicy::size() const noexcept {
  return index_.size();
}

Task EdfPolicy::task(EntryId id) const {
  return index_.task(places_[id.value].in_index);
}

std::uint64_t EdfPolicy::utilisation_ppm() const noexcept {
  return static_cast<std::uint64_t>(ceil_div(index_.totals().load * 1'000'000, utilisation_one));
}

Duration EdfPolicy::arrivals(Duration t) const {
  return index_.totals().arrivals(t);
}

BurstBound EdfPolicy::burst_bound() const {
  return index_.burst_bound();
}

bool EdfPolicy::reconciles() const {
  const auto used = std::ranges::count_if(places_, [](const Place& p) { return p.used; });
  return static_cast<std::size_t>(used) == index_.size() && index_.reconciles();
}

DOrderPolicy::DOrderPolicy(const StageSettings& settings, unsigned finest_bits)
    : EdfPolicy(settings, finest_bits) {}

std::expected<Duration, StageRefusal> DOrderPolicy::test(const Candidate& candidate, Duration) const {
  if (const auto ok = plausible(candidate); !ok) return std::unexpected(ok.error());
  std::vector<Task> existing;
  existing.reserve(by_age_.size());
  for (const EntryId id : by_age_) existing.push_back(task(id));
  return smallest_delay_d_order(existing, candidate, index().settings());
}

EntryId DOrderPolicy::reserve(const Candidate& candidate, Duration delay) {
  return by_age_.emplace_back(EdfPolicy::reserve(candidate, delay));
}

void DOrderPolicy::release(EntryId id) {
  std::erase(by_age_, id);
  EdfPolicy::release(id);
}

}  // namespace rtchan::admission
