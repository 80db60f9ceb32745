// A thousand seeds: nothing leaks, nobody disagrees, no admitted message is late, and what can happen has happened, but for
// the cells that are listed.
#include <gtest/gtest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <thread>

#include "rtcop/path.hpp"
#include "sim/campaign.hpp"

namespace rtchan::sim {
namespace {

using rtcop::PathEvent;
using rtcop::PathState;

// Met fewer than ten times in these seeds. A node reserves at once, so nothing comes in between; the others are refusals and failures that come
// after a commit.
bool unmet(PathState state, PathEvent event) {
  if (state == PathState::reserving) {
    return event == PathEvent::teardown || event == PathEvent::close || event == PathEvent::expire || event == PathEvent::voided;
  }
  const bool later = state == PathState::committed || state == PathState::confirmed || state == PathState::open;
  return event == PathEvent::refuse ? later || state == PathState::opening : later && event == PathEvent::failed;
}

TEST(Campaign, a_thousand_seeds) {
  constexpr std::uint64_t seeds = 1'000;
  const Campaign c = run_seeds({}, 1, seeds, std::max(1U, std::thread::hardware_concurrency()));
  for (const Failure& f : c.failures) ADD_FAILURE() << "seed " << f.seed << ": " << f.wrong.front();
  EXPECT_EQ(c.totals.runs, seeds);
  EXPECT_GE(c.median_hosts, 5);
  EXPECT_GE(c.median_setups, 50);
  EXPECT_GE(c.median_fault_kinds, 3);
  fmt::print("{} seeds, {:.0f} simulated node-hours, {} events, {:.0f} a second; {} set-ups, {} messages, {} packets\n", c.totals.runs,
             static_cast<double>(c.totals.node_ns) / 3.6e12, c.totals.events, static_cast<double>(c.totals.events) / c.seconds,
             c.totals.setups, c.totals.messages, c.totals.packets);
  // Every cell of the table in docs/protocol/rtcop.md.
  for (std::size_t s = 0; s < rtcop::path_states; ++s) {
    for (std::size_t e = 0; e < rtcop::path_events; ++e) {
      const auto state = static_cast<rtcop::PathState>(s);
      const auto event = static_cast<rtcop::PathEvent>(e);
      const rtcop::Transition t = rtcop::transition(state, event);
      if (t.next == state && t.deed == rtcop::Deed::ignore) continue;
      if (unmet(state, event)) continue;
      EXPECT_GE(c.totals.transitions[s][e], 10U) << rtcop::name(state) << ", " << rtcop::name(event);
    }
  }
}

}  // namespace
}  // namespace rtchan::sim
