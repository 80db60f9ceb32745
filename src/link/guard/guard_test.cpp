// Guards on a veth pair in a network namespace of the test's own, judged by what `tc` and the wire say.
#include "link/guard/guard.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>

#include "base/testing/private_network.hpp"
#include "link/interface.hpp"
#include "link/udp.hpp"

namespace rtchan::link {
namespace {

using namespace std::chrono_literals;
using rtchan::testing::enter_private_network;
using rtchan::testing::run;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 256> part{};
  while (fgets(part.data(), part.size(), pipe) != nullptr) text += part.data();
  pclose(pipe);
  return text;
}

class GuardTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = enter_private_network(); !why.empty()) GTEST_SKIP() << why;
    // Without IPv6 the kernel sends nothing of its own on a fresh interface.
    ASSERT_TRUE(run("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"));
    ASSERT_TRUE(run("ip link add va type veth peer name vb") && run("ip addr add 10.9.0.1/24 dev va") &&
                run("ip link set va up") && run("ip link set vb up") &&
                run("ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:01 dev va"));
  }
  static GuardConfig htb() {
    return {.kind = GuardKind::htb, .interface = "va", .bits_per_second = 100'000'000};
  }
  static std::string qdiscs() { return output_of("tc qdisc show dev va"); }
  static std::string classes() { return output_of("tc class show dev va"); }
  static std::unique_ptr<UdpDriver> driver(const Guard& guard) {
    UdpConfig c;
    c.local = *Endpoint::parse("10.9.0.1:4000");
    for (const auto cls : {TrafficClass::real_time, TrafficClass::best_effort}) {
      c.priority[static_cast<int>(cls)] = guard.priority(cls);
    }
    auto opened = UdpDriver::open(c);
    EXPECT_TRUE(opened) << opened.error().text;
    return opened ? std::move(*opened) : nullptr;
  }
  static void send(Driver& driver, TrafficClass cls, std::size_t count) {
    static const Endpoint to = *Endpoint::parse("10.9.0.2:4000");
    static const std::string text(1'000, 'x');
    for (std::size_t i = 0; i < count; ++i) {
      const TxPacket packet{&to, std::as_bytes(std::span(text))};
      EXPECT_EQ(driver.transmit(cls, {&packet, 1}), 1u);
    }
  }
  static Instant at(Duration t) { return Instant{t}; }
};

TEST_F(GuardTest, HtbPutsOurRealTimePacketsFirst) {
  const auto guard = make_guard(htb());
  ASSERT_TRUE(guard) << guard.error().text;
  EXPECT_THAT(qdiscs(), HasSubstr("qdisc htb 5274: root"));
  EXPECT_THAT(qdiscs(), HasSubstr("default 0x20"));
  EXPECT_THAT(classes(), HasSubstr("class htb 5274:1 root rate 97Mbit ceil 97Mbit"));
  EXPECT_THAT(classes(), HasSubstr("class htb 5274:10 parent 5274:1 prio 0 rate 96030Kbit ceil 97Mbit"));
  EXPECT_THAT(classes(), HasSubstr("class htb 5274:20 parent 5274:1 prio 1 rate 970Kbit ceil 97Mbit"));
  EXPECT_EQ((*guard)->guarded_bits_per_second(), 96'030'000u);
  EXPECT_FALSE((*guard)->check(at(0s), 0));

  auto link = driver(**guard);
  EXPECT_THAT(link->shortcomings(), Not(Contains(HasSubstr("priority"))));
  send(*link, TrafficClass::real_time, 7);
  send(*link, TrafficClass::best_effort, 3);
  const std::string statistics = output_of("tc -s class show dev va");
  const auto real_time = statistics.substr(statistics.find("class htb 5274:10"), 300);
  EXPECT_THAT(real_time, HasSubstr("Sent 7294 bytes 7 pkt")) << "7 x (14 + 20 + 8 + 1,000)";
  const auto other = statistics.substr(statistics.find("class htb 5274:20"), 300);
  EXPECT_THAT(other, HasSubstr("Sent 3126 bytes 3 pkt"));
}

TEST_F(GuardTest, HtbBoundsThePiecesOfOthersAndUndoesEverythingInTheEnd) {
  const std::string before = qdiscs();
  const std::string link_before = output_of("ip -d link show va");
  {
    const auto guard = make_guard(htb());
    ASSERT_TRUE(guard);
    EXPECT_THAT(output_of("ip -d link show va"), HasSubstr("gso_max_size 3031 ")) << "97 Mbit/s for 250 us";
    EXPECT_EQ((*guard)->foreign_blocking_bytes(), 3'031u + 3'031 + 1'514);
    EXPECT_THAT((*guard)->condition(), Not(HasSubstr("not bounded")));
  }
  EXPECT_EQ(qdiscs(), before);
  EXPECT_EQ(output_of("ip -d link show va"), link_before);
}

TEST_F(GuardTest, HtbIsMissedWhenItIsGoneOrChanged) {
  const auto guard = make_guard(htb());
  ASSERT_TRUE(guard);
  ASSERT_TRUE(run("tc class change dev va parent 5274:1 classid 5274:10 htb rate 10mbit ceil 97mbit prio 0"));
  EXPECT_THAT((*guard)->check(at(1s), 0).value_or(""), HasSubstr("changed to 10Mbit/s"));
  ASSERT_TRUE(run("tc qdisc del dev va root"));
  EXPECT_THAT((*guard)->check(at(2s), 0).value_or(""), HasSubstr("replaced by"));
  ASSERT_TRUE(run("tc qdisc add dev va root handle 7: pfifo limit 10"));
  EXPECT_THAT((*guard)->check(at(3s), 0).value_or(""), HasSubstr("replaced by pfifo"));
}

TEST_F(GuardTest, HtbLeavesWhatSomebodyPutThereMeanwhile) {
  {
    const auto guard = make_guard(htb());
    ASSERT_TRUE(guard);
    ASSERT_TRUE(run("tc qdisc del dev va root") && run("tc qdisc add dev va root handle 7: pfifo limit 10"));
  }
  EXPECT_THAT(qdiscs(), HasSubstr("qdisc pfifo 7: root"));
}

TEST_F(GuardTest, HtbNeverReplacesAConfiguredQdiscUnasked) {
  ASSERT_TRUE(run("tc qdisc add dev va root handle 7: tbf rate 1mbit burst 10k latency 50ms"));
  const auto refused = make_guard(htb());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::refused);
  EXPECT_THAT(refused.error().text, HasSubstr("tbf 7:"));
  EXPECT_THAT(qdiscs(), HasSubstr("qdisc tbf 7: root"));

  auto insisting = htb();
  insisting.replace_foreign = true;
  const auto guard = make_guard(insisting);
  ASSERT_TRUE(guard) << guard.error().text;
  EXPECT_THAT(qdiscs(), HasSubstr("qdisc htb 5274: root"));
}

