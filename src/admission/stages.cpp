#include "admission/stages.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "admission/arithmetic.hpp"
#include "base/limits.hpp"

namespace rtchan::admission {
namespace {

Duration copying(const HandlerCost& cost, std::uint64_t bytes) {
  return duration(ceil_div(Wide{static_cast<std::int64_t>(bytes)} * cost.picoseconds_per_byte, 1'000));
}

// `packets` of one message that carry `bytes` of it.
Duration handling(const HandlerCost& cost, std::int64_t packets, std::uint64_t bytes) {
  return cost.first_packet + (packets - 1) * cost.other_packet + copying(cost, bytes);
}

// Of whatever channels and messages: each may be a message of its own, in a cold cache.
Duration packets_at_most(const CostModel& cost, const PacketFormat& format, std::uint32_t packets) {
  const auto of = [&](const HandlerCost& handler) {
    return packets * (handler.fixed + std::max(handler.first_packet, handler.other_packet)) +
           copying(handler, std::uint64_t{packets} * format.payload_per_packet_bytes);
  };
  return std::max({of(cost.send), of(cost.receive), packets * cost.input_packet});
}

}  // namespace

std::optional<Contract> contract_of(const Qos& qos) noexcept {
  if (!(qos.max_rate >= limits::rate_min && qos.max_rate <= limits::rate_max)) return std::nullopt;
  if (qos.max_burst < 1 || qos.max_burst > limits::burst_messages) return std::nullopt;
  if (qos.max_message_bytes < 1 || qos.max_message_bytes > limits::message_bytes) return std::nullopt;
  return Contract{Duration{static_cast<std::int64_t>(std::floor(1e9 / qos.max_rate))}, qos.max_burst,
                  qos.max_message_bytes};
}

Contract downstream(const Contract& c) noexcept {
  Contract shorter = c;
  const Duration part = (c.period + Duration{limits::downstream_part - 1}) / limits::downstream_part;
  shorter.period = std::max(Duration{1}, c.period - part);
  return shorter;
}

Duration upstream_period(Duration period) noexcept {
  constexpr Wide part = limits::downstream_part;
  return duration(ceil_div((Wide{period.count()} + 1) * part, part - 1));
}

Duration wire_time(const LinkModel& link, std::uint32_t payload_bytes) noexcept {
  if (link.bits_per_second == 0) return Duration{0};
  const Wide bits = (Wide{payload_bytes} + link.format.packet_overhead_bytes) * 8;
  return duration(ceil_div(bits * 1'000'000'000, static_cast<std::int64_t>(link.bits_per_second))) +
         link.frame_cost;
}

Duration smallest_packet(const LinkModel& link) noexcept {
  constexpr std::uint32_t fragment_bytes = 8;  // counted in the overhead, but not there in a packet of whole messages
  if (link.bits_per_second == 0) return Duration{0};
  const Wide bits = (Wide{link.format.packet_overhead_bytes} - std::min(fragment_bytes, link.format.packet_overhead_bytes)) * 8;
  return duration(bits * 1'000'000'000 / static_cast<std::int64_t>(link.bits_per_second));
}

Candidate send_cpu(const CostModel& cost, const Contract& c, const PacketFormat& format) noexcept {
  const std::int64_t packets = format.packets(c.message_bytes);
  const std::int64_t per_step = std::max<std::int64_t>(1, cost.packets_per_step);
  const std::int64_t steps = (packets - 1) / per_step + 1;
  const std::int64_t in_step = std::min(packets, per_step);
  const Duration step = cost.handler_switch + cost.turn;
  Candidate task;
  task.service = cost.send.fixed + handling(cost.send, packets, c.message_bytes) + steps * step;
  const auto bytes = std::min<std::uint64_t>(
      c.message_bytes, static_cast<std::uint64_t>(in_step) * format.payload_per_packet_bytes);
  task.chunk = std::min(task.service, step + cost.send.fixed + handling(cost.send, in_step, bytes));
  task.last = task.chunk;
  task.period = c.period;
  task.burst = c.burst;
  return task;
}

Candidate link_stage(const LinkModel& link, const Contract& c) noexcept {
  const std::uint32_t packets = link.format.packets(c.message_bytes);
  const std::uint32_t full = link.format.payload_per_packet_bytes;
  const std::uint32_t rest = c.message_bytes - (packets - 1) * full;
  Candidate task;
  task.service = (packets - 1) * wire_time(link, full) + wire_time(link, rest);
  task.chunk = wire_time(link, packets > 1 ? full : rest);
  task.last = task.chunk;
  task.period = c.period;
  task.burst = c.burst;
  return task;
}

// Packets of one message arrive one by one, so each may cost a step of its own.
Candidate receive_cpu(const CostModel& cost, const Contract& c, const PacketFormat& format,
                      Duration input_jitter) noexcept {
  const std::int64_t packets = format.packets(c.message_bytes);
  const std::int64_t in_step = std::clamp<std::int64_t>(cost.packets_per_step, 1, packets);
  const Duration step = cost.handler_switch + cost.turn;
  Candidate task;
  task.service = cost.receive.fixed + handling(cost.receive, packets, c.message_bytes) + packets * step;
  const auto bytes = std::min<std::uint64_t>(
      c.message_bytes, static_cast<std::uint64_t>(in_step) * format.payload_per_packet_bytes);
  task.chunk = std::min(task.service, step + cost.receive.fixed + handling(cost.receive, in_step, bytes));
  task.last = task.chunk;
  task.period = c.period;
  task.burst = c.burst;
  task.input_service = packets * cost.input_packet;
  task.input_jitter = std::min(input_jitter, duration_limit);
  return task;
}

Candidate forward_cpu(const CostModel& cost, const Contract& c, const PacketFormat& format,
                      Duration input_jitter) noexcept {
  CostModel untouched = cost;
  untouched.receive.fixed = Duration{0};
  untouched.receive.picoseconds_per_byte =
      std::max(cost.receive.picoseconds_per_byte, cost.send.picoseconds_per_byte);
  return receive_cpu(untouched, c, format, input_jitter);
}

Candidate best_effort_input(const CostModel& cost) noexcept {
  Candidate task;
  task.service = cost.turn + cost.handler_switch + cost.best_effort_packets * cost.input_packet;
  task.chunk = task.last = task.service;
  task.period = cost.best_effort_period;
  return task;
}

Duration best_effort_input_delay(const CostModel& cost) noexcept {
  return std::max(Duration{1}, cost.best_effort_delay - cost.best_effort_period);
}

Duration cpu_blocking(const CostModel& cost, const PacketFormat& format) noexcept {
  return cost.wakeup_latency +
         std::max(cost.turn + cost.handler_switch + packets_at_most(cost, format, cost.packets_per_step), cost.input_packet);
}

Duration link_visit(const CostModel& cost, const PacketFormat& format, std::uint32_t links) noexcept {
  const Duration away = cost.core.loss_burst + 2 * (cost.core.period - cost.core.quantum);
  const Duration asleep = cost.wakeup_latency + cost.turn;
  const Duration taking_in = limits::input_packets_per_turn * cost.input_packet;
  const std::uint32_t handled = limits::handler_packets_per_turn - 1 + cost.packets_per_step;
  const Duration handling = handled * cost.handler_switch + packets_at_most(cost, format, handled);
  const Duration handing_over = std::int64_t{links} * limits::burst_packets * cost.transmit_packet;
  return away + std::max({asleep, taking_in, handling}) + handing_over;
}

Duration link_blocking(const CostModel& cost, const LinkModel& link, Duration visit) noexcept {
  return wire_time(link, link.format.payload_per_packet_bytes) + visit + cost.transmit_packet + link.foreign;
}

StageSettings cpu_settings(const CostModel& cost, const PacketFormat& format) noexcept {
  StageSettings s;
  s.base_blocking = cpu_blocking(cost, format);
  s.supply = cost.core;
  s.utilisation_limit_ppm = cost.core_limit_ppm;
  s.step_limit = limits::admission_steps;
  s.work_limit = limits::admission_work;
  return s;
}

StageSettings link_settings(const CostModel& cost, const LinkModel& link, Duration visit) noexcept {
  StageSettings s;
  s.base_blocking = link_blocking(cost, link, visit);
  s.step_limit = limits::admission_steps;
  s.work_limit = limits::admission_work;
  s.burst_cap = std::max(s.burst_cap, 2 * s.base_blocking);
  return s;
}

std::uint64_t source_buffers(const Contract& c, Duration delay) noexcept {
  if (c.period <= Duration{0}) return c.burst;
  return c.burst + static_cast<std::uint64_t>(std::max(Duration{0}, delay) / c.period);
}

std::uint64_t hop_buffers(const Contract& c, Duration previous, Duration horizon, Duration propagation,
                          Duration delay) noexcept {
  if (c.period <= Duration{0}) return c.burst;
  const Wide held = Wide{previous.count()} + horizon.count() + propagation.count() + delay.count();
  return static_cast<std::uint64_t>(std::max<Wide>(0, held) / c.period.count()) + 1;
}

void share_slack(std::span<const Duration> minima, Duration slack, std::span<Duration> delays) noexcept {
  Wide sum = 0;
  for (const Duration r : minima) sum += r.count();
  Duration left = slack;
  for (std::size_t i = 0; i < minima.size(); ++i) {
    const Duration share = i + 1 == minima.size()
                               ? left
                               : duration(sum == 0 ? 0 : Wide{slack.count()} * minima[i].count() / sum);
    delays[i] = minima[i] + share;
    left -= share;
  }
}

}  // namespace rtchan::admission
