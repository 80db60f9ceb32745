// From contracts to tasks: figures that can be checked by hand, and that nothing is forgotten.
#include "admission/stages.hpp"

#include <gtest/gtest.h>

namespace rtchan::admission {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// 1,400 bytes of a message and 100 of everything else per frame, at 100 Mbit/s: 120 us a full frame.
constexpr PacketFormat format{1'400, 100};
constexpr LinkModel link{100'000'000, format, Duration{0}};

TEST(Stages, APeriodGoesDownstreamAndBackWithoutGettingShorter) {
  for (const std::int64_t t : {1, 2, 127, 128, 129, 16'129, 1'000'000, 999'999'999}) {
    const Duration down = downstream({Duration{t}, 1, 1}).period;
    EXPECT_LE(down.count(), t);
    EXPECT_GE(down.count(), t - t / 128 - 1);
    EXPECT_GE(downstream({upstream_period(down), 1, 1}).period, down);
  }
}

TEST(Stages, AContractBecomesIntegers) {
  const auto c =
      contract_of({.max_rate = 3, .max_burst = 4, .max_message_bytes = 1'000, .max_delay = milliseconds{5}});
  ASSERT_TRUE(c);
  EXPECT_EQ(c->period, Duration{333'333'333});  // rounded down: never slower than asked
  EXPECT_FALSE(contract_of({.max_rate = 0, .max_burst = 1, .max_message_bytes = 1}));
  EXPECT_FALSE(contract_of({.max_rate = 1, .max_burst = 0, .max_message_bytes = 1}));
  EXPECT_FALSE(contract_of({.max_rate = 1, .max_burst = 1, .max_message_bytes = 0}));
  EXPECT_FALSE(contract_of({.max_rate = std::numeric_limits<double>::quiet_NaN(), .max_message_bytes = 1}));
}

TEST(Stages, TheWireCarriesEveryByteOfEveryFrame) {
  EXPECT_EQ(wire_time(link, 1'400), microseconds{120});
  const Candidate one = link_stage(link, {milliseconds{2}, 1, 1'000});
  EXPECT_EQ(one.service, microseconds{88});
  EXPECT_EQ(one.chunk, one.service);
  const Candidate many = link_stage(link, {milliseconds{20}, 1, 3'000});  // 1400 + 1400 + 200
  EXPECT_EQ(many.service, microseconds{120 + 120 + 24});
  EXPECT_EQ(many.chunk, microseconds{120});
  LinkModel one_at_a_time = link;
  one_at_a_time.frame_cost = microseconds{10};
  EXPECT_EQ(link_stage(one_at_a_time, {milliseconds{20}, 1, 3'000}).service, microseconds{294});
  EXPECT_EQ(format.packets(0), 1u);
  EXPECT_EQ(format.packets(1'400), 1u);
  EXPECT_EQ(format.packets(1'401), 2u);
}

TEST(Stages, TheSenderPaysPerMessagePacketByteAndStep) {
  CostModel cost;
  cost.send = {Duration{100}, Duration{50}, Duration{20}, 1'000};
  cost.handler_switch = Duration{5};
  cost.turn = Duration{3};
  cost.packets_per_step = 2;
  const Candidate c = send_cpu(cost, {milliseconds{1}, 1, 7'000}, format);  // five packets, three steps
  EXPECT_EQ(c.service, Duration{100 + 50 + 4 * 20 + 7'000 + 3 * 8});
  EXPECT_EQ(c.chunk, Duration{8 + 100 + 50 + 20 + 2'800});
  EXPECT_LE(c.chunk, c.service);
  EXPECT_TRUE(valid(c));
}

TEST(Stages, ReceivingHasInputThatIsNotPartOfC) {
  const CostModel cost;
  const Contract contract{milliseconds{10}, 1, 7'000};
  const Candidate c = receive_cpu(cost, contract, format, milliseconds{5});
  EXPECT_EQ(c.input_service, 5 * cost.input_packet);
  EXPECT_EQ(c.input_jitter, milliseconds{5});
  EXPECT_EQ(send_cpu(cost, contract, format).input_service, Duration{0});
  EXPECT_TRUE(valid(forward_cpu(cost, contract, format, milliseconds{5})));
}

TEST(Stages, TheDefaultsLeaveRoomForTheDemonstration) {
  const CostModel cost;
  const auto policy = make_policy("edf", cpu_settings(cost, format));
  const auto polling = policy->test(best_effort_input(cost));
  ASSERT_TRUE(polling) << name(polling.error().reason);
  policy->reserve(best_effort_input(cost), cost.best_effort_period);
  // control loop, video, bulk; both ends on one core, each stage content with an eighth of the whole delay
  struct Wish {
    Contract contract;
    Duration delay;
  };
  for (const Wish& w : {Wish{{milliseconds{2}, 1, 1'000}, milliseconds{5}},
                        Wish{{milliseconds{40}, 4, 40'000}, milliseconds{100}},
                        Wish{{milliseconds{50}, 2, 30'000}, milliseconds{100}}}) {
    Duration both{};
    std::vector<EntryId> ends;
    for (const Candidate& stage :
         {send_cpu(cost, w.contract, format), receive_cpu(cost, w.contract, format, w.delay)}) {
      const auto d = policy->test(stage);
      ASSERT_TRUE(d) << name(d.error().reason);
      both += std::max(*d, w.delay / 8);
      ends.push_back(policy->reserve(stage, std::max(*d, w.delay / 8)));
    }
    EXPECT_LE(both, w.delay / 2);
    for (const EntryId end : ends)
      policy->commit(end, w.delay / 3);  // with the link's third, all is given out
  }
  const auto wire = make_policy("edf", link_settings(cost, link, link_visit(cost, link.format, 1)));
  const auto d = wire->test(link_stage(link, {milliseconds{2}, 1, 1'000}));
  ASSERT_TRUE(d);
  EXPECT_LT(*d, milliseconds{1});
}

TEST(Stages, WhatOthersHaveInTheDeviceBlocksALinkAsLong) {
  LinkModel shared = link;
  shared.foreign = microseconds{170};
  EXPECT_EQ(link_blocking({}, shared, microseconds{500}), link_blocking({}, link, microseconds{500}) + microseconds{170});
  EXPECT_EQ(link_settings({}, shared, microseconds{500}).base_blocking, link_blocking({}, shared, microseconds{500}));
  const Candidate channel = link_stage(link, {milliseconds{2}, 1, 1'000});
  const auto alone = make_policy("edf", link_settings({}, link, microseconds{500}))->test(channel);
  const auto beside = make_policy("edf", link_settings({}, shared, microseconds{500}))->test(channel);
  ASSERT_TRUE(alone && beside);
  EXPECT_EQ(*beside, *alone + microseconds{170});
}

TEST(Stages, BuffersHoldWhatMayWait) {
  const Contract c{milliseconds{10}, 5, 100};
  EXPECT_EQ(source_buffers(c, milliseconds{25}), 7u);
  EXPECT_EQ(hop_buffers(c, milliseconds{12}, milliseconds{3}, milliseconds{1}, milliseconds{25}), 5u);
}

TEST(Stages, SlackIsSharedByWeightAndNothingIsLost) {
  const Duration minima[] = {Duration{1}, Duration{2}, Duration{4}};
  Duration delays[3];
  share_slack(minima, Duration{100}, delays);
  EXPECT_EQ(delays[0], Duration{1 + 14});
  EXPECT_EQ(delays[1], Duration{2 + 28});
  EXPECT_EQ(delays[0] + delays[1] + delays[2], Duration{107});
}

TEST(Supply, AGapTwiceThenQuanta) {
  const Supply s{Duration{4}, Duration{10}, {}, 0};
  const std::int64_t expected[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 4, 4, 4, 4, 4, 4, 5};
  for (std::size_t t = 0; t < std::size(expected); ++t)
    EXPECT_EQ(s.available(Duration{static_cast<std::int64_t>(t)}).count(), expected[t]) << t;
  for (std::int64_t work = 1; work < 50; ++work) {
    const Duration t = s.time_for(Duration{work});
    EXPECT_GE(s.available(t), Duration{work});
    EXPECT_LT(s.available(t - Duration{1}), Duration{work});
  }
}

TEST(Supply, LossNeverTakesBackWhatWasThere) {
  const Supply s{Duration{7}, Duration{10}, Duration{3}, 300'000};
  ASSERT_TRUE(s.valid());
  for (std::int64_t t = 1; t < 300; ++t)
    EXPECT_GE(s.available(Duration{t}), s.available(Duration{t - 1})) << t;
  EXPECT_FALSE((Supply{Duration{1}, Duration{10}, {}, 100'000}.valid()));  // nothing left in the long run
}

// Budgets are activated at 0, T, 2T ... with deadlines d later, and each may be used at any time from its activation until the next:
// what that asks of a core in the worst window is never more than what the reserved task asks.
TEST(Stages, WhatPollingMayAskForInAnyWindowIsWhatIsReservedForIt) {
  CostModel cost;
  cost.best_effort_period = Duration{50};
  for (const std::int64_t delay : {51, 60, 99, 100, 101, 150, 400}) {
    cost.best_effort_delay = Duration{delay};
    const std::int64_t reserved = best_effort_input_delay(cost).count(), period = 50;
    for (std::int64_t begin = 0; begin < period; ++begin) {       // packets flood in from here on
      for (std::int64_t window = 1; window < 1'000; ++window) {
        std::int64_t asked = 0;  // budgets that work is done for from `begin` on, and that are due within the window
        for (std::int64_t activation = 0; activation + delay <= begin + window; activation += period) {
          if (activation + period > begin) ++asked;
        }
        const std::int64_t granted = window < reserved ? 0 : (window - reserved) / period + 1;
        ASSERT_LE(asked, granted) << "d " << delay << ", from " << begin << " for " << window;
      }
    }
  }
}

}  // namespace
}  // namespace rtchan::admission
