// A failing script made smaller: lines are left out as long as what is left still fails.
#pragma once

#include <cstdint>
#include <functional>

#include "sim/script.hpp"

namespace rtchan::sim {

// `fails` says whether a script fails in the way that is being looked for; `tries` bounds how often it is asked.
[[nodiscard]] Script minimise(Script script, const std::function<bool(const Script&)>& fails, std::uint32_t tries);

}  // namespace rtchan::sim
