// Two daemons with their workers as threads of one process, at work: what a thread checker can see of the whole. In a build
// with one, a report makes the daemon's (or rtc's) exit status differ from 0, which fails the test.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "system/rig.hpp"

namespace rtchan::system_test {
namespace {

using namespace std::chrono_literals;

TEST(WorkerThreads, CarryAChannelAndBestEffortWhileTheyAreAskedForTheirState) {
  lab::DaemonOptions options;
  options.daemon_extra = "workers = \"threads\"";
  options.worker_extra = "scheduling = \"other\"";  // a checker makes everything slower: the host must get its share
  auto made = Rig::make("threads", Wire::direct, options);
  ASSERT_TRUE(made) << made.error();
  Rig& rig = **made;

  Command receiver = rig.rtc(Rig::b, "perf --listen 7000 --json", "channel-in");
  Command rest_in = rig.rtc(Rig::b, "perf --listen 7001 --json", "rest-in");
  std::this_thread::sleep_for(2s);  // both listen, also where a checker slows them down
  Command sender = rig.rtc(
      Rig::a, fmt::format("perf --to {} --rate 1000/s --burst 50 --size 500 --delay 100ms --duration 5s --check --json", rig.to(7000)),
      "channel-out");
  Command rest_out = rig.rtc(
      Rig::a, fmt::format("perf --to {} --best-effort --rate 500/s --size 1400 --duration 5s --json", rig.to(7001)), "rest-out");
  for (int i = 0; i < 12; ++i) {
    for (const std::size_t host : {Rig::a, Rig::b}) {
      for (const char* what : {"status --json", "channels --json"}) {
        Command asking = rig.rtc(host, what, fmt::format("asking{}-{}", i, host));
        EXPECT_EQ(asking.wait(20s), 0) << asking.complaints();
      }
    }
    std::this_thread::sleep_for(200ms);
  }
  EXPECT_EQ(sender.wait(60s), 0) << sender.complaints();
  EXPECT_EQ(rest_out.wait(60s), 0) << rest_out.complaints();
  for (Command* command : {&receiver, &rest_in}) {
    EXPECT_EQ(command->wait(20s), 0) << command->complaints();
    const nlohmann::json result = command->result();
    ASSERT_TRUE(result.is_object()) << command->complaints();
    ASSERT_EQ(result["streams"].size(), 1u);
    EXPECT_GT(result["streams"][0]["received"], 1'000);
    EXPECT_EQ(result["streams"][0]["duplicates"], 0);
  }
  EXPECT_EQ(receiver.result()["streams"][0]["lost"], 0);
  EXPECT_EQ(receiver.result()["streams"][0]["damaged"], 0);
  for (const std::size_t host : {Rig::a, Rig::b}) {
    const lab::Exit exit = rig.end_daemon(host);
    EXPECT_TRUE(exit.ok()) << exit.text() << "\n" << rig.daemon_log(host);
    EXPECT_EQ(rig.daemon_log(host).find("ThreadSanitizer"), std::string::npos) << rig.daemon_log(host);
  }
}

}  // namespace
}  // namespace rtchan::system_test
