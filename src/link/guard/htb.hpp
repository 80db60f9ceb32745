// Root HTB on an interface: our real-time packets first, everything else behind them and below the link's
// capacity, so that the only queue is the one we order.
//
//   5274:    htb, default class 20
//   5274:1     rate = ceil = root rate
//   5274:10      real-time (SO_PRIORITY 0x52740010), prio 0, rate root - 1 %, ceil root
//   5274:20      everybody else, our best effort too, prio 1, rate 1 %, ceil root
#pragma once

#include <expected>
#include <memory>

#include "link/guard/guard.hpp"
#include "link/interface.hpp"

namespace rtchan::link {

[[nodiscard]] std::expected<std::unique_ptr<Guard>, Error> install_htb(const GuardConfig& config,
                                                                       const Interface& interface);

}  // namespace rtchan::link
