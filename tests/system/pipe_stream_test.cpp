// The main job: a minute of H.264 through `rtc pipe` over a 100 Mbit/s bottleneck that best effort would fill three times
// over. Every byte arrives, and on time but for moments in which the machine was taken away.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "system/rig.hpp"

namespace rtchan::system_test {
namespace {

using namespace std::chrono_literals;

std::string sha256(const std::filesystem::path& file) {
  const auto text = lab::run({"sha256sum", file.string()}, 60s);
  return text ? text->substr(0, 64) : "no sha256: " + text.error().text;
}

TEST(PipeStream, AMinuteOfVideoArrivesCompleteWhileBestEffortFloods) {
  auto made = Rig::make("stream", Wire::bottleneck);
  ASSERT_TRUE(made) << made.error();
  Rig& rig = **made;
  const auto encoded = lab::run({"ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-t", "60",
                                 "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "3M", "-maxrate", "3500k", "-bufsize", "1M",
                                 "-y", rig.file("encoded.mp4").string()},
                                180s);
  ASSERT_TRUE(encoded) << encoded.error().text;

  Command receiver = rig.rtc(Rig::b, fmt::format("pipe --listen 7000 --json --output {}", rig.file("received.ts").string()), "pipe-in");
  Command drain = rig.rtc(Rig::b, "perf --listen 7001 --json", "flood-in");
  std::this_thread::sleep_for(500ms);
  // 1400-byte messages at three times what 100 Mbit/s carry.
  Command flood = rig.rtc(Rig::a, fmt::format("perf --to {} --best-effort --rate 26800/s --size 1400 --burst 64 --duration 64s "
                                              "--when-full drop --json",
                                              rig.to(7001)),
                          "flood-out");
  std::this_thread::sleep_for(1s);
  const std::string pipeline = fmt::format(
      "set -o pipefail; ffmpeg -v error -re -i {} -c copy -f mpegts - | tee {} | {} pipe --to {} --rate 5Mbit --delay 50ms --json",
      rig.file("encoded.mp4").string(), rig.file("sent.ts").string(), lab::program("rtc"), rig.to(7000));
  Command sender = rig.run(Rig::a, {"bash", "-c", pipeline}, "pipe-out");

  EXPECT_EQ(sender.wait(120s), 0) << sender.complaints();
  EXPECT_EQ(receiver.wait(30s), 0) << receiver.complaints();
  EXPECT_EQ(flood.wait(30s), 0) << flood.complaints();
  drain.wait(10s);

  const nlohmann::json received = receiver.result();
  const nlohmann::json sent = sender.result();
  ASSERT_TRUE(received.is_object() && sent.is_object()) << receiver.complaints() << sender.complaints();
  EXPECT_EQ(sent["confirmed"], true);
  EXPECT_EQ(received["complete"], true);
  EXPECT_EQ(received["lost"], 0);
  EXPECT_GT(received["bytes"], 15'000'000);  // a minute at about 3 Mbit/s
  EXPECT_EQ(sha256(rig.file("sent.ts")), sha256(rig.file("received.ts")));

  const Duration bound{received["bound_ns"].get<std::int64_t>()};
  const auto gaps = rig.gaps();
  for (const auto& late : received["late_messages"]) {
    const Instant readable{Duration{late["readable_ns"].get<std::int64_t>()}};
    const Duration delay{late["delay_ns"].get<std::int64_t>()};
    EXPECT_TRUE(excused(readable, delay, bound, gaps)) << "message " << late["number"] << " after " << delay.count() << " ns";
  }
  EXPECT_LE(received["late"].get<double>(), received["messages"].get<double>() * 0.01) << "too much was excused: inconclusive";

  // The flood was one: offered three times the bottleneck, and it got what was left.
  const nlohmann::json flooded = flood.result();
  const nlohmann::json drained = drain.result();
  ASSERT_TRUE(flooded.is_object() && drained.is_object());
  EXPECT_GT(flooded["streams"][0]["offered_per_second"], 26'000);
  EXPECT_GT(drained["streams"][0]["bits_per_second"], 50e6);
  fmt::print("{} bytes, worst delay {:.3f} ms of {:.0f} ms, {} late; best effort {:.1f} Mbit/s beside it\n",
             received["bytes"].get<std::uint64_t>(), received["worst_delay_ns"].get<double>() / 1e6,
             static_cast<double>(bound.count()) / 1e6, received["late"].get<int>(),
             drained["streams"][0]["bits_per_second"].get<double>() / 1e6);
}

}  // namespace
}  // namespace rtchan::system_test
