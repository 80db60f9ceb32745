// Equal frames of memory, all touched before the first is given out: taking one on the message path costs no
// page fault and no system call. One thread uses a pool. It refuses to grow: empty means empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace rtchan {

class Pool {
 public:
  // `frames` frames of `frame_bytes` (rounded up to a cache line). Throws std::bad_alloc: pools are made when
  // a worker starts, not on the message path.
  Pool(std::uint32_t frames, std::size_t frame_bytes);
  ~Pool();
  Pool(Pool&& other) noexcept;
  Pool& operator=(Pool&& other) noexcept;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Number of a frame that nobody else has; nullopt: all are taken. Contents are what the last owner left.
  std::optional<std::uint32_t> take() noexcept;
  // Gives a taken frame back; giving one back twice is our bug (asserted).
  void give(std::uint32_t frame) noexcept;
  [[nodiscard]] std::span<std::byte> bytes(std::uint32_t frame) noexcept;
  [[nodiscard]] std::span<const std::byte> bytes(std::uint32_t frame) const noexcept;

  [[nodiscard]] std::uint32_t capacity() const noexcept { return static_cast<std::uint32_t>(taken_.size()); }
  [[nodiscard]] std::uint32_t available() const noexcept { return static_cast<std::uint32_t>(free_.size()); }
  [[nodiscard]] std::size_t frame_bytes() const noexcept { return frame_bytes_; }

 private:
  void swap(Pool& other) noexcept;

  std::byte* block_ = nullptr;
  std::size_t block_bytes_ = 0;
  std::size_t frame_bytes_ = 0;
  std::vector<std::uint32_t> free_;  // last given is taken first: it is still in the cache
  std::vector<std::uint8_t> taken_;
};

}  // namespace rtchan
