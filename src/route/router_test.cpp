#include "route/router.hpp"
#include "route/watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <unistd.h>

#include "base/testing/private_network.hpp"

namespace rtchan::route {
namespace {

using rtchan::testing::enter_private_network;
using rtchan::testing::run;
using ::testing::HasSubstr;

IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

TEST(Prefix, ContainsItsAddressesAndNoOthers) {
  const auto net = Prefix::parse("10.1.0.0/16");
  ASSERT_TRUE(net);
  EXPECT_TRUE(net->contains(ip("10.1.255.9")));
  EXPECT_FALSE(net->contains(ip("10.2.0.0")));
  EXPECT_FALSE(net->contains(ip("::10.1.0.1")));
  const auto odd = Prefix::parse("10.1.32.0/19");
  EXPECT_TRUE(odd->contains(ip("10.1.63.255")));
  EXPECT_FALSE(odd->contains(ip("10.1.64.0")));
  const auto six = Prefix::parse("fd00::/8");
  EXPECT_TRUE(six->contains(ip("fdff::1")));
  EXPECT_FALSE(six->contains(ip("fe80::1")));
  EXPECT_TRUE(Prefix::parse("10.0.0.7")->contains(ip("10.0.0.7")));
  EXPECT_FALSE(Prefix::parse("10.0.0.7")->contains(ip("10.0.0.6")));
  EXPECT_FALSE(Prefix::parse("0.0.0.0/0")->contains(ip("fd00::1"))) << "all of IPv4";
  EXPECT_TRUE(Prefix::parse("0.0.0.0/0")->contains(ip("1.2.3.4")));
  EXPECT_TRUE(Prefix::parse("default")->contains(ip("1.2.3.4")));
  EXPECT_TRUE(Prefix::parse("default")->contains(ip("fd00::1")));
}

TEST(Prefix, RefusesBrokenText) {
  for (const char* text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "fd00::/129", "10.0.0.0/8x", "10.0.0.0/-1",
                           "x/8", "10.0.0.0/256"}) {
    EXPECT_FALSE(Prefix::parse(text)) << text;
  }
}

TEST(StaticRouter, PrefersTheLongestPrefixAndThenTheFirst) {
  StaticRouter router({{*Prefix::parse("default"), ip("10.0.0.254"), 0},
                       {*Prefix::parse("10.1.0.0/16"), ip("10.0.0.1"), 1},
                       {*Prefix::parse("10.1.2.0/24"), std::nullopt, 2},
                       {*Prefix::parse("10.1.2.0/24"), ip("10.0.0.3"), 3}});
  EXPECT_EQ(router.next_hop(ip("10.1.2.3")), (Hop{ip("10.1.2.3"), 2, false})) << "on the link";
  EXPECT_EQ(router.next_hop(ip("10.1.9.9")), (Hop{ip("10.0.0.1"), 1, false}));
  EXPECT_EQ(router.next_hop(ip("fd00::1")), (Hop{ip("10.0.0.254"), 0, false}));
}

TEST(StaticRouter, SaysWhereItKnowsNoWay) {
  StaticRouter router({{*Prefix::parse("10.1.0.0/16"), std::nullopt, 0}});
  const auto hop = router.next_hop(ip("10.2.0.1"));
  ASSERT_FALSE(hop);
  EXPECT_EQ(hop.error().code, Errc::no_route);
  EXPECT_THAT(hop.error().text, HasSubstr("10.2.0.1"));
}

TEST(RouterChain, AsksOneAfterTheOther) {
  StaticRouter first({{*Prefix::parse("10.1.0.0/16"), std::nullopt, 1}});
  StaticRouter second({{*Prefix::parse("10.0.0.0/8"), std::nullopt, 2}});
  RouterChain chain({&first, &second});
  EXPECT_EQ(chain.next_hop(ip("10.1.0.1"))->link, 1u);
  EXPECT_EQ(chain.next_hop(ip("10.2.0.1"))->link, 2u);
  EXPECT_EQ(chain.next_hop(ip("11.0.0.1")).error().code, Errc::no_route);
}

bool run(const char* command) {
  return std::system((std::string(command) + " 2>/dev/null").c_str()) == 0;
}

// A router's view of three networks, in a namespace of the test's own.
class KernelRouterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = enter_private_network(); !why.empty()) GTEST_SKIP() << why;
    ASSERT_TRUE(
        run("ip link set lo up && ip link add va type veth peer name vb && "
            "ip link add wa type veth peer name wb && "
            "ip addr add 10.1.0.1/24 dev va && ip addr add 2001:db8:1::1/64 dev va nodad && "
            "ip addr add 10.2.0.1/24 dev wa && "
            "ip link set va up && ip link set vb up && ip link set wa up && ip link set wb up"));
    index_va_ = static_cast<int>(if_nametoindex("va"));
    index_wa_ = static_cast<int>(if_nametoindex("wa"));
    // The kernel makes IPv6 routes when it notices the carrier, a little after "up".
    KernelRouter router({});
    for (int i = 0; i < 100 && !router.next_hop(ip("2001:db8:1::1")).value_or(Hop{}).local; ++i)
      usleep(50'000);
  }
  int index_va_ = 0;
  int index_wa_ = 0;
};

