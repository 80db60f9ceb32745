#include "cli/pipe/spool.hpp"

#include <fmt/format.h>

#include <utility>

#include "base/text.hpp"

namespace rtchan::cli {

bool Spool::put(std::span<const std::byte> bytes) {
  {
    const std::lock_guard lock(mutex_);
    if (refused_ || bytes.size() > most_bytes_ - bytes_.size()) return false;
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  changed_.notify_one();
  return true;
}

void Spool::end() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_one();
}

std::optional<std::vector<std::byte>> Spool::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return ended_ || !bytes_.empty(); });
  if (bytes_.empty()) return std::nullopt;
  return std::exchange(bytes_, {});
}

void Spool::refuse() {
  const std::lock_guard lock(mutex_);
  refused_ = true;
}

std::string Spool::full_sentence() const {
  return fmt::format("whoever reads our output is more than {} behind (--buffer)", format_bytes(most_bytes_));
}

}  // namespace rtchan::cli
