// A path that ends and is set up anew under the same name (a router in the middle was restarted, so its upstream neighbour
// sends the SETUP again): what was said of its earlier life and comes only now must not be taken for this one.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "rtcop/engine.hpp"
#include "rtcop/testing/line.hpp"

namespace rtchan::rtcop {
namespace {

using std::chrono::seconds;
using testing::Line;
using testing::ms;
using wire::SignalType;

// Four nodes. Messages of one type are lost between 2 and 3 during a path's first life, and kept; then node 1 is restarted.
class Anew : public ::testing::Test {
 protected:
  void first_life(SignalType kept) {
    line_.cables[2].lose = [this, kept](const wire::SignalPacket& packet) {
      bool lost = false;
      for (const auto& message : packet.messages) {
        if (wire::type_of(message.body) != kept) continue;
        kept_ = {packet.sender_epoch, packet.receiver_epoch, {message}};
        lost = true;
      }
      return lost;
    };
    path_ = line_.open(0, 3);
    line_.run(ms(20));
  }
  // Node 0 notices when it has something to say to node 1.
  void second_life() {
    line_.boot(1);
    const PathId other = line_.open(0, 1);
    line_.run(ms(400));
    line_.close(0, other);
    line_.run(ms(10));
  }
  // `message` comes to `node` from `from` as if it had been on its way since then.
  void comes_late(std::size_t from, std::size_t node, const wire::SignalMessage& message) {
    auto packet = wire::encode_head(epoch(node, from), epoch(from, node));
    ASSERT_TRUE(wire::append_message(packet, wire::encode_message(message.number, message.body)));
    const bool higher = from > node;
    const Endpoint sender{testing::address_of(from), static_cast<std::uint16_t>(higher ? 7'000 : 7'001)};
    line_.give(node, Received{higher ? 1U : 0U, sender, packet});
  }
  // Of `whom`, as `node` knows it.
  std::uint64_t epoch(std::size_t node, std::size_t whom) {
    std::uint64_t known = 0;
    line_.engine(node).each_neighbour([&](const Neighbour& n, std::size_t) {
      if (n.address().address == testing::address_of(whom)) known = n.epoch();
    });
    return known;
  }
  const Path& at(std::size_t node) { return *line_.engine(node).find(path_); }

