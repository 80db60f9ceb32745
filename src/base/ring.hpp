// A bounded queue from exactly one producer thread to exactly one consumer thread, in one object without
// pointers: it can stand in memory shared by two processes (control and worker), each mapping it anywhere.
// It never blocks, allocates or wakes anybody: who waits for it brings a doorbell of their own.
//
//   producer's line: tail (published), head as last seen     -- written by the producer only
//   consumer's line: head (published), tail as last seen     -- written by the consumer only
//   slots[Capacity]
//
// Both sides are ours and trusted to keep the rules; still, no index value whatever leads outside `slots`.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace rtchan {

inline constexpr std::size_t cache_line_bytes = 64;

template <class T, std::size_t Capacity>
class Ring {
  static_assert(std::is_trivially_copyable_v<T>, "items cross processes as bytes");
  static_assert(std::has_single_bit(Capacity) && Capacity <= (std::size_t{1} << 31));

 public:
  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  static constexpr std::size_t capacity() noexcept { return Capacity; }

  // Producer. False: full, nothing was written.
  bool push(const T& item) noexcept { return push(std::span<const T>(&item, 1)) == 1; }

  // Producer. Takes as many of the first items as fit and publishes them at once; returns how many.
  std::size_t push(std::span<const T> items) noexcept {
    const std::uint64_t tail = producer_.own.load(std::memory_order_relaxed);
    std::size_t room = free_slots(tail, producer_.other_seen);
    if (room < items.size()) {  // only now touch the other side's cache line
      producer_.other_seen = consumer_.own.load(std::memory_order_acquire);
      room = free_slots(tail, producer_.other_seen);
    }
    const std::size_t n = std::min(room, items.size());
    for (std::size_t i = 0; i < n; ++i) slots_[(tail + i) & mask] = items[i];
    if (n != 0) producer_.own.store(tail + n, std::memory_order_release);
    return n;
  }

  // Consumer. False: empty, `item` is unchanged.
  bool pop(T& item) noexcept { return pop(std::span<T>(&item, 1)) == 1; }

  // Consumer. Moves up to items.size() oldest items out, in order; returns how many.
  std::size_t pop(std::span<T> items) noexcept {
    const std::uint64_t head = consumer_.own.load(std::memory_order_relaxed);
    std::size_t waiting = filled_slots(consumer_.other_seen, head);
    if (waiting < items.size()) {
      consumer_.other_seen = producer_.own.load(std::memory_order_acquire);
      waiting = filled_slots(consumer_.other_seen, head);
    }
    const std::size_t n = std::min(waiting, items.size());
    for (std::size_t i = 0; i < n; ++i) items[i] = slots_[(head + i) & mask];
    if (n != 0) consumer_.own.store(head + n, std::memory_order_release);
    return n;
  }

  // Either side, or an observer: a lower bound for the consumer, an upper bound for the producer.
  [[nodiscard]] std::size_t size() const noexcept {
    const std::uint64_t head = consumer_.own.load(std::memory_order_acquire);
    return filled_slots(producer_.own.load(std::memory_order_acquire), head);
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }

 private:
  static constexpr std::uint64_t mask = Capacity - 1;

  // 64-bit counts never wrap, so full and empty need no spare slot. The bounds matter only if the other
  // side's memory is damaged: then the ring misbehaves, but stays inside itself.
  static std::size_t filled_slots(std::uint64_t tail, std::uint64_t head) noexcept {
    const std::uint64_t filled = tail - head;
    return filled <= Capacity ? static_cast<std::size_t>(filled) : 0;
  }
  static std::size_t free_slots(std::uint64_t tail, std::uint64_t head) noexcept {
    const std::uint64_t filled = tail - head;
    return filled <= Capacity ? Capacity - static_cast<std::size_t>(filled) : 0;
  }

  struct alignas(cache_line_bytes) Side {
    std::atomic<std::uint64_t> own{0};  // entries this side has finished since the start
    std::uint64_t other_seen{0};        // the other side's count when last looked at
  };
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "a lock would not work between processes");

  Side producer_;
  Side consumer_;
  alignas(cache_line_bytes) std::array<T, Capacity> slots_{};
};

}  // namespace rtchan
