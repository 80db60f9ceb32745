// The network as a graph: each link as two lanes, one a direction, and each host in the colour of what is
// promised of it; the figures beside them say it in words.
#pragma once

#include <expected>
#include <filesystem>
#include <string>

#include "cli/plan/drawing.hpp"
#include "plan/outcome.hpp"

namespace rtchan::cli {

[[nodiscard]] Drawing picture_of(const plan::Network& network, const plan::Outcome& outcome);

// By the file's ending: .svg, or .png (gnuplot must be installed). Errors: one sentence.
[[nodiscard]] std::expected<void, std::string> draw_plan(const plan::Network& network,
                                                         const plan::Outcome& outcome,
                                                         const std::filesystem::path& file);

}  // namespace rtchan::cli
