// What the demonstration does: its flows, their contracts, and how much each of them offers when.
//
//   control     1 KB, 500/s, 5 ms                      keeps its contract
//   video       H.264 frames of ffmpeg, three at a time, 100 ms   keeps its contract
//   bulk        30 KB, 100/s, 50 ms                    offers five times its contract in the second half
//   best effort whatever the three leave, once, twice, then three times over
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "cli/demo/judge.hpp"
#include "rtchan/error.hpp"

namespace rtchan::demo {

struct Flow {
  std::string name;    // also names its files
  std::string story;   // one sentence for the page
  std::string colour;  // #rrggbb; the four tell apart with any colour vision
  Contract contract;   // best effort: rate is what the schedule's factors multiply
  std::vector<Phase> schedule;
  std::uint32_t at_once = 1;      // messages that its source produces together
  std::filesystem::path sizes{};  // one message size per line; empty: all message_bytes long
  double mean_message_bytes = 0;
  std::uint16_t port = 0;
};

struct Scenario {
  std::uint64_t bottleneck_bits = 100'000'000;  // per second, wire bytes
  std::string link_rate =
      "97Mbit";             // what rtcd is told: a little less, so that queues form where we schedule
  double link_bits = 96e6;  // of which 1 Mbit/s is kept for other programs (guard "share")
  Duration duration = std::chrono::seconds{20};
  std::vector<Flow> flows;
};

// Sizes of consecutive compressed frames, and where they are written down.
struct Video {
  std::filesystem::path sizes_file;
  std::uint32_t largest_bytes = 0;
  double mean_bytes = 0;
  std::size_t frames = 0;
};
inline constexpr double kFramesPerSecond = 25;

// Makes a moving test picture, compresses it with H.264 at about 4 Mbit/s, and writes the sizes of its frames
// to `directory`. Errors: Errc::system when ffmpeg or ffprobe is missing or fails.
[[nodiscard]] std::expected<Video, Error> make_video(const std::filesystem::path& directory, Duration length);

[[nodiscard]] Scenario standard_scenario(const Video& video, Duration duration);

// Bytes that a message of `bytes` occupies on an Ethernet wire (1,500 byte MTU) when it travels alone,
// headers, trailer, preamble and gap included: an estimate to plan the load with, never used to judge.
[[nodiscard]] double wire_bytes(double bytes);

// "0:1,10:5" as `rtc perf --schedule` takes it.
[[nodiscard]] std::string schedule_text(const std::vector<Phase>& schedule);

}  // namespace rtchan::demo
