// A route changes while a channel is over it: the channel goes on over the new one with the same queues, or both ends are told.
//
//     host 0 --- host 1, host 2, ... (side by side) --- the last host
#include <gtest/gtest.h>

#include "node/testing/world.hpp"

namespace rtchan::node {
namespace {

using std::chrono::seconds;
using testing::App;
using testing::guaranteed;
using testing::ms;
using testing::World;

const Qos control = guaranteed(200, 1'000, ms(20));
constexpr Duration settle = seconds{8};  // a lease and what comes after it

std::size_t clips_of(World& world, std::size_t host) { return world.clips(host).size(); }

// A channel from 0 to the last, over host 1.
struct Diamond {
  explicit Diamond(std::size_t hosts, std::uint64_t seed = 1, std::function<void(NodeConfig&)> adjust = {})
      : world(hosts, seed, std::move(adjust)), last(hosts - 1) {
    for (std::size_t middle = 1; middle < last; ++middle) world.ways[{middle, last}] = {last};
    lead({1});
    receiver = &world.listen(last, 80);
    sender = &world.start(0);
    world.create(*sender, last, 80, control);
  }
  void lead(std::vector<std::size_t> over) { world.ways[{0, last}] = std::move(over); }
  void change(std::vector<std::size_t> over) {
    lead(std::move(over));
    world.give(0, RoutesChanged{});
  }
  std::uint32_t reroutes(std::size_t host) {
    const auto all = world.node(host).channels();
    return all.size() == 1 ? all[0].reroutes : 999;
  }
  World world;
  std::size_t last;
  App* receiver = nullptr;
  App* sender = nullptr;
};

TEST(Reroute, a_channel_goes_on_over_the_new_route_with_the_same_queues_and_nobody_is_asked_or_told) {
  Diamond d{4};
  d.world.run(ms(50));
  ASSERT_EQ(d.sender->created.size(), 1U);
  ASSERT_EQ(clips_of(d.world, 1), 1U);
  const ipc::QueuePlace queue = d.world.clips(0).begin()->second.queue;
  const std::uint32_t generation = d.world.clips(0).begin()->second.spec.generation;

  d.change({2});
  d.world.run(ms(150));
  ASSERT_EQ(clips_of(d.world, 0), 1U);
  ASSERT_EQ(clips_of(d.world, 2), 1U) << "over the new route";
  EXPECT_EQ(clips_of(d.world, 1), 0U) << "the old one holds nothing any more";
  const testing::Clip& clip = d.world.clips(0).begin()->second;
  EXPECT_TRUE(clip.connected);
  EXPECT_EQ(clip.queue.offset, queue.offset);
  EXPECT_EQ(clip.queue.slots, queue.slots);
  EXPECT_EQ(clip.before.generation, generation) << "it goes on where the first one has stopped";
  EXPECT_NE(d.world.clips(3).begin()->second.before.generation, 0U);
  EXPECT_EQ(d.reroutes(0), 1U);
  EXPECT_EQ(d.reroutes(3), 1U);
  EXPECT_EQ(d.sender->created.size(), 1U);
  EXPECT_EQ(d.receiver->asked.size(), 1U) << "the agent has agreed to this channel before";
  EXPECT_TRUE(d.sender->notices.empty());
  EXPECT_TRUE(d.receiver->notices.empty());

  d.change({1});  // and back
  d.world.run(ms(150));
  EXPECT_EQ(clips_of(d.world, 1), 1U);
  EXPECT_EQ(d.reroutes(3), 2U);
  EXPECT_TRUE(d.world.reconciles());

  d.world.destroy(*d.sender, d.sender->created[0].channel);
  d.world.run(settle);
  EXPECT_EQ(d.sender->done.size(), 1U);
  ASSERT_EQ(d.receiver->notices.size(), 1U);
  EXPECT_EQ(d.receiver->notices[0].kind, ipc::Notice::Kind::peer_closed);
  d.world.destroy(*d.receiver, d.receiver->accepted[0].channel);
  d.world.run(settle);
  EXPECT_EQ(d.world.leftovers(), "");
  EXPECT_TRUE(d.world.violations.empty()) << d.world.violations.front();
}

TEST(Reroute, what_is_under_way_may_still_arrive_before_the_old_path_is_given_up) {
  Diamond d{4};
  d.world.run(ms(50));
  const Duration delay = control.max_delay;
  d.change({2});
  d.world.run(delay - ms(1));
  ASSERT_EQ(clips_of(d.world, 3), 1U);
  EXPECT_FALSE(d.world.clips(3).begin()->second.closing) << "what was sent just before the change is still due";
  ASSERT_EQ(clips_of(d.world, 1), 1U);
  EXPECT_FALSE(d.world.clips(1).begin()->second.closing);
  d.world.run(ms(60));
  EXPECT_EQ(clips_of(d.world, 1), 0U);
  EXPECT_EQ(d.reroutes(3), 1U);
}

TEST(Reroute, a_router_whose_own_route_changes_ends_the_path_and_the_source_takes_another) {
  World world{5};  // 0 - 1 - (2 or 3) - 4
  world.ways[{1, 4}] = {2};
  world.ways[{2, 4}] = {4};
  App& receiver = world.listen(4, 80);
  App& sender = world.start(0);
  world.create(sender, 4, 80, control);
  world.run(ms(50));
  ASSERT_EQ(sender.created.size(), 1U);
  ASSERT_EQ(clips_of(world, 2), 1U);
  world.ways[{1, 4}] = {3};
  world.give(1, RoutesChanged{});
  world.run(ms(200));
  EXPECT_EQ(clips_of(world, 2), 0U);
  EXPECT_EQ(clips_of(world, 3), 1U);
  EXPECT_TRUE(sender.notices.empty());
  EXPECT_TRUE(receiver.notices.empty());
  EXPECT_TRUE(world.reconciles());
}

TEST(Reroute, a_better_way_that_comes_up_moves_nobody_and_no_way_at_all_neither) {
  Diamond d{4};
  d.world.run(ms(50));
  d.change({2, 1});
  d.world.run(ms(200));
  EXPECT_EQ(clips_of(d.world, 1), 1U);
  d.change({});
  d.world.run(ms(200));
  EXPECT_EQ(clips_of(d.world, 1), 1U);
  EXPECT_EQ(d.reroutes(0), 0U);
}

// Host 2 has next to no link.
void second_is_narrow(NodeConfig& config) {
  if (config.name != "host2") return;
  for (auto& link : config.links) link.model.bits_per_second = 2'000'000, link.signal_period = ms(20);
}

TEST(Reroute, no_room_on_the_new_route_and_both_ends_are_told_within_a_lease_and_why) {
  Diamond d{4, 1, second_is_narrow};
  d.world.run(ms(50));
  ASSERT_EQ(d.sender->created.size(), 1U);
  d.change({2});
  d.world.run(seconds{7});
  ASSERT_EQ(d.sender->notices.size(), 1U);
  ASSERT_EQ(d.receiver->notices.size(), 1U);
  EXPECT_EQ(d.sender->notices[0].kind, ipc::Notice::Kind::peer_gone);
  EXPECT_EQ(d.receiver->notices[0].kind, ipc::Notice::Kind::peer_gone);
  EXPECT_NE(d.sender->notices[0].text.find("the route has changed"), std::string::npos) << d.sender->notices[0].text;
  EXPECT_NE(d.sender->notices[0].text.find("10.0.0.3"), std::string::npos) << d.sender->notices[0].text;
  EXPECT_EQ(clips_of(d.world, 1) + clips_of(d.world, 2), 0U);
  d.world.destroy(*d.sender, d.sender->created[0].channel);
  d.world.destroy(*d.receiver, d.receiver->accepted[0].channel);
  d.world.run(settle);
  EXPECT_EQ(d.world.leftovers(), "");
}

TEST(Reroute, a_link_that_fails_with_its_route_does_not_make_void_what_leaves_it) {
  Diamond d{4};
  d.world.run(ms(50));
  d.change({2});
  d.world.give(0, LinkVoided{0, "the cable is out"});
  d.world.run(ms(300));
  EXPECT_EQ(clips_of(d.world, 2), 0U);
  d.world.give(0, LinkRestored{0});
  d.world.run(seconds{2});
  EXPECT_EQ(clips_of(d.world, 2), 1U) << "tried again within the lease";
  EXPECT_TRUE(d.sender->notices.empty());
}

TEST(Reroute, refused_on_the_first_new_way_it_takes_the_next_in_their_order) {
  Diamond d{6, 1, second_is_narrow};
  d.world.run(ms(50));
  ASSERT_EQ(d.sender->created.size(), 1U);
  d.change({2, 4, 3});
  d.world.run(ms(200));
  EXPECT_EQ(clips_of(d.world, 2), 0U);
  EXPECT_EQ(clips_of(d.world, 4), 1U) << "the second best";
  EXPECT_EQ(clips_of(d.world, 3), 0U);
  EXPECT_TRUE(d.sender->notices.empty());
}

TEST(Reroute, at_every_moment_of_a_channels_life_and_with_losses_ends_clean_or_goes_on) {
  std::uint32_t moved = 0;
  for (int moment = 0; moment < 120; ++moment) {
    SCOPED_TRACE(moment);
    Diamond d{4, static_cast<std::uint64_t>(moment) + 1};
    for (auto& cable : d.world.cables) cable.loss_percent = moment % 3 == 0 ? 20 : 0;
    d.world.later(ms(moment) / 4, [&d] { d.change({2}); });
    d.world.later(ms(moment) / 2, [&d] { d.world.give(1, RoutesChanged{}); });  // somebody else's
    d.world.run(seconds{20});
    ASSERT_EQ(d.sender->created.size(), 1U);
    ASSERT_TRUE(d.sender->notices.empty()) << d.sender->notices[0].text;
    ASSERT_EQ(clips_of(d.world, 0), 1U);
    ASSERT_TRUE(d.world.clips(0).begin()->second.connected);
    ASSERT_EQ(clips_of(d.world, 2), 1U);
    ASSERT_EQ(clips_of(d.world, 1), 0U);
    moved += d.reroutes(3);
    d.world.destroy(*d.sender, d.sender->created[0].channel);
    d.world.run(seconds{2});
    d.world.destroy(*d.receiver, d.receiver->accepted[0].channel);
    d.world.run(settle);
    ASSERT_EQ(d.world.leftovers(), "");
  }
  EXPECT_GT(moved, 60U) << "the changes came when there was something to move";
}

TEST(Reroute, applications_that_leave_or_die_at_every_moment_of_it_leave_nothing_behind) {
  for (int moment = 0; moment < 160; ++moment) {
    SCOPED_TRACE(moment);
    const bool dies = moment % 2 == 0, sends = moment % 4 < 2;
    Diamond d{4, static_cast<std::uint64_t>(moment) + 1};
    d.world.run(ms(50));
    ASSERT_EQ(d.sender->created.size(), 1U);
    d.change({2});
    d.world.run(ms(moment) / 4);
    App& who = sends ? *d.sender : *d.receiver;
    if (dies) d.world.kill(who);
    const auto leaves = [&d](App& app) {
      d.world.destroy(app, &app == d.sender ? app.created[0].channel : app.accepted[0].channel);
    };
    if (!dies) leaves(who);
    d.world.run(settle);
    App& other = sends ? *d.receiver : *d.sender;
    ASSERT_EQ(other.notices.size(), 1U) << "the other end is told";
    leaves(other);
    d.world.run(settle);
    ASSERT_EQ(d.world.leftovers(), "");
    ASSERT_TRUE(d.world.violations.empty()) << d.world.violations.front();
  }
}

}  // namespace
}  // namespace rtchan::node
