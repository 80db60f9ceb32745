#include "admission/burst_bound.hpp"

#include <algorithm>

namespace rtchan::admission {

BurstBound BurstBound::of_falls(Duration most, std::span<const Step> falls) {
  for (const int eighths : {8, 7, 6, 4, 2, 0}) {
    BurstBound table = constant(most);
    bool fits = true;
    for (std::size_t i = 0; i < falls.size() && fits;) {
      const Duration first = falls[i].bound;
      std::size_t end = i + 1;
      while (end < falls.size() && falls[end].bound >= first / 8 * eighths) ++end;
      fits = table.append({falls[i].above, falls[end - 1].bound});
      i = end;
    }
    if (fits) return table;
  }
  const Duration lowest = falls.empty() ? most : falls.back().bound;
  return constant(std::max(Duration{0}, lowest));
}

}  // namespace rtchan::admission
