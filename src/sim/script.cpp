#include "sim/script.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <optional>

namespace rtchan::sim {
namespace {

constexpr std::array<Grammar, verbs> grammars{{
    {"settings",
     {{{"seed", 1},
       {"lease_ms", 5'000},
       {"workers", 1},        // 0: signalling alone, without packets' ways through workers
       {"busy_permille", 700},  // of what admission counts with, what work takes
       {"clips", 128},
       {"packet_buffers", 1'024},
       {"settle_ms", 12'000},   // from the last deed until every question has its answer
       {"uid_channels", 16'384},
       {"memory_mb"},           // message buffers of a host, and of a user there; 0: as a daemon's
       {"work_ns"}}}},          // of a handler for a message; 0: what admission counts with
    {"host", {{{"host"}, {"drift_ppb"}, {"control_us", 50}, {"clips"}, {"packet_buffers"}}}},  // 0: as in the settings
    {"link", {{{"link"}, {"a"}, {"b"}, {"rate_kbit", 1'000'000}, {"delay_us", 50}, {"horizon_us", -1}}}},
    {"start", {{{"app"}, {"host"}, {"uid", 1'000}, {"mood", 0}}}},  // mood 0: says yes; 1: no; 2: nothing
    {"create",
     {{{"channel"},
       {"from"},
       {"to"},
       {"best_effort"},
       {"period_us", 10'000},
       {"burst", 1},
       {"bytes", 500},
       {"delay_us", 50'000},
       {"patience_ms", 5'000},
       {"messages"},
       {"every_us", 10'000},
       {"at_once", 1},
       {"refuse"},
       {"crowd", 1}}}},  // so many channels, numbered on
    {"destroy", {{{"channel"}, {"receiver"}, {"crowd", 1}}}},
    {"kill", {{{"app"}}}},
    {"crash", {{{"host"}}}},
    {"boot", {{{"host"}}}},
    {"shut_down", {{{"host"}}}},
    {"stall", {{{"host"}, {"for_us"}}}},
    {"cut", {{{"from"}, {"to"}}}},
    {"mend", {{{"from"}, {"to"}}}},
    {"faults", {{{"from"}, {"to"}, {"loss_ppm"}, {"corrupt_ppm"}, {"double_ppm"}, {"copies", 1}, {"hold_ppm"}, {"hold_us"}}}},
    {"memory", {{{"host"}, {"fails_percent"}}}},
    {"void_link", {{{"host"}, {"neighbour"}}}},
    {"restore", {{{"host"}, {"neighbour"}}}},
    {"misroute", {{{"host"}, {"to"}, {"by"}}}},
    {"judge", {}},
}};

std::optional<std::size_t> place_of(Verb verb, std::string_view key) noexcept {
  const auto& keys = grammar(verb).keys;
  for (std::size_t i = 0; i < keys.size() && !keys[i].name.empty(); ++i) {
    if (keys[i].name == key) return i;
  }
  return std::nullopt;
}

std::string_view next_word(std::string_view& line) {
  const auto begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return line = {};
  line.remove_prefix(begin);
  const auto end = std::min(line.find_first_of(" \t\r"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

bool read_integer(std::string_view text, std::int64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

// "1.234567890": seconds and exactly nine decimals or fewer.
bool read_instant(std::string_view text, Duration& out) {
  const auto dot = std::min(text.find('.'), text.size());
  std::int64_t seconds = 0, fraction = 0;
  if (!read_integer(text.substr(0, dot), seconds) || seconds < 0 || seconds > 1'000'000) return false;
  std::string decimals{text.substr(std::min(dot + 1, text.size()))};
  if (decimals.size() > 9) return false;
  decimals.resize(9, '0');
  if (!read_integer(decimals, fraction) || fraction < 0) return false;
  out = Duration{seconds * 1'000'000'000 + fraction};
  return true;
}

// Empty: all is well.
std::string read_values(Deed& deed, std::string_view rest) {
  for (std::string_view word = next_word(rest); !word.empty(); word = next_word(rest)) {
    const auto equals = word.find('=');
    const std::string_view key = word.substr(0, equals);
    const auto place = place_of(deed.verb, key);
    if (!place) return fmt::format("{} has no \"{}\"", grammar(deed.verb).name, key);
    if (equals == std::string_view::npos || !read_integer(word.substr(equals + 1), deed.values[*place])) {
      return fmt::format("{} must be given as {}=INTEGER", key, key);
    }
  }
  return {};
}

std::expected<Deed, std::string> parse_line(std::string_view rest) {
  Duration at{};
  std::string_view word = next_word(rest);
  const bool timed = word.starts_with('@');
  if (timed) {
    if (!read_instant(word.substr(1), at)) return std::unexpected(fmt::format("\"{}\" is no instant", word));
    word = next_word(rest);
  }
  const auto known = std::ranges::find(grammars, word, &Grammar::name);
  if (known == grammars.end()) return std::unexpected(fmt::format("\"{}\" is nothing that can happen", word));
  Deed deed{at, static_cast<Verb>(known - grammars.begin())};
  if (deed.timeless() == timed) {
    return std::unexpected(fmt::format("{} {} an instant", word, timed ? "does not take" : "takes"));
  }
  if (std::string wrong = read_values(deed, rest); !wrong.empty()) return std::unexpected(std::move(wrong));
  return deed;
}

}  // namespace

const Grammar& grammar(Verb verb) noexcept { return grammars[static_cast<std::size_t>(verb)]; }

Deed::Deed(Duration when, Verb what) : at(when), verb(what) {
  for (std::size_t i = 0; i < values_most; ++i) values[i] = grammar(what).keys[i].usual;
}

std::int64_t Deed::operator[](std::string_view key) const noexcept {
  const auto place = place_of(verb, key);
  assert(place);
  return values[*place];
}

bool Deed::has(std::string_view key) const noexcept { return place_of(verb, key).has_value(); }

Deed& Deed::set(std::string_view key, std::int64_t value) noexcept {
  const auto place = place_of(verb, key);
  assert(place);
  values[*place] = value;
  return *this;
}

std::string to_text(const Deed& deed) {
  std::string line;
  if (!deed.timeless()) line = fmt::format("@{}.{:09} ", deed.at.count() / 1'000'000'000, deed.at.count() % 1'000'000'000);
  const Grammar& g = grammar(deed.verb);
  line += g.name;
  for (std::size_t i = 0; i < values_most && !g.keys[i].name.empty(); ++i) {
    if (i == 0 || deed.values[i] != g.keys[i].usual) line += fmt::format(" {}={}", g.keys[i].name, deed.values[i]);
  }
  return line;
}

std::string to_text(std::span<const Deed> script) {
  std::string all;
  for (const Deed& deed : script) all += to_text(deed) + "\n";
  return all;
}

std::expected<Script, std::string> parse_script(std::string_view text) {
  Script script;
  int number = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    line = line.substr(0, line.find('#'));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto deed = parse_line(line);
    if (!deed) return std::unexpected(fmt::format("line {}: {}", number, deed.error()));
    script.push_back(*deed);
  }
  std::ranges::stable_sort(script, {}, [](const Deed& d) { return d.timeless() ? Duration{-1} : d.at; });
  return script;
}

}  // namespace rtchan::sim
