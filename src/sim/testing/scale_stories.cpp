// A network of two hundred hosts and three thousand channels, all open at once, on wires that lose one packet in twenty from the
// first to the last: clean, and as many messages as theory says, of set-ups, ends and leases. (`make scale`: a thousand and a
// hundred thousand.)
#include <gtest/gtest.h>

#include "sim/scale.hpp"
#include "sim/testing/story.hpp"

namespace rtchan::sim {
namespace {

using std::chrono::seconds;

// A message that was sent again although its acknowledgement was under way is one more than theory knows.
constexpr double too_early = 0.03;
// Four deviations of the mean of 18,000 geometric counts (one in twenty), and of the number of refreshes in the time.
constexpr double chance = 0.01, chance_of_refreshes = 0.05;

TEST(Scale, three_thousand_channels_at_once_under_loss_cost_what_theory_says) {
  for (const Shape shape : {Shape::tree, Shape::random}) {
    const ScalePlan plan{.shape = shape, .hosts = 200, .channels = 3'000, .setups_a_second = 300, .loss_ppm = 50'000, .plateau = seconds{30}};
    const ScaleReport r = run_scale(plan);
    testing::expect_clean(r.outcome);
    EXPECT_EQ(r.outcome.totals.created, plan.channels);
    EXPECT_EQ(r.open_at_once, plan.channels);
    EXPECT_GT(r.outcome.totals.lost, r.outcome.totals.packets / 25);
    const double p = plan.loss_ppm / 1e6;
    const auto hops = static_cast<double>(r.hops);
    const double of_setups = static_cast<double>(r.setting_up.of_paths()) / (hops * said_per_setup_and_hop(p));
    EXPECT_GT(of_setups, 1 - chance);
    EXPECT_LT(of_setups, 1 + chance + too_early);
    const double of_ends = static_cast<double>(r.giving_back.of_paths()) / (hops * said_per_end_and_hop(p));
    EXPECT_GT(of_ends, 1 - chance);
    EXPECT_LT(of_ends, 1 + chance + too_early);
    const double of_lists = static_cast<double>(r.standing.of_lists()) / (static_cast<double>(r.lists) * r.refreshes * said_per_message(p));
    EXPECT_GT(of_lists, 1 - chance_of_refreshes);
    EXPECT_LT(of_lists, 1 + chance_of_refreshes + too_early);
    EXPECT_EQ(r.standing.of_paths(), 0U) << "what lives is spoken of in lists";
    fmt::print("messages, of what theory says: set-ups {:.4f}, ends {:.4f}, refreshes {:.4f}\n", of_setups, of_ends, of_lists);
  }
}

}  // namespace
}  // namespace rtchan::sim
