// Network namespaces by name, as `ip netns` keeps them in /run/netns.
#pragma once

#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "rtchan/error.hpp"

namespace rtchan::lab {

[[nodiscard]] std::string netns_path(const std::string& name);  // "/run/netns/NAME"

// Runs `work` on a thread of its own inside the namespace and returns when it has finished: a socket that it
// opens belongs to that namespace for good. Errors: Errc::system when the namespace cannot be entered (work
// did not run).
[[nodiscard]] std::expected<void, Error> in_netns(const std::string& name, const std::function<void()>& work);

[[nodiscard]] std::vector<std::string> list_netns();  // names in /run/netns; empty when there are none

// Whose lab a name or a scratch directory belongs to: "rtlab-<pid>-<start time of that process>-...". The
// start time tells a recycled pid from the owner.
[[nodiscard]] std::string owner_prefix();                   // of this process
[[nodiscard]] bool owner_is_dead(const std::string& name);  // false for names that are not ours to judge

// Removes namespaces and scratch directories of labs whose process is gone; returns what was removed. A
// failure to remove one is skipped: the next caller tries again.
std::vector<std::string> remove_leftovers();

}  // namespace rtchan::lab
