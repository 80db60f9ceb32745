// The same thing measured in two ways, in turns: medians, spreads, and ratios taken within each round, so that what
// the machine did meanwhile weighs on both alike.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace rtchan::cli {

struct Comparison {
  enum class Unit : std::uint8_t { nanoseconds, per_second };
  std::string name;
  Unit unit = Unit::nanoseconds;
  std::vector<double> ours{};    // one value a round
  std::vector<double> theirs{};  // empty: nothing to compare with; else as many as ours
};

struct Spread {
  double median = 0;
  double low = 0;
  double high = 0;
};
[[nodiscard]] Spread spread(std::vector<double> values);  // all zero when there is none
// ours / theirs, round by round; rounds without a value on either side are left out.
[[nodiscard]] std::vector<double> ratios(const Comparison& comparison);

[[nodiscard]] std::string comparison_table(const std::vector<Comparison>& comparisons);
[[nodiscard]] nlohmann::json to_json(const Comparison& comparison);

}  // namespace rtchan::cli
