// Ten thousand seeds: nothing leaks, nobody disagrees, no admitted message is late, and what can happen has happened. RTCHAN_SEEDS=N plays
// another number of them, RTCHAN_FIRST_SEED=N others (`make campaign`).
#include <gtest/gtest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <thread>

#include "rtcop/path.hpp"
#include "rtcop/untaken.hpp"
#include "sim/campaign.hpp"

namespace rtchan::sim {
namespace {

std::uint64_t number_of(const char* variable, std::uint64_t usual) {
  const char* said = std::getenv(variable);
  return said == nullptr ? usual : std::strtoull(said, nullptr, 10);
}

TEST(Campaign, ten_thousand_seeds) {
  const std::uint64_t seeds = number_of("RTCHAN_SEEDS", 10'000);
  const Campaign c = run_seeds({}, number_of("RTCHAN_FIRST_SEED", 1), seeds, std::max(1U, std::thread::hardware_concurrency()));
  for (const Failure& f : c.failures) ADD_FAILURE() << "seed " << f.seed << ": " << f.wrong.front();
  EXPECT_EQ(c.totals.runs, seeds);
  EXPECT_GE(c.median_hosts, 5);
  EXPECT_GE(c.median_setups, 50);
  EXPECT_GE(c.median_fault_kinds, 3);
  fmt::print("{} seeds, {:.0f} simulated node-hours, {} events, {:.0f} a second; {} set-ups, {} messages, {} packets\n", c.totals.runs,
             static_cast<double>(c.totals.node_ns) / 3.6e12, c.totals.events, static_cast<double>(c.totals.events) / c.seconds,
             c.totals.setups, c.totals.messages, c.totals.packets);
  // Every cell of the table in docs/protocol/rtcop.md, a hundred times in ten thousand seeds.
  const std::uint64_t least = seeds / 100;
  for (std::size_t s = 0; s < rtcop::path_states; ++s) {
    for (std::size_t e = 0; e < rtcop::path_events; ++e) {
      const auto state = static_cast<rtcop::PathState>(s);
      const auto event = static_cast<rtcop::PathEvent>(e);
      const rtcop::Transition t = rtcop::transition(state, event);
      if (t.next == state && t.deed == rtcop::Deed::ignore) continue;
      const std::uint64_t taken = c.totals.transitions[s][e];
      fmt::print("{:>10} {:<9} {}\n", rtcop::name(state), rtcop::name(event), taken);
      if (rtcop::untaken(state, event)) {
        EXPECT_EQ(taken, 0U) << rtcop::name(state) << ", " << rtcop::name(event);
      } else {
        EXPECT_GE(taken, least) << rtcop::name(state) << ", " << rtcop::name(event);
      }
    }
  }
}

}  // namespace
}  // namespace rtchan::sim
