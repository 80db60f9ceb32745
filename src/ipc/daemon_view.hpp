// The daemon's view of a channel's queue. Everything in shared memory is hostile: indices are compared with
// private ones, descriptors are copied once and checked once, a slot is used only by its rightful owner.
// On the first broken rule the view turns `violated` and does nothing more; the session is then evicted.
// Nothing here blocks, allocates after construction, or reads a clock. One thread (the worker) uses a view.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/time.hpp"
#include "ipc/layout.hpp"

namespace rtchan::ipc {

enum class Violation : std::uint8_t {
  none,
  tail_moved_back,      // ready_tail or free_tail below the last seen value
  tail_ran_ahead,       // more entries than slots
  foreign_slot,         // slot number out of range or not owned by the client
  bad_length,           // 0 or above the contract's max message
};
[[nodiscard]] const char* name(Violation v) noexcept;

// Application -> daemon. The daemon consumes.
class SendQueue {
 public:
  // `arena` is the mapped arena; `place` comes from the daemon's own allocator (trusted). Resets the block: the
  // memory may have belonged to another channel. Construct before the application learns the place.
  SendQueue(std::span<std::byte> arena, const QueuePlace& place);

  struct Message {
    std::uint32_t slot;
    std::uint32_t length;
    Instant app_stamp;
  };
  // The next message that has not been taken; copies and validates its descriptor. nullopt: none, or violated.
  std::optional<Message> take() noexcept;
  // How many published messages have not been taken (bounded by slots). Validates the tail.
  [[nodiscard]] std::uint32_t waiting() noexcept;
  // Copies `out.size()` bytes of the message from `offset` (caller keeps offset + size <= length).
  void read(const Message& m, std::uint32_t offset, std::span<std::byte> out) const noexcept;
  // Read-only bytes for drivers that gather (content may change under the reader: checksum what was copied).
  [[nodiscard]] std::span<const std::byte> bytes(const Message& m) const noexcept;
  // Gives the slot back to the application. True: the application waits for room: call wake_producer(), add the
  // channel to `to_app` and ring_if_sleeping(app_sleeping).
  bool release(const Message& m) noexcept;
  void wake_producer() noexcept;  // FUTEX_WAKE; never blocks
  [[nodiscard]] Violation violation() const noexcept { return violation_; }

 private:
  std::byte* base_;
  QueuePlace place_;
  QueueBlock* block_;
  std::uint64_t ready_head_ = 0;  // taken so far
  std::uint64_t ready_seen_ = 0;  // last accepted ready_tail
  std::uint64_t free_tail_ = 0;
  std::vector<bool> taken_;       // slot is with the daemon
  Violation violation_ = Violation::none;
};

// Daemon -> application. The daemon produces.
class ReceiveQueue {
 public:
  ReceiveQueue(std::span<std::byte> arena, const QueuePlace& place);

  // A slot to assemble the next message in; nullopt: the application is behind (or violated).
  std::optional<std::uint32_t> reserve() noexcept;
  void write(std::uint32_t slot, std::uint32_t offset, std::span<const std::byte> bytes) noexcept;
  // Makes the message readable. True: a thread of the application waits (call wake_consumer()).
  bool publish(std::uint32_t slot, std::uint32_t length, std::uint64_t number, Instant readable,
               Duration delay_from_logical_arrival) noexcept;
  void abandon(std::uint32_t slot) noexcept;  // assembled in vain: the slot stays with the daemon
  void wake_consumer() noexcept;              // FUTEX_WAKE; never blocks
  [[nodiscard]] Violation violation() const noexcept { return violation_; }

 private:
  void take_freed() noexcept;
  std::byte* base_;
  QueuePlace place_;
  QueueBlock* block_;
  std::uint64_t ready_tail_ = 0;
  std::uint64_t free_head_ = 0;      // entries taken from the free ring
  std::uint64_t free_seen_ = 0;      // last accepted free_tail
  std::vector<std::uint32_t> free_;  // slots that the daemon owns
  std::vector<bool> with_app_;
  Violation violation_ = Violation::none;
};

// Ends a queue for the application (QueueBlock::State): sets `closed` to the code and wakes every sleeper of the
// channel. The application may still take what was published before.
void close_queue(std::span<std::byte> arena, const QueuePlace& place, std::uint32_t code) noexcept;
void mark_void(std::span<std::byte> arena, const QueuePlace& place) noexcept;

// The ready bitmaps, as both sides use them. Why no bit is lost: layout.hpp.
void add(ReadySet& set, std::uint32_t channel) noexcept;
// Calls f(channel) for up to `most` members, removing them. Returns how many; `most` says: call again before
// sleeping. A client can set any bit: f must tolerate channels that do not exist.
template <class F>
std::uint32_t take(ReadySet& set, std::uint32_t most, F&& f) noexcept {
  std::uint32_t taken = 0;
  for (std::uint32_t s = 0; s < std::size(set.summary); ++s) {
    // Sequentially consistent, since a sleeper that has announced itself decides by this look whether to sleep.
    if (set.summary[s].load(std::memory_order_seq_cst) == 0) continue;
    std::uint64_t groups = set.summary[s].exchange(0, std::memory_order_seq_cst);
    while (groups != 0) {
      const auto g = static_cast<std::uint32_t>(s * 64 + static_cast<std::uint32_t>(__builtin_ctzll(groups)));
      groups &= groups - 1;
      if (g >= ReadySet::words) continue;
      std::uint64_t bits = set.word[g].exchange(0, std::memory_order_seq_cst);
      while (bits != 0 && taken < most) {
        f(static_cast<std::uint32_t>(g * 64 + static_cast<std::uint32_t>(__builtin_ctzll(bits))));
        bits &= bits - 1;
        ++taken;
      }
      if (bits != 0) set.word[g].fetch_or(bits, std::memory_order_seq_cst);
      if (bits != 0 || (taken == most && groups != 0)) {  // hand the rest back for the next call
        set.summary[s].fetch_or(groups | (bits != 0 ? 1ULL << (g % 64) : 0), std::memory_order_seq_cst);
        return taken;
      }
    }
  }
  return taken;
}

}  // namespace rtchan::ipc
