// The two pictures, drawn by gnuplot: delivered throughput, stacked, and worst delay beside its bound, over
// time.
#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/demo/judge.hpp"
#include "cli/demo/scenario.hpp"
#include "rtchan/error.hpp"

namespace rtchan::demo {

enum class Picture : std::uint8_t { svg, png };

// Draws to `file`; the data and the gnuplot script stay beside it (demo.gnuplot, demo.dat) so that a person
// can change them and draw again. Errors: Errc::system when gnuplot is missing or fails.
[[nodiscard]] std::expected<void, Error> plot(const Scenario& scenario, const Evidence& evidence,
                                              const std::filesystem::path& file, Picture kind);

}  // namespace rtchan::demo
