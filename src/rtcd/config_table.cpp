#include "rtcd/config_table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/text.hpp"

namespace rtchan::rtcd {

// A quote that is missing is noticed by the parser only at the end of the line or further on, and it says so in other words.
std::string explained(const toml::parse_error& error, std::string_view text, std::string_view file) {
  const auto [line, column] = std::pair{error.source().begin.line, error.source().begin.column};
  std::size_t begin = 0;
  for (toml::source_index n = 1; n < line && begin < text.size(); ++n) begin = std::min(text.find('\n', begin), text.size() - 1) + 1;
  const std::string_view rest = text.substr(begin, std::min(text.find('\n', begin), text.size()) - begin);
  const std::string_view before = rest.substr(0, std::min<std::size_t>(column == 0 ? 0 : column - 1, rest.size()));
  std::string what{error.description()};
  const bool odd = std::ranges::count(before, '"') % 2 == 1 || std::ranges::count(before, '\'') % 2 == 1;
  const bool at_end = before.size() >= rest.size() - (rest.ends_with('\r') ? 1 : 0);
  if (odd && at_end && what.find("string") != std::string::npos) {
    what = "a text in quotes must end on its line: the closing quote is missing";
  } else if (std::ranges::count(rest, '"') % 2 == 1) {
    what += " (a quote may be missing on this line)";
  }
  return fmt::format("{}:{}:{}: {}", file, line, column, what);
}

const toml::node* ConfigTable::find(std::string_view key) {
  known_.emplace(key);
  return table_.get(key);
}

int ConfigTable::line() const { return static_cast<int>(table_.source().begin.line); }

int ConfigTable::line(std::string_view key) const {
  const toml::node* node = table_.get(key);
  return node == nullptr ? line() : static_cast<int>(node->source().begin.line);
}

void ConfigTable::fail(std::string_view key, std::string_view what) {
  errors_.push_back(fmt::format("{}:{}: {}{}{}: {}", file_, line(key), path_, path_.empty() ? "" : ".", key, what));
}

void ConfigTable::require(std::string_view key) {
  if (find(key) == nullptr) fail(key, "is missing and has no default");
}

bool ConfigTable::text(std::string_view key, std::string& out) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  const auto value = node->value_exact<std::string>();
  if (!value || value->empty()) {
    fail(key, "must be a non-empty text in quotes");
    return false;
  }
  out = *value;
  return true;
}

bool ConfigTable::integer(std::string_view key, std::int64_t least, std::int64_t most, std::int64_t& out) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  const auto value = node->value_exact<std::int64_t>();
  if (!value || *value < least || *value > most) {
    fail(key, fmt::format("must be a whole number {} ... {}", least, most));
    return false;
  }
  out = *value;
  return true;
}

// The text of a quantity; a bare 0 needs no unit and no quotes.
const std::string* ConfigTable::quoted(std::string_view key, std::string_view example, std::string& keep) {
  const toml::node* node = find(key);
  if (node == nullptr) return nullptr;
  if (const auto text = node->value_exact<std::string>()) {
    keep = *text;
    return &keep;
  }
  if (node->value_exact<std::int64_t>() == 0) {
    keep.assign(1, '0');  // (g++ 12 sees an overlap in = "0")
    return &keep;
  }
  fail(key, fmt::format("must be a quantity with its unit in quotes, such as \"{}\"", example));
  return nullptr;
}

bool ConfigTable::duration(std::string_view key, Duration least, Duration most, Duration& out) {
  std::string keep;
  const std::string* text = quoted(key, "5ms", keep);
  if (text == nullptr) return false;
  const auto value = parse_duration(*text);
  if (!value) {
    fail(key, value.error());
    return false;
  }
  if (*value < least || *value > most) {
    fail(key, fmt::format("{} is outside {} ... {}", *text, format_duration(least), format_duration(most)));
    return false;
  }
  out = *value;
  return true;
}

bool ConfigTable::bytes(std::string_view key, std::uint64_t least, std::uint64_t most, std::uint64_t& out) {
  std::string keep;
  const std::string* text = quoted(key, "64MiB", keep);
  if (text == nullptr) return false;
  const auto value = parse_bytes(*text);
  if (!value) {
    fail(key, value.error());
    return false;
  }
  if (*value < least || *value > most) {
    fail(key, fmt::format("{} is outside {} ... {}", *text, format_bytes(least), format_bytes(most)));
    return false;
  }
  out = *value;
  return true;
}

