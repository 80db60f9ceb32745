#include "cli/demo/perf_log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace rtchan::demo {
namespace {

std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    const std::size_t comma = line.find(',');
    fields.push_back(line.substr(0, comma));
    if (comma == std::string_view::npos) return fields;
    line.remove_prefix(comma + 1);
  }
}

Error malformed(std::string_view why, std::string_view line) {
  return {Errc::invalid_argument, fmt::format("message log: {}: '{}'", why, line.substr(0, 120))};
}

Instant at(std::int64_t ns) {
  return Instant{Duration{ns}};
}

}  // namespace

std::expected<void, Error> RecordReader::read_header(std::string_view line) {
  static constexpr std::array names{
      std::pair{"sequence", Column::sequence},    std::pair{"intended_ns", Column::intended},
      std::pair{"handover_ns", Column::handover}, std::pair{"readable_ns", Column::readable},
      std::pair{"delay_ns", Column::delay},       std::pair{"received_ns", Column::received},
      std::pair{"bytes", Column::bytes}};
  for (const std::string_view field : split(line)) {
    const auto known = std::ranges::find_if(names, [&](const auto& n) { return n.first == field; });
    columns_.push_back(known == names.end() ? Column::ignored : known->second);
  }
  for (const auto& [name, column] : names) {
    if (column != Column::bytes && std::ranges::count(columns_, column) != 1) {
      return std::unexpected(malformed(fmt::format("needs the column {} once", name), line));
    }
  }
  return {};
}

std::expected<Record, Error> RecordReader::read_record(std::string_view line) const {
  const auto fields = split(line);
  if (fields.size() != columns_.size()) return std::unexpected(malformed("wrong number of fields", line));
  Record record;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (columns_[i] == Column::ignored) continue;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(fields[i].data(), fields[i].data() + fields[i].size(), value);
    if (error != std::errc{} || end != fields[i].data() + fields[i].size()) {
      return std::unexpected(malformed("not a number", line));
    }
    switch (columns_[i]) {
      case Column::ignored:
        break;
      case Column::sequence:
        record.sequence = static_cast<std::uint64_t>(value);
        break;
      case Column::intended:
        record.intended = at(value);
        break;
      case Column::handover:
        record.handover = at(value);
        break;
      case Column::readable:
        record.readable = at(value);
        break;
      case Column::delay:
        record.daemon_delay = Duration{value};
        break;
      case Column::received:
        record.received = at(value);
        break;
      case Column::bytes:
        record.bytes = static_cast<std::uint32_t>(value);
        break;
    }
  }
  return record;
}

std::expected<std::vector<Record>, Error> RecordReader::read(std::string_view more) {
  pending_ += more;
  std::vector<Record> records;
  std::size_t begin = 0;
  for (std::size_t end; (end = pending_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string_view line = std::string_view{pending_}.substr(begin, end - begin);
    if (line.empty() || line.front() == '#') continue;
    if (columns_.empty()) {
      if (auto header = read_header(line); !header) return std::unexpected(header.error());
      continue;
    }
    auto record = read_record(line);
    if (!record) return std::unexpected(record.error());
    records.push_back(*record);
  }
  pending_.erase(0, begin);
  return records;
}

namespace {

std::uint64_t count(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<std::uint64_t>() : 0;
}

std::optional<Sent> sent_in(const nlohmann::json& value) {
  if (value.is_object() && value.contains("offered") && value.contains("handed_over")) {
    return Sent{.offered = count(value, "offered"),
                .accepted = count(value, "handed_over"),
                .policed = count(value, "dropped") + count(value, "refused") + count(value, "left_over")};
  }
  std::optional<Sent> sum;
  const auto add = [&](const nlohmann::json& part) {
    if (const auto sent = sent_in(part)) {
      if (!sum) sum = Sent{};
      sum->offered += sent->offered;
      sum->accepted += sent->accepted;
      sum->policed += sent->policed;
    }
  };
  if (value.is_array()) {
    for (const auto& part : value) add(part);
  } else if (value.is_object()) {
    for (const char* name : {"sent", "streams"}) {
      if (value.contains(name)) add(value[name]);
    }
  }
  return sum;
}

}  // namespace

std::expected<Sent, Error> read_sent(std::string_view text) {
  // One object a line, or one object over many lines.
  std::optional<Sent> last;
  if (const auto whole = nlohmann::json::parse(text, nullptr, false); !whole.is_discarded())
    last = sent_in(whole);
  while (!last && !text.empty()) {
    const std::size_t begin = text.rfind('\n', text.size() - 2);
    const std::string_view line = begin == std::string_view::npos ? text : text.substr(begin + 1);
    if (const auto parsed = nlohmann::json::parse(line, nullptr, false); !parsed.is_discarded())
      last = sent_in(parsed);
    if (begin == std::string_view::npos) break;
    text = text.substr(0, begin + 1);
  }
  if (!last)
    return std::unexpected(Error{Errc::invalid_argument, "the sender left no count of what it offered"});
  return *last;
}

std::expected<std::vector<Record>, Error> read_log(const std::filesystem::path& file) {
  std::ifstream in{file};
  if (!in) return std::unexpected(Error{Errc::system, "cannot read " + file.string()});
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  return RecordReader{}.read(text);
}

}  // namespace rtchan::demo
