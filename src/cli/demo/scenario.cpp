#include "cli/demo/scenario.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>

#include "lab/command.hpp"

namespace rtchan::demo {
namespace {

using std::chrono::milliseconds;

double seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}

// Sizes of the packets of an encoded file, in the order in which the encoder gave them out.
std::expected<std::vector<std::uint32_t>, Error> frame_sizes(const std::filesystem::path& encoded) {
  auto listed = lab::run({"ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=size",
                          "-of", "csv=p=0", encoded.string()},
                         std::chrono::minutes{1});
  if (!listed) return std::unexpected(listed.error());
  std::vector<std::uint32_t> sizes;
  std::istringstream lines{*listed};
  for (std::string line; std::getline(lines, line);) {
    std::uint32_t size = 0;
    if (std::from_chars(line.data(), line.data() + line.size(), size).ec == std::errc{} && size > 0)
      sizes.push_back(size);
  }
  if (sizes.empty())
    return std::unexpected(Error{Errc::system, "ffprobe found no frames in " + encoded.string()});
  return sizes;
}

// A contract is a maximum. A source that runs at exactly that rate never makes up for one delayed message:
// its logical arrivals stay behind for ever. These stay 2 % below, and ask for one message of burst more than
// they plan to use.
constexpr double kBelow = 0.98;

Flow control() {
  return {.name = "control",
          .story = "a control loop: small, frequent, urgent; stays just below its contract",
          .colour = "#0072B2",
          .contract = {.rate = 500, .burst = 2, .message_bytes = 1024, .delay = milliseconds{5}},
          .schedule = {{0, kBelow}},
          .mean_message_bytes = 1024,
          .port = 5001};
}

Flow video_stream(const Video& video) {
  return {.name = "video",
          .story =
              "H.264 from ffmpeg, one frame a message, three frames at a time; stays just below its contract",
          .colour = "#009E73",
          .contract = {.rate = kFramesPerSecond / kBelow,
                       .burst = 4,
                       .message_bytes = video.largest_bytes,
                       .delay = milliseconds{100}},
          .schedule = {{0, kBelow}},
          .at_once = 3,
          .sizes = video.sizes_file,
          .mean_message_bytes = video.mean_bytes,
          .port = 5002};
}

Flow bulk(double cheats_from) {
  return {.name = "bulk",
          .story = "30 KB messages; offers five times its contract in the second half",
          .colour = "#D55E00",
          .contract = {.rate = 100, .burst = 2, .message_bytes = 30'000, .delay = milliseconds{50}},
          .schedule = {{0, kBelow}, {cheats_from, 5}},
          .mean_message_bytes = 30'000,
          .port = 5003};
}

Flow best_effort(double left_bits, double duration) {
  constexpr std::uint32_t kBytes = 1400;
  return {.name = "best effort",
          .story = "a flood without a promise: offers once, twice, then three times what the channels leave",
          .colour = "#8a8f98",
          .contract = {.guaranteed = false,
                       .rate = std::floor(left_bits / 8 / wire_bytes(kBytes)),
                       .burst = 1,
                       .message_bytes = kBytes},
          .schedule = {{0, 1}, {duration / 4, 2}, {duration / 2, 3}},
          .at_once = 8,
          .mean_message_bytes = kBytes,
          .port = 5004};
}

}  // namespace

double wire_bytes(double bytes) {
  constexpr double kPerPacket =
      24 + 16 + 8 + 8 + 20 + 14 + 24;  // header, trailer, fragment, UDP, IPv4, Ethernet, gap and all
  constexpr double kPayload = 1500 - 20 - 8 - 24 - 16 - 8;
  return bytes + std::ceil(bytes / kPayload) * kPerPacket;
}

std::expected<Video, Error> make_video(const std::filesystem::path& directory, Duration length) {
  const std::filesystem::path encoded = directory / "video.mp4";
  const std::string source = fmt::format("testsrc2=size=1280x720:rate={}:duration={:.0f}", kFramesPerSecond,
                                         std::ceil(seconds(length)));
  auto made =
      lab::run({"ffmpeg",  "-nostdin",      "-v",      "error",   "-y",       "-f",   "lavfi", "-i",
                source,    "-c:v",          "libx264", "-preset", "veryfast", "-b:v", "4M",    "-maxrate",
                "5M",      "-bufsize",      "1500k",   "-g",      "50",       "-bf",  "2",     "-pix_fmt",
                "yuv420p", encoded.string()},
               std::chrono::minutes{5});
  if (!made) return std::unexpected(made.error());
  const auto sizes = frame_sizes(encoded);
  if (!sizes) return std::unexpected(sizes.error());
  Video video{.sizes_file = directory / "video.sizes", .frames = sizes->size()};
  std::ofstream out{video.sizes_file};
  for (const std::uint32_t size : *sizes) {
    // The load tool's own header needs 64 bytes; a frame this small carries no picture change.
    const std::uint32_t bytes = std::max(size, 64u);
    out << bytes << '\n';
    video.largest_bytes = std::max(video.largest_bytes, bytes);
    video.mean_bytes += bytes / static_cast<double>(sizes->size());
  }
  if (!out.flush()) return std::unexpected(Error{Errc::system, "cannot write " + video.sizes_file.string()});
  return video;
}

Scenario standard_scenario(const Video& video, Duration duration) {
  Scenario scenario;
  scenario.duration = duration;
  const double length = seconds(duration);
  scenario.flows = {control(), video_stream(video), bulk(length / 2)};
  double left = scenario.link_bits;
  for (const Flow& flow : scenario.flows)
    left -= flow.schedule[0].factor * flow.contract.rate * wire_bytes(flow.mean_message_bytes) * 8;
  scenario.flows.push_back(best_effort(left, length));
  return scenario;
}

std::string schedule_text(const std::vector<Phase>& schedule) {
  std::string text;
  for (const Phase& phase : schedule)
    text += fmt::format("{}{:g}:{:g}", text.empty() ? "" : ",", phase.begin, phase.factor);
  return text;
}

}  // namespace rtchan::demo
