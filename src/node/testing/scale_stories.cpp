// The same two hosts with many channels: loss, ten thousand at once, a hundred thousand in a row, ten thousand histories.
#include <gtest/gtest.h>

#include <iostream>

#include "node/testing/chaos.hpp"

namespace rtchan::node {
namespace {

using std::chrono::seconds;
using testing::App;
using testing::guaranteed;
using testing::ms;
using testing::us;
using testing::World;

// Hosts fast enough that admission is not what ends the story.
void fast_host(NodeConfig& config) {
  config.limits.channels_per_uid = 1'000'000;
  config.workers[0].costs.input_packet = std::chrono::nanoseconds{200};
  config.workers[0].costs.best_effort_period = seconds{1};
  config.workers[0].costs.best_effort_delay = seconds{2};
  for (auto& link : config.links) link.signal_delay = seconds{1};
}

TEST(Scale, thirty_percent_loss_both_ways_a_thousand_of_a_thousand) {
  World world{2, 5, fast_host};
  App& receiver = world.listen(1, 80);
  App& sender = world.start(0);
  world.cables[0].loss_percent = 30;
  for (int i = 0; i < 1'000; ++i) {
    world.create(sender, 1, 80, guaranteed(1, 1'000, seconds{1}), seconds{30});
    world.run(ms(2));
  }
  world.run(seconds{10});
  EXPECT_EQ(sender.created.size(), 1'000U);
  EXPECT_EQ(receiver.accepted.size(), 1'000U);
  const auto stages = [&](std::size_t host) { return world.node(host).status().stages; };
  EXPECT_EQ(stages(0)[0].entries, stages(1)[0].entries);
  EXPECT_EQ(stages(0)[0].tentative + stages(1)[0].tentative, 0U);
  EXPECT_TRUE(world.violations.empty());
  // They stay, and go.
  world.run(seconds{30});
  EXPECT_EQ(world.node(0).status().paths, 1'000U);
  EXPECT_EQ(world.node(1).status().paths, 1'000U);
  for (const auto& c : sender.created) world.destroy(sender, c.channel);
  world.run(seconds{10});
  EXPECT_EQ(sender.done.size(), 1'000U);
  EXPECT_EQ(receiver.notices.size(), 1'000U);
  world.kill(receiver);
  world.run(seconds{5});
  EXPECT_EQ(world.leftovers(), "");
}

TEST(Scale, ten_thousand_channels_open_at_once) {
  World world{2, 5, fast_host};
  App& receiver = world.listen(1, 80);
  App& sender = world.start(0);
  for (int i = 0; i < 10'000; ++i) {
    world.create(sender, 1, 80, guaranteed(1, 1'000, seconds{4}), seconds{30});
    if (i % 100 == 99) world.run(ms(100));  // a thousand a second: what signalling carries
  }
  world.run(seconds{5});
  EXPECT_EQ(sender.created.size(), 10'000U) << (sender.failed.empty() ? "" : sender.failed[0].error.text);
  EXPECT_EQ(receiver.accepted.size(), 10'000U);
  EXPECT_EQ(world.clips(1).size(), 10'000U);
  EXPECT_TRUE(world.reconciles());
  const std::uint64_t before = world.packets;
  world.run(seconds{10});
  EXPECT_LT(world.packets - before, 1'000U) << "refreshing them is cheap";
  EXPECT_EQ(world.node(1).status().paths, 10'000U);
  world.kill(sender);
  world.kill(receiver);
  world.run(seconds{20});
  EXPECT_EQ(world.leftovers(), "");
}

// Default costs, default lease, a signalling channel of one packet in 2 ms as on any fast link: ten thousand channels of
// a message a second come, are kept alive beside a crowd that comes and goes, and none loses its lease.
TEST(Scale, ten_thousand_leases_on_the_signalling_channel_of_one_link) {
  for (const int lease_seconds : {5, 2}) {
    World world{2, 5, [&](NodeConfig& config) {
                  config.limits.channels_per_uid = 1'000'000;
                  config.workers[0].costs.core = admission::CostModel{}.core;
                  config.timing.lease = seconds{lease_seconds};
                }};
    world.cables[0].period = ms(2);
    App& receiver = world.listen(1, 80);
    App& sender = world.start(0);
    for (int i = 0; i < 10'000; ++i) {
      world.create(sender, 1, 80, guaranteed(1, 64, seconds{4}), seconds{60});
      if (i % 50 == 49) world.run(ms(100));
    }
    world.run(seconds{20});
    ASSERT_EQ(sender.created.size(), 10'000U) << (sender.failed.empty() ? "" : sender.failed[0].error.text);
    const std::uint64_t before = world.packets;
    world.run(seconds{10});
    const std::uint64_t a_second = (world.packets - before) / 10;
    RecordProperty("packets_a_second_lease_" + std::to_string(lease_seconds), static_cast<int>(a_second));
    EXPECT_LT(a_second, lease_seconds == 5 ? 60U : 150U);
    App& crowd = world.start(0);
    for (int i = 0; i < 3'000; ++i) world.create(crowd, 1, 80, guaranteed(1, 64, seconds{4}), seconds{10});
    world.run(seconds{30});
    for (const std::size_t host : {0U, 1U}) {
      for (const auto& [what, count] : world.node(host).status().counters) {
        if (what.find("lease") != std::string::npos) {
          EXPECT_EQ(count, 0U) << what;
        }
      }
    }
    EXPECT_EQ(world.cables[0].overflown, 0U);
    EXPECT_TRUE(sender.notices.empty());
    EXPECT_TRUE(receiver.notices.empty());
    EXPECT_GE(world.node(1).status().paths, 10'000U);
    EXPECT_TRUE(world.reconciles());
  }
}

// As many paths as one link can keep alive, with the default lease: what they cost when nothing happens.
TEST(Scale, hundred_thousand_leases_cost_few_packets) {
  World world{2, 5, [](NodeConfig& config) {
                fast_host(config);
                config.workers[0].clips = 110'000;
                config.workers[0].packet_buffers = 1 << 22;
                config.limits.packet_buffers_per_uid = 1 << 22;
                config.limits.memory_per_uid_bytes = std::uint64_t{1} << 40;
                config.limits.arena_bytes = std::uint64_t{1} << 40;
              }};
  constexpr std::size_t sessions = 10, each = 10'000;
  std::vector<App*> senders;
  std::uint64_t made = 0;
  for (std::size_t s = 0; s < sessions; ++s) {
    world.listen(1, static_cast<std::uint16_t>(80 + s));
    App& sender = *senders.emplace_back(&world.start(0));
    for (std::size_t i = 0; i < each; ++i) {
      world.create(sender, 1, static_cast<std::uint16_t>(80 + s), guaranteed(0.1, 64, seconds{20}), seconds{60});
      if (i % 100 == 99) world.run(ms(100));
    }
    world.run(seconds{2});
    ASSERT_EQ(sender.created.size(), each) << (sender.failed.empty() ? "" : sender.failed[0].error.text);
    made += sender.created.size();
  }
  const std::uint64_t before = world.packets;
  world.run(seconds{20});
  const auto a_second = static_cast<double>(world.packets - before) / 20;
  RecordProperty("paths", static_cast<int>(made));
  RecordProperty("packets_a_second", std::to_string(a_second));
  std::cout << made << " paths are kept alive by " << a_second << " packets a second, both ends and acknowledgements together\n";
  EXPECT_LT(a_second, 500) << "a packet for 200 paths and second";
  EXPECT_EQ(world.node(0).status().paths, made) << "none has lost its lease";
  EXPECT_EQ(world.node(1).status().paths, made);
}

TEST(Scale, hundred_thousand_channels_come_and_go_and_nothing_is_left) {
  World world{2, 5, fast_host};
  App& receiver = world.listen(1, 80);
  App& sender = world.start(0);
  std::size_t made = 0;
  for (int i = 0; i < 100'000; ++i) {
    world.create(sender, 1, 80, guaranteed(100, 1'000, ms(20)), seconds{5});
    if (i % 20 != 19) continue;
    world.run(ms(20));
    made += sender.created.size();
    for (const auto& c : sender.created) world.destroy(sender, c.channel);
    for (const auto& a : receiver.accepted) world.destroy(receiver, a.channel);
    sender.created.clear();
    receiver.accepted.clear();
    receiver.asked.clear();
    receiver.notices.clear();
    sender.notices.clear();
    sender.done.clear();
    receiver.done.clear();
  }
  world.run(ms(500));
  EXPECT_EQ(made + sender.failed.size() + sender.created.size(), 100'000U);
  EXPECT_GT(made, 99'000U) << (sender.failed.empty() ? "" : sender.failed[0].error.text);
  world.kill(sender);
  world.kill(receiver);
  world.run(seconds{5});
  EXPECT_EQ(world.leftovers(), "");
}

TEST(Chaos, leaves_nothing_behind_in_ten_thousand_histories) {
  for (std::uint64_t seed = 1'001; seed <= 11'000; ++seed) {
    testing::Chaos chaos{seed};
    ASSERT_EQ(chaos.run(), "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace rtchan::node
