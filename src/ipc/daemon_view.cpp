#include "ipc/daemon_view.hpp"

#include <cstring>
#include <new>

#include "ipc/futex.hpp"
#include "ipc/ring_memory.hpp"

namespace rtchan::ipc {

namespace {

// How many returned slots one reserve() looks at: it hands out one, so the backlog shrinks all the same.
constexpr std::uint32_t freed_per_look = 16;

QueueBlock* fresh_block(std::byte* base) noexcept { return new (base) QueueBlock{}; }

}  // namespace

const char* name(Violation v) noexcept {
  switch (v) {
    case Violation::none: return "none";
    case Violation::tail_moved_back: return "an index of the shared ring moved backwards";
    case Violation::tail_ran_ahead: return "an index of the shared ring ran ahead of its slots";
    case Violation::foreign_slot: return "a slot was named that the application does not own";
    case Violation::bad_length: return "a message is empty or longer than its contract allows";
  }
  return "unknown";
}

// --- application -> daemon ---------------------------------------------------------------------------------

SendQueue::SendQueue(std::span<std::byte> arena, const QueuePlace& place)
    : base_(arena.data() + place.offset), place_(place), block_(fresh_block(base_)), taken_(place.slots, false) {}

std::uint32_t SendQueue::waiting() noexcept {
  if (violation_ != Violation::none) return 0;
  const std::uint64_t tail = block_->producer.ready_tail.load(std::memory_order_seq_cst);
  if (tail < ready_seen_) {
    violation_ = Violation::tail_moved_back;
    return 0;
  }
  if (tail - ready_head_ > place_.slots) {
    violation_ = Violation::tail_ran_ahead;
    return 0;
  }
  ready_seen_ = tail;
  return static_cast<std::uint32_t>(tail - ready_head_);
}

std::optional<SendQueue::Message> SendQueue::take() noexcept {
  if (waiting() == 0) return std::nullopt;
  const Descriptor d = load_descriptor(ready_entry(base_, place_, ready_head_));
  if (d.slot >= place_.slots || taken_[d.slot]) {
    violation_ = Violation::foreign_slot;
    return std::nullopt;
  }
  if (d.length == 0 || d.length > place_.message_bytes) {
    violation_ = Violation::bad_length;
    return std::nullopt;
  }
  taken_[d.slot] = true;
  ++ready_head_;
  return Message{d.slot, d.length, Instant{Duration{d.stamp_ns}}};
}

void SendQueue::read(const Message& m, std::uint32_t offset, std::span<std::byte> out) const noexcept {
  std::memcpy(out.data(), slot_address(base_, place_, m.slot) + offset, out.size());
}

std::span<const std::byte> SendQueue::bytes(const Message& m) const noexcept {
  return {slot_address(base_, place_, m.slot), m.length};
}

bool SendQueue::release(const Message& m) noexcept {
  taken_[m.slot] = false;
  store_free(free_entry(base_, place_, free_tail_), m.slot);
  block_->consumer.free_tail.store(++free_tail_, std::memory_order_seq_cst);
  return take_announcement(block_->producer.waiting);
}

void SendQueue::wake_producer() noexcept { wake_all(word(block_->producer.waiting)); }

// --- daemon -> application ---------------------------------------------------------------------------------

ReceiveQueue::ReceiveQueue(std::span<std::byte> arena, const QueuePlace& place)
    : base_(arena.data() + place.offset), place_(place), block_(fresh_block(base_)), with_app_(place.slots, false) {
  free_.reserve(place.slots);
  for (std::uint32_t slot = place.slots; slot-- > 0;) free_.push_back(slot);  // slot 0 is handed out first
}

void ReceiveQueue::take_freed() noexcept {
  const std::uint64_t tail = block_->consumer.free_tail.load(std::memory_order_seq_cst);
  if (tail < free_seen_) {
    violation_ = Violation::tail_moved_back;
    return;
  }
  if (tail - free_head_ > place_.slots) {
    violation_ = Violation::tail_ran_ahead;
    return;
  }
  free_seen_ = tail;
  for (std::uint32_t looked = 0; looked < freed_per_look && free_head_ != tail; ++looked) {
    const std::uint32_t slot = load_free(free_entry(base_, place_, free_head_));
    if (slot >= place_.slots || !with_app_[slot]) {
      violation_ = Violation::foreign_slot;
      return;
    }
    with_app_[slot] = false;
    free_.push_back(slot);
    ++free_head_;
  }
}

std::optional<std::uint32_t> ReceiveQueue::reserve() noexcept {
  if (violation_ != Violation::none) return std::nullopt;
  take_freed();
  if (violation_ != Violation::none || free_.empty()) return std::nullopt;
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

void ReceiveQueue::write(std::uint32_t slot, std::uint32_t offset, std::span<const std::byte> bytes) noexcept {
  std::memcpy(slot_address(base_, place_, slot) + offset, bytes.data(), bytes.size());
}

bool ReceiveQueue::publish(std::uint32_t slot, std::uint32_t length, std::uint64_t number, Instant readable,
                           Duration delay_from_logical_arrival) noexcept {
  const Descriptor d{slot, length, number, readable.time_since_epoch().count(), delay_from_logical_arrival.count()};
  store_descriptor(ready_entry(base_, place_, ready_tail_), d);
  with_app_[slot] = true;
  block_->producer.ready_tail.store(++ready_tail_, std::memory_order_seq_cst);
  return take_announcement(block_->consumer.waiting);
}

void ReceiveQueue::abandon(std::uint32_t slot) noexcept { free_.push_back(slot); }

void ReceiveQueue::wake_consumer() noexcept { wake_all(word(block_->consumer.waiting)); }

// --- both --------------------------------------------------------------------------------------------------

void close_queue(std::span<std::byte> arena, const QueuePlace& place, std::uint32_t code) noexcept {
  auto* block = reinterpret_cast<QueueBlock*>(arena.data() + place.offset);
  block->state.closed.store(code, std::memory_order_seq_cst);
  wake_all(word(block->state.closed));
  wake_all(word(block->producer.waiting));  // sleepers that cannot wait on several words
  wake_all(word(block->consumer.waiting));
}

void mark_void(std::span<std::byte> arena, const QueuePlace& place) noexcept {
  reinterpret_cast<QueueBlock*>(arena.data() + place.offset)->state.voided.store(1, std::memory_order_relaxed);
}

void add(ReadySet& set, std::uint32_t channel) noexcept {
  const std::uint32_t group = channel / 64;
  if (group >= ReadySet::words) return;
  set.word[group].fetch_or(1ULL << (channel % 64), std::memory_order_seq_cst);
  auto& summary = set.summary[group / 64];
  const std::uint64_t bit = 1ULL << (group % 64);
  if ((summary.load(std::memory_order_seq_cst) & bit) == 0) summary.fetch_or(bit, std::memory_order_seq_cst);
}

}  // namespace rtchan::ipc