bool ConfigTable::bit_rate(std::string_view key, std::uint64_t least, std::uint64_t most, std::uint64_t& out) {
  std::string keep;
  const std::string* text = quoted(key, "97Mbit", keep);
  if (text == nullptr) return false;
  const auto value = parse_bit_rate(*text);
  if (!value) {
    fail(key, value.error());
    return false;
  }
  if (*value < least || *value > most) {
    fail(key, fmt::format("{} is outside {} ... {}", *text, format_bit_rate(least), format_bit_rate(most)));
    return false;
  }
  out = *value;
  return true;
}

bool ConfigTable::share(std::string_view key, std::uint32_t least_ppm, std::uint32_t most_ppm, std::uint32_t& out_ppm) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  double value = -1;
  if (const auto number = node->value<double>(); number && !node->is_string() && !node->is_boolean()) {
    value = *number;
  } else if (const auto text = node->value_exact<std::string>(); text && text->size() > 1 && text->back() == '%') {
    char* end = nullptr;
    value = std::strtod(text->c_str(), &end) / 100;
    if (end != text->c_str() + text->size() - 1) value = -1;
  }
  const double ppm = std::round(value * 1e6);
  if (!(ppm >= least_ppm && ppm <= most_ppm)) {
    fail(key, fmt::format("must be a share \"{:g}%\" ... \"{:g}%\" (or {:g} ... {:g})", least_ppm / 1e4, most_ppm / 1e4,
                          least_ppm / 1e6, most_ppm / 1e6));
    return false;
  }
  out_ppm = static_cast<std::uint32_t>(ppm);
  return true;
}

bool ConfigTable::word(std::string_view key, std::span<const std::string_view> words, std::size_t& out) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  const auto value = node->value_exact<std::string>();
  for (std::size_t i = 0; value && i < words.size(); ++i) {
    if (*value == words[i]) {
      out = i;
      return true;
    }
  }
  fail(key, fmt::format("must be \"{}\"", fmt::join(words, "\", \"")));
  return false;
}

bool ConfigTable::texts(std::string_view key, std::size_t count, std::vector<std::string>& out) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  std::vector<std::string> texts;
  if (const toml::array* array = node->as_array()) {
    for (const toml::node& entry : *array) {
      const auto text = entry.value_exact<std::string>();
      if (text && !text->empty()) texts.push_back(*text);
    }
    if (texts.size() == count && array->size() == count) {
      out = std::move(texts);
      return true;
    }
  }
  fail(key, fmt::format("must be a list of {} texts in quotes", count));
  return false;
}

std::optional<ConfigTable> ConfigTable::table(std::string_view key) {
  const toml::node* node = find(key);
  if (node == nullptr) return std::nullopt;
  const std::string path = path_.empty() ? std::string{key} : fmt::format("{}.{}", path_, key);
  if (const toml::table* inner = node->as_table()) return ConfigTable{*inner, path, file_, errors_};
  fail(key, fmt::format("must be a table, [{}]", path));
  return std::nullopt;
}

std::vector<ConfigTable> ConfigTable::tables(std::string_view key) {
  std::vector<ConfigTable> all;
  const toml::node* node = find(key);
  if (node == nullptr) return all;
  const std::string path = path_.empty() ? std::string{key} : fmt::format("{}.{}", path_, key);
  const toml::array* array = node->as_array();
  if (array == nullptr || !array->is_array_of_tables()) {
    fail(key, fmt::format("must be a list of tables, each begins [[{}]]", key));
    return all;
  }
  for (const toml::node& entry : *array) {
    all.emplace_back(*entry.as_table(), fmt::format("{}[{}]", path, all.size()), file_, errors_);
  }
  return all;
}

void ConfigTable::finish() {
  for (const auto& [key, node] : table_) {
    if (known_.contains(key.str())) continue;
    errors_.push_back(fmt::format("{}:{}: {}{}{}: no such key; here are {}", file_, node.source().begin.line, path_,
                                  path_.empty() ? "" : ".", key.str(), fmt::join(known_, ", ")));
  }
}

}  // namespace rtchan::rtcd
