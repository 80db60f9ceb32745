// `rtc` as a person or a script meets it: what it prints, what it returns, what it says when something is wrong.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "system/rig.hpp"

namespace rtchan::system_test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class CommandLine : public ::testing::Test {
 protected:
  void SetUp() override {
    lab::DaemonOptions options;
    options.guard = "none";  // plain UDP runs beside us here: `share` would rightly call the promises void
    auto made = Rig::make("cli", Wire::direct, options);
    ASSERT_TRUE(made) << made.error();
    rig_ = std::move(*made);
  }
  Command rtc(std::size_t host, const std::string& words) { return rig_->rtc(host, words, fmt::format("rtc{}", ++commands_)); }
  std::unique_ptr<Rig> rig_;
  int commands_ = 0;
};

TEST_F(CommandLine, LinesGoThroughUnchanged) {
  const std::string text = "first\n\nthird line\nlast without newline";
  std::ofstream(rig_->file("lines.txt")) << text;
  Command receiver = rtc(Rig::b, "recv --port 7000");
  std::this_thread::sleep_for(300ms);
  Command sender = rtc(Rig::a, fmt::format("send --to {} --rate 500/s --size 100 --delay 20ms {}", rig_->to(7000), rig_->file("lines.txt").string()));
  EXPECT_EQ(sender.wait(20s), 0) << sender.complaints();
  EXPECT_EQ(receiver.wait(20s), 0) << receiver.complaints();
  EXPECT_EQ(receiver.output(), text);
  EXPECT_THAT(receiver.complaints(), HasSubstr("4 messages received"));
}

TEST_F(CommandLine, AReceiverKnowsASenderThatDiedFromOneThatClosed) {
  Command receiver = rtc(Rig::b, "recv --port 7000");
  std::this_thread::sleep_for(300ms);
  Command sender = rig_->run(Rig::a, {"bash", "-c", fmt::format("(echo one; sleep 30) | {} send --to {} --rate 50/s --delay 20ms & sleep 1; kill -9 $!", lab::program("rtc"), rig_->to(7000))}, "dies");
  EXPECT_EQ(receiver.wait(20s), 1);
  EXPECT_EQ(receiver.output(), "one\n");
  EXPECT_THAT(receiver.complaints(), HasSubstr("did not end in order"));
}

TEST_F(CommandLine, PingMeasuresRoundTrips) {
  Command responder = rtc(Rig::b, "ping --listen 7000 --json");
  std::this_thread::sleep_for(300ms);
  Command ping = rtc(Rig::a, fmt::format("ping {} --count 20 --interval 20ms --json", rig_->to(7000)));
  EXPECT_EQ(ping.wait(20s), 0) << ping.complaints();
  const auto result = ping.result();
  EXPECT_EQ(result["sent"], 20);
  EXPECT_EQ(result["lost"], 0);
  EXPECT_GT(result["round_trip"]["p50_ns"], 1000);
  responder.interrupt();
  EXPECT_EQ(responder.wait(5s), 0) << responder.complaints();
}

TEST_F(CommandLine, RoundTripsBesidePlainUdpGiveRatios) {
  Command responder = rtc(Rig::b, "perf --listen 7000 --beside-udp --json");
  std::this_thread::sleep_for(300ms);
  Command measure = rtc(Rig::a, fmt::format("perf --to {} --round-trip --beside-udp --rounds 2 --rate 200/s --json", rig_->to(7000)));
  EXPECT_EQ(measure.wait(60s), 0) << measure.complaints();
  const auto result = measure.result();
  ASSERT_TRUE(result.is_object());
  ASSERT_GE(result["comparisons"].size(), 12u);  // three sizes, four figures
  for (const auto& c : result["comparisons"]) {
    EXPECT_GT(c["rtchan"]["median"], 0) << c["name"];
    EXPECT_GT(c["udp"]["median"], 0) << c["name"];
    EXPECT_GT(c["ratio"]["median"], 0) << c["name"];
  }
  EXPECT_EQ(responder.wait(10s), 0) << responder.complaints();  // it ends when its callers have gone
}

TEST_F(CommandLine, ManyStreamsOfOneSender) {
  Command receiver = rtc(Rig::b, "perf --listen 7000 --json");
  std::this_thread::sleep_for(300ms);
  Command sender = rtc(Rig::a, fmt::format("perf --to {} --streams 50 --rate 20/s --size 200 --delay 50ms --duration 2s --check --json", rig_->to(7000)));
  EXPECT_EQ(sender.wait(30s), 0) << sender.complaints();
  receiver.wait(10s);
  const auto result = receiver.result();
  ASSERT_TRUE(result.is_object());
  EXPECT_EQ(result["streams"].size(), 50u);
  for (const auto& stream : result["streams"]) {
    EXPECT_EQ(stream["lost"], 0);
    EXPECT_EQ(stream["damaged"], 0);
    EXPECT_EQ(stream["received"], stream["handed_over"]);
    EXPECT_EQ(stream["sender_finished"], true);
  }
}

