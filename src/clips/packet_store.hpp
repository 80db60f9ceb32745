// Frames of one domain and what is known of the packet in each. A clip may hold as many frames as were
// reserved for it and no more, so a clip that is behind loses its own packets and nobody else's.
//
// Queues are lists through the frames' records: 10,000 idle clips cost no queue memory.
#pragma once

#include <cassert>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/address.hpp"
#include "base/pool.hpp"
#include "base/time.hpp"
#include "wire/data_packet.hpp"

namespace rtchan::clips {

using Frame = std::uint32_t;  // index of a frame in its domain's store
inline constexpr Frame no_frame = UINT32_MAX;

// A packet while it is queued in a clip.
struct Packet {
  Frame next = no_frame;
  std::uint32_t bytes{};        // in the frame: the whole packet (toward a link), or its body (from a link)
  Instant logical{};            // logical arrival at the stage it waits for
  Instant deadline{};           // of that stage; `never`: best effort
  // toward a link
  Endpoint to{};
  Duration wire{};              // time on the wire
  Instant message_logical{};    // l(m) at the source
  std::uint32_t message_bytes{};// on the last packet of a message: its length; else 0
  std::uint32_t messages = 1;   // that end with it, if any does
  Duration late{};              // what it was late already when it came here: rem says so to whoever is next
  // from a link
  std::uint64_t message{};      // number, unwrapped
  Instant due{};                // here by the sender's account, lateness included; `logical` is never before it
  wire::PacketType type{};
  std::uint32_t offset{};
  std::uint32_t message_length{};
};

// How many frames of the store somebody may hold at once, and holds.
struct FrameBudget {
  std::uint32_t reserved = 0;
  std::uint32_t used = 0;
};

class PacketStore {
 public:
  PacketStore(std::uint32_t frames, std::size_t frame_bytes) : frames_(frames, frame_bytes), packets_(frames) {}

  // no_frame: the budget is used up (or the store, if more was reserved than it has).
  [[nodiscard]] Frame take(FrameBudget& budget) noexcept {
    if (budget.used >= budget.reserved) return no_frame;
    const auto frame = frames_.take();
    if (!frame) return no_frame;
    ++budget.used;
    return *frame;
  }
  void give(Frame frame, FrameBudget& budget) noexcept {
    assert(budget.used > 0);
    --budget.used;
    frames_.give(frame);
  }
  [[nodiscard]] Packet& operator[](Frame frame) noexcept { return packets_[frame]; }
  [[nodiscard]] std::span<std::byte> bytes(Frame frame) noexcept { return frames_.bytes(frame); }
  [[nodiscard]] std::size_t frame_bytes() const noexcept { return frames_.frame_bytes(); }
  [[nodiscard]] std::uint32_t available() const noexcept { return frames_.available(); }

 private:
  Pool frames_;
  std::vector<Packet> packets_;
};

// First in, first out, through Packet::next.
class PacketQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return head_ == no_frame; }
  [[nodiscard]] Frame front() const noexcept { return head_; }

  void push(PacketStore& store, Frame frame) noexcept {
    store[frame].next = no_frame;
    if (empty()) {
      head_ = frame;
    } else {
      store[tail_].next = frame;
    }
    tail_ = frame;
  }
  // Puts back what pop() has given.
  void push_front(PacketStore& store, Frame frame) noexcept {
    if (empty()) tail_ = frame;
    store[frame].next = head_;
    head_ = frame;
  }
  Frame pop(PacketStore& store) noexcept {
    assert(!empty());
    const Frame frame = head_;
    head_ = store[frame].next;
    return frame;
  }
  void clear(PacketStore& store, FrameBudget& budget) noexcept {
    while (!empty()) store.give(pop(store), budget);
  }

 private:
  Frame head_ = no_frame;
  Frame tail_ = no_frame;
};

}  // namespace rtchan::clips
