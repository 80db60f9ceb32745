// Many seeds, on several threads: what became of each, and the sums.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/outcome.hpp"
#include "sim/scenario.hpp"

namespace rtchan::sim {

struct Failure {
  std::uint64_t seed = 0;
  std::vector<std::string> wrong;
};

struct Campaign {
  Totals totals;
  std::vector<Failure> failures;     // by seed
  std::int64_t median_hosts = 0, median_setups = 0, median_fault_kinds = 0;
  double seconds = 0;                // of this machine's time
};

// Seeds first, first + 1, ...; stops early after `failures_most` failures. The result depends on nothing but the arguments.
[[nodiscard]] Campaign run_seeds(const Sketch& sketch, std::uint64_t first, std::uint64_t count, unsigned threads,
                                 std::size_t failures_most = 10);

}  // namespace rtchan::sim
