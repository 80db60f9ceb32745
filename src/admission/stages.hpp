// From a traffic contract to the tasks of its stages: how much CPU and how much wire a message costs, how
// long nothing else can run, and how many buffers it needs. Pure functions of integers.
#pragma once

#include <cstdint>
#include <optional>
#include <rtchan/qos.hpp>
#include <span>

#include "admission/cost_model.hpp"
#include "admission/policy.hpp"
#include "admission/task.hpp"

namespace rtchan::admission {

// At most burst + t/period messages in every interval t, each of at most message_bytes.
struct Contract {
  Duration period{};  // T = floor(1/R)
  std::uint32_t burst = 1;
  std::uint32_t message_bytes = 0;
};
// The integers that are both admitted and enforced. Nullopt: a value is outside the ranges of qos.hpp.
[[nodiscard]] std::optional<Contract> contract_of(const Qos& qos) noexcept;

// The same contract as the stages behind the first link admit and enforce it: T - T/128 (limits.hpp). A source at
// its full rate would else never make up for a delay on the way, nor for a clock slower than its own.
[[nodiscard]] Contract downstream(const Contract& c) noexcept;
// The period at the source that is at least `period` downstream.
[[nodiscard]] Duration upstream_period(Duration period) noexcept;

// How messages become packets on one link.
struct PacketFormat {
  std::uint32_t payload_per_packet_bytes{};  // message bytes in a full packet
  std::uint32_t
      packet_overhead_bytes{};  // everything else a packet occupies on the wire: our header and trailer, UDP,
                                // IP, Ethernet (14) + preamble, FCS, gap (24; of which FCS 4)
  [[nodiscard]] std::uint32_t packets(std::uint32_t message_bytes) const noexcept {  // at least 1
    if (message_bytes == 0) return 1;
    return (message_bytes - 1) / payload_per_packet_bytes + 1;
  }
};

struct LinkModel {
  std::uint64_t bits_per_second{};  // configured capacity, in wire bits
  PacketFormat format{};
  Duration frame_cost{};  // what a frame costs beside its wire time; the refill latency J_c where only one
                          // frame can be outstanding, 0 under the hand-over rule of burst_bound.hpp
  Duration foreign{};     // other programs' traffic that may be in the device ahead of a frame of ours: time on the wire
};
// Time on the wire of one packet that carries `payload_bytes` of a message, rounded up.
[[nodiscard]] Duration wire_time(const LinkModel& link, std::uint32_t payload_bytes) noexcept;

// Wire time that no packet undercuts, whatever its message: a message may have a single byte.
[[nodiscard]] Duration smallest_packet(const LinkModel& link) noexcept;

// The stages of a channel.
[[nodiscard]] Candidate send_cpu(const CostModel& cost, const Contract& c,
                                 const PacketFormat& format) noexcept;
[[nodiscard]] Candidate link_stage(const LinkModel& link, const Contract& c) noexcept;
// `input_jitter` = d_prev + H_prev + pi of the stage before; while those are not known, the end-to-end delay
// is a safe value.
[[nodiscard]] Candidate receive_cpu(const CostModel& cost, const Contract& c, const PacketFormat& format,
                                    Duration input_jitter) noexcept;
// A router's handler: input like a receiver, packets passed on without touching the bytes twice.
[[nodiscard]] Candidate forward_cpu(const CostModel& cost, const Contract& c, const PacketFormat& format,
                                    Duration input_jitter) noexcept;

// What is not a channel but takes time all the same.
// Best-effort input of a worker, to be reserved once on its CPU stage.
[[nodiscard]] Candidate best_effort_input(const CostModel& cost) noexcept;
// The delay to reserve it with: a period less than its deadline. The budget of an activation is kept until it is used, so packets
// may come up to a period after the instant that their deadline counts from, with the next budget at their heels (a deferrable
// server). At least 1 ns.
[[nodiscard]] Duration best_effort_input_delay(const CostModel& cost) noexcept;
// b0 of a worker's CPU: wake-up, and the longest step of anybody: `packets_per_step` packets of the given size, each a message.
[[nodiscard]] Duration cpu_blocking(const CostModel& cost, const PacketFormat& format) noexcept;
// V: how late a worker that serves `links` links may visit a link's scheduler, from the instant at which the visit is due (or a
// packet is current) to the hand-over: asleep, taking in the packets of one turn, or handling those of one turn, its core's
// absences included. `format`: of the largest packets among its links. What was handed over must last so long, or the wire
// falls idle (clips/link_scheduler.hpp).
[[nodiscard]] Duration link_visit(const CostModel& cost, const PacketFormat& format, std::uint32_t links) noexcept;
// b0 of a link: the largest frame, plus `visit` (link_visit), plus what others may have put in front of us.
[[nodiscard]] Duration link_blocking(const CostModel& cost, const LinkModel& link, Duration visit) noexcept;
[[nodiscard]] StageSettings cpu_settings(const CostModel& cost, const PacketFormat& format) noexcept;
[[nodiscard]] StageSettings link_settings(const CostModel& cost, const LinkModel& link, Duration visit) noexcept;

// Messages of buffer at the source: B + floor(d/T). `delay` = sum of the local delays during which a message
// occupies the same buffer.
[[nodiscard]] std::uint64_t source_buffers(const Contract& c, Duration delay) noexcept;
// At a later hop: floor((d_prev + H_prev + pi_prev + d)/T) + 1.
[[nodiscard]] std::uint64_t hop_buffers(const Contract& c, Duration previous, Duration horizon,
                                        Duration propagation, Duration delay) noexcept;

// Shares out the slack of an end-to-end delay: d_j = r_j + share, weighted by r_j, the remainder to the last
// stage. `slack` >= 0.
void share_slack(std::span<const Duration> minima, Duration slack, std::span<Duration> delays) noexcept;

}  // namespace rtchan::admission