TEST_F(GuardTest, HtbTakesOverWhatADeadDaemonLeft) {
  ASSERT_TRUE(run("tc qdisc add dev va root handle 5274: htb default 20") &&
              run("tc class add dev va parent 5274: classid 5274:1 htb rate 1mbit"));
  const auto guard = make_guard(htb());
  ASSERT_TRUE(guard) << guard.error().text;
  EXPECT_THAT(classes(), HasSubstr("class htb 5274:10 parent 5274:1 prio 0 rate 96030Kbit"));
}

TEST_F(GuardTest, HtbWorksAboveFourGigabytesASecond) {
  auto fast = htb();
  fast.bits_per_second = 40'000'000'000;
  const auto guard = make_guard(fast);
  ASSERT_TRUE(guard) << guard.error().text;
  EXPECT_THAT(classes(), HasSubstr("rate 38412Mbit ceil 38800Mbit"));
  EXPECT_FALSE((*guard)->check(at(0s), 0));
}

TEST_F(GuardTest, HtbNoticesThatTheInterfaceIsGone) {
  const auto guard = make_guard(htb());
  ASSERT_TRUE(guard);
  ASSERT_TRUE(run("ip link del va"));
  EXPECT_TRUE((*guard)->check(at(1s), 0));
}

TEST_F(GuardTest, ShareAccusesOthersOnlyAboveTheirShare) {
  const auto guard = make_guard({.kind = GuardKind::share,
                                 .interface = "va",
                                 .bits_per_second = 100'000'000,
                                 .share_bits_per_second = 80'000});  // 10,000 bytes a second
  ASSERT_TRUE(guard) << guard.error().text;
  EXPECT_EQ((*guard)->guarded_bits_per_second(), 99'920'000u);
  auto link = driver(**guard);
  const auto ours = [&] {
    const auto c = link->counters();
    return c.sent_bytes + c.sent * link->header_bytes();
  };
  // The kernel's own chatter on a fresh interface (router solicitations) is foreign traffic too, a few 100
  // bytes.
  EXPECT_FALSE((*guard)->check(at(0s), ours()));
  send(*link, TrafficClass::real_time, 50);
  EXPECT_FALSE((*guard)->check(at(1s), ours())) << "all of it was ours";
  const auto before = ours();
  send(*link, TrafficClass::real_time, 50);
  EXPECT_THAT((*guard)->check(at(2s), before).value_or(""), HasSubstr("other programs sent 41"))
      << "the same, kept from the reckoning: 52,100 bytes";
  EXPECT_FALSE((*guard)->check(at(3s), before)) << "silence";
}

TEST_F(GuardTest, NoneInstallsNothingAndSaysWhatItStandsOn) {
  const std::string before = qdiscs();
  const auto guard = make_guard({.kind = GuardKind::none, .interface = "va", .bits_per_second = 5});
  ASSERT_TRUE(guard);
  EXPECT_EQ(qdiscs(), before);
  EXPECT_FALSE((*guard)->check(at(0s), 0));
  EXPECT_EQ((*guard)->guarded_bits_per_second(), 5u);
  EXPECT_THAT((*guard)->condition(), HasSubstr("no other program"));
}

TEST_F(GuardTest, RefusesSettingsThatMakeNoSense) {
  auto config = htb();
  config.root_percent = 101;
  EXPECT_EQ(make_guard(config).error().code, Errc::invalid_argument);
  config = htb();
  config.bits_per_second = 0;
  EXPECT_EQ(make_guard(config).error().code, Errc::invalid_argument);
  config = htb();
  config.interface = "none-such";
  EXPECT_EQ(make_guard(config).error().code, Errc::invalid_argument);
  EXPECT_EQ(make_guard({.kind = GuardKind::share, .interface = "va"}).error().code, Errc::invalid_argument);
}

TEST(GuardKind, HasNamesThatAreReadBack) {
  for (const auto kind : {GuardKind::none, GuardKind::share, GuardKind::htb}) {
    EXPECT_EQ(parse_guard_kind(name(kind)), kind);
  }
  EXPECT_FALSE(parse_guard_kind("cake"));
}

}  // namespace
}  // namespace rtchan::link
