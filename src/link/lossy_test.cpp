#include "link/lossy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

#include "link/loopback.hpp"

namespace rtchan::link {
namespace {

using namespace std::chrono_literals;

// Sends numbered packets over a perfect cable whose receiving end is lossy.
class LossyTest : public testing::Test {
 protected:
  static Instant at(Duration t) { return Instant{t}; }

  struct Got {
    std::uint64_t number;
    std::uint64_t check;
    bool intact() const { return check == ~number; }
    friend bool operator==(const Got&, const Got&) = default;
  };

  void send(std::uint64_t number) {
    std::uint64_t words[2] = {number, ~number};
    const TxPacket packet{&ends_[1], std::as_bytes(std::span(words))};
    ASSERT_EQ(cable_.driver(0).transmit(TrafficClass::real_time, {&packet, 1}), 1u);
  }
  std::vector<Got> take(Lossy& lossy, Instant now) {
    std::vector<Got> got;
    std::vector<RxPacket> out(16);
    std::size_t n = 0;
    do {
      n = lossy.receive(TrafficClass::real_time, now, out);
      for (std::size_t i = 0; i < n; ++i) {
        EXPECT_LE(out[i].arrival, now);
        EXPECT_EQ(out[i].from, ends_[0]);
        Got g{};
        EXPECT_EQ(out[i].bytes.size(), sizeof g);
        std::memcpy(&g, out[i].bytes.data(), sizeof g);
        got.push_back(g);
      }
    } while (n == out.size());
    return got;
  }
  // One packet every microsecond, then silence long enough for everything held back.
  std::vector<Got> run(Lossy& lossy, std::uint64_t packets) {
    std::vector<Got> all;
    for (std::uint64_t i = 0; i <= packets; ++i) {
      now_ += i < packets ? 1us : 1s;
      cable_.advance(now_);
      if (i < packets) send(i);
      for (const Got& g : take(lossy, now_)) all.push_back(g);
    }
    return all;
  }

  const std::array<Endpoint, 2> ends_ = {*Endpoint::parse("10.0.0.1:7"), *Endpoint::parse("10.0.0.2:7")};
  Cable cable_{{.ends = ends_}};
  Instant now_{};
};

TEST_F(LossyTest, PassesEverythingWhenNothingIsWrong) {
  Lossy lossy(cable_.driver(1), {}, 1);
  const auto got = run(lossy, 1'000);
  ASSERT_EQ(got.size(), 1'000u);
  for (std::uint64_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i].number, i);
  EXPECT_EQ(lossy.next_event(), never);
}

TEST_F(LossyTest, LosesTheAskedShare) {
  Lossy lossy(cable_.driver(1), {.loss = 0.3}, 1);
  const auto got = run(lossy, 20'000);
  EXPECT_NEAR(static_cast<double>(got.size()), 14'000, 300);
  EXPECT_EQ(got.size() + lossy.tally().lost, 20'000u);
}

TEST_F(LossyTest, DamagesTheAskedShareAndAlwaysVisibly) {
  Lossy lossy(cable_.driver(1), {.corruption = 0.2}, 1);
  const auto got = run(lossy, 10'000);
  const auto damaged = std::ranges::count_if(got, [](const Got& g) { return !g.intact(); });
  EXPECT_EQ(static_cast<std::uint64_t>(damaged), lossy.tally().corrupted);
  EXPECT_NEAR(static_cast<double>(damaged), 2'000, 200);
}

TEST_F(LossyTest, DeliversCopies) {
  Lossy lossy(cable_.driver(1), {.duplication = 1, .copies = 99}, 1);
  const auto got = run(lossy, 10);
  EXPECT_EQ(got.size(), 1'000u);
}

TEST_F(LossyTest, LetsLaterPacketsOvertake) {
  Lossy lossy(cable_.driver(1), {.holding = 0.5, .hold_max = 10us}, 1);
  const auto got = run(lossy, 1'000);
  ASSERT_EQ(got.size(), 1'000u) << "held, not lost";
  std::set<std::uint64_t> numbers;
  std::size_t overtaken = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    numbers.insert(got[i].number);
    if (i > 0 && got[i].number < got[i - 1].number) ++overtaken;
  }
  EXPECT_EQ(numbers.size(), 1'000u);
  EXPECT_GT(overtaken, 100u);
}

TEST_F(LossyTest, SaysWhenTheNextHeldPacketIsDue) {
  Lossy lossy(cable_.driver(1), {.holding = 1, .hold_max = 1ms}, 3);
  cable_.advance(at(1s));
  send(7);
  EXPECT_TRUE(take(lossy, at(1s)).empty());
  const Instant due = lossy.next_event();
  EXPECT_GT(due, at(1s));
  EXPECT_LT(due, at(1s + 1ms));
  EXPECT_TRUE(take(lossy, due - 1ns).empty());
  EXPECT_EQ(take(lossy, due).size(), 1u);
}

TEST_F(LossyTest, IsTheSameForTheSameSeed) {
  const Faults faults{.loss = 0.1, .corruption = 0.1, .duplication = 0.1, .holding = 0.3, .hold_max = 50us};
  std::vector<std::vector<Got>> runs;
  for (const std::uint64_t seed : {5u, 5u, 6u}) {
    Cable cable({.ends = ends_});
    Lossy lossy(cable_.driver(1), faults, seed);
    runs.push_back(run(lossy, 2'000));
  }
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_NE(runs[0], runs[2]);
}

TEST_F(LossyTest, LetsNothingThroughInABlackoutAndRecovers) {
  Lossy lossy(cable_.driver(1), {.blackout = true}, 1);
  EXPECT_TRUE(run(lossy, 100).empty());
  lossy.set_faults({});
  EXPECT_EQ(run(lossy, 100).size(), 100u);
}

TEST_F(LossyTest, CountsWhatItCannotHold) {
  Lossy lossy(cable_.driver(1), {.holding = 1, .hold_max = 10s}, 1, 8);
  now_ = at(1s);
  cable_.advance(now_);
  for (std::uint64_t i = 0; i < 20; ++i) send(i);
  EXPECT_TRUE(take(lossy, now_).empty());
  EXPECT_EQ(lossy.tally().overflowed, 12u);
}

}  // namespace
}  // namespace rtchan::link
