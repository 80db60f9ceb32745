// An arena for tests: plain zeroed memory with room for a few queues.
#pragma once

#include <sys/mman.h>

#include <bit>
#include <cstddef>
#include <span>

#include "ipc/layout.hpp"

namespace rtchan::ipc::testing {

class TestArena {
 public:
  explicit TestArena(std::size_t bytes = std::size_t{8} << 20) {
    void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    bytes_ = {static_cast<std::byte*>(at), bytes};
  }
  ~TestArena() { munmap(bytes_.data(), bytes_.size()); }
  TestArena(const TestArena&) = delete;
  TestArena& operator=(const TestArena&) = delete;

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  [[nodiscard]] SessionBlock& block() const { return *reinterpret_cast<SessionBlock*>(bytes_.data()); }
  [[nodiscard]] QueueBlock& queue(const QueuePlace& place) const {
    return *reinterpret_cast<QueueBlock*>(bytes_.data() + place.offset);
  }
  // The next free place for a queue of so many messages.
  QueuePlace place(std::uint32_t slots, std::uint32_t message_bytes) {
    const auto slot_bytes = static_cast<std::uint32_t>((message_bytes + cache_line - 1) / cache_line * cache_line);
    const QueuePlace p{next_, slots, slot_bytes, std::bit_ceil(slots), message_bytes};
    next_ += queue_bytes(p);
    return p;
  }

 private:
  std::span<std::byte> bytes_;
  std::size_t next_ = queues_offset;
};

}  // namespace rtchan::ipc::testing
