// Messages from one domain to another over a cable, in virtual time.
#include "clips/domain.hpp"

#include <gtest/gtest.h>

#include "clips/testing/two_hosts.hpp"

namespace rtchan::clips::testing {
namespace {

TEST(Domain, AMessageOfOnePacketArrivesIntactWithinItsBound) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{10}, .bytes = 1000});
  const Instant sent = hosts.now;
  hosts.send(c);
  hosts.run_for(milliseconds{20});
  ASSERT_EQ(c.deliveries.size(), 1u);
  EXPECT_TRUE(c.deliveries[0].intact);
  EXPECT_EQ(c.deliveries[0].number, 0u);
  EXPECT_LE(c.deliveries[0].readable, sent + c.receiver.end_to_end);
  EXPECT_EQ(hosts.received_counters(c).late, 0u);
}

TEST(Domain, AMessageOfManyPacketsArrivesIntact) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{50}, .bytes = 30'000, .link_delay = milliseconds{10}});
  for (int i = 0; i < 5; ++i) {
    hosts.send(c);
    hosts.run_for(milliseconds{50});
  }
  ASSERT_EQ(c.deliveries.size(), 5u);
  for (const auto& d : c.deliveries) EXPECT_TRUE(d.intact);
  EXPECT_EQ(hosts.received_counters(c).lost, 0u);
}

}  // namespace
}  // namespace rtchan::clips::testing
