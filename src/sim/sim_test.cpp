#include <gtest/gtest.h>
#include <cstdlib>
#include <chrono>
#include <fmt/format.h>
#include "sim/scenario.hpp"
#include "sim/world.hpp"
namespace rtchan::sim {
TEST(Sim, scratch) {
  const char* from = std::getenv("FROM"); const char* to = std::getenv("TO");
  const std::uint64_t first = from ? std::strtoull(from, nullptr, 10) : 1, last = to ? std::strtoull(to, nullptr, 10) : 1;
  Totals all; int bad = 0;
  const auto t0 = std::chrono::steady_clock::now();
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    const Script s = make_script(Sketch{}, seed);
    std::vector<std::string> trace;
    const Outcome o = run(s, std::getenv("TRACE") ? &trace : nullptr);
    all.add(o.totals);
    for (const auto& line : trace) fmt::print("{}\n", line);
    if (!o.wrong.empty()) { ++bad; fmt::print("seed {} ({} hosts): {} (+{})\n", seed, o.hosts, o.wrong[0], o.wrong.size()-1); }
  }
  const double sec = std::chrono::duration<double>(std::chrono::steady_clock::now() - t0).count();
  fmt::print("{} bad; {:.1f} ms/run, events {} ({:.0f}/s) turns {} steps {} setups {} created {} refused {} messages {} delivered {} excused {} packets {} signals {} again {} node-h {:.2f}\n", bad, sec*1e3/(last-first+1), all.events, all.events/sec, all.turns, all.node_steps, all.setups, all.created, all.refused, all.messages, all.delivered, all.excused, all.packets, all.signals, all.signals_again, all.node_ns/3.6e12);
}
}
