// What a run has come to.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "rtcop/path.hpp"

namespace rtchan::sim {

using Transitions = std::array<std::array<std::uint64_t, rtcop::path_events>, rtcop::path_states>;

// Sums over a run, or over many.
struct Totals {
  std::uint64_t runs = 0, events = 0, turns = 0, node_steps = 0;
  std::uint64_t setups = 0, created = 0, refused = 0;
  std::uint64_t messages = 0, delivered = 0, excused = 0;
  std::uint64_t packets = 0, lost = 0, corrupted = 0, copied = 0, held = 0, cut = 0;
  std::uint64_t signal_packets = 0, signals_refused = 0;
  std::uint64_t signals = 0, signals_again = 0, refreshes = 0;
  std::int64_t node_ns = 0;                      // hosts times simulated time
  std::uint64_t digest = 0;                      // of everything that happened, in order
  Transitions transitions{};

  void add(const Totals& other) noexcept;
};

struct Outcome {
  std::vector<std::string> wrong;  // empty: clean
  Totals totals;
  std::uint32_t hosts = 0;
  std::uint32_t fault_kinds = 0;
};

}  // namespace rtchan::sim
