// Sleeping on words of shared memory, and waking those who sleep. Here because both views need it and the
// standard library's atomic wait works within one process only.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>

namespace rtchan::ipc {

[[nodiscard]] inline std::uint32_t* word(std::atomic<std::uint32_t>& value) noexcept {
  return reinterpret_cast<std::uint32_t*>(&value);
}

// Wakes every thread, of any process, that sleeps on the word. Never blocks.
void wake_all(std::uint32_t* futex) noexcept;

struct Awaited {
  std::uint32_t* futex;
  std::uint32_t seen;  // sleep only while the word still has this value
};
enum class Woken : std::uint8_t { perhaps, timed_out };

// Sleeps until one of the words differs from what was seen, somebody wakes one, or `deadline`
// (CLOCK_MONOTONIC) has come. May return early (`perhaps`): the caller looks again. At most 4 words.
[[nodiscard]] Woken wait_any(std::span<const Awaited> words, std::chrono::steady_clock::time_point deadline) noexcept;

}  // namespace rtchan::ipc
