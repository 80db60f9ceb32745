#include "base/text.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <span>

namespace rtchan {

namespace {

struct Unit {
  std::string_view name;  // lower case
  double factor;
};

constexpr std::array duration_units = {Unit{"ns", 1},    Unit{"us", 1e3}, Unit{"\xc2\xb5s", 1e3},
                                       Unit{"ms", 1e6},  Unit{"s", 1e9},  Unit{"min", 60e9},
                                       Unit{"h", 3600e9}};
constexpr std::array byte_units = {
    Unit{"", 1},     Unit{"b", 1},        Unit{"kb", 1e3},        Unit{"mb", 1e6},
    Unit{"gb", 1e9}, Unit{"kib", 1024.0}, Unit{"mib", 1048576.0}, Unit{"gib", 1073741824.0}};
constexpr std::array bit_rate_units = {Unit{"", 1},         Unit{"bit", 1},      Unit{"kbit", 1e3},
                                       Unit{"mbit", 1e6},   Unit{"gbit", 1e9},   Unit{"bit/s", 1},
                                       Unit{"kbit/s", 1e3}, Unit{"mbit/s", 1e6}, Unit{"gbit/s", 1e9}};
constexpr std::array rate_units = {Unit{"", 1},      Unit{"/s", 1},          Unit{"k/s", 1e3},
                                   Unit{"m/s", 1e6}, Unit{"/min", 1.0 / 60}, Unit{"/h", 1.0 / 3600}};

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// Number times unit; `allowed` completes the sentence "... is not ALLOWED".
std::expected<double, std::string> parse(std::string_view text, std::span<const Unit> units,
                                         std::string_view allowed) {
  const auto wrong = [&] { return std::unexpected(fmt::format("\"{}\" is not {}", text, allowed)); };
  const std::string_view clean = trimmed(text);
  double number{};
  const auto [end, error] =
      std::from_chars(clean.data(), clean.data() + clean.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(number) || number < 0 || std::signbit(number)) return wrong();
  const std::string unit = lower_case(trimmed(clean.substr(static_cast<std::size_t>(end - clean.data()))));
  for (const Unit& known : units) {
    if (known.name == unit) return number * known.factor;
  }
  if (unit.empty() && number == 0) return 0.0;  // nothing is nothing in every unit
  return wrong();
}

std::expected<std::uint64_t, std::string> whole(std::expected<double, std::string> value,
                                                std::string_view text) {
  if (!value) return std::unexpected(value.error());
  if (*value >= 9.2e18) return std::unexpected(fmt::format("\"{}\" is too large", text));
  return static_cast<std::uint64_t>(std::llround(*value));
}

// At most three decimals, no trailing zeros.
std::string decimal(double value) {
  std::string text = fmt::format("{:.3f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

// The largest unit that keeps the rounded number at or above 1.
std::string scaled(double value, std::span<const Unit> ascending) {
  const Unit* best = &ascending.front();
  for (const Unit& unit : ascending) {
    if (value >= unit.factor * 0.9995) best = &unit;
  }
  return decimal(value / best->factor) + std::string(best->name);
}

}  // namespace

std::expected<Duration, std::string> parse_duration(std::string_view text) {
  const auto ns = whole(
      parse(text, duration_units, "a duration: a number and one of ns, us, ms, s, min, h, as in 5ms"), text);
  if (!ns) return std::unexpected(ns.error());
  return Duration{static_cast<std::int64_t>(*ns)};
}

std::expected<std::uint64_t, std::string> parse_bytes(std::string_view text) {
  return whole(parse(text, byte_units,
                     "a size: a number of bytes, or with one of B, KB, MB, GB (1000s), KiB, MiB, GiB "
                     "(1024s), as in 30KB"),
               text);
}

std::expected<std::uint64_t, std::string> parse_bit_rate(std::string_view text) {
  return whole(
      parse(text, bit_rate_units,
            "a bit rate: a number and one of bit, kbit, Mbit, Gbit, with or without /s, as in 97Mbit"),
      text);
}

std::expected<double, std::string> parse_rate(std::string_view text) {
  return parse(text, rate_units,
               "a rate: a number a second, or with one of /s, k/s, M/s, /min, /h, as in 500/s");
}

std::string format_duration(Duration value) {
  static constexpr std::array units = {Unit{"ns", 1}, Unit{"us", 1e3}, Unit{"ms", 1e6}, Unit{"s", 1e9}};
  const auto ns = static_cast<double>(value.count());
  return (ns < 0 ? "-" : "") + scaled(std::abs(ns), units);
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array units = {Unit{"B", 1}, Unit{"KB", 1e3}, Unit{"MB", 1e6}, Unit{"GB", 1e9}};
  return scaled(static_cast<double>(bytes), units);
}

std::string format_bit_rate(std::uint64_t bits_per_second) {
  static constexpr std::array units = {Unit{"bit/s", 1}, Unit{"kbit/s", 1e3}, Unit{"Mbit/s", 1e6},
                                       Unit{"Gbit/s", 1e9}};
  return scaled(static_cast<double>(bits_per_second), units);
}

std::string format_rate(double per_second) {
  static constexpr std::array units = {Unit{"/s", 1}, Unit{"k/s", 1e3}, Unit{"M/s", 1e6}};
  return scaled(per_second, units);
}

}  // namespace rtchan
