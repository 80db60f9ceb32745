#include "cli/perf/generator.hpp"

#include <algorithm>

namespace rtchan::cli {

LoadGenerator::LoadGenerator(std::vector<Schedule> schedules, Outlet& outlet, WhenFull when_full)
    : schedules_(std::move(schedules)), outlet_(outlet), when_full_(when_full), counts_(schedules_.size()) {
  for (std::uint32_t s = 0; s < schedules_.size(); ++s) enqueue(s, Duration{0});
}

void LoadGenerator::enqueue(std::uint32_t stream, Duration now) {
  if (const auto due = schedules_[stream].peek(now)) due_.emplace(due->intended, stream);
}

LoadGenerator::Outcome LoadGenerator::offer_one(std::uint32_t stream, Duration now) {
  auto due = schedules_[stream].peek(now);
  if (!due) return Outcome::ended;
  StreamCounts& counts = counts_[stream];
  due->sequence = counts.handed_over;
  const Outlet::Result result = outlet_.offer(stream, *due);
  if (result == Outlet::Result::full && when_full_ == WhenFull::wait) return Outcome::blocked;
  if (result == Outlet::Result::broken) {
    counts.broken = true;
    return Outcome::ended;
  }
  schedules_[stream].pop();
  ++counts.offered;
  if (result == Outlet::Result::taken) {
    ++counts.handed_over;
    counts.bytes += due->bytes;
    counts.lateness.add(now - due->intended);
  } else if (result == Outlet::Result::full) {
    ++counts.dropped;
  } else {
    ++counts.refused;
  }
  return Outcome::next;
}

LoadGenerator::Next LoadGenerator::step(Duration now, std::uint32_t most) {
  // Streams that had no room take part again, from the moment their next message was intended.
  for (const std::uint32_t stream : std::exchange(blocked_, {})) enqueue(stream, now);
  for (std::uint32_t offered = 0; !due_.empty() && due_.top().first <= now; ++offered) {
    if (offered == most) return {now, !blocked_.empty(), false};
    const std::uint32_t stream = due_.top().second;
    due_.pop();
    switch (offer_one(stream, now)) {
      case Outcome::next: enqueue(stream, now); break;
      case Outcome::blocked: blocked_.push_back(stream); break;
      case Outcome::ended: break;
    }
  }
  const Duration wake = due_.empty() ? Duration::max() : due_.top().first;
  return {wake, !blocked_.empty(), due_.empty() && blocked_.empty()};
}

void LoadGenerator::stop(Duration now) {
  for (std::size_t s = 0; s < schedules_.size(); ++s) {
    // An unlimited offer has no backlog: nothing was intended that could not be taken.
    const auto due = schedules_[s].peek(now);
    if (due && due->intended >= now) continue;
    const std::uint64_t left = schedules_[s].skip_until(now);
    counts_[s].offered += left;
    counts_[s].left_over += left;
  }
  due_ = {};
  blocked_.clear();
}

}  // namespace rtchan::cli
