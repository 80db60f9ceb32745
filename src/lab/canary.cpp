#include "lab/canary.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "lab/daemon.hpp"

namespace rtchan::lab {
namespace {

std::string file_text(const std::filesystem::path& path) {
  std::ifstream in{path};
  return {std::istreambuf_iterator<char>{in}, {}};
}

void read_line(const std::string& line, CanaryLog& log) {
  int core = 0;
  char word[16];
  std::int64_t begin = 0, end = 0;
  if (std::sscanf(line.c_str(), "# rtc-canary core=%d class=%15s", &core, word) == 2) {
    log.core = core;
    log.realtime = std::string_view{word} == "fifo";
  } else if (line.starts_with("# end ")) {
    log.complete = true;
  } else if (std::sscanf(line.c_str(), "%" SCNd64 " %" SCNd64 " %15s", &begin, &end, word) == 3 &&
             end > begin) {
    log.gaps.push_back(
        {Instant{Duration{begin}}, Instant{Duration{end}}, log.core, std::string_view{word} != "stall"});
  }
}

}  // namespace

CanaryLog parse_canary(std::string_view text) {
  CanaryLog log;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) break;
    read_line(std::string{text.substr(0, end)}, log);
    text.remove_prefix(end + 1);
  }
  return log;
}

std::expected<Canary, Error> Canary::start(int core, const std::filesystem::path& file, Duration over) {
  const auto over_us = std::chrono::duration_cast<std::chrono::microseconds>(over).count();
  auto process = Process::start(
      {program("rtc-canary"), "--core", std::to_string(core), "--over-us", std::to_string(over_us)},
      {.output = Output::file, .output_file = file});
  if (!process) return std::unexpected(process.error());
  const Instant end = RawClock::now() + std::chrono::seconds{5};
  while (file_text(file).find('\n') == std::string::npos) {
    if (!process->running() || RawClock::now() > end) {
      return std::unexpected(Error{Errc::system, "rtc-canary does not run: " + file_text(file)});
    }
    usleep(2'000);
  }
  return Canary{std::move(*process), file};
}

CanaryLog Canary::stop() {
  process_.stop();
  return parse_canary(file_text(file_));
}

}  // namespace rtchan::lab
