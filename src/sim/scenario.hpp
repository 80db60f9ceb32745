// From a seed to a script: hosts, links, applications, set-ups and faults, drawn within a sketch.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "sim/script.hpp"
#include "sim/topology.hpp"

namespace rtchan::sim {

struct Span {
  std::int64_t least = 0, most = 0;  // both included
};

struct FixedLink {
  Joint joint{};
  std::int64_t rate_kbit = 1'000'000;
  std::int64_t delay_us = 50;
};

struct Sketch {
  std::vector<FixedLink> links;      // not empty: these, and no others are drawn
  std::vector<Shape> shapes{Shape::line, Shape::star, Shape::tree, Shape::random};
  Span hosts{5, 8};
  Span rate_kbit{20'000, 1'000'000};
  Span link_delay_us{5, 500};
  Span applications{1, 2};           // per host
  Span setups{50, 80};
  Span setup_gap_us{0, 15'000};      // from one to the next, on average
  Span messages{0, 12};              // of a channel
  std::uint32_t best_effort_percent = 15;
  std::uint32_t workers_percent = 100;  // of runs; the others are signalling alone
  Span faults{4, 9};                 // per run
  // Kinds to draw from, by verb and by kind of `faults`: all unless a file says otherwise.
  std::vector<std::string> kinds{"loss", "corruption", "duplication", "reordering", "partition", "one_way", "crash",
                                 "restart", "stall", "drift", "memory", "void", "kill", "shut_down"};
  Span lease_ms{1'000, 5'000};
};

[[nodiscard]] Script make_script(const Sketch& sketch, std::uint64_t seed);

// A sketch, or a network that is spelled out, from a TOML file (docs/guide/simulator.md).
[[nodiscard]] std::expected<Sketch, std::vector<std::string>> load_sketch(const std::string& file);

}  // namespace rtchan::sim
