// The promise, by its definition: l(m) = max(g(m), l(m-1) + T), g the worker's first sight; delivered by l(m) + D. In order,
// once, undamaged. Nothing here believes a counter or a time stamp of the code that is judged.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/limits.hpp"
#include "sim/watch.hpp"
#include "sim/world.hpp"

namespace rtchan::sim {
namespace {

constexpr Duration rounding = std::chrono::microseconds{2};
constexpr std::int64_t drift_bound_ppb = 1'000'000;  // beyond it nothing is promised

}  // namespace

// Clocks within +-rho: sum of d/(1-rho) and 2*rho*H more; H is below D.
Duration Watch::tolerance(const Channel& c) const {
  std::int64_t rho = 0;
  for (const auto& [host, since] : c.way) {
    rho = std::max(rho, std::abs(world_.machine(host).clock().drift_ppb()));
  }
  if (rho > drift_bound_ppb) return std::chrono::hours{1};
  return rounding + c.delay * 4 * rho / 1'000'000'000;
}

Instant Watch::deadline(const Channel& c, const Message& m) const { return m.logical + c.delay + tolerance(c); }

void Watch::published(const MessageName& name, std::uint32_t, Instant at) {
  if (flows_.size() <= name.channel) flows_.resize(name.channel + 1);
  flows_[name.channel].under_way.push_back({name.index, at});
  if (name.channel < world_.applications().first_probe()) ++world_.totals().messages;
}

void Watch::sighted(const Machine& machine, const MessageName& name, Instant dated, Instant at) {
  const Channel& c = world_.applications().channels()[name.channel];
  Flow& flow = flows_[name.channel];
  const auto m = std::ranges::find(flow.under_way, name.index, &Message::index);
  if (m == flow.under_way.end() || m->logical != never) {
    return wrong(fmt::format("message {} of channel {} is sighted twice", name.index, name.channel));
  }
  const Instant logical = std::max(dated, flow.last_logical + c.period);
  m->exceeds = c.refuse && logical - at > c.period * (static_cast<std::int64_t>(c.burst) - 1) + limits::sight_jitter;
  m->logical = machine.clock().truth(logical);
  if (!m->exceeds) flow.last_logical = logical;
}

void Watch::missing(std::uint32_t channel, const Message& m, const char* when) {
  const Channel& c = world_.applications().channels()[channel];
  if (c.best_effort || m.exceeds || m.logical == never) return;
  if (excused(c, m.published, deadline(c, m), false)) {
    ++world_.totals().excused;
    return;
  }
  wrong(fmt::format("message {} of channel {} is missing {}, and nothing explains it", m.index, channel, when));
}

void Watch::delivered(const Machine& machine, ClipSlot slot, const std::optional<MessageName>& name, std::uint32_t length,
                      std::uint64_t, Duration) {
  if (!name || name->channel < world_.applications().first_probe()) ++world_.totals().delivered;
  if (!name) return wrong(fmt::format("host{} delivers what nobody has said ({} bytes)", machine.host(), length));
  const auto& channels = world_.applications().channels();
  if (name->channel >= channels.size() || name->channel >= flows_.size()) return wrong("a message of no channel is delivered");
  const Channel& c = channels[name->channel];
  Flow& flow = flows_[name->channel];
  note(std::uint64_t{name->channel} << 32 | name->index);
  if (world_.tracing()) world_.trace(fmt::format("message {} of channel {} is delivered", name->index, name->channel));
  const auto hop = books(machine).hops.find(slot.value);
  if (hop != books(machine).hops.end() && !hop->second.here.empty()) {
    hop->second.here.erase(hop->second.here.begin(), hop->second.here.upper_bound(name->index));
  }
  if (machine.host() != c.to_host || length != c.bytes) {
    return wrong(fmt::format("message {} of channel {} is delivered at host{}, {} bytes", name->index, name->channel,
                             machine.host(), length));
  }
  if (std::int64_t{name->index} < flow.next) {
    return wrong(fmt::format("message {} of channel {} is delivered after message {}", name->index, name->channel, flow.next - 1));
  }
  flow.next = std::int64_t{name->index} + 1;
  while (!flow.under_way.empty() && flow.under_way.front().index < name->index) {
    missing(name->channel, flow.under_way.front(), "before a later one");
    flow.under_way.pop_front();
  }
  if (flow.under_way.empty() || flow.under_way.front().index != name->index) return wrong("a message is delivered that was not sent");
  const Message m = flow.under_way.front();
  flow.under_way.pop_front();
  if (c.best_effort) return;
  if (m.logical == never) return wrong(fmt::format("message {} of channel {} was never sighted", m.index, name->channel));
  const Instant at = machine.truth();
  if (at <= deadline(c, m)) return;
  if (excused(c, m.published, at, true)) {
    ++world_.totals().excused;
    return;
  }
  wrong(fmt::format("message {} of channel {} is late by {} us: readable {} us after l, D = {} us", m.index, name->channel,
                    (at - m.logical - c.delay).count() / 1'000, (at - m.logical).count() / 1'000, c.delay.count() / 1'000));
}

// The receiving end is closed. If its sender has given the channel back in peace, all that was seen of its messages has come.
void Watch::parted(std::uint32_t channel) {
  const Channel& c = world_.applications().channels()[channel];
  if (!c.source_left || c.sink_left || c.lost_end || channel >= flows_.size()) return;
  for (const Message& m : flows_[channel].under_way) missing(channel, m, "at a peaceful end");
}

// An application is told that its channel is over, and no application has ended it.
void Watch::ended(std::uint32_t channel) {
  const Channel& c = world_.applications().channels()[channel];
  if (c.state == Channel::State::failed) return;  // its asker had no more patience
  if (c.source_left || c.sink_left || c.lost_end || upset(c, c.asked_at, world_.now())) return;
  wrong(fmt::format("channel {} ends, and nothing explains it", channel));
}

void Watch::overdue() {
  const auto& channels = world_.applications().channels();
  for (std::uint32_t i = 0; i < flows_.size() && i < channels.size(); ++i) {
    const Channel& c = channels[i];
    if (c.state != Channel::State::created || c.source_left || c.sink_left || c.lost_end) continue;
    for (const Message& m : flows_[i].under_way) {
      if (m.logical != never && deadline(c, m) < world_.now()) missing(i, m, "for good");
      if (m.logical == never && m.published + std::chrono::seconds{1} < world_.now() && !c.best_effort &&
          !excused(c, m.published, world_.now(), false)) {
        wrong(fmt::format("message {} of channel {} was never looked at", m.index, i));
      }
    }
  }
}

}  // namespace rtchan::sim
