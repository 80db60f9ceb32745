// A large network and what signalling costs in it: many channels between random hosts are set up at an even pace, all stay open for
// a while, kept alive by leases, and are given back; on wires that lose packets all the time. The run is a script like any other,
// judged by the same observers, also while all channels are open; beside that it is told what was said on the wires in each
// of its three parts.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "sim/outcome.hpp"
#include "sim/script.hpp"
#include "sim/signal_tally.hpp"
#include "sim/topology.hpp"

namespace rtchan::sim {

class World;

struct ScalePlan {
  std::uint64_t seed = 1;
  Shape shape = Shape::tree;
  std::uint32_t hosts = 1'000;
  std::uint32_t channels = 100'000;
  std::uint32_t hops = 0;               // of every channel: from host 0 (of a line) to this one; 0: random pairs, at most 15 apart
  std::uint32_t setups_a_second = 1'000;
  std::uint32_t loss_ppm = 50'000;      // of packets, on every wire, both ways, all the time
  Duration lease = std::chrono::seconds{5};
  Duration plateau = std::chrono::seconds{30};
  std::uint32_t messages = 0;           // of each channel; more than 0: with workers, else signalling alone
  Duration period = std::chrono::seconds{10};
  Duration work{};                      // of a handler for a message; 0: what admission counts with
};

struct ScaleScript {
  Script script;
  Duration set_up{}, standing{}, given_back{};  // ends of the three parts
  std::uint32_t neighbours = 0;                 // pairs of hosts that share a channel
  std::uint64_t lists = 0;                      // messages in which all of them list, once, what lives with each other
};
[[nodiscard]] ScaleScript make_scale_script(const ScalePlan& plan);

struct ScaleReport {
  Outcome outcome;
  std::uint32_t asked = 0, open_at_once = 0;
  std::uint64_t hops = 0;               // of all channels that were created, links passed
  std::uint32_t neighbours = 0;
  std::uint64_t lists = 0;
  double refreshes = 0;                 // while all were open
  SignalTally setting_up, standing, giving_back;
  Duration plateau{};
  std::vector<Duration> setup_times;    // in order of length
};
// `at_plateau` is called at its end: everything is open.
[[nodiscard]] ScaleReport run_scale(const ScalePlan& plan, const std::function<void(World&)>& at_plateau = {});

// --- what it must cost ----------------------------------------------------------------------------------------------

// A message is sent until one of its packets arrives and the packet with the acknowledgement of that one too; every one that arrives is
// acknowledged. Messages and acknowledgements together, of one that has to arrive, each packet lost with probability p:
[[nodiscard]] constexpr double said_per_message(double p) noexcept { return 1 / ((1 - p) * (1 - p)) + 1 / (1 - p); }
// SETUP, COMMIT, CONFIRM and START over each link of the route.
[[nodiscard]] constexpr double said_per_setup_and_hop(double p) noexcept { return 4 * said_per_message(p); }
// TEARDOWN.
[[nodiscard]] constexpr double said_per_end_and_hop(double p) noexcept { return said_per_message(p); }

}  // namespace rtchan::sim
