// What `rtc perf` does, by role.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.hpp"
#include "cli/common/contract_options.hpp"
#include "cli/perf/generator.hpp"
#include "cli/perf/schedule.hpp"

namespace rtchan::cli {

struct PerfOptions {
  Common common;
  bool progress_json = false;   // one JSON object a second
  Duration spin{};

  // sending
  std::string to;
  ContractOptions contract{.rate = 1000, .bytes = 1000, .delay = std::chrono::milliseconds{20}};
  Offer offer{{Duration{0}, 1.0}};
  std::vector<std::uint32_t> sizes;  // empty: all of the contract's size
  std::uint32_t at_once = 1;
  std::uint32_t streams = 1;
  WhenFull when_full = WhenFull::wait;
  bool check_filler = false;

  // receiving
  std::optional<std::uint16_t> listen;
  std::string log;
  bool keep = false;
  bool clocks_synchronised = false;

  // both
  std::optional<Duration> duration;
  std::uint64_t count = UINT64_MAX;

  // round trips
  bool round_trip = false;
  bool beside_udp = false;
  std::uint32_t rounds = 5;
};

ExitStatus perf_send(const PerfOptions& options, Console& console);
ExitStatus perf_receive(const PerfOptions& options, Console& console);
// Round trips and rates, interleaved with plain UDP between the same two addresses if asked.
ExitStatus perf_round_trip(const PerfOptions& options, Console& console);

}  // namespace rtchan::cli
