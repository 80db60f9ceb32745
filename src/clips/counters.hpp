// What the data path counts, and what each counter is called outside: one table per kind, here and nowhere else. A packet
// that goes no further has exactly one reason, and every reason its own counter.
//
// Counters have one writer, the worker, and readers outside at any time: relaxed atomic accesses on plain members, which
// cost the writer what a plain increment costs.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "clips/spec.hpp"
#include "wire/data_packet.hpp"

namespace rtchan::clips {

// Why a packet from a link, or a signal on its way to one, was dropped by the domain. What a clip drops of its own
// channel (stale, duplicate, no_buffer, ...) is in ClipCounters.
enum class PacketDrop : std::uint8_t {
  // its bytes: wire::Drop, in the same order
  short_packet,
  bad_version,
  bad_type,
  bad_length,
  bad_checksum,
  bad_record,
  bad_offset,
  bad_flags,
  // whose it is
  wrong_queue,        // best effort came to the real-time port, or the reverse
  unknown_label,      // no channel arrives here at that slot
  wrong_generation,   // the slot's channel is another one: a late packet of its predecessor, or a guess
  closed_channel,     // the channel is being closed without draining, or its application was evicted
  wrong_class,        // best-effort packet with the label of a guaranteed channel, or the reverse
  above_contract,     // a message longer than the contract's, or a packet larger than any of ours
  // signals
  signal_rate,        // more signals came in than control is to be bothered with
  signal_queue_full,  // toward the link: retransmitted by the protocol
};
inline constexpr std::array packet_drop_names{
    "short_packet", "bad_version",   "bad_type",         "bad_length",     "bad_checksum", "bad_record",
    "bad_offset",   "bad_flags",     "wrong_queue",      "unknown_label",  "wrong_generation",
    "closed_channel", "wrong_class", "above_contract",   "signal_rate",    "signal_queue_full"};
inline constexpr std::size_t packet_drops = packet_drop_names.size();
static_assert(packet_drops == std::to_underlying(PacketDrop::signal_queue_full) + 1);

[[nodiscard]] constexpr PacketDrop packet_drop(wire::Drop reason) noexcept {
  static_assert(std::to_underlying(wire::Drop::short_packet) == std::to_underlying(PacketDrop::short_packet));
  static_assert(std::to_underlying(wire::Drop::bad_version) == std::to_underlying(PacketDrop::bad_version));
  static_assert(std::to_underlying(wire::Drop::bad_type) == std::to_underlying(PacketDrop::bad_type));
  static_assert(std::to_underlying(wire::Drop::bad_length) == std::to_underlying(PacketDrop::bad_length));
  static_assert(std::to_underlying(wire::Drop::bad_checksum) == std::to_underlying(PacketDrop::bad_checksum));
  static_assert(std::to_underlying(wire::Drop::bad_record) == std::to_underlying(PacketDrop::bad_record));
  static_assert(std::to_underlying(wire::Drop::bad_offset) == std::to_underlying(PacketDrop::bad_offset));
  static_assert(std::to_underlying(wire::Drop::bad_flags) == std::to_underlying(PacketDrop::bad_flags));
  static_assert(wire::drop_reasons == std::to_underlying(PacketDrop::bad_flags) + 1, "a new reason needs its counter");
  return static_cast<PacketDrop>(reason);
}

// Counters of a domain that belong to no clip; same rules as ClipCounters.
struct alignas(64) DomainCounters {
  std::uint64_t turns{};
  std::uint64_t input_packets{};         // taken from the links, dropped ones included
  std::uint64_t best_effort_deferred{};  // times best-effort input used up its budget with packets left
  std::uint64_t signals_in{};
  std::uint64_t link_full{};             // calls in which a driver's real-time class did not take everything
  std::uint64_t link_full_best_effort{};
  std::uint64_t link_full_middle{};
  std::uint64_t handler_steps{};
  std::uint64_t handler_switches{};
  std::uint64_t bursts{};                // calls of a driver to send
  std::uint64_t burst_packets{};         // packets taken by them
  std::array<std::uint64_t, packet_drops> dropped{};  // by PacketDrop
};

template <class Counters>
struct CounterName {
  const char* name;
  std::uint64_t Counters::*count;
};
// Without `dropped`, whose names are above, and `turns`, which the worker counts too.
inline constexpr std::array domain_counter_names{
    CounterName<DomainCounters>{"input_packets", &DomainCounters::input_packets},
    CounterName<DomainCounters>{"best_effort_deferred", &DomainCounters::best_effort_deferred},
    CounterName<DomainCounters>{"signals_in", &DomainCounters::signals_in},
    CounterName<DomainCounters>{"link_full", &DomainCounters::link_full},
    CounterName<DomainCounters>{"link_full_best_effort", &DomainCounters::link_full_best_effort},
    CounterName<DomainCounters>{"link_full_middle", &DomainCounters::link_full_middle},
    CounterName<DomainCounters>{"handler_steps", &DomainCounters::handler_steps},
    CounterName<DomainCounters>{"handler_switches", &DomainCounters::handler_switches},
    CounterName<DomainCounters>{"bursts", &DomainCounters::bursts},
    CounterName<DomainCounters>{"burst_packets", &DomainCounters::burst_packets},
};
inline constexpr std::array clip_counter_names{
    CounterName<ClipCounters>{"accepted", &ClipCounters::accepted},
    CounterName<ClipCounters>{"delivered", &ClipCounters::delivered},
    CounterName<ClipCounters>{"shaped", &ClipCounters::shaped},
    CounterName<ClipCounters>{"refused", &ClipCounters::refused},
    CounterName<ClipCounters>{"late", &ClipCounters::late},
    CounterName<ClipCounters>{"lost", &ClipCounters::lost},
    CounterName<ClipCounters>{"no_slot", &ClipCounters::no_slot},
    CounterName<ClipCounters>{"stale", &ClipCounters::stale},
    CounterName<ClipCounters>{"excess", &ClipCounters::excess},
    CounterName<ClipCounters>{"duplicate", &ClipCounters::duplicate},
    CounterName<ClipCounters>{"misfit", &ClipCounters::misfit},
    CounterName<ClipCounters>{"rejected", &ClipCounters::rejected},
    CounterName<ClipCounters>{"unpoliced", &ClipCounters::unpoliced},
    CounterName<ClipCounters>{"packets", &ClipCounters::packets},
    CounterName<ClipCounters>{"bytes", &ClipCounters::bytes},
    CounterName<ClipCounters>{"no_buffer", &ClipCounters::no_buffer},
    CounterName<ClipCounters>{"packets_missing", &ClipCounters::packets_missing},
};
struct WorstName {
  const char* name;
  std::int64_t ClipCounters::*worst;  // ns
};
inline constexpr std::array clip_worst_names{
    WorstName{"worst_delay_ns", &ClipCounters::worst_delay},
    WorstName{"worst_cpu_ns", &ClipCounters::worst_cpu},
    WorstName{"worst_link_ns", &ClipCounters::worst_link},
};

inline void bump(std::uint64_t& counter, std::uint64_t by = 1) noexcept {
  std::atomic_ref<std::uint64_t> c(counter);
  c.store(c.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

inline void dropped(DomainCounters& counters, PacketDrop reason) noexcept {
  bump(counters.dropped[std::to_underlying(reason)]);
}

// Keeps the largest value seen.
inline void raise(std::int64_t& worst, std::int64_t value) noexcept {
  std::atomic_ref<std::int64_t> w(worst);
  if (value > w.load(std::memory_order_relaxed)) w.store(value, std::memory_order_relaxed);
}

// A slot's next clip counts from zero, while somebody outside may be reading.
inline void clear(ClipCounters& c) noexcept {
  for (const auto& [name, count] : clip_counter_names) std::atomic_ref(c.*count).store(0, std::memory_order_relaxed);
  for (const auto& [name, worst] : clip_worst_names) std::atomic_ref(c.*worst).store(0, std::memory_order_relaxed);
}
inline void restore(ClipCounters& c, const ClipCounters& from) noexcept {
  for (const auto& [name, count] : clip_counter_names) std::atomic_ref(c.*count).store(from.*count, std::memory_order_relaxed);
  for (const auto& [name, worst] : clip_worst_names) std::atomic_ref(c.*worst).store(from.*worst, std::memory_order_relaxed);
}

}  // namespace rtchan::clips
