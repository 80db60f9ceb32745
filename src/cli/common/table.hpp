// Text tables and lists for people, made from plain values or from the daemon's JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace rtchan::cli {

// Columns as wide as their widest cell, two blanks between; the first column and text flush left, numbers right.
class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  [[nodiscard]] std::string text() const;  // lines, each ended by a newline

 private:
  std::vector<std::vector<std::string>> rows_;
};

// Any JSON as indented lines: scalars as "name  value", lists of objects as tables, lists of [sentence, number] pairs
// as counters. A name that ends in _ns, _ppm, _bytes or _bits_per_second is shown with its unit.
[[nodiscard]] std::string render(const nlohmann::ordered_json& value);

}  // namespace rtchan::cli
