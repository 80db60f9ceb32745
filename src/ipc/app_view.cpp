#include "ipc/app_view.hpp"

#include <array>

#include "ipc/ring_memory.hpp"

namespace rtchan::ipc {

// --- what both directions share ----------------------------------------------------------------------------

QueueEnd::QueueEnd(std::span<std::byte> arena, const QueuePlace& place)
    : base_(arena.data() + place.offset), place_(place), block_(reinterpret_cast<QueueBlock*>(base_)) {}

Errc QueueEnd::closed() const noexcept {
  const Errc here = closed_here_.load(std::memory_order_seq_cst);
  if (here != Errc::ok) return here;
  const std::uint32_t code = block_->state.closed.load(std::memory_order_seq_cst);
  return code <= static_cast<std::uint32_t>(last_errc) ? static_cast<Errc>(code) : Errc::protocol_error;
}

bool QueueEnd::voided() const noexcept { return block_->state.voided.load(std::memory_order_relaxed) != 0; }

void QueueEnd::close(Errc code) noexcept {
  Errc open = Errc::ok;
  closed_here_.compare_exchange_strong(open, code, std::memory_order_seq_cst);
  nudge();
}

std::span<std::byte> QueueEnd::bytes(std::uint32_t slot) const noexcept {
  return {slot_address(base_, place_, slot), place_.message_bytes};
}

void QueueEnd::nudge() noexcept {
  nudge_.fetch_add(1, std::memory_order_seq_cst);
  wake_all(word(nudge_));
}

// A close between the caller's look and the sleep changes `closed` or `nudge_`, which the kernel compares, too.
Woken QueueEnd::sleep(std::uint32_t* waiting, std::uint32_t announced, std::uint32_t nudge_seen,
                      SleepDeadline deadline) noexcept {
  const std::array<Awaited, 3> words{Awaited{waiting, announced}, Awaited{word(block_->state.closed), 0},
                                     Awaited{word(nudge_), nudge_seen}};
  return wait_any(words, deadline);
}

// --- application -> daemon ---------------------------------------------------------------------------------

SendEnd::SendEnd(std::span<std::byte> arena, const QueuePlace& place) : QueueEnd(arena, place) {
  free_.reserve(place.slots);
  for (std::uint32_t slot = place.slots; slot-- > 0;) free_.push_back(slot);
}

void SendEnd::take_freed() noexcept {
  const std::uint64_t tail = block_->consumer.free_tail.load(std::memory_order_seq_cst);
  while (free_head_ != tail) {
    const std::uint32_t slot = load_free(free_entry(base_, place_, free_head_));
    if (slot >= place_.slots || free_.size() >= place_.slots) {
      close(Errc::protocol_error);
      return;
    }
    free_.push_back(slot);
    ++free_head_;
  }
}

std::optional<std::uint32_t> SendEnd::acquire() noexcept {
  const std::scoped_lock lock(mutex_);
  // Back to the shared index only when the private list is empty: its cache line is the daemon's.
  if (free_.empty()) take_freed();
  if (free_.empty()) return std::nullopt;
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

void SendEnd::publish(std::uint32_t slot, std::uint32_t length, Instant now) noexcept {
  const std::scoped_lock lock(mutex_);
  store_descriptor(ready_entry(base_, place_, ready_tail_), {slot, length, 0, now.time_since_epoch().count(), 0});
  block_->producer.ready_tail.store(++ready_tail_, std::memory_order_seq_cst);
}

void SendEnd::give_back(std::uint32_t slot) noexcept {
  {
    const std::scoped_lock lock(mutex_);
    free_.push_back(slot);
  }
  nudge();
}

bool SendEnd::has_room() noexcept {
  const std::scoped_lock lock(mutex_);
  if (free_.empty()) take_freed();
  return !free_.empty();
}

std::uint32_t SendEnd::with_daemon() noexcept {
  const std::scoped_lock lock(mutex_);
  return static_cast<std::uint32_t>(ready_tail_ - block_->consumer.free_tail.load(std::memory_order_seq_cst));
}

bool SendEnd::want_room() noexcept {
  announce(block_->producer.waiting);
  return has_room();
}

Woken SendEnd::wait_for_room(SleepDeadline deadline) noexcept {
  const std::uint32_t nudge_seen = nudge_.load(std::memory_order_seq_cst);
  const std::uint32_t announced = announce(block_->producer.waiting);
  if (has_room() || closed() != Errc::ok) return Woken::perhaps;
  return sleep(word(block_->producer.waiting), announced, nudge_seen, deadline);
}

// --- daemon -> application ---------------------------------------------------------------------------------

ReceiveEnd::ReceiveEnd(std::span<std::byte> arena, const QueuePlace& place) : QueueEnd(arena, place) {}

std::optional<Descriptor> ReceiveEnd::peek() noexcept {
  if (block_->producer.ready_tail.load(std::memory_order_seq_cst) == ready_head_) return std::nullopt;
  const Descriptor d = load_descriptor(ready_entry(base_, place_, ready_head_));
  if (d.slot < place_.slots && d.length <= place_.message_bytes) return d;
  close(Errc::protocol_error);
  return std::nullopt;
}

std::optional<ReceiveEnd::Message> ReceiveEnd::take() noexcept { return take_fitting(SIZE_MAX); }

std::optional<ReceiveEnd::Message> ReceiveEnd::take_fitting(std::size_t most) noexcept {
  const std::scoped_lock lock(mutex_);
  const auto d = peek();
  if (!d || d->length > most) return std::nullopt;
  ++ready_head_;
  return Message{d->slot, d->length, d->number, Instant{Duration{d->stamp_ns}}, Duration{d->delay_ns}};
}

std::optional<std::uint32_t> ReceiveEnd::next_length() noexcept {
  const std::scoped_lock lock(mutex_);
  const auto d = peek();
  if (!d) return std::nullopt;
  return d->length;
}

void ReceiveEnd::give_back(std::uint32_t slot) noexcept {
  const std::scoped_lock lock(mutex_);
  store_free(free_entry(base_, place_, free_tail_), slot);
  block_->consumer.free_tail.store(++free_tail_, std::memory_order_seq_cst);
}

bool ReceiveEnd::has_message() noexcept {
  const std::scoped_lock lock(mutex_);
  return peek().has_value();
}

Woken ReceiveEnd::wait_for_message(SleepDeadline deadline) noexcept {
  const std::uint32_t nudge_seen = nudge_.load(std::memory_order_seq_cst);
  const std::uint32_t announced = announce(block_->consumer.waiting);
  if (has_message() || closed() != Errc::ok) return Woken::perhaps;
  return sleep(word(block_->consumer.waiting), announced, nudge_seen, deadline);
}

}  // namespace rtchan::ipc
