// What of an interface's changes takes a promise away.
#include "rtcd/link_watch.hpp"

#include <gtest/gtest.h>

namespace rtchan::rtcd {
namespace {

const IpAddress home = *IpAddress::parse("10.9.0.1");
const link::Interface promised{
    .index = 3, .name = "eth0", .mtu_bytes = 9'000, .up = true, .bits_per_second = 10'000'000'000, .addresses = {home}};
// A link of 970 Mbit/s with packets for an MTU of 1500, on an interface that could do more.
const InterfaceNeeds needs{home, 1'500, 970'000'000};

TEST(Unfit, WhatIsStillEnoughTakesNothingAway) {
  link::Interface now = promised;
  EXPECT_FALSE(unfit(promised, now, needs));
  now.mtu_bytes = 1'500;
  now.bits_per_second = 1'000'000'000;
  EXPECT_FALSE(unfit(promised, now, needs));
  const InterfaceNeeds unlisted{*IpAddress::parse("127.77.0.1"), 1'500, 970'000'000};
  EXPECT_FALSE(unfit(promised, now, unlisted));
  now.bits_per_second = 0;  // it does not say
  EXPECT_FALSE(unfit(promised, now, needs));
}

TEST(Unfit, TooSmallTooSlowDownOrElsewhereIsNamed) {
  link::Interface now = promised;
  now.mtu_bytes = 1'499;
  EXPECT_EQ(unfit(promised, now, needs), "MTU of eth0 went from 9000 to 1499");
  now = promised;
  now.bits_per_second = 100'000'000;
  EXPECT_EQ(unfit(promised, now, needs), "speed of eth0 went from 10Gbit/s to 100Mbit/s");
  now = promised;
  now.mtu_bytes = 20'000;  // harmless, and must not hide the rest
  now.addresses.clear();
  EXPECT_EQ(unfit(promised, now, needs), "eth0 lost the address 10.9.0.1");
  now = promised;
  now.up = false;
  EXPECT_EQ(unfit(promised, now, needs), "eth0 is down");
  now = promised;
  now.index = 4;
  EXPECT_EQ(unfit(promised, now, needs), "eth0 was taken away and made anew");
}

}  // namespace
}  // namespace rtchan::rtcd
