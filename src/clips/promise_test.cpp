// The promise itself, judged from outside: random channels that admission takes, conforming and cheating sources,
// saturating best effort. The judge knows when each message was handed over and computes its logical arrival by the
// definition; it believes no counter of the code under test.
#include <gtest/gtest.h>

#include <random>

#include "admission/policy.hpp"
#include "clips/testing/two_hosts.hpp"

namespace rtchan::clips::testing {
namespace {

constexpr std::uint64_t bits_per_second = 100'000'000;

Duration wire_time(std::uint32_t packet_bytes) {
  return Duration{(static_cast<std::int64_t>(packet_bytes) + overhead_bytes) * 8 * 10};
}

admission::Candidate link_candidate(std::uint32_t bytes, Duration period) {
  constexpr auto full = static_cast<std::uint32_t>(1472 - wire::fragment_overhead_bytes);
  const auto ours = static_cast<std::uint32_t>(wire::fragment_overhead_bytes);
  admission::Candidate c;
  c.period = period;
  for (std::uint32_t left = bytes; left > 0; left -= std::min(left, full)) {
    const Duration one = wire_time(std::min(left, full) + ours);
    c.service += one;
    c.chunk = std::max(c.chunk, one);
  }
  c.last = c.chunk;
  return c;
}

// One channel and what its messages must do.
struct Judged {
  Channel* channel{};
  Duration period{};
  Duration think{};              // mean time between hand-overs
  std::uint32_t most{};          // handed over at once, at most
  std::vector<Instant> logical;  // l(m), by definition

