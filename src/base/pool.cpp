#include "base/pool.hpp"

#include <sys/mman.h>

#include <cassert>
#include <new>
#include <utility>

#include "base/ring.hpp"

namespace rtchan {

Pool::Pool(std::uint32_t frames, std::size_t frame_bytes) : taken_(frames, 0) {
  frame_bytes_ = (frame_bytes + cache_line_bytes - 1) / cache_line_bytes * cache_line_bytes;
  free_.reserve(frames);
  for (std::uint32_t i = frames; i > 0; --i) free_.push_back(i - 1);
  if (__builtin_mul_overflow(frame_bytes_, std::size_t{frames}, &block_bytes_)) throw std::bad_alloc{};
  if (block_bytes_ == 0) return;
  void* block =
      mmap(nullptr, block_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (block == MAP_FAILED) throw std::bad_alloc{};
  block_ = static_cast<std::byte*>(block);
}

Pool::~Pool() {
  if (block_ != nullptr) munmap(block_, block_bytes_);
}

Pool::Pool(Pool&& other) noexcept {
  swap(other);
}

Pool& Pool::operator=(Pool&& other) noexcept {
  Pool old(std::move(*this));
  swap(other);
  return *this;
}

void Pool::swap(Pool& other) noexcept {
  std::swap(block_, other.block_);
  std::swap(block_bytes_, other.block_bytes_);
  std::swap(frame_bytes_, other.frame_bytes_);
  free_.swap(other.free_);
  taken_.swap(other.taken_);
}

std::optional<std::uint32_t> Pool::take() noexcept {
  if (free_.empty()) return std::nullopt;
  const std::uint32_t frame = free_.back();
  free_.pop_back();
  taken_[frame] = 1;
  return frame;
}

void Pool::give(std::uint32_t frame) noexcept {
  assert(frame < taken_.size() && taken_[frame] == 1);
  taken_[frame] = 0;
  free_.push_back(frame);  // capacity was reserved by the constructor
}

std::span<std::byte> Pool::bytes(std::uint32_t frame) noexcept {
  assert(frame < taken_.size());
  return {block_ + frame * frame_bytes_, frame_bytes_};
}

std::span<const std::byte> Pool::bytes(std::uint32_t frame) const noexcept {
  assert(frame < taken_.size());
  return {block_ + frame * frame_bytes_, frame_bytes_};
}

}  // namespace rtchan
