#include "node/plan.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/limits.hpp"
#include "rtcop/share.hpp"

namespace rtchan::node {

namespace {

using rtcop::Wide;

// A reader that is not real-time itself sleeps so long now and then; its queue holds what arrives meanwhile.
constexpr Duration reader_pause = std::chrono::milliseconds{100};
constexpr std::uint64_t reader_bytes = 1 << 20;      // but no more memory than this for that purpose
// Slack is turned into buffers up to here; a channel whose minimum delay already needs more gets more.
constexpr std::uint64_t modest_queue_bytes = 4 << 20;
constexpr std::uint32_t modest_packet_buffers = 256;
// Best effort: enough to keep a link busy, no promise.
constexpr std::uint64_t best_effort_bytes = 256 << 10;
constexpr std::uint32_t best_effort_slots = 16;
constexpr std::uint32_t best_effort_packets = 32;

constexpr Duration no_time{0};
constexpr std::uint64_t any_stretch = std::uint64_t{1} << 40;  // of a microsecond, that is more than the longest delay

// What comes while a worker is taken away may be late, but it need not be lost or hold up its source: buffers for that
// many messages more. Costs memory only.
std::uint64_t during_pause(const Plan& plan) {
  return std::min<std::uint64_t>(static_cast<std::uint64_t>(limits::host_pause / plan.contract.period),
                                 limits::host_pause_packets / std::max(plan.packets, 1u));
}

Duration grown(Duration own, std::uint64_t stretch) {
  const Wide more = (Wide{own.count()} * stretch + 1023) / 1024;
  const Wide most = limits::delay_max.count();
  return own + Duration{static_cast<std::int64_t>(std::min(more, most))};
}

std::uint32_t slots_of(const Plan& plan, const Delays& d, std::uint32_t slot_bytes) {
  const auto& c = plan.contract;
  if (!plan.admitted) {
    const std::uint64_t fit = std::max<std::uint64_t>(2, best_effort_bytes / slot_bytes);
    return static_cast<std::uint32_t>(
        std::max<std::uint64_t>(c.burst + 1, std::min<std::uint64_t>(best_effort_slots, fit)));
  }
  std::uint64_t slots = 0;
  if (plan.role == clips::Role::outgoing) {
    slots = admission::source_buffers(c, d.cpu) + 1;  // one more, so that the next can be written while B wait
    slots += during_pause(plan);
  } else {
    slots = admission::hop_buffers(c, d.previous, plan.before.last_horizon, plan.before.last_propagation, d.cpu);
    const auto pause = static_cast<std::uint64_t>(reader_pause / c.period) + 1;
    slots += c.burst + std::clamp<std::uint64_t>(pause, 3, std::max<std::uint64_t>(3, reader_bytes / slot_bytes));
  }
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(slots, UINT32_MAX / 2));
}

std::uint32_t packets_of(const Plan& plan, const Delays& d) {
  if (!plan.admitted) return std::max(best_effort_packets, std::min(2 * plan.packets, 2 * best_effort_packets));
  const auto& c = plan.contract;
  std::uint64_t messages = 0;
  switch (plan.role) {
    case clips::Role::outgoing: messages = admission::hop_buffers(c, d.cpu, no_time, no_time, d.link); break;
    case clips::Role::incoming:
    case clips::Role::forward:
      messages = admission::hop_buffers(c, d.previous, plan.before.last_horizon, plan.before.last_propagation,
                                        d.cpu + d.link);
      messages += during_pause(plan);
      break;
  }
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(messages * plan.packets, UINT32_MAX / 2));
}

}  // namespace

