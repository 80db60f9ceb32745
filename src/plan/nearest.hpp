// What a refused channel would have needed: found by asking the same nodes for its neighbours.
#pragma once

#include "plan/outcome.hpp"

namespace rtchan::plan {

// `fabric` is as it was when the channel was refused with `why`; it is left so.
[[nodiscard]] Nearest find_nearest(Fabric& fabric, const ChannelGroup& channel, const Error& why);

}  // namespace rtchan::plan
