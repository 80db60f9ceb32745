#include "admission/event_store.hpp"

#include <algorithm>
#include <iterator>

#include "admission/arithmetic.hpp"

namespace rtchan::admission {
namespace {

constexpr std::uint32_t buckets = TimeGrid::buckets;

std::uint64_t inverse_of(std::int64_t period) {
  return period == 1 ? UINT64_MAX : static_cast<std::uint64_t>((Wide{1} << 64) / period);
}

// The first of offset, offset + period, ... at or after `from`, without a division.
std::int64_t first_at(std::int64_t offset, std::int64_t period, std::uint64_t inverse, std::int64_t from) {
  if (offset >= from) return offset;
  __extension__ typedef unsigned __int128 Unsigned;
  const auto since = static_cast<std::uint64_t>(from - offset);
  const auto every = static_cast<std::uint64_t>(period);
  auto rest = since - static_cast<std::uint64_t>(Unsigned{since} * inverse >> 64) * every;
  if (rest >= every) rest -= every;
  return rest == 0 ? from : from + static_cast<std::int64_t>(every - rest);
}

std::int64_t event_work(const Flow& flow) { return flow.deadline ? flow.work : -flow.work; }

}  // namespace

EventStore::EventStore(const TimeGrid& grid) : grid_(grid), known_at_(buckets, known_max) {}

// --- flows --------------------------------------------------------------------------------------------------------

void EventStore::add(const Flow& flow) {
  FlowClass& c = flows_[grid_.class_of(flow.offset)];
  if (flow.owner >= place_.size()) place_.resize(flow.owner + 1);
  place_[flow.owner][flow.deadline] = static_cast<std::uint32_t>(c.offset.size());
  c.offset.push_back(flow.offset);
  c.period.push_back(flow.period);
  c.inverse.push_back(inverse_of(flow.period));
  c.work.push_back(event_work(flow));
  c.owner.push_back(flow.owner * 2 + (flow.deadline ? 1 : 0));
}

void EventStore::remove(const Flow& flow) {
  FlowClass& c = flows_[grid_.class_of(flow.offset)];
  const std::uint32_t place = place_[flow.owner][flow.deadline];
  const auto take_last = [place](auto& column) {
    column[place] = column.back();
    column.pop_back();
  };
  place_[c.owner.back() / 2][c.owner.back() % 2] = place;
  take_last(c.offset);
  take_last(c.period);
  take_last(c.inverse);
  take_last(c.work);
  take_last(c.owner);
}

// --- looking at a bucket ------------------------------------------------------------------------------------------

void EventStore::enumerate(const FlowClass& flows, std::int64_t from, std::int64_t to, std::size_t most) const {
  for (std::size_t i = 0; i < flows.offset.size() && events_.size() <= most; ++i) {
    const std::int64_t period = flows.period[i];
    std::int64_t at = first_at(flows.offset[i], period, flows.inverse[i], from);
    for (; at < to && events_.size() <= most; at += period)
      events_.push_back({at, flows.work[i]});
  }
}

const std::vector<EventStore::Event>& EventStore::recount(std::uint32_t k, std::size_t most) const {
  events_.clear();
  for (std::uint32_t group = 0; group <= grid_.class_of(grid_.edge(k)); ++group)
    enumerate(flows_[group], grid_.edge(k), grid_.edge(k + 1), most);
  return events_;
}

const std::vector<EventStore::Event>& EventStore::events_in(std::uint32_t k, bool empty, std::size_t most) const {
  if (known_at_[k] < known_max) {
    Known& known = known_[known_at_[k]];
    known.used = ++clock_;
    work_in(known);
    return known.events;
  }
  events_.clear();
  most = std::min(most, bucket_events_max);
  if (!empty) (void)recount(k, most);
  if (events_.size() > most) return events_;
  std::ranges::sort(events_);
  if (events_.size() > known_events_max) return events_;
  Known& known = room_for(events_.size());
  known.bucket = k;
  known.used = ++clock_;
  known.events.assign(events_.begin(), events_.end());
  kept_ += events_.size();
  known_at_[k] = static_cast<std::uint16_t>(&known - known_.data());
  return known.events;
}

// --- what is kept -------------------------------------------------------------------------------------------------

// Those that have not been asked for the longest time make room.
EventStore::Known& EventStore::room_for(std::size_t events) const {
  const auto age = [](const Known& known) { return known.bucket == buckets ? UINT64_MAX : known.used; };
  while (kept_ + events > kept_events_max) forget(*std::ranges::min_element(known_, {}, age));
  const auto free = std::ranges::find(known_, buckets, &Known::bucket);
  if (free != known_.end()) return *free;
  if (known_.size() < known_max) return known_.emplace_back();
  Known& oldest = *std::ranges::min_element(known_, {}, age);
  forget(oldest);
  return oldest;
}

void EventStore::forget(Known& known) const {
  kept_ -= known.events.size();
  known_at_[known.bucket] = known_max;
  known = Known{};
}

void EventStore::note(std::uint32_t k, const Flow& flow, std::int64_t at, std::int64_t count, bool comes) {
  Known& known = known_[known_at_[k]];
  if (count > std::int64_t{noted_max}) return forget(known);
  for (; count > 0; --count, at += flow.period) (comes ? known.come : known.gone).push_back({at, event_work(flow)});
  if (known.come.size() + known.gone.size() > noted_max + known.events.size() / 4) work_in(known);
}

void EventStore::work_in(Known& known) const {
  if (known.come.empty() && known.gone.empty()) return;
  kept_ -= known.events.size();
  std::ranges::sort(known.come);
  std::ranges::sort(known.gone);
  events_.clear();
  std::ranges::merge(known.events, known.come, std::back_inserter(events_));
  known.events.clear();
  std::ranges::set_difference(events_, known.gone, std::back_inserter(known.events));  // what goes has been there
  known.come.clear();
  known.gone.clear();
  kept_ += known.events.size();
}

}  // namespace rtchan::admission
