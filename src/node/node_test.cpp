// Two hosts, two daemons, applications: what they see when channels come and go.
#include "node/node.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "node/testing/world.hpp"

namespace rtchan::node {
namespace {

using std::chrono::seconds;
using testing::App;
using testing::guaranteed;
using testing::ms;
using testing::us;
using testing::World;

const Qos control = guaranteed(500, 1'000, ms(5));

// After this, capacity that was given up must be back.
constexpr Duration settle = seconds{2};

TEST(Channel, is_set_up_and_both_ends_have_their_half) {
  World world{2};
  App& receiver = world.listen(1, 80);
  App& sender = world.start(0);
  world.create(sender, 1, 80, control);
  world.run(ms(10));

  ASSERT_EQ(sender.created.size(), 1U);
  ASSERT_EQ(receiver.accepted.size(), 1U);
  EXPECT_EQ(sender.created[0].bound, ms(5));
  EXPECT_EQ(receiver.accepted[0].qos, control);
  EXPECT_EQ(receiver.accepted[0].source.address, testing::address_of(0));
  EXPECT_EQ(receiver.asked[0].source_uid, 1000U);

  ASSERT_EQ(world.clips(0).size(), 1U);
  ASSERT_EQ(world.clips(1).size(), 1U);
  const auto& out = world.clips(0).begin()->second;
  const auto& in = world.clips(1).begin()->second;
  EXPECT_TRUE(out.connected);
  // The shares of the promise: source CPU, link, propagation, destination CPU.
  EXPECT_EQ(out.spec.cpu_delay + out.spec.link_delay + us(200) + in.spec.cpu_delay, ms(5));
  EXPECT_EQ(in.spec.end_to_end, ms(5));
  EXPECT_EQ(in.spec.upstream_rem, out.spec.link_delay + out.spec.horizon);
  EXPECT_EQ(in.spec.upstream_propagation, us(200));
  EXPECT_TRUE(world.violations.empty());
  EXPECT_TRUE(world.reconciles());
}

TEST(Channel, refused_where_nobody_listens) {
  World world{2};
  App& sender = world.start(0);
  world.create(sender, 1, 80, control);
  world.run(ms(10));
  ASSERT_EQ(sender.failed.size(), 1U);
  EXPECT_EQ(sender.failed[0].error.code, Errc::no_listener);
  EXPECT_EQ(sender.failed[0].error.refusal.hop, "10.0.0.2");
  world.run(settle);
  EXPECT_EQ(world.leftovers(), "");
}

}  // namespace
}  // namespace rtchan::node
