// The memory that an application and its rtcd share: one arena (memfd) per session, created by the daemon.
//
//   arena
//   +--------------------+ 0
//   | SessionBlock       |  ready bitmaps both ways, sleeping flags, daemon-alive word
//   +--------------------+ queues_offset (page aligned)
//   | queue of channel a |  QueueBlock | ready[capacity] | free[capacity] | slots[slots]   (page aligned)
//   | queue of channel b |
//   | ...                |  sparse: pages exist only where channels are open
//   +--------------------+ limits::arena_bytes
//
// One queue per channel end, in one direction: the producer writes messages into slots, the consumer reads
// them. A slot is always owned by exactly one side. Ownership moves through two descriptor rings:
//
//   producer --ready--> consumer    "slot s holds `length` bytes"      (in message order)
//   producer <--free--- consumer    "slot s is yours again"            (any order: a held loan pins only its slot)
//
// Indices count up for ever (64 bits) and are masked; capacity is a power of two >= slots, so neither ring can
// overflow while both sides keep the rules. The daemon keeps the true indices and the owner of every slot in
// private memory (daemon_view.hpp): a client that breaks the rules harms its own session only.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/limits.hpp"

namespace rtchan::ipc {

inline constexpr std::uint32_t layout_version = 2;
inline constexpr std::size_t cache_line = 64;
inline constexpr std::size_t page = 4096;

// Descriptor of one message in a slot. 32 bytes.
struct Descriptor {
  std::uint32_t slot;
  std::uint32_t length;          // bytes of the message
  std::uint64_t number;          // message number on this channel, from 0 (receive queue)
  std::int64_t stamp_ns;         // send queue: application's hand-over time (statistics only, never trusted)
                                 // receive queue: instant the message became readable
  std::int64_t delay_ns;         // receive queue: delay from logical arrival as promised, i.e. D - (deadline - readable);
                                 // best effort: INT64_MIN
};
static_assert(sizeof(Descriptor) == 32);

// One end's queue. The producer writes only `producer`, the consumer only `consumer`.
struct alignas(cache_line) QueueBlock {
  struct alignas(cache_line) Producer {
    std::atomic<std::uint64_t> ready_tail;  // descriptors published
    std::atomic<std::uint32_t> waiting;     // odd: a thread of the application waits for room; futex word
  } producer;
  struct alignas(cache_line) Consumer {
    std::atomic<std::uint64_t> free_tail;   // slots given back
    std::atomic<std::uint32_t> waiting;     // odd: a thread of the application waits for a message; futex word
  } consumer;
  struct alignas(cache_line) State {        // written by the daemon
    std::atomic<std::uint32_t> closed;      // Errc value once the channel can carry nothing more; 0 while open
    std::atomic<std::uint32_t> voided;      // 1: the promise no longer holds
  } state;
};
static_assert(sizeof(QueueBlock) == 3 * cache_line);

// Where a queue lies in the arena. Sent by the daemon when a channel opens; all offsets from the arena's start.
struct QueuePlace {
  std::uint64_t offset;        // of the QueueBlock, page aligned
  std::uint32_t slots;         // messages that fit
  std::uint32_t slot_bytes;    // distance between slots: max message rounded up to a cache line
  std::uint32_t capacity;      // ring entries: power of two >= slots
  std::uint32_t message_bytes; // largest message
};
// Initially all slots belong to the producer: it starts with a private list 0..slots-1; the free ring is empty.

[[nodiscard]] constexpr std::size_t ready_offset() noexcept { return sizeof(QueueBlock); }
[[nodiscard]] constexpr std::size_t free_offset(const QueuePlace& p) noexcept {
  return ready_offset() + std::size_t{p.capacity} * sizeof(Descriptor);
}
[[nodiscard]] constexpr std::size_t slots_offset(const QueuePlace& p) noexcept {
  const std::size_t end = free_offset(p) + std::size_t{p.capacity} * sizeof(std::uint32_t);
  return (end + cache_line - 1) / cache_line * cache_line;
}
[[nodiscard]] constexpr std::size_t queue_bytes(const QueuePlace& p) noexcept {
  const std::size_t end = slots_offset(p) + std::size_t{p.slots} * p.slot_bytes;
  return (end + page - 1) / page * page;
}

// A set of channel numbers that one side fills and the other empties: nobody polls 10,000 idle tails.
// Two levels: bit g of summary[g/64] says that word g may be non-zero.
// add: set the bit in word, then the bit in summary. take: clear summary bit, then exchange word with 0.
//
// No bit is lost: all these steps are sequentially consistent, so they happen in one order. After an add has
// finished, either its word bit was taken, or the summary bit is set. For the adder's step on summary comes
// after its step on word; if a taker clears summary after it, that taker's exchange of word comes later still
// and finds the bit; if a taker clears summary before it, summary is set again by the adder. (An adder that
// finds the summary bit already set leaves it: the taker that clears it later exchanges word later still.)
// The taker may find a summary bit without word bits (taken one round earlier): harmless. A taker that hands
// bits back does so like an adder, word first. What was published before an add is seen by whoever takes the
// bit: add's step on word is a read-modify-write in the release sequence that the exchange reads.
struct ReadySet {
  static constexpr std::uint32_t words = limits::channels_per_session / 64;
  alignas(cache_line) std::atomic<std::uint64_t> summary[(words + 63) / 64];
  alignas(cache_line) std::atomic<std::uint64_t> word[words];
};

struct SessionBlock {
  std::uint32_t version;                                        // layout_version
  std::uint32_t workers;
  alignas(cache_line) std::atomic<std::uint32_t> daemon_alive;  // 1; the client's control thread clears it when the daemon is gone
  alignas(cache_line) std::atomic<std::uint32_t> app_sleeping;  // 1: the app waits on the doorbell's descriptor
  // One set per worker: a channel's send queue is served by one worker.
  struct alignas(cache_line) ToWorker {
    std::atomic<std::uint32_t> sleeping;                        // 1: the worker waits in epoll: ring the doorbell
    ReadySet ready;                                             // channels with new messages (or freed slots) for the worker
  } to_worker[limits::workers];
  ReadySet to_app;                                              // channels with new messages (or freed slots, or closed)
};

inline constexpr std::size_t queues_offset = (sizeof(SessionBlock) + page - 1) / page * page;

// Doorbells: one AF_UNIX SOCK_STREAM socketpair per (session, worker); either side sends one byte with
// MSG_DONTWAIT | MSG_NOSIGNAL when the other announced that it sleeps. (An eventfd would not do: a client can
// clear O_NONBLOCK on the shared description, fill it, and hang the writer.)
// Protocol of both directions, as sequentially consistent operations:
//   ringer:  publish; read-modify-write on the ReadySet; if sleeping.exchange(0) == 1, ring
//   sleeper: sleeping.exchange(1); look again; sleep only if there is nothing
// A sleeper that announced itself and saw nothing is rung by whoever publishes later: in the one order of
// sequentially consistent operations the ringer's look at `sleeping` comes either after the announcement (it
// rings) or before it, and then its publication is before the sleeper's second look (which finds it).
//
// The byte stays in the socket until the sleeper drains it, before its next announcement: a ringer may dawdle between
// its exchange and its byte, even beyond a new announcement, and what it takes is still answered by its byte.
//
// Blocking calls of one channel sleep on a futex instead, where a wake-up that comes too early leaves nothing behind.
// So the sleeper waits on the announcement itself, and taking it changes the word to a value not seen before:
//   sleeper:   w = waiting.fetch_or(1) | 1; look again; FUTEX_WAIT(waiting, w) (and on `closed`: FUTEX_WAITV)
//   publisher: publish; w = waiting; if w is odd and waiting.compare_exchange(w, w + 1): FUTEX_WAKE(waiting)
// If a publication comes after the sleeper's second look, the publisher finds the announcement, or somebody took it
// since: either way the word is no longer w. The kernel compares and queues in one step, so the sleeper does not
// sleep, or is in the queue when the FUTEX_WAKE of whoever took it comes. (Were the word only set and cleared, and the
// sleep on the tail, then a publisher late from its last message could take a new announcement and wake nobody: the
// sleeper would sleep on, and the next publisher find no announcement.) The word repeats after 2^31 wake-ups.
// An application that polls instead announces a wish for room the same way: `producer.waiting.fetch_or(1)`; when
// the daemon gives a slot back and release() says that somebody waits, the daemon wakes the futex *and* adds the
// channel to `to_app` (and rings if `app_sleeping`). The application that then finds no room announces again.
// New messages are always added to `to_app`. Models of these protocols for SPIN: src/ipc/models.

}  // namespace rtchan::ipc
