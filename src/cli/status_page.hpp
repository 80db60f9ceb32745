// What `rtc status` shows of the daemon's JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace rtchan::cli {

// The host in a line, what its promises rest on, how much of each resource is promised, its neighbours, and whatever
// has been counted. Everything else there is in it: render() (common/table.hpp).
[[nodiscard]] std::string status_page(const nlohmann::ordered_json& status);

}  // namespace rtchan::cli