TEST_F(KernelRouterTest, FollowsTheKernelsTable) {
  ASSERT_TRUE(
      run("ip route add 10.7.0.0/16 via 10.2.0.254 && ip route add 2001:db8:7::/64 via 2001:db8:1::fe && "
          "ip route add 10.8.0.0/16 via inet6 2001:db8:1::fe dev va"));
  KernelRouter router({index_va_, index_wa_});
  EXPECT_EQ(router.next_hop(ip("10.1.0.9")), (Hop{ip("10.1.0.9"), 0, false}));
  EXPECT_EQ(router.next_hop(ip("10.2.0.9")), (Hop{ip("10.2.0.9"), 1, false}));
  EXPECT_EQ(router.next_hop(ip("10.7.1.1")), (Hop{ip("10.2.0.254"), 1, false}));
  EXPECT_EQ(router.next_hop(ip("2001:db8:1::9")), (Hop{ip("2001:db8:1::9"), 0, false}));
  EXPECT_EQ(router.next_hop(ip("2001:db8:7::9")), (Hop{ip("2001:db8:1::fe"), 0, false}));
  EXPECT_EQ(router.next_hop(ip("10.8.1.1")), (Hop{ip("2001:db8:1::fe"), 0, false}))
      << "IPv4 by an IPv6 neighbour";
}

TEST_F(KernelRouterTest, SeesARouteChange) {
  KernelRouter router({index_va_, index_wa_});
  ASSERT_TRUE(run("ip route add 10.7.0.0/16 via 10.2.0.254"));
  EXPECT_EQ(router.next_hop(ip("10.7.1.1"))->link, 1u);
  ASSERT_TRUE(run("ip route replace 10.7.0.0/16 via 10.1.0.254"));
  EXPECT_EQ(router.next_hop(ip("10.7.1.1")), (Hop{ip("10.1.0.254"), 0, false}));
}

TEST_F(KernelRouterTest, KnowsTheOtherWaysInTheOrderOfTheirMetricsThenShorterPrefixes) {
  ASSERT_TRUE(run("ip route add 10.0.0.0/8 via 10.1.0.252 && "
                  "ip route add 10.7.0.0/16 via 10.1.0.253 metric 30 && ip route add 10.7.0.0/16 via 10.2.0.254 metric 10 && "
                  "ip route add 10.7.0.0/16 via 10.2.0.253 metric 20"));
  KernelRouter router({index_va_, index_wa_});
  EXPECT_EQ(router.alternatives(ip("10.7.1.1")), (std::vector<Hop>{{ip("10.2.0.254"), 1, false},
                                                                   {ip("10.2.0.253"), 1, false},
                                                                   {ip("10.1.0.253"), 0, false},
                                                                   {ip("10.1.0.252"), 0, false}}));
  EXPECT_TRUE(router.alternatives(ip("192.0.2.1")).empty());
}

TEST_F(KernelRouterTest, WatchHearsOfEveryChangeAndOfNothingElse) {
  Watch watch;
  EXPECT_FALSE(watch.changed());
  for (const char* change : {"ip route add 10.7.0.0/16 via 10.2.0.254", "ip route replace 10.7.0.0/16 via 10.1.0.254",
                             "ip route del 10.7.0.0/16", "ip -6 route add 2001:db8:7::/64 via 2001:db8:1::fe", "ip link set wa down"}) {
    ASSERT_TRUE(run(change)) << change;
    EXPECT_TRUE(watch.changed()) << change;
    usleep(300'000);  // what follows of itself: carriers, addresses
    (void)watch.changed();
    EXPECT_FALSE(watch.changed()) << change;
  }
}

TEST_F(KernelRouterTest, KnowsThisHost) {
  KernelRouter router({index_va_, index_wa_});
  EXPECT_TRUE(router.next_hop(ip("10.1.0.1"))->local);
  EXPECT_TRUE(router.next_hop(ip("127.0.0.1"))->local);
  EXPECT_TRUE(router.next_hop(ip("2001:db8:1::1"))->local);
}

TEST_F(KernelRouterTest, RefusesByName) {
  ASSERT_TRUE(run("ip route add unreachable 10.6.0.0/16"));
  KernelRouter router({index_va_});
  for (const char* destination : {"10.6.0.1", "192.0.2.1", "2001:db8:ffff::1"}) {
    const auto hop = router.next_hop(ip(destination));
    ASSERT_FALSE(hop) << destination;
    EXPECT_EQ(hop.error().code, Errc::no_route);
    EXPECT_THAT(hop.error().text, HasSubstr(destination));
  }
  EXPECT_THAT(router.next_hop(ip("10.2.0.9")).error().text, HasSubstr("not a configured link"));
  EXPECT_EQ(router.next_hop(ip("10.1.0.255")).error().code, Errc::no_route) << "broadcast";
  EXPECT_EQ(router.next_hop(ip("224.0.0.1")).error().code, Errc::no_route) << "multicast";
}

}  // namespace
}  // namespace rtchan::route
