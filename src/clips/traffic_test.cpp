// Traffic enforcement, isolation and fairness (paper 7.1-7.3) in virtual time: two hosts, one link.
#include <gtest/gtest.h>

#include <map>

#include "clips/testing/two_hosts.hpp"

namespace rtchan::clips::testing {
namespace {

// Instants at which messages of a channel finished leaving host 0.
class Departed {
 public:
  Departed(TwoHosts& hosts, const Channel& c) {
    hosts.tap(0).seen = [this, &hosts, label = c.sender.next_label](auto, const link::TxPacket& p) {
      const auto packet = wire::decode(p.bytes);
      if (!packet || packet->header.label != label) return;
      const bool last = packet->header.type == wire::PacketType::messages ||
                        packet->header.offset + packet->body.size() == packet->header.message_length;
      if (last) at.push_back(hosts.now);
    };
  }
  // Most messages beyond R*t in any window t: at most B if the contract is enforced.
  [[nodiscard]] double burstiness(Duration period) const {
    double worst = 0;
    for (std::size_t i = 0; i < at.size(); ++i) {
      for (std::size_t j = i; j < at.size(); ++j) {
        const double window = std::chrono::duration<double>(at[j] - at[i]) / std::chrono::duration<double>(period);
        worst = std::max(worst, static_cast<double>(j - i + 1) - window);
      }
    }
    return worst;
  }
  std::vector<Instant> at;
};

// Figure 5: 40 KB messages, 5 a second, bursts of 10, 200 ms.
ChannelSettings figure5() {
  return {.period = milliseconds{200}, .burst = 10, .bytes = 40'000, .cpu_delay = milliseconds{40},
          .link_delay = milliseconds{120}, .receive_delay = milliseconds{40}, .slots = 16};
}

struct Offer {
  double of_contract;  // 0: continuous
  double delivered;    // messages per second
};

class Enforcement : public ::testing::TestWithParam<Offer> {};

TEST_P(Enforcement, DeliveredIsTheSmallerOfOfferedAndContract) {
  TwoHosts hosts({.bits_per_second = 10'000'000});
  Channel& c = hosts.open(figure5());
  const Departed departed(hosts, c);
  const Offer offer = GetParam();
  if (offer.of_contract > 0) {
    hosts.every(Duration{static_cast<std::int64_t>(200e6 / offer.of_contract)}, [&] { hosts.send(c); });
  } else {
    hosts.every(milliseconds{1}, [&] { hosts.send(c, 100); });
  }
  hosts.run_for(seconds{5});
  const std::size_t before = c.deliveries.size();
  hosts.run_for(seconds{60});
  const double rate = static_cast<double>(c.deliveries.size() - before) / 60;
  EXPECT_NEAR(rate, offer.delivered, offer.delivered * 0.01);
  EXPECT_LE(departed.burstiness(milliseconds{200}), 10.0);
  EXPECT_EQ(hosts.received_counters(c).late, 0u);
  EXPECT_EQ(hosts.received_counters(c).lost, 0u);
  EXPECT_EQ(hosts.received_counters(c).unpoliced, 0u);
  EXPECT_EQ(hosts.observer[0].exceeded.empty(), offer.of_contract == 0.5 || offer.of_contract == 1.0);
}

INSTANTIATE_TEST_SUITE_P(Figure5, Enforcement,
                         ::testing::Values(Offer{0.5, 2.5}, Offer{1, 5}, Offer{2, 5}, Offer{0, 5}));

TEST(Enforcement, ABurstWithinTheContractIsAcceptedAtOnceAndLeavesAtTheRate) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{10}, .burst = 5, .bytes = 1000});
  const Instant sent = hosts.now;
  EXPECT_EQ(hosts.send(c, 5), 5u);
  hosts.run_for(milliseconds{100});
  ASSERT_EQ(c.deliveries.size(), 5u);
  for (std::size_t m = 0; m < 5; ++m) {
    const Instant logical = sent + milliseconds{10} * static_cast<std::int64_t>(m);
    EXPECT_GE(c.deliveries[m].readable, logical);
    EXPECT_LE(c.deliveries[m].readable, logical + c.receiver.end_to_end);
    EXPECT_GE(c.deliveries[m].delay, c.deliveries[m].readable - logical) << "reported delay covers the true one";
    EXPECT_LE(c.deliveries[m].delay, c.receiver.end_to_end);
  }
  EXPECT_TRUE(hosts.observer[0].exceeded.empty());
  EXPECT_EQ(hosts.sent_counters(c).shaped, 0u);
}

TEST(Enforcement, HoweverMuchIsQueuedOneMessageLeavesPerPeriod) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{10}, .burst = 1, .bytes = 20'000, .cpu_delay = milliseconds{2},
                           .link_delay = milliseconds{5}, .slots = 64});
  const Departed departed(hosts, c);
  hosts.send(c, 50);
  hosts.run_for(milliseconds{1000});
  ASSERT_EQ(departed.at.size(), 50u);
  for (std::size_t m = 1; m < 50; ++m) EXPECT_EQ(departed.at[m] - departed.at[m - 1], milliseconds{10});
  EXPECT_EQ(hosts.sent_counters(c).shaped, 49u);
  EXPECT_EQ(hosts.observer[0].exceeded.size(), 1u) << "told once";
}

