#include "ipc/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

namespace rtchan::ipc {

namespace {

using Clock = std::chrono::steady_clock;

// Kernels before 5.16, and sandboxes that do not know the call, cannot wait on several words: there the first
// word is slept on for short whiles and the others are looked at between them.
constexpr std::chrono::milliseconds slice{5};

timespec to_timespec(std::chrono::nanoseconds since) noexcept {
  const auto ns = std::max<std::int64_t>(since.count(), 0);
  return {ns / 1'000'000'000, ns % 1'000'000'000};
}

bool changed(std::span<const Awaited> words) noexcept {
  return std::ranges::any_of(
      words, [](const Awaited& w) { return __atomic_load_n(w.futex, __ATOMIC_SEQ_CST) != w.seen; });
}

Woken wait_slice(std::span<const Awaited> words, Clock::time_point deadline) noexcept {
  if (changed(words)) return Woken::perhaps;
  const auto now = Clock::now();
  if (now >= deadline) return Woken::timed_out;
  const timespec relative = to_timespec(std::min<Clock::duration>(slice, deadline - now));
  syscall(SYS_futex, words.front().futex, FUTEX_WAIT, words.front().seen, &relative, nullptr, 0);
  return Woken::perhaps;
}

}  // namespace

void wake_all(std::uint32_t* futex) noexcept {
  syscall(SYS_futex, futex, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

Woken wait_any(std::span<const Awaited> words, Clock::time_point deadline) noexcept {
  static std::atomic<bool> no_waitv{false};
  if (no_waitv.load(std::memory_order_relaxed)) return wait_slice(words, deadline);
  std::array<futex_waitv, 4> waiters{};
  const std::size_t count = std::min(words.size(), waiters.size());
  for (std::size_t i = 0; i < count; ++i) {
    waiters[i].val = words[i].seen;
    waiters[i].uaddr = reinterpret_cast<std::uintptr_t>(words[i].futex);
    waiters[i].flags = FUTEX_32;
  }
  const timespec until = to_timespec(deadline.time_since_epoch());
  const bool forever = deadline == Clock::time_point::max();
  const long result = syscall(SYS_futex_waitv, waiters.data(), static_cast<unsigned>(count), 0,
                              forever ? nullptr : &until, CLOCK_MONOTONIC);
  if (result >= 0 || errno == EAGAIN || errno == EINTR) return Woken::perhaps;
  if (errno == ETIMEDOUT) return Woken::timed_out;
  no_waitv.store(true, std::memory_order_relaxed);
  return wait_slice(words, deadline);
}

}  // namespace rtchan::ipc
