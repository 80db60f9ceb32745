// A device whose best-effort class is full: best effort waits, apart, and nobody else does.
#include <algorithm>
#include <map>
#include <random>

#include "clips/testing/link_rig.hpp"

namespace rtchan::clips {
namespace {

using namespace testing;
using Ids = std::vector<std::uint32_t>;

constexpr std::size_t real_time = 0;
constexpr std::size_t best_effort_class = 1;

class FullDevice : public LinkTest {};

TEST_F(FullDevice, RefusedBestEffortDoesNotStandInFrontOfRealTime) {
  link.set_burst_bound(admission::BurstBound::constant(microseconds{100}));
  LinkFlow& f = flow();
  LinkFlow& rest = flow({}, true);
  for (int i = 0; i < 6; ++i) best_effort(rest);
  wire.room[best_effort_class] = 2;
  serve();
  ASSERT_EQ(wire.sent.size(), 2u);
  const auto urgent = stage(f, 1000, start, start + microseconds{400});
  serve();
  ASSERT_EQ(wire.sent.size(), 3u) << "at once, though four best-effort packets were refused before it came";
  EXPECT_EQ(wire.sent[2].id, urgent);
}

TEST_F(FullDevice, AHeldLinkHandsNothingOverAndThenGoesByDeadlineAtTheLinksPace) {
  link.set_burst_bound(admission::BurstBound::constant(microseconds{100}));
  LinkFlow& one = flow();
  LinkFlow& other = flow();
  LinkFlow& rest = flow({}, true);
  link.hold(true);
  Ids expected(40);
  for (std::size_t i = 0; i < 20; ++i) expected[2 * i] = stage(one, 1000, start, start + (2 * i) * microseconds{10});
  for (std::size_t i = 0; i < 20; ++i) expected[2 * i + 1] = stage(other, 1000, start, start + (2 * i + 1) * microseconds{10});
  expected.push_back(best_effort(rest));
  run_until(start + std::chrono::seconds{1});
  ASSERT_TRUE(wire.sent.empty()) << "the device would keep them and let them go as one clump";
  link.hold(false);
  const Instant up = wire.now;
  run_until(up + microseconds{500});
  EXPECT_EQ(order(), expected);
  const auto together = static_cast<std::size_t>(microseconds{100} / wire_time(1000));
  for (const std::size_t burst : wire.bursts) EXPECT_LE(burst, together) << "not all at once";
  EXPECT_GE(wire.sent.back().finish - up, 40 * wire_time(1000) + wire_time(payload));
}

TEST_F(FullDevice, WithinABatchRealTimeGoesPastTheRefused) {
  link.set_burst_bound(admission::BurstBound::constant(microseconds{200}));
  LinkFlow& ahead = flow(microseconds{500});  // early: chosen after best effort
  LinkFlow& rest = flow({}, true);
  Ids early, effort;
  for (int i = 0; i < 3; ++i) effort.push_back(best_effort(rest, 500));
  for (int i = 0; i < 3; ++i) early.push_back(stage(ahead, 500, start + microseconds{400}, start + microseconds{500}));
  wire.room[best_effort_class] = 1;
  serve();
  EXPECT_EQ(order(), (Ids{effort[0], early[0], early[1], early[2]}));
  const Duration left = start + microseconds{500} - wire.sent[1].finish;
  EXPECT_GE(wire.sent[1].rem, left);
  EXPECT_LT(wire.sent[1].rem, left + Duration{16}) << "its rem knows nothing of packets that did not go";
}

TEST_F(FullDevice, RefusedPacketsAreNotOutstanding) {
  link.set_burst_bound(admission::BurstBound::constant(microseconds{100}));
  LinkFlow& rest = flow({}, true);
  for (int i = 0; i < 6; ++i) best_effort(rest);
  wire.room[best_effort_class] = 1;
  serve();
  EXPECT_EQ(link.outstanding(wire.now), wire_time(payload)) << "the one that was taken";
  wire.now += wire_time(payload);
  serve();
  EXPECT_EQ(link.outstanding(wire.now), Duration{0});
}

TEST_F(FullDevice, RefusedBestEffortGoesInItsOrderOnceThereIsRoom) {
  link.set_burst_bound(admission::BurstBound::constant(microseconds{100}));
  LinkFlow& one = flow({}, true);
  LinkFlow& other = flow({}, true);
  one.turn = other.turn = 2;
  Ids expected;
  for (int i = 0; i < 3; ++i) {
    for (LinkFlow* f : {&one, &one, &other, &other}) expected.push_back(best_effort(*f, 500));
  }
  wire.room[best_effort_class] = 3;
  const Instant retry = serve();
  EXPECT_LE(retry, start + limits::device_retry);
  EXPECT_EQ(counters.link_full_best_effort, 1u);
  serve();
  EXPECT_EQ(counters.link_full_best_effort, 1u) << "the device is not asked again and again";
  wire.room[best_effort_class] = SIZE_MAX;
  run_until(start + microseconds{300});
  EXPECT_EQ(order(), expected) << "the refused are where they were, their turn with them";
  EXPECT_EQ(one.frames.used + other.frames.used, 0u);
}

TEST_F(FullDevice, ForgottenWhileRefusedIsGone) {
  link.set_burst_bound(admission::BurstBound::constant(microseconds{100}));
  LinkFlow& leaver = flow({}, true);
  LinkFlow& stayer = flow({}, true);
  for (int i = 0; i < 4; ++i) best_effort(leaver, 500);
  const auto stays = best_effort(stayer, 500);
  wire.room[best_effort_class] = 0;
  serve();
  link.forget(leaver);
  EXPECT_EQ(leaver.frames.used, 0u) << "its clip may go at once";
  leaver = LinkFlow{};  // and its memory may serve somebody else
  wire.room[best_effort_class] = SIZE_MAX;
  run_until(start + microseconds{300});
  EXPECT_EQ(order(), Ids{stays});
  EXPECT_EQ(store.available(), 4096u);
}

TEST_F(FullDevice, BehindRefusedRealTimeNothingGoesAndTheMostUrgentIsFirstWhenThereIsRoom) {
  link.set_burst_bound(admission::BurstBound::constant(microseconds{100}));
  LinkFlow& relaxed = flow();
  LinkFlow& urgent = flow();
  LinkFlow& rest = flow({}, true);
  const auto refused = stage(relaxed, 500, start, start + microseconds{900});
  const auto effort = best_effort(rest, 500);
  wire.room[real_time] = 0;
  const Instant retry = serve();
  EXPECT_TRUE(wire.sent.empty());
  EXPECT_EQ(retry, start + limits::device_retry);
  const auto first = stage(urgent, 500, start, start + microseconds{300});
  wire.room[real_time] = SIZE_MAX;
  serve();
  EXPECT_EQ(order(), (Ids{first, refused, effort}));
}

TEST_F(FullDevice, SignallingKeepsItsTurnsWhileBestEffortIsRefused) {
  LinkFlow& signals = flow();
  signals.period = microseconds{1000};
  signals.delay = microseconds{100};
  signals.turn = 1;
  LinkFlow& rest = flow({}, true);
  for (int i = 0; i < 10; ++i) best_effort(rest, 500);
  wire.room[best_effort_class] = 0;
  for (int i = 0; i < 20; ++i) stage(signals, 500, wire.now, never);
  run_until(start + microseconds{200});
  EXPECT_EQ(wire.sent.size(), 20u) << "not one per period";
}

// ---- random histories --------------------------------------------------------------------------------------------

// What a history may be judged by, from the packets alone. All real-time packets have the same relative deadline, so they
// leave first come, first served: f(i) = max(arrival(i), f(i-1)) + wire(i) on a link without best effort. A best-effort
// frame may be on the wire when the first of a busy period comes, and it is the only one: f <= finish <= f + one frame,
// so two histories that differ in best effort alone differ by one frame at most.
struct History {
  struct Arrival {
    Instant at;
    std::size_t flow;
    std::size_t bytes;
  };
  std::vector<Arrival> real_time, best_effort;  // by time
  struct Change {
    Instant at;
    std::size_t room;
  };
  std::vector<Change> device;                   // of the best-effort class