TEST_F(CommandLine, AMissingListenerIsASentenceAndStatus1) {
  Command sender = rtc(Rig::a, fmt::format("ping {} --count 1", rig_->to(7999)));
  EXPECT_EQ(sender.wait(20s), 1);
  EXPECT_THAT(sender.complaints(), HasSubstr("rtc ping: cannot ping"));
}

TEST_F(CommandLine, ARefusalSaysWhatWouldFit) {
  Command receiver = rtc(Rig::b, "recv --port 7000");
  std::this_thread::sleep_for(300ms);
  Command sender = rtc(Rig::a, fmt::format("send --to {} --rate 100k/s --size 30KB --delay 5ms /dev/null", rig_->to(7000)));
  EXPECT_EQ(sender.wait(20s), 1);
  EXPECT_THAT(sender.complaints(), HasSubstr("fit now")) << "either what would fit, or that nothing would";
}

TEST_F(CommandLine, AMissingDaemonIsStatus3AndAMistakeStatus2) {
  Command gone = rtc(Rig::a, "status --socket /nonexistent/rtcd.sock");
  EXPECT_EQ(gone.wait(20s), 3);
  EXPECT_THAT(gone.complaints(), HasSubstr("rtc status: cannot talk to rtcd"));
  Command mistake = rtc(Rig::a, "pipe --to 10.0.0.1:1 --rate fast");
  EXPECT_EQ(mistake.wait(20s), 2);
  EXPECT_THAT(mistake.complaints() + mistake.output(), HasSubstr("as in 97Mbit"));
  for (const char* to : {"10.0.0.1", "10.0.0.1:0", "10.0.0.1:http", ":7000", "fe80::1:7000"}) {
    Command where = rtc(Rig::a, fmt::format("send --socket /nonexistent/rtcd.sock --to {} --rate 10/s --size 10 --delay 5ms", to));
    EXPECT_EQ(where.wait(20s), 2) << to << ": refused before rtcd is looked for";
  }
  Command nothing = rtc(Rig::a, "recv --port 7000 --count -1");
  EXPECT_EQ(nothing.wait(20s), 2);
  Command daemon = rig_->run(Rig::a, {lab::program("rtcd"), "--bogus"}, "bogus");
  EXPECT_EQ(daemon.wait(20s), 2);
}

TEST_F(CommandLine, ABrokenOffPipeIsNoticedByItsReceiver) {
  Command receiver = rtc(Rig::b, "pipe --listen 7000 --json --output " + rig_->file("part").string());
  std::this_thread::sleep_for(300ms);
  Command sender = rig_->run(Rig::a, {"bash", "-c",
                                      fmt::format("exec {} pipe --to {} --rate 4Mbit --delay 50ms < <(head -c 100000 /dev/urandom; sleep 30)",
                                                  lab::program("rtc"), rig_->to(7000))},
                             "broken-off");
  std::this_thread::sleep_for(1500ms);
  sender.interrupt();
  EXPECT_NE(sender.wait(10s), 0);
  EXPECT_EQ(receiver.wait(10s), 1);
  EXPECT_EQ(receiver.result()["error"].is_null(), false);
  EXPECT_EQ(std::filesystem::file_size(rig_->file("part")), 100'000u);  // what came before is there
}

TEST_F(CommandLine, StatusAndChannelsAreShownAndAreJson) {
  Command receiver = rtc(Rig::b, "recv --port 7000 --keep");
  std::this_thread::sleep_for(300ms);
  Command holder = rig_->run(Rig::a, {"bash", "-c", fmt::format("sleep 5 | {} send --to {} --rate 50/s --delay 20ms", lab::program("rtc"), rig_->to(7000))}, "holder");
  std::this_thread::sleep_for(1s);
  Command status = rtc(Rig::a, "status");
  EXPECT_EQ(status.wait(10s), 0) << status.complaints();
  EXPECT_THAT(status.output(), HasSubstr("channels"));
  EXPECT_THAT(status.output(), HasSubstr("not measured on this host")) << "what the promises' costs are";
  Command table = rtc(Rig::a, "channels");
  EXPECT_EQ(table.wait(10s), 0) << table.complaints();
  EXPECT_THAT(table.output(), HasSubstr("to " + rig_->to(7000)));
  EXPECT_THAT(table.output(), HasSubstr("50/s of up to"));
  Command channels = rtc(Rig::a, "channels --json");
  EXPECT_EQ(channels.wait(10s), 0) << channels.complaints();
  EXPECT_FALSE(nlohmann::json::parse(channels.output(), nullptr, false).is_discarded());
  EXPECT_THAT(channels.output(), HasSubstr(rig_->to(7000)));
}

}  // namespace
}  // namespace rtchan::system_test
