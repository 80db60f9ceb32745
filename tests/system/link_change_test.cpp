// The interface under a link changes while a channel counts on it: the channel is void, with a reason; when the interface
// is back, new channels are promised again.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "system/rig.hpp"

namespace rtchan::system_test {
namespace {

using namespace std::chrono_literals;

class LinkChange : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(LinkChange, VoidsItsChannelsUntilItIsUndone) {
  lab::DaemonOptions options;
  options.guard = "none";
  auto made = Rig::make("change", Wire::direct, options);
  ASSERT_TRUE(made) << made.error();
  Rig& rig = **made;
  const std::string interface = rig.host(Rig::a).interfaces.at(0).name;
  const auto change = [&](const std::string& words) {
    lab::Argv argv{"ip", "link", "set", "dev", interface};
    for (const std::string& word : lab::words(words)) argv.push_back(word);
    Command ip = rig.run(Rig::a, argv, "ip");
    EXPECT_EQ(ip.wait(5s), 0) << ip.complaints();
  };
  int asked = 0;
  const auto channel = [&] {
    Command channels = rig.rtc(Rig::a, "channels --json", fmt::format("channels{}", ++asked));
    channels.wait(5s);
    const auto list = channels.result();
    return list.is_object() && !list["channels"].empty() ? list["channels"][0] : nlohmann::json::object();
  };
  const auto becomes = [&](const std::string& state) {
    for (int i = 0; i < 50; ++i, std::this_thread::sleep_for(100ms)) {
      const auto c = channel();
      if (c.contains("class") && (c["class"] == "void") == (state == "void")) return true;
    }
    return false;
  };
  Command receiver = rig.rtc(Rig::b, "perf --listen 7000 --json", "in");
  std::this_thread::sleep_for(300ms);
  const auto load = [&](std::uint16_t port) {
    return fmt::format("perf --to {} --rate 100/s --size 100 --delay 50ms --json --duration ", rig.to(port));
  };
  {
    Command sender = rig.rtc(Rig::a, load(7000) + "30s", "out");
    ASSERT_TRUE(becomes("promised"));
    change(GetParam().first);
    ASSERT_TRUE(becomes("void"));
    EXPECT_NE(channel()["why"].get<std::string>().find(interface), std::string::npos) << channel()["why"];
    if (GetParam().first == std::string{"down"}) {
      const auto sent = [&] {
        Command status = rig.rtc(Rig::a, "status --json", fmt::format("status{}", ++asked));
        status.wait(5s);
        return status.result()["workers"][0]["links"][0]["counters"]["sent"].get<std::uint64_t>();
      };
      const auto before = sent();
      std::this_thread::sleep_for(500ms);
      EXPECT_EQ(sent(), before) << "a device that is down is given nothing to let go as a clump later";
    }
    sender.interrupt();
    sender.wait(10s);
    Command refused = rig.rtc(Rig::a, load(7000) + "1s", "refused");
    EXPECT_NE(refused.wait(20s), 0) << "nothing is promised over such a link";
  }
  change(GetParam().second);
  int status = 1;
  for (int i = 0; i < 20 && status != 0; ++i) {
    Command listener = rig.rtc(Rig::b, "perf --listen 7001 --json", fmt::format("in{}", i));
    std::this_thread::sleep_for(300ms);
    Command again = rig.rtc(Rig::a, load(7001) + "1s", fmt::format("again{}", i));
    status = again.wait(20s);
    listener.interrupt();
    listener.wait(5s);
  }
  EXPECT_EQ(status, 0) << "promised again\n" << rig.daemon_log(Rig::a);
}

INSTANTIATE_TEST_SUITE_P(Of, LinkChange,
                         ::testing::Values(std::pair{"mtu 1000", "mtu 1500"}, std::pair{"down", "up"}),
                         [](const auto& p) { return std::string{p.param.first}.substr(0, 3) == "mtu" ? "Mtu" : "State"; });

}  // namespace
}  // namespace rtchan::system_test