  explicit History(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto pause = 24'000 + random() % 30'000;
    Instant t = start;
    for (int i = 0; i < 300; ++i) {
      t += Duration{1 + random() % pause};
      for (auto n = random() % 8 == 0 ? random() % 10 : 1; n > 0; --n) {
        real_time.push_back({t, random() % 5, 60 + random() % (payload - 59)});
        t += Duration{1};
      }
    }
    const auto effort_pause = 4'000 + random() % 40'000;
    for (Instant e = start; e < t; e += Duration{random() % effort_pause}) {
      best_effort.push_back({e, random() % 4, 60 + random() % (payload - 59)});
    }
    for (Instant d = start; d < t; d += Duration{random() % 400'000}) {
      device.push_back({d, random() % 3 == 0 ? SIZE_MAX : random() % 4});
    }
    device.push_back({t, SIZE_MAX});
  }
  [[nodiscard]] std::vector<Instant> alone() const {
    std::vector<Instant> finish;
    Instant free = long_ago;
    for (const Arrival& a : real_time) finish.push_back(free = std::max(free, a.at) + wire_time(a.bytes));
    return finish;
  }
};

// One link that such a history happens to.
class Player : public LinkTest {
 public:
  struct Played {
    std::vector<Instant> real_time;          // finish, by arrival
    std::vector<Ids> of_flow;                // ids as they were sent, best-effort flows
    std::vector<Ids> staged;                 // and as they were staged
  };
  Played play(const History& h, bool full_now_and_then) {
    std::vector<LinkFlow*> channels, rest;
    for (int i = 0; i < 5; ++i) channels.push_back(&flow());
    for (int i = 0; i < 4; ++i) rest.push_back(&flow({}, true));
    Played played{{}, std::vector<Ids>(rest.size()), std::vector<Ids>(rest.size())};
    std::map<std::uint32_t, std::size_t> flow_of;  // best effort
    Ids ids;
    std::size_t r = 0, b = 0, d = 0;
    for (Instant due = start; r < h.real_time.size() || b < h.best_effort.size() || due != never;) {
      wire.now = std::max(wire.now, due);
      for (; r < h.real_time.size() && h.real_time[r].at <= wire.now; ++r) {
        const auto& a = h.real_time[r];
        ids.push_back(stage(*channels[a.flow], a.bytes, a.at, a.at + std::chrono::milliseconds{5}));
      }
      for (; b < h.best_effort.size() && h.best_effort[b].at <= wire.now; ++b) {
        const auto& a = h.best_effort[b];
        const auto id = best_effort(*rest[a.flow], a.bytes);
        flow_of[id] = a.flow;
        played.staged[a.flow].push_back(id);
      }
      for (; full_now_and_then && d < h.device.size() && h.device[d].at <= wire.now; ++d) {
        wire.room[best_effort_class] = h.device[d].room;
      }
      due = serve();
      if (r < h.real_time.size()) due = std::min(due, h.real_time[r].at);
      if (b < h.best_effort.size()) due = std::min(due, h.best_effort[b].at);
    }
    std::map<std::uint32_t, Instant> finish;
    for (const auto& s : wire.sent) {
      EXPECT_TRUE(finish.emplace(s.id, s.finish).second) << "sent twice";
      if (const auto f = flow_of.find(s.id); f != flow_of.end()) played.of_flow[f->second].push_back(s.id);
    }
    for (const auto id : ids) played.real_time.push_back(finish.contains(id) ? finish[id] : never);
    return played;
  }
  [[nodiscard]] bool gave_everything_back() const { return store.available() == 4096u; }
  [[nodiscard]] std::uint64_t times_full() const { return counters.link_full_best_effort; }

