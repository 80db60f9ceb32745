// `rtc channels` for a person: one line a channel, what was promised beside what was kept.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace rtchan::cli {

// `channels`: the daemon's answer to the question "channels".
[[nodiscard]] std::string channels_table(const nlohmann::ordered_json& channels);

}  // namespace rtchan::cli
