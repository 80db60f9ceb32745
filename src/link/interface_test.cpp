#include "link/interface.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/private_network.hpp"

namespace rtchan::link {
namespace {

using rtchan::testing::enter_private_network;
using rtchan::testing::run;
using ::testing::Contains;
using ::testing::HasSubstr;

const IpAddress home = *IpAddress::parse("10.9.0.1");

TEST(Interface, IsFoundByNameNumberAndAddress) {
  if (const std::string why = enter_private_network(); !why.empty()) GTEST_SKIP() << why;
  ASSERT_TRUE(run("ip link add va mtu 1400 type veth peer name vb") &&
              run("ip addr add 10.9.0.1/24 dev va") && run("ip addr add 2001:db8::1/64 dev va nodad") &&
              run("ip link set va up"));
  const auto down = interface_by_name("va");
  ASSERT_TRUE(down);
  EXPECT_FALSE(down->up) << "no carrier: the other end is down";
  ASSERT_TRUE(run("ip link set vb up"));
  auto va = interface_by_name("va");
  for (int i = 0; i < 100 && va && !va->up; ++i) {  // the kernel notices the carrier a little later
    usleep(50'000);
    va = interface_by_name("va");
  }
  ASSERT_TRUE(va) << va.error().text;
  EXPECT_TRUE(va->up);
  EXPECT_FALSE(va->loopback);
  EXPECT_EQ(va->mtu_bytes, 1'400u);
  EXPECT_EQ(va->bits_per_second, 10'000'000'000u) << "what veth claims";
  EXPECT_THAT(va->addresses, Contains(home));
  EXPECT_THAT(va->addresses, Contains(*IpAddress::parse("2001:db8::1")));
  EXPECT_EQ(interface_by_address(home)->name, "va");
  EXPECT_EQ(interface_by_index(va->index)->name, "va");

  EXPECT_EQ(interface_by_name("none-such").error().code, Errc::invalid_argument);
  EXPECT_THAT(interface_by_address(*IpAddress::parse("10.9.0.2")).error().text, HasSubstr("10.9.0.2"));
}

TEST(Interface, CountsWhatItSent) {
  if (const std::string why = enter_private_network(); !why.empty()) GTEST_SKIP() << why;
  ASSERT_TRUE(run("ip link set lo up"));
  const auto lo = interface_by_name("lo");
  ASSERT_TRUE(lo);
  const auto before = sent_bytes(lo->index);
  ASSERT_TRUE(before);
  ASSERT_TRUE(run("bash -c 'echo 0123456789 > /dev/udp/127.0.0.1/9'"));
  const auto after = sent_bytes(lo->index);
  ASSERT_TRUE(after);
  EXPECT_GE(*after - *before, 11u + 8 + 20);
  EXPECT_FALSE(sent_bytes(999'999));
}

TEST(Interface, ChangesThatVoidPromisesAreNamed) {
  const Interface before{.index = 3,
                         .name = "eth0",
                         .mtu_bytes = 1'500,
                         .up = true,
                         .bits_per_second = 1'000'000'000,
                         .addresses = {home}};
  Interface after = before;
  EXPECT_FALSE(changed(before, after, home));
  after.addresses.push_back(*IpAddress::parse("10.9.0.5"));
  EXPECT_FALSE(changed(before, after, home)) << "another address is nobody's concern";
  after.addresses = {};
  EXPECT_EQ(changed(before, after, home), "eth0 lost the address 10.9.0.1");
  after = before;
  after.mtu_bytes = 1'400;
  EXPECT_EQ(changed(before, after, home), "MTU of eth0 went from 1500 to 1400");
  after = before;
  after.bits_per_second = 100'000'000;
  EXPECT_EQ(changed(before, after, home), "speed of eth0 went from 1Gbit/s to 100Mbit/s");
  after = before;
  after.up = false;
  EXPECT_EQ(changed(before, after, home), "eth0 is down");
  after = before;
  after.index = 4;
  EXPECT_EQ(changed(before, after, home), "eth0 was taken away and made anew");
}

}  // namespace
}  // namespace rtchan::link