Plan make_plan(const wire::Setup& setup, clips::Role role, const admission::CostModel& costs,
               const admission::LinkModel* in, const admission::LinkModel* out) {
  Plan plan;
  plan.role = role;
  plan.service = setup.qos.service;
  plan.admitted = admitted(plan.service);
  plan.tight = setup.tight;
  plan.contract = {setup.qos.period, setup.qos.burst, setup.qos.message_bytes};
  plan.before = setup.promised;
  plan.max_delay = setup.qos.max_delay;
  // As the source cuts messages, whatever a link here could carry.
  const auto as_cut = [&](const admission::LinkModel* link) {
    admission::LinkModel model = link == nullptr ? admission::LinkModel{} : *link;
    const std::uint32_t cut = plan.before.fragment_bytes;
    if (cut != 0) model.format.payload_per_packet_bytes = std::min(model.format.payload_per_packet_bytes, cut);
    return model;
  };
  const admission::LinkModel from = as_cut(in), to = as_cut(out);
  plan.packets = (in != nullptr ? from : to).format.packets(plan.contract.message_bytes);
  if (!plan.admitted) return plan;
  if (role != clips::Role::outgoing) plan.contract = admission::downstream(plan.contract);
  const Duration jitter = largest_previous(plan) + plan.before.last_horizon + plan.before.last_propagation;
  if (role == clips::Role::outgoing) plan.cpu = admission::send_cpu(costs, plan.contract, to.format);
  if (role == clips::Role::incoming) plan.cpu = admission::receive_cpu(costs, plan.contract, from.format, jitter);
  if (role == clips::Role::forward) plan.cpu = admission::forward_cpu(costs, plan.contract, from.format, jitter);
  if (out != nullptr) plan.link = admission::link_stage(to, plan.contract);
  plan.cpu.activity_ppm = plan.link.activity_ppm = activity_of(setup.extensions).value_or(1'000'000);
  return plan;
}

std::optional<std::uint32_t> activity_of(std::span<const Extension> extensions) {
  for (const Extension& e : extensions) {
    if (e.tag == tag_activity) return activity_ppm(e);
  }
  return 1'000'000;
}

Sizes sizes(const Plan& plan, const Delays& delays) {
  Sizes s;
  s.packet_buffers = packets_of(plan, delays);
  if (plan.role == clips::Role::forward) return s;
  constexpr auto line = static_cast<std::uint32_t>(ipc::cache_line);
  s.slot_bytes = (plan.contract.message_bytes + line - 1) / line * line;
  s.slots = slots_of(plan, delays, s.slot_bytes);
  s.queue_bytes = ipc::queue_bytes(queue_place(plan, s, 0));
  return s;
}

ipc::QueuePlace queue_place(const Plan& plan, const Sizes& sizes, std::uint64_t offset) {
  ipc::QueuePlace place{};
  place.offset = offset;
  place.slots = sizes.slots;
  place.slot_bytes = sizes.slot_bytes;
  place.capacity = std::bit_ceil(sizes.slots);
  place.message_bytes = plan.contract.message_bytes;
  return place;
}

// At its exact minimum a tentative entry leaves no slack, and everybody else who sets up at that moment would be refused.
// Slack is shared out later in the same proportions, so this also says where it is worth most: at a receiver, where input of
// others needs it and handing over early wastes none; least on a sender's CPU, since all delay before the receiver is
// time in which packets may bunch on their way to it.
Duration room_on_cpu(const Plan& plan, Duration left) {
  if (plan.tight || left <= no_time) return no_time;
  switch (plan.role) {
    case clips::Role::outgoing: return left / 32;
    case clips::Role::forward: return left / 8;
    case clips::Role::incoming: return left / 4;
  }
  return no_time;
}
Duration room_on_link(const Plan& plan, Duration left) {
  return plan.tight || left <= no_time ? no_time : left / 8;
}

// The slack that this request may still leave bounds every share: slack * r/minima, our own minimum among them; `stretch`
// bounds it too.
Duration largest_previous(const Plan& plan) {
  const wire::Promised& before = plan.before;
  if (before.minima <= no_time || before.last_minimum <= no_time) return no_time;
  const Duration left = std::max(no_time, plan.max_delay - before.minima - before.propagation);
  const Duration own = room_on_cpu(plan, left);
  const Wide minima = Wide{before.minima.count()} + own.count();
  const Wide share = Wide{(left - own).count()} * before.last_minimum.count() / minima + 1;
  const Duration by_stretch = grown(before.last_minimum, before.stretch) - before.last_minimum;
  return before.last_minimum + std::min(Duration{static_cast<std::int64_t>(share)}, by_stretch);
}

