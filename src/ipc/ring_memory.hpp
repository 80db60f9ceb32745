// How both views reach into a queue's memory. Entries are read and written as relaxed atomic words: the other
// side may be hostile and write them at the same time, and each field must be the one value that was checked.
// Order comes from the tails, which are sequentially consistent.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ipc/layout.hpp"

namespace rtchan::ipc {

inline std::byte* ready_entry(std::byte* base, const QueuePlace& place, std::uint64_t index) noexcept {
  return base + ready_offset() + (index & (place.capacity - 1)) * sizeof(Descriptor);
}
inline std::uint32_t* free_entry(std::byte* base, const QueuePlace& place, std::uint64_t index) noexcept {
  return reinterpret_cast<std::uint32_t*>(base + free_offset(place)) + (index & (place.capacity - 1));
}
inline std::byte* slot_address(std::byte* base, const QueuePlace& place, std::uint32_t slot) noexcept {
  return base + slots_offset(place) + std::size_t{slot} * place.slot_bytes;
}

inline Descriptor load_descriptor(const std::byte* at) noexcept {
  static_assert(sizeof(Descriptor) == 4 * sizeof(std::uint64_t));
  std::uint64_t words[4];
  for (std::size_t i = 0; i < 4; ++i) {
    words[i] = __atomic_load_n(reinterpret_cast<const std::uint64_t*>(at) + i, __ATOMIC_RELAXED);
  }
  Descriptor d;
  std::memcpy(&d, words, sizeof d);
  return d;
}
inline void store_descriptor(std::byte* at, const Descriptor& d) noexcept {
  std::uint64_t words[4];
  std::memcpy(words, &d, sizeof d);
  for (std::size_t i = 0; i < 4; ++i) {
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(at) + i, words[i], __ATOMIC_RELAXED);
  }
}
inline std::uint32_t load_free(const std::uint32_t* at) noexcept { return __atomic_load_n(at, __ATOMIC_RELAXED); }
inline void store_free(std::uint32_t* at, std::uint32_t slot) noexcept { __atomic_store_n(at, slot, __ATOMIC_RELAXED); }

// Says that the caller is about to sleep; the value that the word has until somebody takes the announcement.
inline std::uint32_t announce(std::atomic<std::uint32_t>& waiting) noexcept {
  return waiting.fetch_or(1, std::memory_order_seq_cst) | 1;
}
// True: somebody announced that it sleeps, and the caller is who wakes it. Taking changes the word that sleepers wait
// on, so that none falls asleep on an announcement that is gone (layout.hpp). If the exchange fails, another
// publisher took it after our publication.
inline bool take_announcement(std::atomic<std::uint32_t>& waiting) noexcept {
  std::uint32_t announced = waiting.load(std::memory_order_seq_cst);
  return (announced & 1) != 0 && waiting.compare_exchange_strong(announced, announced + 1, std::memory_order_seq_cst);
}

}  // namespace rtchan::ipc
