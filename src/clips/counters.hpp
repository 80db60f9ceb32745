// Counters have one writer, the worker, and readers outside at any time: relaxed atomic accesses on plain
// members, which cost the writer what a plain increment costs.
#pragma once

#include <atomic>
#include <cstdint>

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

}  // namespace rtchan::clips
