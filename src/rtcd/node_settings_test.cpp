// What admission is told of a link.
#include "rtcd/node_settings.hpp"

#include <gtest/gtest.h>

#include "wire/signal.hpp"

namespace rtchan::rtcd {
namespace {

node::LinkSettings settings(std::uint64_t bits_per_second) {
  LinkFacts facts;
  facts.address.address = *IpAddress::parse("10.0.0.1");
  facts.mtu_bytes = 1'500;
  facts.guarded_bits_per_second = bits_per_second;
  return link_settings({}, {}, facts);
}

TEST(LinkSettings, SignallingTakesAtMostATenthOfALinkAndIsDueWithinIt) {
  for (const std::uint64_t rate : {100'000ULL, 1'000'000ULL, 20'000'000ULL, 1'000'000'000ULL, 40'000'000'000ULL}) {
    const node::LinkSettings link = settings(rate);
    const admission::Candidate one = admission::link_stage(link.model, {link.signal_period, 1, wire::signal_packet_bytes});
    EXPECT_LE(10 * one.service, link.signal_period) << rate;
    EXPECT_LT(one.service, link.signal_delay) << rate << ": or nothing could be promised beside it";
  }
  EXPECT_EQ(settings(100'000'000).signal_period, node::LinkSettings{}.signal_period) << "a fast link has room for it anyway";
}

}  // namespace
}  // namespace rtchan::rtcd
