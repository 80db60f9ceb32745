// Which page ranges of a session's arena are in use: first fit, neighbours joined when they come back. The memory
// itself is elsewhere (rtcd maps it); offsets are from the arena's start.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "ipc/layout.hpp"

namespace rtchan::node {

class ArenaSpace {
 public:
  ArenaSpace(std::uint64_t first, std::uint64_t end) : bytes_(end - first) { free_.emplace(first, end - first); }

  // `bytes` is rounded up to pages; nullopt: no hole is large enough.
  std::optional<std::uint64_t> take(std::uint64_t bytes) {
    bytes = pages(bytes);
    for (auto hole = free_.begin(); hole != free_.end(); ++hole) {
      if (hole->second < bytes) continue;
      const std::uint64_t offset = hole->first;
      const std::uint64_t rest = hole->second - bytes;
      free_.erase(hole);
      if (rest > 0) free_.emplace(offset + bytes, rest);
      used_ += bytes;
      return offset;
    }
    return std::nullopt;
  }
  // What was taken, or the tail of it.
  void give(std::uint64_t offset, std::uint64_t bytes) {
    bytes = pages(bytes);
    if (bytes == 0) return;
    used_ -= bytes;
    auto next = free_.lower_bound(offset);
    if (next != free_.end() && offset + bytes == next->first) {
      bytes += next->second;
      next = free_.erase(next);
    }
    if (next != free_.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == offset) {
        before->second += bytes;
        return;
      }
    }
    free_.emplace(offset, bytes);
  }
  // Keeps the first `now` of `was` bytes.
  void shrink(std::uint64_t offset, std::uint64_t was, std::uint64_t now) {
    if (pages(now) < pages(was)) give(offset + pages(now), pages(was) - pages(now));
  }
  [[nodiscard]] std::uint64_t used() const noexcept { return used_; }
  [[nodiscard]] bool whole() const noexcept { return free_.size() == 1 && free_.begin()->second == bytes_; }

 private:
  static std::uint64_t pages(std::uint64_t bytes) noexcept { return (bytes + ipc::page - 1) / ipc::page * ipc::page; }

  std::uint64_t bytes_;
  std::uint64_t used_ = 0;
  std::map<std::uint64_t, std::uint64_t> free_;  // offset -> length
};

}  // namespace rtchan::node
