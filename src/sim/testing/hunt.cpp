// sim_hunt FIRST COUNT [SCRIPT...]: plays scripts, then seeds, until one fails, says so, and is done. For mutations: it links no more
// than the simulator.
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "sim/campaign.hpp"
#include "sim/world.hpp"

int main(int argc, char** argv) {
  using namespace rtchan::sim;
  const std::uint64_t first = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  const std::uint64_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1'000;
  for (int i = 3; i < argc; ++i) {
    std::stringstream text;
    text << std::ifstream{argv[i]}.rdbuf();
    const auto script = parse_script(text.str());
    if (!script) {
      fmt::print("{}: {}\n", argv[i], script.error());
      return 2;
    }
    const Outcome outcome = run(*script);
    if (outcome.wrong.empty()) continue;
    fmt::print("{}: {}\n", std::string_view{argv[i]}.substr(std::string_view{argv[i]}.rfind('/') + 1), outcome.wrong.front());
    return 1;
  }
  const Campaign c = run_seeds(Sketch{}, first, count, 1, 1);
  for (const Failure& f : c.failures) fmt::print("seed {}: {}\n", f.seed, f.wrong.front());
  if (c.failures.empty()) fmt::print("{} seeds are clean: {} events in {:.1f} s\n", c.totals.runs, c.totals.events, c.seconds);
  return c.failures.empty() ? 0 : 1;
}
