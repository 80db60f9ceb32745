// For tests that change interfaces, qdiscs or routes: a network namespace of the test process's own.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

namespace rtchan::testing {

namespace detail {
inline bool write_file(const char* path, const std::string& text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  return written;
}
}  // namespace detail

// Moves the whole (single-threaded) process into a fresh network namespace, without root through a user
// namespace. Empty: done. Otherwise why not, in words for GTEST_SKIP.
inline std::string enter_private_network() {
  if (unshare(CLONE_NEWNET) == 0) return "";
  const auto uid = std::to_string(geteuid());
  const auto gid = std::to_string(getegid());
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    return std::string("no network namespace for this test: ") + std::strerror(errno);
  }
  detail::write_file("/proc/self/setgroups", "deny");
  if (!detail::write_file("/proc/self/uid_map", "0 " + uid + " 1") ||
      !detail::write_file("/proc/self/gid_map", "0 " + gid + " 1")) {
    return std::string("no user namespace for this test: ") + std::strerror(errno);
  }
  return "";
}

// Runs a command of iproute2; false: it failed.
inline bool run(const std::string& command) {
  return std::system((command + " 2>/dev/null").c_str()) == 0;
}

}  // namespace rtchan::testing
