// Faults of signalling, each by name, as the simulator's observers judge them: the nodes and workers are the production ones.
// (Kills at every step: testing/killed_stories.cpp.)
#include <gtest/gtest.h>

#include <map>

#include "sim/testing/story.hpp"

namespace rtchan::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::expect_clean;
using testing::line_of;
using testing::on_every_wire;
using testing::story;

std::uint64_t paths_at(World& world, std::uint32_t host) { return world.machine(host).node().status().paths; }

// A thousand set-ups over five hops, one in two milliseconds, with `faults` both ways everywhere until they have had their
// time; then as many teardowns.
std::string thousand_setups(const std::string& faults) {
  std::string text = line_of(6, "workers=0 clips=2048 packet_buffers=100000000 settle_ms=40000 uid_channels=100000");
  text += on_every_wire(6, "0", faults);
  for (int i = 0; i < 1'000; ++i) {
    text += fmt::format("@{}.{:03} create channel={} from=0 to=5 period_us=1000000 bytes=100 delay_us=5000000 patience_ms=30000\n",
                        i / 500, i % 500 * 2, i);
  }
  return text + "@33 destroy channel=0 crowd=1000\n";
}

TEST(Fault, thirty_percent_loss_both_ways_over_five_hops_a_thousand_of_a_thousand) {
  const Outcome outcome = run(story(thousand_setups("loss_ppm=300000")));
  expect_clean(outcome);
  EXPECT_EQ(outcome.totals.created, 1'000U);
  EXPECT_GT(outcome.totals.lost, 3'000U);
}

TEST(Fault, thirty_percent_corruption_a_thousand_of_a_thousand_and_no_corrupt_packet_accepted) {
  const Outcome outcome = run(story(thousand_setups("corrupt_ppm=300000")));  // observers count what is refused
  expect_clean(outcome);
  EXPECT_EQ(outcome.totals.created, 1'000U);
  EXPECT_GT(outcome.totals.corrupted, 3'000U);
}

TEST(Fault, every_message_delivered_a_hundred_times_makes_one_reservation) {
  const std::string text = line_of(4, "workers=0") + on_every_wire(4, "0", "double_ppm=1000000 copies=99") +
                           "@0.1 create channel=0 from=0 to=3 crowd=5\n@1 destroy channel=0\n@2 destroy channel=1 receiver=1\n";
  const Script script = story(text);
  World world{script};
  world.run_until(milliseconds{900});
  for (std::uint32_t h = 0; h < 4; ++h) EXPECT_EQ(paths_at(world, h), 5U);
  const Outcome outcome = world.run();
  expect_clean(outcome);
  EXPECT_EQ(outcome.totals.created, 5U);
  EXPECT_GT(outcome.totals.copied, 99 * 30U);
}

TEST(Fault, reordering_and_delay_past_the_window_of_duplicates) {
  for (int seed = 1; seed <= 5; ++seed) {
    std::string text = line_of(3, fmt::format("seed={} workers=0 uid_channels=100000 clips=4096 packet_buffers=1000000 settle_ms=20000", seed));
    text += on_every_wire(3, "0", "hold_ppm=200000 hold_us=3000000 double_ppm=200000");
    // More numbers than the 2,048 that a receiver remembers, within one hold.
    for (int i = 0; i < 800; ++i) {
      text += fmt::format("@{}.{:03} create channel={} from=0 to=2 period_us=1000000 bytes=50 delay_us=2000000 patience_ms=4000\n",
                          1 + i / 400, i % 400 * 2, i);
      text += fmt::format("@{}.{:03} destroy channel={}\n", 2 + i / 400, i % 400 * 2, i);
    }
    expect_clean(run(story(text + "@6 mend from=0 to=1\n")));
  }
}

TEST(Fault, setup_that_arrives_after_its_teardown_is_not_resurrected) {
  for (int seed = 1; seed <= 30; ++seed) {
    // Everything forward is held for up to two seconds; what is sent after the mend overtakes it.
    const Script script = story(line_of(3, fmt::format("seed={}", seed)) +
                                "@0.2 create channel=9 from=0 to=2 patience_ms=2000\n"  // the neighbours know each other
                                "@0.5 faults from=0 to=1 hold_ppm=1000000 hold_us=2000000\n"
                                "@0.5001 create channel=0 from=0 to=2 patience_ms=3000\n"
                                "@0.504 mend from=0 to=1\n"
                                "@0.505 kill app=0\n"
                                "@4 mend from=0 to=1\n");
    World world{script};
    world.run_until(milliseconds{3'500});
    for (std::uint32_t h = 0; h < 3; ++h) EXPECT_EQ(paths_at(world, h), 0U) << "seed " << seed << " host " << h;
    expect_clean(world.run());
  }
}

TEST(Fault, teardown_lost_for_good_is_made_up_for_within_a_lease) {
  const Script script = story(line_of(3, "lease_ms=2000") +
                              "@0.1 create channel=0 from=0 to=2\n"
                              "@1 cut from=0 to=1\n@1 cut from=1 to=0\n@1.001 kill app=0\n@20 mend from=0 to=1\n@20 mend from=1 to=0\n");
  World world{script};
  world.run_until(milliseconds{900});
  EXPECT_EQ(paths_at(world, 2), 1U);
  world.run_until(milliseconds{1'001 + 2'000 + 100});
  EXPECT_EQ(paths_at(world, 0), 0U);
  EXPECT_EQ(paths_at(world, 1), 0U);
  world.run_until(milliseconds{1'001 + 2'000 + 200});
  EXPECT_EQ(paths_at(world, 2), 0U);
  expect_clean(world.run());
}

TEST(Fault, one_way_partition_expires_on_both_sides_and_heals) {
  for (const auto& [from, to] : {std::pair{1, 2}, {2, 1}}) {
    const Script script = story(line_of(4, "lease_ms=1000") + "@0.1 create channel=0 from=0 to=3\n" +
                                fmt::format("@1 cut from={} to={}\n@5 mend from={} to={}\n", from, to, from, to) +
                                "@6 create channel=1 from=0 to=3 patience_ms=3000\n");
    World world{script};
    world.run_until(milliseconds{900});
    EXPECT_EQ(paths_at(world, 1), 1U);
    world.run_until(milliseconds{3'900});
    const std::uint64_t said = world.totals().signal_packets;
    world.run_until(milliseconds{4'900});
    for (std::uint32_t h = 0; h < 4; ++h) EXPECT_EQ(paths_at(world, h), 0U) << h;
    EXPECT_LE(world.totals().signal_packets - said, 20U) << "no livelock: nothing is held, so nearly nothing is said";
    world.run_until(milliseconds{9'500});
    for (std::uint32_t h = 0; h < 4; ++h) EXPECT_EQ(paths_at(world, h), 1U) << h;
    expect_clean(world.run());
  }
}

TEST(Fault, black_hole_five_seconds_on_two_off_resolves_every_operation) {
  std::string text = line_of(4, "lease_ms=3000");
  for (int round = 0; round < 8; ++round) {
    text += fmt::format("@{} cut from=1 to=2\n@{} cut from=2 to=1\n@{} mend from=1 to=2\n@{} mend from=2 to=1\n", round * 7, round * 7,
                        round * 7 + 5, round * 7 + 5);
  }
  for (int i = 0; i < 110; ++i) {
    text += fmt::format("@{}.5 create channel={} from=0 to=3 patience_ms=6000 period_us=50000\n", i / 2, i);
    if (i >= 6 && i % 3 == 0) text += fmt::format("@{}.7 destroy channel={} receiver={}\n", i / 2, i - 6, i % 2);
  }
  const Outcome outcome = run(story(text));  // an observer counts the answers
  expect_clean(outcome);
  EXPECT_EQ(outcome.totals.created + outcome.totals.refused, 110U);
  EXPECT_GT(outcome.totals.created, 20U);
}

TEST(Fault, two_setups_race_for_the_last_capacity_and_exactly_one_is_admitted) {
  for (int seed = 1; seed <= 50; ++seed) {
    std::string text = fmt::format("settings seed={}\n", seed);
    for (int l = 0; l < 3; ++l) text += fmt::format("link link={} a=0 b={} rate_kbit={}\n", l, l + 1, l == 2 ? 20'000 : 100'000);
    for (int h = 0; h < 4; ++h) text += fmt::format("@0 start app={} host={}\n", h, h);
    // Each takes six tenths of the last link.
    for (int c = 0; c < 2; ++c) {
      text += fmt::format("@0.{} create channel={} from={} to=3 period_us=8000 bytes=12000 delay_us=200000 patience_ms=3000\n",
                          c == 0 ? 1'000 : 1'000 + seed % 7, c, c + 1);
    }
    const Outcome outcome = run(story(text));
    expect_clean(outcome);
    EXPECT_EQ(outcome.totals.created, 1U) << "seed " << seed;
    EXPECT_EQ(outcome.totals.refused, 1U) << "seed " << seed;
  }
}

// Either end dies at every instant of the set-up.
TEST(Fault, setup_crosses_teardown_at_every_moment) {
  const std::string usual = line_of(4, "lease_ms=1000 settle_ms=6000");
  constexpr const char* life = "@0.1 create channel=0 from=0 to=3 patience_ms=1500 messages=2\n@0.3 mend from=0 to=1\n";
  std::vector<Instant> instants;
  const Script script = story(usual + life);
  {
    World world{script};
    world.keep_instants(instants);
    expect_clean(world.run());
  }
  std::size_t runs = 0;
  for (const Instant at : instants) {
    const std::int64_t ns = (at - Instant{seconds{1}}).count() + 1;
    if (ns < 99'000'000 || ns > 160'000'000) continue;
    for (const int app : {0, 3}) {
      ++runs;
      const Outcome outcome = run(story(usual + life + fmt::format("@0.{:09} kill app={}\n", ns, app)));
      for (const auto& line : outcome.wrong) ADD_FAILURE() << "application " << app << " at " << ns << ": " << line;
    }
  }
  EXPECT_GT(runs, 80U);
}

// Four clip slots, two of them at a time: slots, generations, channel numbers and queues go round a hundred times, with late
// packets of their predecessors on the way.
TEST(Fault, slots_and_numbers_are_used_again_and_again) {
  std::string text = line_of(3, "clips=4 settle_ms=6000") + on_every_wire(3, "0", "hold_ppm=100000 hold_us=30000 double_ppm=300000");
  for (int i = 0; i < 200; ++i) {
    text += fmt::format("@{}.{:02}0 create channel={} from=0 to=2 period_us=3000 delay_us=60000 patience_ms=400 messages=4 every_us=3000\n",
                        1 + i * 4 / 100, i * 4 % 100, i);
    text += fmt::format("@{}.{:02}5 destroy channel={} receiver={}\n", 1 + (i * 4 + 6) / 100, (i * 4 + 6) % 100, i, i % 2);
  }
  const Outcome outcome = run(story(text));
  expect_clean(outcome);
  EXPECT_GT(outcome.totals.created, 60U);
}

TEST(Fault, refused_at_the_last_hop_frees_upstream_within_one_retransmission_round) {
  for (const bool lossy : {false, true}) {
    std::string text = line_of(5, "seed=3") + "@0 start app=9 host=4 mood=1\n@0.05 create channel=1 from=0 to=4\n";
    if (lossy) text += on_every_wire(5, "0.4", "loss_ppm=200000");
    const Script script = story(text + "@0.5 create channel=0 from=0 to=9 patience_ms=4000\n@3 mend from=0 to=1\n");
    World world{script};
    Duration at = milliseconds{501};
    world.run_until(at);
    while (world.applications().channels()[0].state != Channel::State::failed && at < seconds{3}) world.run_until(at += milliseconds{1});
    ASSERT_EQ(world.applications().channels()[0].state, Channel::State::failed);
    // The refusal frees every hop as it passes: the source hears of it last.
    for (std::uint32_t h = 0; h < 4; ++h) {
      EXPECT_EQ(paths_at(world, h), 1U) << h;
      for (const auto& stage : world.machine(h).node().status().stages) EXPECT_EQ(stage.tentative, 0U) << h << " " << stage.name;
    }
    expect_clean(world.run());
  }
}

TEST(Fault, route_loop_is_refused) {
  std::string text = "settings seed=1\nlink link=0 a=0 b=1\nlink link=1 a=1 b=2\nlink link=2 a=2 b=0\nlink link=3 a=2 b=3\n";
  for (int h = 0; h < 4; ++h) text += fmt::format("@0 start app={} host={}\n", h, h);
  text += "@0.01 misroute host=0 to=3 by=1\n@0.01 misroute host=1 to=3 by=2\n@0.01 misroute host=2 to=3 by=0\n"
          "@0.1 create channel=0 from=0 to=3 patience_ms=1000\n@2 mend from=0 to=1\n";
  const Script script = story(text);
  World world{script};
  world.run_until(milliseconds{600});
  EXPECT_EQ(world.applications().channels()[0].state, Channel::State::failed) << "at once, not when patience ends";
  for (std::uint32_t h = 0; h < 4; ++h) EXPECT_EQ(paths_at(world, h), 0U);
  expect_clean(world.run());
}

TEST(Fault, more_hops_than_the_limit_are_refused) {
  const Outcome outcome = run(story(line_of(19, "seed=1") + "@0.1 create channel=0 from=0 to=18 delay_us=5000000\n"
                                                            "@0.2 create channel=1 from=0 to=15 delay_us=5000000\n@1 mend from=0 to=1\n"));
  expect_clean(outcome);
  EXPECT_EQ(outcome.totals.refused, 1U);
  EXPECT_EQ(outcome.totals.created, 1U);
}

TEST(Fault, receiver_that_never_answers_is_timed_out) {
  const Script script = story(line_of(3, "seed=1") + "@0 start app=7 host=2 mood=2\n@0.1 create channel=0 from=0 to=7 patience_ms=2000\n"
                                                     "@0.2 create channel=1 from=0 to=7 patience_ms=8000\n@9 mend from=0 to=1\n");
  World world{script};
  world.run_until(milliseconds{3'200});
  EXPECT_EQ(world.applications().channels()[0].state, Channel::State::failed);
  world.run_until(milliseconds{6'500});  // an agent has five seconds
  EXPECT_EQ(world.applications().channels()[1].state, Channel::State::failed);
  for (std::uint32_t h = 0; h < 3; ++h) EXPECT_EQ(paths_at(world, h), 0U);
  expect_clean(world.run());
}

TEST(Fault, host_pause_of_a_second_is_reported) {
  for (const std::uint32_t paused : {0U, 1U, 2U}) {
    const Script script = story(line_of(3, "lease_ms=5000") +
                                "@0.1 create channel=1 from=0 to=2 period_us=5000 delay_us=60000 messages=800 every_us=5000\n" +
                                fmt::format("@1 stall host={} for_us=1000000\n@8 mend from=0 to=1\n", paused));
    World world{script};
    world.run_until(seconds{6});
    const Channel& c = world.applications().channels()[1];
    ASSERT_EQ(c.state, Channel::State::created);
    std::uint64_t late = 0;
    for (const auto& [slot, end] : world.machine(2).ends()) late += world.machine(2).clip_counters(ClipSlot{slot}).late;
    for (const auto& [slot, end] : world.machine(0).ends()) late += world.machine(0).clip_counters(ClipSlot{slot}).late;
    EXPECT_GT(late, 5U) << "host " << paused;
    // At the source what was said meanwhile is first seen afterwards, and the promise counts from then.
    if (paused != 0) {
      EXPECT_GT(world.totals().excused, 5U) << "observers saw it too";
    }
    expect_clean(world.run());
  }
}

}  // namespace
}  // namespace rtchan::sim
