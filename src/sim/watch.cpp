#include "sim/watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "sim/world.hpp"

namespace rtchan::sim {
namespace {

constexpr std::size_t wrongs_most = 20;
// What a pause has pushed back catches up by a part in 128 (downstream periods are shorter by that).
constexpr std::int64_t catching_up = 130;
constexpr Duration answer_grace = std::chrono::seconds{2};

}  // namespace

void Watch::wrong(std::string what) {
  if (world_.tracing()) world_.trace("WRONG: " + what);
  if (wrongs_.size() < wrongs_most) {
    wrongs_.push_back(fmt::format("{:.6f}: {}", std::chrono::duration<double>(world_.now().time_since_epoch()).count() - 1, what));
  }
}

void Watch::note(std::span<const std::byte> bytes) noexcept {
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    note(word);
  }
  note(bytes.size());
}

// --- faults -----------------------------------------------------------------------------------------------------

void Watch::wire_is(std::uint32_t wire, const WireFaults& faults, bool cut) {
  auto& all = wires_[wire];
  const Instant now = world_.now();
  if (!all.empty() && all.back().until == never) {
    all.back().until = now;
    // What was held may still come, and be overtaken, and push back what follows it.
    if (all.back().delays) all.back().until += catching_up * world_.wire(wire).faults.hold;
  }
  const bool holds = faults.hold_ppm > 0 && faults.hold > Duration{0};
  const bool floods = faults.double_ppm > 0 && faults.copies > 1;
  const bool loses = cut || holds || floods || faults.loss_ppm > 0 || faults.corrupt_ppm > 0;
  if (loses) all.push_back({now, never, true, holds || floods});
  if (cut) fault(fault_cut);
  if (holds) fault(fault_holding);
  if (faults.loss_ppm > 0) fault(fault_loss);
  if (faults.corrupt_ppm > 0) fault(fault_corruption);
  if (faults.double_ppm > 0) fault(fault_duplication);
}

void Watch::host_stalled(std::uint32_t host, Instant until) {
  const Instant now = world_.now();
  hosts_[host].push_back({now, until + catching_up * (until - now) + std::chrono::milliseconds{20}, true, true});
  fault(fault_stall);
}

void Watch::host_away(std::uint32_t host) { hosts_[host].push_back({world_.now(), never, true, true, true}); }

// What was over it does not come back; what is new is promised again.
void Watch::host_back(std::uint32_t host) {
  for (Disturbance& d : hosts_[host]) {
    if (d.until == never) d.until = world_.now();
  }
}

bool Watch::disturbed(const std::vector<Disturbance>& all, Instant born, Instant from, Instant to, bool delays) {
  return std::ranges::any_of(all, [&](const Disturbance& d) {
    return d.from <= to && (d.ends ? born : from) < d.until && (delays ? d.delays : d.loses || d.delays);
  });
}

// A fault on its way explains that a message is missing or (`delays`) late.
bool Watch::excused(const Channel& c, Instant from, Instant to, bool delays) const {
  if (c.way.empty()) return anything(from, to, delays);
  for (std::size_t i = 0; i < c.way.size(); ++i) {
    const auto& [number, since] = c.way[i];
    const auto host = hosts_.find(number);
    if (host != hosts_.end() && disturbed(host->second, since, from, to, delays)) return true;
    if (i + 1 == c.way.size()) break;
    const auto wire = wires_.find(world_.wire_between(number, c.way[i + 1].host).settings().number);
    if (wire != wires_.end() && disturbed(wire->second, from, from, to, delays)) return true;
  }
  return false;
}

// Signalling goes both ways.
bool Watch::upset(const Channel& c, Instant from, Instant to) const {
  Channel there = c;
  for (WayPoint& point : there.way) point.since = c.asked_at;  // a set-up waits at a host before there is a clip
  Channel back = there;
  std::ranges::reverse(back.way);
  return excused(there, from, to, false) || excused(back, from, to, false);
}

// Whatever way its set-ups took.
bool Watch::anything(Instant from, Instant to, bool delays) const {
  const auto is = [&](const auto& entry) { return disturbed(entry.second, from, from, to, delays); };
  return std::ranges::any_of(wires_, is) || std::ranges::any_of(hosts_, is) || (kinds_ & fault_misroute) != 0;
}

// --- answers ----------------------------------------------------------------------------------------------------

void Watch::answered(std::uint32_t number) {
  const Channel& c = world_.applications().channels()[number];
  note(std::uint64_t{number} << 32 | c.answers);
  if (world_.tracing()) world_.trace(fmt::format("channel {} is answered", number));
  if (c.answers > 1) wrong(fmt::format("channel {} has {} answers", number, c.answers));
  if (world_.now() > c.asked_at + c.patience + answer_grace && !anything(c.asked_at, world_.now(), true)) {
    wrong(fmt::format("channel {} is answered {} ms after it was asked for, patience {} ms", number,
                      (world_.now() - c.asked_at) / std::chrono::milliseconds{1}, c.patience / std::chrono::milliseconds{1}));
  }
}

void Watch::every_probe() {
  const Applications& all = world_.applications();
  for (auto i = all.first_probe(); i < all.channels().size(); ++i) {
    const Channel& c = all.channels()[i];
    if (c.state != Channel::State::created) {
      wrong(fmt::format("all is mended, and no channel can be set up from host{} to host{}", c.from_host, c.to_host));
    } else if (world_.workers() && (c.handed_over != 1 || !flows_[i].under_way.empty())) {
      wrong(fmt::format("all is mended, and a channel from host{} to host{} delivers nothing", c.from_host, c.to_host));
    }
  }
}

void Watch::every_answer() {
  const Applications& all = world_.applications();
  for (std::uint32_t i = 0; i < all.channels().size(); ++i) {
    const Channel& c = all.channels()[i];
    if (c.state == Channel::State::asked && !c.source_left && all.apps()[c.from].alive) {
      wrong(fmt::format("channel {} has no answer", i));
    }
  }
  for (const auto& [name, q] : all.questions()) {
    if (!q.yes || !all.apps()[q.app].alive || name.first != q.app) continue;
    if (q.ends != 1) wrong(fmt::format("the yes of application {} to channel {} has {} ends", q.app, q.channel, q.ends));
  }
}

}  // namespace rtchan::sim
