// Where the hosts of a network stand in a picture: distances on paper as close as can be to distances in
// links (stress majorization: Gansner, Koren and North, 2004), few crossings, wider than high. Same input,
// same picture.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace rtchan::cli {

struct Point {
  double x = 0, y = 0;
};

// One point for each of `hosts`; a link is about 1 long. The smallest x and y are 0.
[[nodiscard]] std::vector<Point> lay_out(std::size_t hosts,
                                         const std::vector<std::pair<std::size_t, std::size_t>>& links);

}  // namespace rtchan::cli
