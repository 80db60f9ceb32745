// What came of a plan, for people and for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "plan/outcome.hpp"

namespace rtchan::cli {

// Tables: channels, where their time goes (`stages`), links, processors, and what the first refused one would
// need. Ends with a newline.
[[nodiscard]] std::string plan_text(const plan::Network& network, const plan::Outcome& outcome, bool stages);

// Everything: one entry for each channel, each stage with minimum and share. docs/guide/plan.md describes it.
[[nodiscard]] nlohmann::ordered_json plan_json(const plan::Network& network, const plan::Outcome& outcome);

// "video 7 of 8", or "stop" where there is only one.
[[nodiscard]] std::string name_of(const plan::ChannelGroup& group, std::uint32_t number);
// "robot > west > east > press"
[[nodiscard]] std::string way_text(const plan::Network& network, const plan::Way& way);

}  // namespace rtchan::cli
