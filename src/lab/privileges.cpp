#include "lab/privileges.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

namespace rtchan::lab {
namespace {

bool has_capabilities() {
  constexpr unsigned long long needed = 1ULL << 12 | 1ULL << 21;  // CAP_NET_ADMIN, CAP_SYS_ADMIN
  std::ifstream in{"/proc/self/status"};
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("CapEff:")) return (std::stoull(line.substr(7), nullptr, 16) & needed) == needed;
  }
  return false;
}

bool maps_everyone() {
  std::ifstream in{"/proc/self/uid_map"};
  unsigned long long inside = 0, outside = 0, count = 0;
  in >> inside >> outside >> count;
  return inside == 0 && outside == 0 && count == 4'294'967'295ULL;
}

bool write_file(const char* path, const std::string& text) {
  std::ofstream file{path};
  file << text << std::flush;
  return file.good();
}

bool may_use_fifo() {
  bool permitted = false;
  std::thread{[&] {  // on a thread of its own: ours keeps its class
    const sched_param lowest{.sched_priority = 1};
    permitted = sched_setscheduler(0, SCHED_FIFO, &lowest) == 0;
  }}
      .join();
  return permitted;
}

}  // namespace

std::string Privileges::weaker() const {
  if (!realtime) {
    return "no real-time class: daemons and probe run as ordinary processes, so other programs of this "
           "machine can "
           "delay them, and a delay by them counts as the machine taken away";
  }
  return {};
}

Privileges privileges() {
  return {.can_build = has_capabilities(), .initial_user = maps_everyone(), .realtime = may_use_fifo()};
}

std::expected<void, Error> become_privileged() {
  if (has_capabilities()) return {};
  const auto denied = [](const char* what) {
    return std::unexpected(Error{Errc::permission_denied,
                                 fmt::format("{}: {}; run as root, or allow unprivileged user namespaces "
                                             "(kernel.unprivileged_userns_clone, user.max_user_namespaces, "
                                             "kernel.apparmor_restrict_unprivileged_userns)",
                                             what, std::strerror(errno))});
  };
  const uid_t uid = getuid();
  const gid_t gid = getgid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0) return denied("new user namespace");
  if (!write_file("/proc/self/setgroups", "deny") ||
      !write_file("/proc/self/uid_map", fmt::format("0 {} 1", uid)) ||
      !write_file("/proc/self/gid_map", fmt::format("0 {} 1", gid))) {
    return denied("map this user into the new user namespace");
  }
  // A private /run takes the names of our network namespaces; the machine's own is not ours to write.
  if (mount("", "/", "none", MS_PRIVATE | MS_REC, nullptr) != 0) return denied("private mounts");
  if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) return denied("private /run");
  return {};
}

}  // namespace rtchan::lab
