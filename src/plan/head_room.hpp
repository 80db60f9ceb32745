// What a stage could still take.
#pragma once

#include "plan/outcome.hpp"

namespace rtchan::plan {

// Every stage of the network as it is now, with its load and what it could still take.
void look_at_stages(const Network& network, const Routes& routes, const Fabric& fabric, Outcome& out);

}  // namespace rtchan::plan
