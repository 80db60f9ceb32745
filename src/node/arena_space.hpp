// Which page ranges of a session's arena are in use: the smallest hole that is large enough, neighbours joined when they
// come back. The memory itself is elsewhere (rtcd maps it); offsets are from the arena's start.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "ipc/layout.hpp"

namespace rtchan::node {

class ArenaSpace {
 public:
  ArenaSpace(std::uint64_t first, std::uint64_t end) : bytes_(end - first) { add(first, end - first); }

  // `bytes` is rounded up to pages; nullopt: no hole is large enough.
  std::optional<std::uint64_t> take(std::uint64_t bytes) {
    bytes = pages(bytes);
    const auto hole = by_size_.lower_bound({bytes, 0});
    if (hole == by_size_.end()) return std::nullopt;
    const auto [size, offset] = *hole;
    remove(by_offset_.find(offset));
    if (size > bytes) add(offset + bytes, size - bytes);
    used_ += bytes;
    return offset;
  }
  // What was taken, or the tail of it.
  void give(std::uint64_t offset, std::uint64_t bytes) {
    bytes = pages(bytes);
    if (bytes == 0) return;
    used_ -= bytes;
    const auto next = by_offset_.lower_bound(offset);
    if (next != by_offset_.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == offset) {
        offset = before->first;
        bytes += before->second;
        remove(before);
      }
    }
    if (next != by_offset_.end() && offset + bytes == next->first) {
      bytes += next->second;
      remove(next);
    }
    add(offset, bytes);
  }
  // Keeps the first `now` of `was` bytes.
  void shrink(std::uint64_t offset, std::uint64_t was, std::uint64_t now) {
    if (pages(now) < pages(was)) give(offset + pages(now), pages(was) - pages(now));
  }
  [[nodiscard]] std::uint64_t used() const noexcept { return used_; }
  // Nothing is in use and all holes have become one again.
  [[nodiscard]] bool whole() const noexcept { return by_offset_.size() == 1 && by_offset_.begin()->second == bytes_; }

 private:
  static std::uint64_t pages(std::uint64_t bytes) noexcept { return (bytes + ipc::page - 1) / ipc::page * ipc::page; }
  void add(std::uint64_t offset, std::uint64_t bytes) {
    by_offset_.emplace(offset, bytes);
    by_size_.emplace(bytes, offset);
  }
  void remove(std::map<std::uint64_t, std::uint64_t>::iterator hole) {
    by_size_.erase({hole->second, hole->first});
    by_offset_.erase(hole);
  }

  std::uint64_t bytes_;
  std::uint64_t used_ = 0;
  std::map<std::uint64_t, std::uint64_t> by_offset_;             // holes: offset -> bytes
  std::set<std::pair<std::uint64_t, std::uint64_t>> by_size_;    // the same holes: bytes, offset
};

}  // namespace rtchan::node
