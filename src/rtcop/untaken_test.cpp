// What no daemon of ours does to another, done by hand: each cell of the table that is marked so, and nothing is left behind.
#include "rtcop/untaken.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "rtcop/engine.hpp"
#include "rtcop/testing/line.hpp"

namespace rtchan::rtcop {
namespace {

using std::chrono::seconds;
using testing::Line;
using testing::ms;
using wire::SignalType;

using Counts = std::array<std::array<std::uint64_t, path_events>, path_states>;

class Untaken : public ::testing::Test {
 protected:
  void add(const Engine& engine) {
    for (std::size_t s = 0; s < path_states; ++s) {
      for (std::size_t e = 0; e < path_events; ++e) taken_[s][e] += engine.counters().transitions[s][e];
    }
  }

  // A node that has asked for resources and hears something else first.
  void while_reserving(const std::function<void(Engine&, const PathId&, Instant, std::vector<Action>&)>& then) {
    EngineConfig config;
    config.self = {HostId{1}, 1};
    Engine engine{config, 1};
    wire::Setup setup;
    setup.path = PathId{HostId{1}, 1};
    setup.patience_ms = 1'000;
    std::vector<Action> out;
    const Instant now{seconds{1}};
    engine.step(now, Open{setup}, out);
    ASSERT_EQ(engine.find(setup.path)->state, PathState::reserving);
    then(engine, setup.path, now, out);
    EXPECT_EQ(engine.paths(), 0U);
    EXPECT_TRUE(std::holds_alternative<Gone>(out.back()));
    engine.step(now, Reserved{setup.path, std::nullopt, {}}, out);  // its answer comes too late
    EXPECT_EQ(engine.paths(), 0U);
    EXPECT_TRUE(engine.reconciles());
    add(engine);
  }

  // Four nodes, a path that has come as far as `held` allows between 2 and 3; then node 2 is told.
  void when_held(std::optional<SignalType> held, PathState state, const std::function<void(Line&, const PathId&)>& then) {
    Line line{4};
    line.cables[1].lose = [held](const wire::SignalPacket& packet) {
      return held && std::ranges::any_of(packet.messages, [held](const auto& m) { return wire::type_of(m.body) == *held; });
    };
    line.cables[2].lose = line.cables[1].lose;
    if (held == SignalType::start) line.cables[1].lose = nullptr;
    const PathId path = line.open(0, 3);
    line.run(ms(20));
    ASSERT_EQ(line.engine(2).find(path)->state, state) << name(state);
    then(line, path);
    EXPECT_EQ(line.engine(2).find(path), nullptr);
    for (auto& cable : line.cables) cable.lose = nullptr;
    line.run(seconds{12});
    EXPECT_TRUE(line.clean()) << name(state);
    add(line.engine(2));
  }

  static void refuse(Line& line, const PathId& path) {
    const std::uint64_t setup = line.engine(2).find(path)->setup_sent;
    wire::Refuse why{path, Errc::refused, Resource::link, testing::address_of(3), {}, {}, 0, {}, false, 0, 0, setup};
    tell(line, 3, 2, {{1'000, 0, why}});
  }

  static void tell(Line& line, std::size_t from, std::size_t to, const std::vector<wire::SignalMessage>& messages) {
    std::uint64_t theirs = 0, ours = 0;
    line.engine(to).each_neighbour([&](const Neighbour& n, std::size_t) { theirs = n.address().address == testing::address_of(from) ? n.epoch() : theirs; });
    line.engine(from).each_neighbour([&](const Neighbour& n, std::size_t) { ours = n.address().address == testing::address_of(to) ? n.epoch() : ours; });
    auto packet = wire::encode_head(theirs, ours);
    for (const auto& m : messages) ASSERT_TRUE(wire::append_message(packet, wire::encode_message(m.number, m.body)));
    line.give(to, Received{from > to ? 1U : 0U, Endpoint{testing::address_of(from), static_cast<std::uint16_t>(from > to ? 7'000 : 7'001)}, packet});
  }

  Counts taken_{};
};

TEST_F(Untaken, cells_are_safe_when_they_are_taken_all_the_same) {
  while_reserving([](Engine& e, const PathId& path, Instant now, auto& out) { e.step(now, Close{path}, out); });
  while_reserving([](Engine& e, const PathId& path, Instant now, auto& out) { e.step(now, Void{{path}, "guard lost"}, out); });
  while_reserving([](Engine& e, const PathId&, Instant now, auto& out) { e.step(now + seconds{2}, Tick{}, out); });
  {
    Line line{3};
    line.open(0, 1);
    line.run(ms(20));
    const PathId path{HostId{100}, 77};
    wire::Setup setup;
    setup.path = path;
    setup.destination = Endpoint{testing::address_of(2), 7};
    setup.qos = wire::SignalQos{ServiceClass::guaranteed, ms(2), 500'000'000'000, 1, 1'000, ms(10)};
    setup.patience_ms = 1'000;
    tell(line, 0, 1, {{900, 0, setup}, {901, 0, wire::Teardown{path, wire::TeardownReason::closed, {}, 900, 0}}});
    EXPECT_EQ(line.engine(1).find(path), nullptr);
    line.run(seconds{2});
    EXPECT_FALSE(line.holdings[1].reserved.contains(path));
    EXPECT_EQ(line.engine(2).paths(), 0U);
    add(line.engine(1));
  }
  const auto failed = [](Line& line, const PathId& path) { line.give(2, OpenFailed{path, "no memory"}); };
  for (const auto& [held, state] : {std::pair{std::optional{SignalType::confirm}, PathState::committed},
                                    {std::optional{SignalType::start}, PathState::confirmed},
                                    {std::optional<SignalType>{}, PathState::open}}) {
    when_held(held, state, refuse);
    when_held(held, state, failed);
  }
  {  // The clip takes its time.
    Line line{4};
    const PathId path = line.open(0, 3);
    line.cables[2].lose = [&](const wire::SignalPacket& packet) {
      for (const auto& m : packet.messages) {
        const auto* commit = std::get_if<wire::Commit>(&m.body);
        if (commit == nullptr) continue;
        // Both in one packet: the second comes before the node has answered the first.
        wire::Refuse why{path, Errc::refused, Resource::link, testing::address_of(3), {}, {}, 0, {}, false, 0, 0, commit->answers};
        tell(line, 3, 2, {{1'000, 0, *commit}, {1'001, 0, why}});
        return true;
      }
      return false;
    };
    line.run(ms(20));
    EXPECT_EQ(line.engine(2).find(path), nullptr);
    line.cables[2].lose = nullptr;
    line.run(seconds{12});
    EXPECT_TRUE(line.clean());
    add(line.engine(2));
  }
  for (std::size_t s = 0; s < path_states; ++s) {
    for (std::size_t e = 0; e < path_events; ++e) {
      const auto state = static_cast<PathState>(s);
      const auto event = static_cast<PathEvent>(e);
      if (!untaken(state, event)) continue;
      EXPECT_GE(taken_[s][e], 1U) << name(state) << ", " << name(event);
    }
  }
}

}  // namespace
}  // namespace rtchan::rtcop
