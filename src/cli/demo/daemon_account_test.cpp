// What the daemons say is found by port and read for what it is; nonsense is nothing.
#include "cli/demo/daemon_account.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rtchan::demo {
namespace {

constexpr const char* kChannels = R"({"channels":[
  {"role":"sending","destination":"10.0.0.2:15001","class":"exact"},
  {"role":"sending","destination":"10.0.0.2:5001","class":"conditional","conditions":["costs are configured"],
   "bound_ns":3000000,"worst_delay_ns":400000,"counters":{"shaped":7,"worst_cpu_ns":100000,"worst_link_ns":300000}}]})";

TEST(DaemonAccount, AChannelIsFoundByItsPort) {
  const auto found = find_channel(kChannels, 5001);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->sending);
  EXPECT_EQ(found->promise_class, "conditional");
  EXPECT_THAT(found->conditions, testing::ElementsAre("costs are configured"));
  EXPECT_EQ(found->worst, Duration{400'000});
  EXPECT_EQ(found->shaped, 7u);
  EXPECT_FALSE(find_channel(kChannels, 5002));
  EXPECT_FALSE(find_channel("rtc channels: no daemon", 5001));
  EXPECT_FALSE(find_channel(R"({"channels":[3]})", 5001));
}

TEST(DaemonAccount, LatenessIsPutWhereABoundWasExceeded) {
  ChannelAccount sender{.sending = true, .bound = Duration{3'000'000}, .worst = Duration{400'000}};
  ChannelAccount receiver{.bound = Duration{5'000'000}, .worst = Duration{900'000}};
  EXPECT_EQ(attribution(sender, receiver), "");
  receiver.worst = Duration{6'000'000};
  EXPECT_THAT(attribution(sender, receiver), testing::HasSubstr("network or receiving host"));
  sender.worst = Duration{4'000'000};
  EXPECT_THAT(attribution(sender, receiver), testing::HasSubstr("sending host (4.00 of 3.00 ms"));
  EXPECT_EQ(attribution(std::nullopt, receiver), "");
}

}  // namespace
}  // namespace rtchan::demo
