// Running iproute2 and other small tools to completion: the lab drives `ip` and `tc` instead of speaking
// netlink itself, so that what it does can be repeated by hand.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "rtchan/error.hpp"

namespace rtchan::lab {

using Argv = std::vector<std::string>;

// Runs `argv` (searched in PATH, and in /usr/sbin and /sbin), waits, and returns what it printed on stdout
// and stderr. Errors: Errc::system with the whole command line and its output when it cannot start, fails, or
// exceeds `timeout` (it is killed then). Thread-safe.
[[nodiscard]] std::expected<std::string, Error> run(const Argv& argv,
                                                    Duration timeout = std::chrono::seconds{20});

// "a b c" -> {"a", "b", "c"}: commands read in the source as they would be typed. No quoting.
[[nodiscard]] Argv words(std::string_view line);

}  // namespace rtchan::lab