 private:
  void TestBody() override {}
};

class FullNowAndThen : public ::testing::TestWithParam<int> {};

TEST_P(FullNowAndThen, ChangesNothingForRealTimeAndLosesNothing) {
  const History history(static_cast<std::uint64_t>(GetParam()));
  const std::vector<Instant> alone = history.alone();
  Player never_full, often_full;
  const Player::Played with_room = never_full.play(history, false);
  const Player::Played choked = often_full.play(history, true);
  const Duration frame = wire_time(payload);
  for (std::size_t i = 0; i < alone.size(); ++i) {
    for (const Instant finish : {with_room.real_time[i], choked.real_time[i]}) {
      ASSERT_GE(finish, alone[i]);
      ASSERT_LE(finish, alone[i] + frame) << "real-time packet " << i << " waited for best effort";
    }
  }
  EXPECT_EQ(with_room.of_flow, with_room.staged);
  EXPECT_EQ(choked.of_flow, choked.staged) << "each flow in order, everything, once";
  EXPECT_TRUE(never_full.gave_everything_back() && often_full.gave_everything_back());
  EXPECT_GT(often_full.times_full(), 0u) << "or nothing was tried";
}

INSTANTIATE_TEST_SUITE_P(Histories, FullNowAndThen, ::testing::Range(0, 300));

}  // namespace
}  // namespace rtchan::clips
