// The independent probe (tools/canary) as a test uses it: started on a core, its lines read back as gaps.
#pragma once

#include <expected>
#include <filesystem>
#include <string_view>
#include <vector>

#include "lab/process.hpp"

namespace rtchan::lab {

// An interval in which the probe's core did not run it.
struct Gap {
  Instant begin{};
  Instant end{};
  int core = 0;
  bool throttled = false;  // the kernel held back the real-time class: our own doing, excuses nothing
  [[nodiscard]] Duration length() const noexcept { return end - begin; }
};

struct CanaryLog {
  int core = 0;
  bool realtime = false;  // it ran above everything of ours
  bool complete = false;  // it ended in order: the log covers the whole time
  std::vector<Gap> gaps;
};

// Reads what rtc-canary wrote; a line that it cannot have written is skipped (a killed probe may leave half a
// line).
[[nodiscard]] CanaryLog parse_canary(std::string_view text);

// Move-only. The destructor stops the probe.
class Canary {
 public:
  // `over`: shorter gaps are not reported. Errors as Process::start, or when the probe says nothing within 5
  // s.
  [[nodiscard]] static std::expected<Canary, Error> start(int core, const std::filesystem::path& file,
                                                          Duration over = std::chrono::milliseconds{1});
  CanaryLog stop();

 private:
  Canary(Process process, std::filesystem::path file)
      : process_(std::move(process)), file_(std::move(file)) {}
  Process process_;
  std::filesystem::path file_;
};

}  // namespace rtchan::lab
