#include "cli/perf/comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "cli/common/table.hpp"

namespace rtchan::cli {

namespace {

std::string quantity(double value, Comparison::Unit unit) {
  if (unit == Comparison::Unit::per_second) return format_rate(std::round(value));
  return format_duration(Duration{std::llround(value)});
}

std::string shown(const Spread& s, Comparison::Unit unit) {
  return fmt::format("{} [{} .. {}]", quantity(s.median, unit), quantity(s.low, unit), quantity(s.high, unit));
}

nlohmann::json to_json(const Spread& s) { return {{"median", s.median}, {"low", s.low}, {"high", s.high}}; }

}  // namespace

Spread spread(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  const double median = n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
  return {median, values.front(), values.back()};
}

std::vector<double> ratios(const Comparison& c) {
  std::vector<double> result;
  for (std::size_t i = 0; i < std::min(c.ours.size(), c.theirs.size()); ++i) {
    if (c.ours[i] > 0 && c.theirs[i] > 0) result.push_back(c.ours[i] / c.theirs[i]);
  }
  return result;
}

std::string comparison_table(const std::vector<Comparison>& comparisons) {
  Table table({"median [lowest .. highest round]", "rtchan", "plain UDP", "ratio"});
  for (const Comparison& c : comparisons) {
    const std::vector<double> quotients = ratios(c);
    const Spread r = spread(quotients);
    table.row({c.name, shown(spread(c.ours), c.unit), c.theirs.empty() ? "-" : shown(spread(c.theirs), c.unit),
               quotients.empty() ? "-" : fmt::format("{:.2f} [{:.2f} .. {:.2f}]", r.median, r.low, r.high)});
  }
  return table.text();
}

nlohmann::json to_json(const Comparison& c) {
  nlohmann::json json{{"name", c.name},
                      {"unit", c.unit == Comparison::Unit::nanoseconds ? "ns" : "1/s"},
                      {"rtchan", to_json(spread(c.ours))},
                      {"rounds", c.ours.size()}};
  if (!c.theirs.empty()) {
    json["udp"] = to_json(spread(c.theirs));
    json["ratio"] = to_json(spread(ratios(c)));
  }
  return json;
}

}  // namespace rtchan::cli
