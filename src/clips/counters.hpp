// Counters have one writer, the worker, and readers outside at any time: relaxed atomic accesses on plain
// members, which cost the writer what a plain increment costs.
#pragma once

#include <atomic>
#include <cstdint>

#include "clips/spec.hpp"

namespace rtchan::clips {

inline void bump(std::uint64_t& counter, std::uint64_t by = 1) noexcept {
  std::atomic_ref<std::uint64_t> c(counter);
  c.store(c.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

// Keeps the largest value seen.
inline void raise(std::int64_t& worst, std::int64_t value) noexcept {
  std::atomic_ref<std::int64_t> w(worst);
  if (value > w.load(std::memory_order_relaxed)) w.store(value, std::memory_order_relaxed);
}

// A slot's next clip counts from zero.
inline void clear(ClipCounters& c) noexcept {
  for (std::uint64_t* n : {&c.accepted, &c.delivered, &c.shaped, &c.refused, &c.late, &c.lost, &c.no_slot, &c.stale,
                           &c.unpoliced, &c.packets, &c.bytes, &c.no_buffer, &c.packets_missing}) {
    std::atomic_ref(*n).store(0, std::memory_order_relaxed);
  }
  for (std::int64_t* n : {&c.worst_delay, &c.worst_cpu, &c.worst_link}) {
    std::atomic_ref(*n).store(0, std::memory_order_relaxed);
  }
}

}  // namespace rtchan::clips
