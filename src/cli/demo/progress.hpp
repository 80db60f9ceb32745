// One line about the running demonstration, refreshed every second: what each flow got since the last look.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "cli/demo/perf_log.hpp"
#include "cli/demo/scenario.hpp"

namespace rtchan::demo {

// Follows one flow's growing log. The delays shown are from logical arrival, for best effort from hand-over.
class Follower {
 public:
  Follower(const Flow& flow, std::filesystem::path log) : flow_(flow), log_(std::move(log)) {}

  struct Seen {
    std::uint64_t messages = 0;
    double bits = 0;
    Duration worst{};
  };
  Seen look();  // what became visible since the last call; nothing when the log cannot be read (yet)
  [[nodiscard]] const Flow& flow() const { return flow_; }

 private:
  Flow flow_;
  std::filesystem::path log_;
  std::ifstream in_;
  RecordReader reader_;
  Instant arrival_ = long_ago;  // of the last message
};

// "  7 s | control 500/s worst 1.20 ms (5) | ... | best effort 51.3 Mbit/s". `span` is the time since the
// last look.
[[nodiscard]] std::string progress_line(std::vector<Follower>& followers, Duration since_start,
                                        Duration span);

}  // namespace rtchan::demo
