#include "cli/common/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.hpp"

namespace rtchan::cli {

namespace {

using json = nlohmann::ordered_json;  // in the order in which the daemon says it

// Code points, so that a micro sign does not shift a column.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

bool looks_numeric(std::string_view text) {
  return !text.empty() && (std::isdigit(static_cast<unsigned char>(text.front())) != 0 || text.front() == '-');
}

std::string padded(const std::string& text, std::size_t to, bool right) {
  const std::string blanks(to - std::min(to, width(text)), ' ');
  return right ? blanks + text : text + blanks;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() > end.size() && text.substr(text.size() - end.size()) == end;
}

// "worst_delay_ns" -> "worst delay": the unit moves to the value.
std::string spoken(std::string_view key) {
  for (const std::string_view unit : {"_ns", "_ppm", "_bytes", "_bits_per_second"}) {
    if (ends_with(key, unit) && (unit != "_bytes")) key.remove_suffix(unit.size());
  }
  std::string text(key);
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

std::string with_unit(std::string_view key, const json& value) {
  if (ends_with(key, "_ns") && value.is_number_integer()) return format_duration(Duration{value.get<std::int64_t>()});
  if (ends_with(key, "_ppm")) return fmt::format("{:.2f}%", value.get<double>() / 1e4);
  const bool natural = value.is_number_unsigned() || (value.is_number_integer() && value.get<std::int64_t>() >= 0);
  if (natural && (ends_with(key, "_bytes") || key == "bytes")) return format_bytes(value.get<std::uint64_t>());
  if (natural && ends_with(key, "_bits_per_second")) return format_bit_rate(value.get<std::uint64_t>());
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  return value.dump();
}

std::string cell(std::string_view key, const json& value) {
  if (value.is_null()) return "-";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_string()) return value.get<std::string>().empty() ? "-" : value.get<std::string>();
  if (value.is_number()) return with_unit(key, value);
  if (value.is_array()) {
    std::string text;
    for (const json& item : value) text += (text.empty() ? "" : ", ") + cell(key, item);
    return text.empty() ? "-" : text;
  }
  std::string text;
  for (const auto& [name, item] : value.items()) text += fmt::format("{}{}={}", text.empty() ? "" : " ", spoken(name), cell(name, item));
  return text;
}

bool is_list_of_objects(const json& value) {
  return value.is_array() && !value.empty() && std::all_of(value.begin(), value.end(), [](const json& v) { return v.is_object(); });
}

// Rows of a table: objects without objects inside.
bool is_flat(const json& list) {
  for (const json& row : list) {
    for (const json& field : row) {
      if (field.is_object() || is_list_of_objects(field)) return false;
    }
  }
  return true;
}

// [["packets dropped: label unknown", 3], ...]
bool is_counters(const json& value) {
  return value.is_array() && !value.empty() && std::all_of(value.begin(), value.end(), [](const json& pair) {
           return pair.is_array() && pair.size() == 2 && pair[0].is_string() && pair[1].is_number();
         });
}

std::string indented(const std::string& text) {
  std::string out = "  ";
  for (std::size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (text[i] == '\n' && i + 1 < text.size()) out += "  ";
  }
  return text.empty() ? "" : out;
}

std::string table_of(const json& list) {
  std::vector<std::string> keys;
  for (const json& row : list) {
    for (const auto& [key, value] : row.items()) {
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    }
  }
  std::vector<std::string> head;
  for (const auto& key : keys) head.push_back(spoken(key));
  Table table(head);
  for (const json& row : list) {
    std::vector<std::string> cells;
    for (const auto& key : keys) cells.push_back(row.contains(key) ? cell(key, row[key]) : "-");
    table.row(std::move(cells));
  }
  return table.text();
}

std::string blocks_of(const json& list) {
  std::string text;
  for (const json& item : list) text += (text.empty() ? "" : "\n") + render(item);
  return text;
}

std::string counters_of(const json& pairs) {
  std::string text;
  for (const json& pair : pairs) text += fmt::format("{:>14}  {}\n", cell("", pair[1]), pair[0].get<std::string>());
  return text;
}

std::string object_of(const json& object) {
  std::string scalars;
  std::string sections;
  std::size_t longest = 0;
  for (const auto& [key, value] : object.items()) {
    if (!value.is_structured()) longest = std::max(longest, width(spoken(key)));
  }
  for (const auto& [key, value] : object.items()) {
    if (!value.is_structured()) {
      scalars += padded(spoken(key), longest + 2, false) + cell(key, value) + "\n";
    } else if (value.empty()) {
      sections += spoken(key) + ": none\n";
    } else {
      sections += spoken(key) + ":\n" + indented(render(value));
    }
  }
  return scalars + sections;
}

}  // namespace

std::string Table::text() const {
  std::vector<std::size_t> widths(rows_.front().size());
  std::vector<bool> right(widths.size(), rows_.size() > 1);
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    for (std::size_t c = 0; c < widths.size() && c < rows_[r].size(); ++c) {
      widths[c] = std::max(widths[c], width(rows_[r][c]));
      if (r > 0 && rows_[r][c] != "-" && !looks_numeric(rows_[r][c])) right[c] = false;
    }
  }
  right[0] = false;
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t c = 0; c < widths.size() && c < row.size(); ++c) {
      line += (c == 0 ? "" : "  ") + padded(row[c], widths[c], right[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string render(const nlohmann::ordered_json& value) {
  if (value.is_object()) return object_of(value);
  if (is_counters(value)) return counters_of(value);
  if (is_list_of_objects(value)) return is_flat(value) ? table_of(value) : blocks_of(value);
  if (value.is_array()) {
    std::string text;
    for (const json& item : value) text += cell("", item) + "\n";
    return text.empty() ? "none\n" : text;
  }
  return cell("", value) + "\n";
}

}  // namespace rtchan::cli
