// The outcome of a load run for a person and for a program.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "base/histogram.hpp"
#include "cli/perf/generator.hpp"
#include "cli/perf/tally.hpp"

namespace rtchan::cli {

// What makes one-way times comparable.
enum class Clocks : std::uint8_t {
  same_host,     // both ends read the same clock of the same boot
  synchronised,  // different clocks, but the user says that PTP keeps them together (--clocks-synchronised)
  apart,         // not comparable: only delays that the daemons account for are shown
};
[[nodiscard]] const char* sentence(Clocks clocks) noexcept;

struct ReceivedStream {
  std::uint32_t stream = 0;
  std::string source;
  Summary summary;
  const Delays* delays = nullptr;  // lives as long as the report is made
};

// {"count":..,"min_ns":..,"p50_ns":..,"p90_ns":..,"p99_ns":..,"p999_ns":..,"max_ns":..}; no value: {"count":0}
[[nodiscard]] nlohmann::json to_json(const Histogram& histogram);
[[nodiscard]] nlohmann::json to_json(const Qos& contract);
[[nodiscard]] nlohmann::json to_json(const ReceivedStream& stream, Clocks clocks);
[[nodiscard]] nlohmann::json to_json(const StreamCounts& counts, double seconds);

// Several lines. With more than `streams_shown` streams only their sums and worst cases.
inline constexpr std::size_t streams_shown = 16;
[[nodiscard]] std::string received_report(const std::vector<ReceivedStream>& streams, Clocks clocks);
[[nodiscard]] std::string sent_report(const std::vector<StreamCounts>& streams, double seconds);

// Whether every promise was kept: nothing lost, damaged, twice, or late on a guaranteed channel. Best effort
// promises nothing but integrity.
[[nodiscard]] bool kept(const Summary& summary) noexcept;

}  // namespace rtchan::cli
