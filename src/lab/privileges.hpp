// Network namespaces need privilege. Without root the program moves into a user namespace of its own (what
// `unshare -Urnm` does), where it may make network namespaces but never use a real-time class or load BPF.
#pragma once

#include <expected>
#include <string>

#include "rtchan/error.hpp"

namespace rtchan::lab {

struct Privileges {
  bool can_build = false;                    // may make network namespaces here
  bool initial_user = false;                 // in the machine's own user namespace: real root
  bool realtime = false;                     // SCHED_FIFO is permitted
  [[nodiscard]] std::string weaker() const;  // what is weaker and why, one sentence; empty: nothing
};

[[nodiscard]] Privileges privileges();

// Returns at once when network namespaces can be made here. Otherwise moves this process into new user,
// network and mount namespaces with a private /run. Call it first thing in main: it must be the only thread.
// Errors: Errc::permission_denied, with what to do.
[[nodiscard]] std::expected<void, Error> become_privileged();

}  // namespace rtchan::lab
