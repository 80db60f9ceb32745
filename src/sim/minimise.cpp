#include "sim/minimise.hpp"

#include <algorithm>

namespace rtchan::sim {

Script minimise(Script script, const std::function<bool(const Script&)>& fails, std::uint32_t tries) {
  // Ever smaller pieces, from the end: what comes later depends on what was before. The last deed stays: with it ends the
  // history, and everything is mended.
  for (std::size_t piece = std::max<std::size_t>(1, script.size() / 2); piece > 0; piece /= 2) {
    for (std::size_t end = script.size() > 0 ? script.size() - 1 : 0; end > 0 && tries > 0;) {
      const std::size_t begin = end > piece ? end - piece : 0;
      Script less;
      for (std::size_t i = 0; i < script.size(); ++i) {
        if (i < begin || i >= end || script[i].timeless()) less.push_back(script[i]);
      }
      end = begin;
      if (less.size() == script.size()) continue;
      --tries;
      if (fails(less)) script = std::move(less);
    }
  }
  return script;
}

}  // namespace rtchan::sim
