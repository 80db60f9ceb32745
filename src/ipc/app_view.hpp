// The application's view of a channel's queue: the other half of daemon_view.hpp. Any number of threads of the
// application may use an end at the same time; each call takes a short lock in private memory and never holds
// it while it copies or sleeps. Reads no clock. The daemon is trusted, but a descriptor that points outside
// the queue ends the channel instead of the process.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/time.hpp"
#include "ipc/futex.hpp"
#include "ipc/layout.hpp"
#include <rtchan/error.hpp>

namespace rtchan::ipc {

using SleepDeadline = std::chrono::steady_clock::time_point;  // CLOCK_MONOTONIC: what the kernel can sleep on

// What both directions share: where the queue lies, why it is closed, and how its threads are woken by others
// than the daemon.
class QueueEnd {
 public:
  QueueEnd(std::span<std::byte> arena, const QueuePlace& place);
  QueueEnd(const QueueEnd&) = delete;
  QueueEnd& operator=(const QueueEnd&) = delete;

  // Errc::ok while open. What ended it: this process (close, daemon_gone) or the daemon (QueueBlock::State).
  [[nodiscard]] Errc closed() const noexcept;
  [[nodiscard]] bool voided() const noexcept;
  // Ends the queue for this process and wakes every thread that sleeps on it. The first code stays.
  void close(Errc code) noexcept;

  [[nodiscard]] std::uint32_t slots() const noexcept { return place_.slots; }
  [[nodiscard]] std::uint32_t message_bytes() const noexcept { return place_.message_bytes; }
  [[nodiscard]] std::span<std::byte> bytes(std::uint32_t slot) const noexcept;  // all message_bytes of a slot

 protected:
  // Changes whenever something of this process's own doing may concern a sleeper.
  void nudge() noexcept;
  [[nodiscard]] Woken sleep(std::uint32_t* waiting, std::uint32_t announced, std::uint32_t nudge_seen,
                            SleepDeadline deadline) noexcept;

  std::byte* base_;
  QueuePlace place_;
  QueueBlock* block_;
  mutable std::mutex mutex_;
  std::atomic<std::uint32_t> nudge_{0};
  std::atomic<Errc> closed_here_{Errc::ok};
};

// Application -> daemon.
class SendEnd : public QueueEnd {
 public:
  SendEnd(std::span<std::byte> arena, const QueuePlace& place);

  // A free slot, the caller's until publish or give_back. nullopt: all are with the daemon or on loan.
  [[nodiscard]] std::optional<std::uint32_t> acquire() noexcept;
  // Hands the message to the daemon; the order of these calls is the order of messages. The caller then adds
  // the channel to the worker's ReadySet and rings.
  void publish(std::uint32_t slot, std::uint32_t length, Instant now) noexcept;
  void give_back(std::uint32_t slot) noexcept;  // unused after all
  // Asks to be told (futex, ReadySet to_app, doorbell) of the next slot given back. True: there is room already.
  [[nodiscard]] bool want_room() noexcept;
  // Sleeps until acquire() may succeed, the queue is closed, or the deadline has come. May return early.
  [[nodiscard]] Woken wait_for_room(SleepDeadline deadline) noexcept;
  [[nodiscard]] bool has_room() noexcept;
  // Messages published that the daemon has not finished.
  [[nodiscard]] std::uint32_t with_daemon() noexcept;

 private:
  void take_freed() noexcept;  // under mutex_
  std::uint64_t ready_tail_ = 0;
  std::uint64_t free_head_ = 0;
  std::vector<std::uint32_t> free_;  // slots that this process owns and nobody holds
};

// Daemon -> application.
class ReceiveEnd : public QueueEnd {
 public:
  ReceiveEnd(std::span<std::byte> arena, const QueuePlace& place);

  struct Message {
    std::uint32_t slot;
    std::uint32_t length;
    std::uint64_t number;
    Instant readable;
    Duration delay;  // layout.hpp; INT64_MIN ns: best effort
  };
  // The next message; its slot is the caller's until give_back. nullopt: none.
  [[nodiscard]] std::optional<Message> take() noexcept;
  // The length of the next message without taking it. Another thread may take it first.
  [[nodiscard]] std::optional<std::uint32_t> next_length() noexcept;
  // Takes the next message only if it fits into `most` bytes. nullopt: none, or it is longer (see next_length).
  [[nodiscard]] std::optional<Message> take_fitting(std::size_t most) noexcept;
  void give_back(std::uint32_t slot) noexcept;
  [[nodiscard]] bool has_message() noexcept;
  [[nodiscard]] Woken wait_for_message(SleepDeadline deadline) noexcept;

 private:
  std::optional<Descriptor> peek() noexcept;  // under mutex_
  std::uint64_t ready_head_ = 0;
  std::uint64_t free_tail_ = 0;
};

}  // namespace rtchan::ipc