TEST(Enforcement, TheSourceIsToldAgainOnlyAfterItHadCaughtUp) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{10}, .bytes = 1000});
  hosts.send(c, 3);
  hosts.run_for(milliseconds{5});
  hosts.send(c, 3);
  EXPECT_EQ(hosts.observer[0].exceeded.size(), 1u);
  hosts.run_for(milliseconds{200});
  hosts.send(c, 1);
  hosts.run_for(milliseconds{200});
  EXPECT_EQ(hosts.observer[0].exceeded.size(), 1u);
  hosts.send(c, 3);
  EXPECT_EQ(hosts.observer[0].exceeded.size(), 2u);
}

TEST(Enforcement, RefusePolicingDropsWhatExceedsAndDeliversTheRestInOrder) {
  TwoHosts hosts;
  Channel& c = hosts.open({.period = milliseconds{10}, .burst = 4, .bytes = 1000, .policing = Policing::refuse});
  hosts.every(milliseconds{5}, [&] { hosts.send(c); }, 400);  // twice the contract for 2 s
  hosts.run_for(seconds{3});
  const ClipCounters& counters = hosts.sent_counters(c);
  EXPECT_NEAR(static_cast<double>(c.deliveries.size()), 204, 3);
  EXPECT_EQ(counters.refused + c.deliveries.size(), 400u);
  EXPECT_EQ(counters.accepted, c.deliveries.size());
  EXPECT_EQ(counters.shaped, 0u);
  EXPECT_EQ(c.queue->room(), 64u) << "refused messages give their slots back";
  for (std::size_t m = 0; m < c.deliveries.size(); ++m) EXPECT_EQ(c.deliveries[m].number, m);
}

// Figure 6(a): what channel 1 offers beyond its contract does not change what channel 2 gets.
TEST(Isolation, AnotherChannelDoesNotNoticeAViolator) {
  std::map<int, std::vector<Channel::Delivery>> heard;
  for (const int overload : {1, 5}) {
    TwoHosts hosts({.bits_per_second = 10'000'000});
    Channel& violator = hosts.open(figure5());
    Channel& other = hosts.open({.period = milliseconds{50}, .burst = 10, .bytes = 15'000, .cpu_delay = milliseconds{10},
                                 .link_delay = milliseconds{60}, .receive_delay = milliseconds{10}, .slots = 16});
    hosts.every(milliseconds{200} / overload, [&] { hosts.send(violator); });
    hosts.every(milliseconds{50}, [&] { hosts.send(other); });
    hosts.run_for(seconds{60});
    heard[overload] = other.deliveries;
    EXPECT_EQ(hosts.received_counters(other).late, 0u);
    EXPECT_EQ(hosts.received_counters(violator).late, 0u) << "what it may send is still on time";
    EXPECT_NEAR(static_cast<double>(violator.deliveries.size()), 300, overload == 1 ? 2 : 12);
  }
  EXPECT_NEAR(static_cast<double>(heard[5].size()), static_cast<double>(heard[1].size()),
              0.01 * static_cast<double>(heard[1].size()));
  EXPECT_GE(heard[1].size(), 1195u);
}

// Figure 7: a channel that uses half of its rate leaves the rest to best effort, and nothing to a cheat.
TEST(Fairness, TheUnusedShareGoesToBestEffortNotToACheat) {
  struct Result {
    double owner, cheat, best_effort;  // bits per second
  };
  auto play = [](double owner_uses) {
    TwoHosts hosts({.bits_per_second = 10'000'000});
    Channel& owner = hosts.open(figure5());  // 1.6 Mb/s
    Channel& cheat = hosts.open({.period = milliseconds{50}, .burst = 2, .bytes = 15'000, .cpu_delay = milliseconds{10},
                                 .link_delay = milliseconds{60}, .receive_delay = milliseconds{10}, .slots = 16});
    Channel& rest = hosts.open({.service = ServiceClass::best_effort, .bytes = 10'000, .slots = 64});
    hosts.every(Duration{static_cast<std::int64_t>(200e6 / owner_uses)}, [&] { hosts.send(owner); });
    hosts.every(milliseconds{1}, [&] { hosts.send(cheat, 100); });
    hosts.every(milliseconds{1}, [&] { hosts.send(rest, 100); });
    hosts.run_for(seconds{30});
    EXPECT_EQ(hosts.received_counters(owner).late + hosts.received_counters(cheat).late, 0u);
    auto rate = [&](const Channel& c) { return static_cast<double>(c.deliveries.size() * c.length) * 8 / 30; };
    return Result{rate(owner), rate(cheat), rate(rest)};
  };
  const Result full = play(1);
  const Result half = play(0.5);
  EXPECT_NEAR(half.owner, full.owner / 2, full.owner * 0.01);
  EXPECT_NEAR(half.cheat, full.cheat, full.cheat * 0.01);
  const double freed = full.owner - half.owner;
  EXPECT_NEAR(half.best_effort - full.best_effort, freed, freed * 0.05);
  EXPECT_GT(full.owner + full.cheat + full.best_effort, 0.9 * 10'000'000) << "the link is not idle";
}

}  // namespace
}  // namespace rtchan::clips::testing