  Line line_{4};
  PathId path_{};
  std::optional<wire::SignalPacket> kept_;
};

TEST_F(Anew, late_commit_is_not_taken_for_this_ones) {
  first_life(SignalType::commit);
  ASSERT_TRUE(kept_);
  // Nothing but the COMMIT of the second life is lost, so that the first one's comes while it is awaited.
  const wire::SignalMessage late = kept_->messages[0];
  line_.cables[2].lose = [](const wire::SignalPacket& packet) {
    return std::ranges::any_of(packet.messages, [](const auto& m) { return wire::type_of(m.body) == SignalType::commit; });
  };
  second_life();
  ASSERT_EQ(at(2).state, PathState::tentative);
  ASSERT_NE(at(3).label, std::get<wire::Commit>(late.body).label);
  comes_late(3, 2, late);
  EXPECT_EQ(at(2).state, PathState::tentative);
  EXPECT_EQ(line_.engine(2).counters().stale, 1U);
  line_.cables[2].lose = nullptr;
  line_.run(seconds{2});
  EXPECT_TRUE(line_.whole()) << "every node's label is the one that the next node gave";
}

TEST_F(Anew, what_the_first_had_queued_is_withdrawn) {
  first_life(SignalType::commit);
  ASSERT_TRUE(kept_);
  const auto number = kept_->messages[0].number;
  second_life();  // 2 tells 3 that the path is over; the second life's COMMIT is lost as well
  kept_.reset();
  bool again = false;
  line_.cables[2].lose = [&](const wire::SignalPacket& packet) {
    for (const auto& message : packet.messages) again = again || (message.number == number && wire::type_of(message.body) == SignalType::commit);
    return false;
  };
  line_.run(seconds{2});
  EXPECT_FALSE(again) << "an ended path's COMMIT is sent no more";
  EXPECT_TRUE(line_.whole());
}

TEST_F(Anew, late_refusal_does_not_refuse_this_one) {
  bool room = false;
  line_.has_room = [&room](std::size_t node, const wire::Setup&) { return node != 3 || room; };
  first_life(SignalType::refuse);
  ASSERT_TRUE(kept_);
  room = true;
  line_.cables[2].lose = nullptr;
  second_life();
  ASSERT_TRUE(line_.whole());
  comes_late(3, 2, kept_->messages[0]);
  line_.run(seconds{2});
  EXPECT_TRUE(line_.whole());
  EXPECT_TRUE(line_.established(path_, 0, 3));
}

TEST_F(Anew, setup_that_overtakes_the_teardown_ends_the_first) {
  first_life(SignalType::commit);
  line_.cables[2].lose = [this](const wire::SignalPacket& packet) {
    bool lost = false;
    for (const auto& message : packet.messages) {
      if (wire::type_of(message.body) == SignalType::commit) lost = true;
      if (wire::type_of(message.body) != SignalType::teardown) continue;
      kept_ = {packet.sender_epoch, packet.receiver_epoch, {message}};
      lost = true;
    }
    return lost;
  };
  kept_.reset();
  second_life();
  ASSERT_TRUE(kept_) << "2 has told 3 that the first is over";
  const wire::SignalMessage teardown = kept_->messages[0];
  ASSERT_LT(teardown.number, at(3).setup_taken) << "and its next SETUP was there before";
  line_.cables[2].lose = nullptr;
  line_.run(seconds{2});
  ASSERT_TRUE(line_.whole());
  comes_late(2, 3, teardown);
  line_.run(seconds{2});
  EXPECT_TRUE(line_.whole()) << "the teardown was of the first";
}

// Numbers that were never used stand for messages that were lost in the first life.
TEST_F(Anew, late_confirm_start_and_ends_are_of_the_first) {
  first_life(SignalType::commit);
  const std::uint64_t first = at(3).setup_taken;
  // The TEARDOWN of the first is lost, so its number is not known to 3.
  std::uint64_t unseen = 0;
  line_.cables[2].lose = [&](const wire::SignalPacket& packet) {
    bool lost = false;
    for (const auto& message : packet.messages) {
      const auto type = wire::type_of(message.body);
      lost = lost || type == SignalType::teardown || type == SignalType::confirm || type == SignalType::start;
      if (type == SignalType::teardown) unseen = message.number;
    }
    return lost;
  };
  second_life();
  ASSERT_GT(unseen, first);
  ASSERT_EQ(at(3).state, PathState::committed);
  ASSERT_GT(at(3).setup_taken, unseen);
  comes_late(2, 3, {unseen, 0, wire::Confirm{path_}});
  EXPECT_EQ(at(3).state, PathState::committed);

  ASSERT_EQ(at(2).state, PathState::confirmed);
  constexpr std::uint64_t fresh = 500;
  comes_late(3, 2, {fresh, 0, wire::Start{path_, first}});
  EXPECT_EQ(at(2).state, PathState::confirmed);
  comes_late(3, 2, {fresh + 1, 0, wire::Teardown{path_, wire::TeardownReason::gone, {}, 0, first}});
  ASSERT_NE(line_.engine(2).find(path_), nullptr);
  EXPECT_EQ(line_.engine(2).counters().stale, 2U);
  EXPECT_EQ(line_.engine(3).counters().stale, 1U);
  line_.cables[2].lose = nullptr;
  line_.run(seconds{2});
  EXPECT_TRUE(line_.whole());
}

// A list of leases that names the first life, answered by "no such path" when the second one is under way.
TEST_F(Anew, disowned_is_only_what_the_list_had_named) {
  first_life(SignalType::commit);
  line_.cables[2].lose = nullptr;
  second_life();
  ASSERT_TRUE(line_.whole());
  const std::uint64_t second = at(2).setup_sent;
  comes_late(3, 2, {500, 0, wire::Teardown{path_, wire::TeardownReason::unknown, {}, 0, second - 1}});
  line_.run(seconds{1});
  EXPECT_TRUE(line_.whole());
  // And what it had named ends.
  comes_late(3, 2, {501, 0, wire::Teardown{path_, wire::TeardownReason::unknown, {}, 0, second}});
  line_.run(seconds{1});
  EXPECT_EQ(line_.engine(0).find(path_), nullptr);
}

}  // namespace
}  // namespace rtchan::rtcop