// A larger stretch only makes J larger, so what fits at all fits from none up to some largest one. That is sought (to a part in
// 64) with some of the delay left for the stages to come: what may bunch more takes longer here. Half of that is taken.
std::uint64_t narrowed(const wire::Setup& setup, clips::Role role, const std::function<std::optional<Duration>(std::uint64_t)>& least) {
  const wire::Promised& before = setup.promised;
  const auto at_best = least(0);
  if (!at_best || *at_best > setup.qos.max_delay) return before.stretch;
  const Duration enough = *at_best + (setup.qos.max_delay - *at_best) / (role == clips::Role::incoming ? 4 : 8);
  const auto fits = [&](std::uint64_t stretch) {
    const auto needed = least(stretch);
    return needed && *needed <= enough;
  };
  // Beyond that the request itself is the bound.
  const std::uint64_t most = before.minima > no_time ? rtcop::stretch(before.minima, setup.qos.max_delay) + 1 : any_stretch;
  std::uint64_t low = 0, high = std::min(before.stretch, most);
  if (fits(high)) return before.stretch;
  while (high - low > 1 + low / 64) {
    const std::uint64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low / 2;  // at the largest, input of nobody else would fit beside it
}

Reach reach(const Plan& plan, const Minima& minima, Duration propagation) {
  Reach r;
  r.delays.previous = largest_previous(plan);
  const auto grow = [&](std::uint64_t stretch) {
    r.delays.cpu = grown(minima.cpu, stretch);
    r.delays.link = grown(minima.link, stretch);
    r.sizes = sizes(plan, r.delays);
  };
  grow(0);
  if (!plan.admitted) return r;
  const std::uint64_t queue_bound = std::max(modest_queue_bytes, r.sizes.queue_bytes);
  const std::uint32_t packet_bound = std::max(modest_packet_buffers, r.sizes.packet_buffers);
  const Duration sum = plan.before.minima + minima.cpu + minima.link;
  const Duration left = std::max(no_time, plan.max_delay - sum - plan.before.propagation - propagation);
  std::uint64_t stretch = std::min(rtcop::stretch(sum, sum + left) + 1, plan.before.stretch);
  grow(stretch);
  const auto too_much = [&] {
    const bool too_long = plan.slots_most != 0 && r.sizes.slots > plan.slots_most && stretch > 0;
    return too_long || r.sizes.queue_bytes > queue_bound || r.sizes.packet_buffers > packet_bound;
  };
  for (; too_much(); grow(stretch)) {
    stretch /= 2;
    r.stretch = stretch;
  }
  return r;
}

Delays final_delays(const Plan& plan, const Minima& minima, const wire::Terms& terms) {
  Delays d;
  if (!plan.admitted) return d;
  const wire::Promised& b = plan.before;
  d.previous = rtcop::share(terms, b.minima - b.last_minimum, b.last_minimum);
  d.cpu = rtcop::share(terms, b.minima, minima.cpu);
  if (minima.link > no_time) d.link = rtcop::share(terms, b.minima + minima.cpu, minima.link);
  return d;
}

wire::SignalQos to_signal(const Qos& qos) {
  wire::SignalQos s;
  s.service = qos.service;
  s.rate_nano = static_cast<std::uint64_t>(std::llround(qos.max_rate * 1e9));
  s.period = qos.max_rate > 0 ? Duration{static_cast<std::int64_t>(std::floor(1e9 / qos.max_rate))} : no_time;
  s.burst = qos.max_burst;
  s.message_bytes = qos.max_message_bytes;
  s.max_delay = admitted(qos.service) ? qos.max_delay : no_time;
  return s;
}

Qos from_signal(const wire::SignalQos& s) {
  Qos qos;
  qos.service = s.service;
  qos.max_rate = static_cast<double>(s.rate_nano) / 1e9;
  // The rate as it was said, if it means the period that counts.
  const bool means = qos.max_rate > 0 && std::abs(std::floor(1e9 / qos.max_rate) - static_cast<double>(s.period.count())) <= 1;
  if (!means) qos.max_rate = s.period > no_time ? 1e9 / static_cast<double>(s.period.count()) : 0;
  qos.max_burst = s.burst;
  qos.max_message_bytes = s.message_bytes;
  qos.max_delay = s.max_delay;
  return qos;
}

}  // namespace rtchan::node
