// What a node has promised: the capacity of a path that has ended is held until nothing of it can be under way.
#include "node/books.hpp"

#include <gtest/gtest.h>

#include "node/config.hpp"
#include "node/plan.hpp"

namespace rtchan::node {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

NodeConfig one_link() {
  NodeConfig config;
  config.workers.emplace_back();
  config.workers[0].costs.core = {};
  LinkSettings link;
  link.name = "eth1";
  link.model = {1'000'000'000, {1400, 130}, {}};
  link.propagation = microseconds{200};
  link.horizon = milliseconds{1};
  config.links.push_back(link);
  return config;
}

class BooksOfOneLink : public ::testing::Test {
 protected:
  Plan plan() const {
    wire::Setup setup;
    setup.qos = {ServiceClass::guaranteed, milliseconds{2}, 500'000'000'000, 1, 1'000, milliseconds{10}};
    setup.promised.fragment_bytes = 1'400;
    return make_plan(setup, clips::Role::outgoing, config_.workers[0].costs, nullptr, &config_.links[0].model);
  }
  bool commit(const PathId& path, const Books::Held& held) {
    const Delays delays{{}, held.minima.cpu, held.minima.link};
    return books_.commit(path, plan(), place_, delays, sizes(plan(), delays));
  }
  std::uint64_t used() const {
    std::uint64_t sum = 0;
    for (const Pool& pool : books_.pools()) sum += pool.used;
    return sum;
  }

  const NodeConfig config_ = one_link();
  Books books_{config_};
  const Books::Place place_{0, 0U};
  const PathId path_{HostId{7}, 1};
  const Instant now_{seconds{1}};
};

// It crashed the daemon, or kept the first one's memory for ever.
TEST_F(BooksOfOneLink, path_set_up_anew_while_it_drains_is_refused_until_it_has_drained) {
  const std::uint64_t before = used();
  const auto held = books_.reserve(path_, plan(), place_);
  ASSERT_TRUE(held) << held.error().text;
  ASSERT_TRUE(commit(path_, *held));
  books_.release(path_, now_);
  ASSERT_EQ(books_.ledger().state(path_), admission::PathState::draining);

  const auto anew = books_.reserve(path_, plan(), place_);
  ASSERT_FALSE(anew);
  EXPECT_EQ(anew.error().code, Errc::refused);
  EXPECT_TRUE(anew.error().again) << "the source is to try once more, a moment later";
  EXPECT_EQ(books_.paths(), 1U);
  EXPECT_TRUE(books_.reconciles());

  const Instant drained = books_.wake();
  ASSERT_NE(drained, never);
  books_.tick(drained);
  EXPECT_EQ(books_.paths(), 0U);
  EXPECT_EQ(used(), before);
  const auto later = books_.reserve(path_, plan(), place_);
  ASSERT_TRUE(later) << later.error().text;
  books_.release(path_, drained);
  EXPECT_EQ(used(), before);
  EXPECT_TRUE(books_.reconciles());
}

TEST_F(BooksOfOneLink, path_that_was_only_tentative_is_free_at_once) {
  ASSERT_TRUE(books_.reserve(path_, plan(), place_));
  books_.release(path_, now_);
  EXPECT_EQ(books_.paths(), 0U);
  EXPECT_EQ(books_.wake(), never);
  EXPECT_TRUE(books_.reserve(path_, plan(), place_));
}

}  // namespace
}  // namespace rtchan::node
