// What was found on a host that a promise depends on, what it costs, and how to mend it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rtchan::probe {

enum class Verdict : std::uint8_t {
  good,     // nothing to do
  costs,    // promises hold, and are weaker or dearer for it
  bad,      // promises cannot be counted on
  unknown,  // this host does not say
};
[[nodiscard]] constexpr std::string_view text(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::good: return "good";
    case Verdict::costs: return "costs";
    case Verdict::bad: return "BAD";
    case Verdict::unknown: return "unknown";
  }
  return "";
}

struct Finding {
  std::string name;
  Verdict verdict{};
  std::string found;  // what is, with its figures
  std::string costs;  // what that does to a promise; empty: nothing
  std::string mend;   // what to do about it; empty: nothing
};

// `good` without a mend, else what it costs and what to do.
[[nodiscard]] inline Finding good(std::string name, std::string found) { return {std::move(name), Verdict::good, std::move(found), {}, {}}; }

}  // namespace rtchan::probe