  void handed_over(std::uint32_t count, Instant now) {
    for (; count > 0; --count) {
      logical.push_back(logical.empty() ? now : std::max(now, logical.back() + period));
    }
  }
};

class Promise : public ::testing::TestWithParam<int> {};

TEST_P(Promise, EveryMessageIsReadableWithinItsBoundWhateverTheOthersDo) {
  std::mt19937_64 random(static_cast<std::uint64_t>(GetParam()));
  TwoHosts hosts({.bits_per_second = bits_per_second, .best_effort_packets = 64});
  admission::StageSettings settings;
  settings.base_blocking = wire_time(1472);  // a frame of best effort, or of a cheat
  const auto policy = admission::make_policy("edf", settings);
  const Duration horizon = random() % 2 == 0 ? Duration{0} : Duration{random() % 5'000'000};
  std::vector<Judged> all;
  for (int tries = 0; tries < 10; ++tries) {
    const auto bytes = static_cast<std::uint32_t>(1 + random() % (1u << (6 + random() % 10)));
    const Duration period{(200 + random() % 20'000) * 1'000};
    const auto candidate = link_candidate(bytes, period);
    const auto least = policy->test(candidate);
    if (!least) continue;
    const Duration delay = *least + (random() % 2 == 0 ? Duration{0} : Duration{random() % 10'000'000});
    policy->reserve(candidate, delay);
    const auto burst = static_cast<std::uint32_t>(1 + random() % 5);
    Judged j;
    j.period = period;
    j.channel = &hosts.open({.period = period, .burst = burst, .bytes = bytes,
                             .cpu_delay = Duration{random() % 1'000'000}, .link_delay = delay,
                             .receive_delay = Duration{random() % 1'000'000}, .horizon = horizon, .slots = 96,
                             .packet_buffers = 256});
    const bool cheats = random() % 2 == 0;
    j.think = cheats ? period / 4 : period * 2;
    j.most = cheats ? 6 : burst;
    all.push_back(j);
  }
  ASSERT_GE(all.size(), 2u);
  hosts.domain(0).set_burst_bound(0, policy->burst_bound());

  Channel& rest = hosts.open({.service = ServiceClass::best_effort, .bytes = 4'000, .slots = 32});
  hosts.every(milliseconds{1}, [&] { hosts.send(rest, 100); });
  for (Judged& j : all) {
    hosts.every(j.think / 2, [&, jitter = random()]() mutable {
      jitter = jitter * 6364136223846793005ULL + 1442695040888963407ULL;
      if (jitter >> 63 == 0) return;
      const auto now = hosts.now;
      j.handed_over(hosts.send(*j.channel, static_cast<std::uint32_t>(1 + (jitter >> 32) % j.most)), now);
    });
  }
  hosts.run_for(milliseconds{400});

  for (const Judged& j : all) {
    const Channel& c = *j.channel;
    ASSERT_FALSE(c.deliveries.empty());
    const Duration bound = c.receiver.end_to_end;
    for (std::size_t m = 0; m < c.deliveries.size(); ++m) {
      const auto& d = c.deliveries[m];
      ASSERT_EQ(d.number, m);
      ASSERT_TRUE(d.intact);
      ASSERT_LE(d.readable, j.logical[m] + bound) << "message " << m << " of " << c.length << " bytes";
      ASSERT_GE(d.readable, j.logical[m] - horizon) << "policed";
      EXPECT_GE(d.delay, d.readable - j.logical[m]) << "what is reported is never better than the truth";
      EXPECT_LE(d.delay, bound);
    }
    // Whatever was due by now has come.
    for (std::size_t m = c.deliveries.size(); m < j.logical.size(); ++m) {
      ASSERT_GT(j.logical[m] + bound, hosts.now) << "message " << m << " is missing";
    }
    EXPECT_EQ(hosts.received_counters(c).unpoliced, 0u) << "our own links never look like cheats";
  }
  EXPECT_GT(rest.deliveries.size(), 10u);
}

INSTANTIATE_TEST_SUITE_P(Sets, Promise, ::testing::Range(0, 60));

// Best effort has been handed over as far as the channels of yesterday allow: 40 frames. A channel that cannot wait so long
// begins when they have gone, and neither it nor the older ones are late for the change.
TEST(Joining, ATighterChannelBeginsWhenBurstsLeaveRoomForIt) {
  for (int phase = 0; phase < 40; ++phase) {
    TwoHosts hosts({.bits_per_second = bits_per_second, .best_effort_packets = 64});
    admission::StageSettings settings;
    settings.base_blocking = wire_time(1472);
    settings.burst_cap = milliseconds{5};
    const auto policy = admission::make_policy("edf", settings);
    const auto open = [&](std::uint32_t bytes, Duration period, Duration delay) -> Channel& {
      const auto candidate = link_candidate(bytes, period);
      const auto least = policy->test(candidate);
      EXPECT_TRUE(least && *least <= delay);
      policy->reserve(candidate, delay);
      hosts.domain(0).set_burst_bound(0, policy->burst_bound());
      return hosts.open({.period = period, .burst = 1, .bytes = bytes, .cpu_delay = Duration{0}, .link_delay = delay,
                         .receive_delay = milliseconds{1}, .slots = 32});
    };
    Channel& older = open(12'000, milliseconds{12}, milliseconds{6});
    Channel& rest = hosts.open({.service = ServiceClass::best_effort, .bytes = 1'400, .slots = 512});
    hosts.every(microseconds{500}, [&] { hosts.send(rest, 500); });
    hosts.run_for(milliseconds{20} + microseconds{137} * phase);
    hosts.send(older);
    Channel& tighter = open(1'000, milliseconds{1}, microseconds{400});
    hosts.every(milliseconds{1}, [&] { hosts.send(tighter); }, 20);
    hosts.every(milliseconds{12}, [&] { hosts.send(older); }, 3);
    hosts.run_for(milliseconds{60});
    EXPECT_EQ(tighter.deliveries.size(), 20u);
    for (const Channel* c : {&older, &tighter}) {
      EXPECT_EQ(hosts.received_counters(*c).late, 0u) << c->length << " bytes, phase " << phase;
    }
  }
}

// Sources that use all of their contract, and a worker that is taken away for 30 ms: late is what its absence touches, and what
// then has to wait for the backlog. Everything later is on time again, though no source ever slows down.
class AfterAPause : public ::testing::TestWithParam<unsigned> {};

TEST_P(AfterAPause, ChannelsAreOnTimeAgainAtOnce) {
  TwoHosts hosts({.bits_per_second = bits_per_second, .best_effort_packets = 64});
  admission::StageSettings settings;
  settings.base_blocking = wire_time(1472);
  const auto policy = admission::make_policy("edf", settings);
  std::vector<Judged> all;
  const auto add = [&](std::uint32_t bytes, Duration period) {
    const auto candidate = link_candidate(bytes, period);
    const auto delay = *policy->test(candidate) + milliseconds{1};
    policy->reserve(candidate, delay);
    Judged j;
    j.period = period;
    j.channel = &hosts.open({.period = period, .burst = 1, .bytes = bytes, .link_delay = delay,
                             .horizon = milliseconds{1}, .slots = 96, .packet_buffers = 512});
    all.push_back(j);
  };
  add(1'000, milliseconds{2});
  add(200, microseconds{700});
  add(30'000, milliseconds{7});  // about half of the link in all
  hosts.domain(0).set_burst_bound(0, policy->burst_bound());
  Channel& rest = hosts.open({.service = ServiceClass::best_effort, .bytes = 4'000, .slots = 32});
  hosts.every(milliseconds{1}, [&] { hosts.send(rest, 100); });
  for (Judged& j : all) {
    hosts.every(j.period, [&] {
      const auto now = hosts.now;
      ASSERT_EQ(hosts.send(*j.channel), 1u) << "the queue holds what a pause makes wait";
      j.handed_over(1, now);
    });
  }
  hosts.run_for(milliseconds{100});
  const Instant back = hosts.now + milliseconds{30};
  constexpr Duration patience = microseconds{300};
  hosts.take_away(GetParam(), back, patience);
  hosts.run_for(milliseconds{400});

  const Instant settled = back + milliseconds{40};
  for (const Judged& j : all) {
    const Channel& c = *j.channel;
    std::size_t late = 0;
    for (std::size_t m = 0; m < c.deliveries.size(); ++m) {
      ASSERT_EQ(c.deliveries[m].number, m);
      const bool in_time = c.deliveries[m].readable <= j.logical[m] + c.receiver.end_to_end;
      late += in_time ? 0 : 1;
      EXPECT_GE(c.deliveries[m].delay + patience, c.deliveries[m].readable - j.logical[m]) << "what is reported hides nothing";
      if (j.logical[m] > settled) {
        ASSERT_TRUE(in_time) << "message " << m << " of " << c.length << " bytes";
      }
    }
    EXPECT_GT(late, 2u) << "the pause was felt";
    EXPECT_EQ(hosts.received_counters(c).lost, 0u);
    EXPECT_NEAR(static_cast<double>(hosts.received_counters(c).late), static_cast<double>(late), 3) << "and is counted";
  }
}

INSTANTIATE_TEST_SUITE_P(Hosts, AfterAPause, ::testing::Values(0u, 1u));

}  // namespace
}  // namespace rtchan::clips::testing
