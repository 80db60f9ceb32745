// Wake-ups between our own threads and processes: an eventfd that both trust, and a flag so that only a sleeper costs a
// system call. (Toward applications: ipc/doorbell.hpp.)
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace rtchan::rtcd {

inline int make_eventfd() noexcept { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

inline void wake(int fd) noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t wrote = write(fd, &one, sizeof one);  // full: it is awake already
}

// Call after publishing.
inline void wake_if_sleeping(std::atomic<std::uint32_t>& sleeping, int fd) noexcept {
  if (sleeping.load(std::memory_order_seq_cst) == 0) return;
  if (sleeping.exchange(0, std::memory_order_seq_cst) == 1) wake(fd);
}

inline void drain_eventfd(int fd) noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(fd, &count, sizeof count);
}

}  // namespace rtchan::rtcd
