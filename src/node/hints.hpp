// What a refused request might ask for instead: the largest rate, all else equal, at which everything here fits, every
// stage and the buffers, so that asking again with it is not refused here again while nothing changes. Stages upstream have
// taken the higher rate already; the next hop may still want less.
#pragma once

#include <cstdint>
#include <functional>

#include "wire/signal.hpp"

namespace rtchan::node {

// 0: none down to the slowest contract. `fits`: whether this node could take such a set-up. About 40 questions.
[[nodiscard]] std::uint64_t fitting_rate_nano(const wire::Setup& refused,
                                              const std::function<bool(const wire::Setup&)>& fits);

}  // namespace rtchan::node
