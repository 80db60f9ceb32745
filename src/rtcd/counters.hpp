// Counters in shared memory: one writer, any number of readers, relaxed.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

namespace rtchan::rtcd {

// Writer only: keeps the largest value seen.
inline void raise(std::uint64_t& counter, std::uint64_t value) noexcept {
  std::atomic_ref<std::uint64_t> c{counter};
  if (value > c.load(std::memory_order_relaxed)) c.store(value, std::memory_order_relaxed);
}

// Copies a struct that consists of 64-bit counters only; each is whole, the set need not be of one instant.
template <class T>
void copy_counters(const T& from, T& to) noexcept {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % sizeof(std::uint64_t) == 0);
  auto* source = reinterpret_cast<std::uint64_t*>(const_cast<T*>(&from));
  auto* target = reinterpret_cast<std::uint64_t*>(&to);
  for (std::size_t i = 0; i < sizeof(T) / sizeof(std::uint64_t); ++i) {
    std::atomic_ref<std::uint64_t>{target[i]}.store(std::atomic_ref<std::uint64_t>{source[i]}.load(std::memory_order_relaxed),
                                                    std::memory_order_relaxed);
  }
}
template <class T>
[[nodiscard]] T read_counters(const T& from) noexcept {
  T copy;
  copy_counters(from, copy);
  return copy;
}

}  // namespace rtchan::rtcd
