// Doorbells: one byte over a Unix stream socketpair, sent only to a side that announced that it sleeps.
// The protocol is at the end of layout.hpp.
#pragma once

#include <atomic>
#include <cstdint>

namespace rtchan::ipc {

// Rings if the other side sleeps. Call after publishing (tail, then ReadySet). Never blocks: when the socket is
// full the other side has bytes to wake up for anyway. True: a byte was sent (one system call).
bool ring_if_sleeping(std::atomic<std::uint32_t>& sleeping, int doorbell) noexcept;

// Takes the bytes that have come. Bounded: a peer that keeps writing costs one system call per look.
// False: the other end is closed.
bool drain(int doorbell) noexcept;

}  // namespace rtchan::ipc
