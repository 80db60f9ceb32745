// Bytes between the thread that receives messages and the one that writes them out: a bounded buffer, because a
// channel's own buffers hold no more than its contract says and must be emptied in time.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace rtchan::cli {

class Spool {
 public:
  explicit Spool(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  // False: it would hold more than most_bytes, or nobody takes any more (refuse). Never waits for the other side.
  bool put(std::span<const std::byte> bytes);
  void end();  // no more will be put

  // All that is there; waits for the first byte. nullopt: ended and empty.
  std::optional<std::vector<std::byte>> take();
  void refuse();  // no more will be taken

  [[nodiscard]] std::string full_sentence() const;

 private:
  std::size_t most_bytes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::byte> bytes_;
  bool ended_ = false;
  bool refused_ = false;
};

}  // namespace rtchan::cli
