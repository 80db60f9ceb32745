// Quantities as people write them in configuration and on the command line, both ways. A parse error is one
// sentence that says what is allowed; the caller adds where (file and line, or option).
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/time.hpp"

namespace rtchan {

// A number, an optional blank, a unit (case does not matter; "Mb" is refused as a rate: Mbit or MB?).
// Negative numbers are refused.

// "5ms", "1.5 s", "250us", "2min", "1h"; a bare number is refused, except 0.
[[nodiscard]] std::expected<Duration, std::string> parse_duration(std::string_view text);
// "30KB", "1.5MiB", "1400", "1400B": KB = 1000, KiB = 1024 bytes.
[[nodiscard]] std::expected<std::uint64_t, std::string> parse_bytes(std::string_view text);
// "97Mbit", "4Mbit/s", "1.5 Gbit", "64000" (bits a second). Decimal multiples.
[[nodiscard]] std::expected<std::uint64_t, std::string> parse_bit_rate(std::string_view text);
// Events a second: "500/s", "500", "10k/s", "30/min", "0.5/s".
[[nodiscard]] std::expected<double, std::string> parse_rate(std::string_view text);

// Shortest form with at most three decimals that the matching parse reads back to within its rounding.
[[nodiscard]] std::string format_duration(Duration value);                 // "5ms", "1.25us", "-3ns"
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);               // "30KB", "1.4KB", "17B"
[[nodiscard]] std::string format_bit_rate(std::uint64_t bits_per_second);  // "97Mbit/s"
[[nodiscard]] std::string format_rate(double per_second);                  // "500/s", "10k/s"

}  // namespace rtchan
