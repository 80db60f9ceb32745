// Ten thousand clips: what is idle costs nothing, and nothing is ever lost track of.
#include <gtest/gtest.h>

#include <random>

#include "clips/testing/two_hosts.hpp"

namespace rtchan::clips::testing {
namespace {

constexpr std::uint32_t many = 10'000;

TEST(Scale, TenThousandClipsAFewOfThemActive) {
  TwoHosts hosts({.bits_per_second = 1'000'000'000, .clips = many, .frames = many * 4});
  for (std::uint32_t i = 0; i < many; ++i) {
    hosts.open({.period = milliseconds{10}, .burst = 2, .bytes = 300, .cpu_delay = milliseconds{5},
                .link_delay = milliseconds{10}, .receive_delay = milliseconds{5}, .slots = 2, .packet_buffers = 4});
  }
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> sent(many);
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 100; ++i) {
      const auto c = random() % many;
      sent[c] += hosts.send(*hosts.channels[c]);
    }
    hosts.run_for(milliseconds{1});
  }
  hosts.run_for(milliseconds{100});
  std::uint64_t total = 0;
  for (std::uint32_t c = 0; c < many; ++c) {
    const Channel& channel = *hosts.channels[c];
    ASSERT_EQ(channel.deliveries.size(), sent[c]) << c;
    EXPECT_EQ(hosts.received_counters(channel).late, 0u) << c;
    for (const auto& d : channel.deliveries) EXPECT_TRUE(d.intact);
    total += sent[c];
  }
  EXPECT_GT(total, 4'900u);
  // Work follows what is active: a handful of steps per message, however many clips are open.
  EXPECT_LE(hosts.domain(0).counters().handler_steps, 3 * total);
  EXPECT_LE(hosts.domain(1).counters().handler_steps, 3 * total);
}

TEST(Scale, AllTenThousandAtOnce) {
  TwoHosts hosts({.bits_per_second = 1'000'000'000, .clips = many, .frames = many * 2});
  for (std::uint32_t i = 0; i < many; ++i) {
    // 10,000 x 415 B in 100 ms: a third of the link.
    hosts.open({.period = milliseconds{100}, .bytes = 300, .cpu_delay = milliseconds{20}, .link_delay = milliseconds{60},
                .receive_delay = milliseconds{15}, .slots = 2, .packet_buffers = 2});
  }
  for (int round = 0; round < 3; ++round) {
    for (const auto& c : hosts.channels) hosts.send(*c);
    hosts.run_for(milliseconds{100});
  }
  for (const auto& c : hosts.channels) {
    ASSERT_EQ(c->deliveries.size(), 3u);
    ASSERT_EQ(hosts.received_counters(*c).late, 0u);
  }
}

TEST(Scale, AHundredThousandClipsOneAfterAnotherLeaveNothingBehind) {
  TwoHosts hosts({.clips = 8, .frames = 64});
  LocalQueue queue(2, 100);
  LocalMailbox mailbox(2, 100);
  const auto specs = hosts.describe({.period = milliseconds{1}, .bytes = 100, .slots = 2, .packet_buffers = 32});
  for (int i = 0; i < 100'000; ++i) {
    ClipSpec sender = specs->sender;
    ClipSpec receiver = specs->receiver;
    sender.next_label.generation = receiver.generation = static_cast<std::uint32_t>(i);
    hosts.domain(0).open(make_clip(sender, std::make_unique<LocalSource>(queue), nullptr), hosts.now);
    hosts.domain(1).open(make_clip(receiver, nullptr, std::make_unique<LocalSink>(mailbox)), hosts.now);
    if (i % 1'000 == 0) {  // and it works to the last
      ASSERT_TRUE(queue.send(message_of(100, 0), hosts.now));
      hosts.domain(0).sighted(sender.slot, hosts.now);
      hosts.poke(0);
      hosts.run_for(milliseconds{5});
      ASSERT_FALSE(mailbox.empty()) << i;
      mailbox.release(mailbox.receive());
    }
    hosts.domain(0).close(sender.slot, CloseMode::drain, hosts.now);
    hosts.domain(1).close(receiver.slot, CloseMode::abandon, hosts.now);
    hosts.domain(0).turn(hosts.now);
    hosts.domain(1).turn(hosts.now);
  }
  EXPECT_EQ(hosts.observer[0].closed.size(), 100'000u);
  EXPECT_EQ(hosts.observer[1].closed.size(), 100'000u);
}

}  // namespace
}  // namespace rtchan::clips::testing
