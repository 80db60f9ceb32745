#include "lab/netns.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "lab/command.hpp"

namespace rtchan::lab {
namespace {

constexpr const char* kMark = "rtlab-";

// Field 22 of /proc/PID/stat: clock ticks after boot at which the process started. Empty: no such process.
std::string start_time(long pid) {
  std::ifstream in{fmt::format("/proc/{}/stat", pid)};
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  const std::size_t after_name = text.rfind(')');  // the name may itself hold spaces and parentheses
  if (after_name == std::string::npos) return {};
  const Argv fields = words(std::string_view{text}.substr(after_name + 1));
  return fields.size() > 19 ? fields[19] : std::string{};
}

}  // namespace

std::string netns_path(const std::string& name) {
  return "/run/netns/" + name;
}

std::expected<void, Error> in_netns(const std::string& name, const std::function<void()>& work) {
  const int fd = open(netns_path(name).c_str(), O_RDONLY | O_CLOEXEC);
  int error = fd < 0 ? errno : 0;
  if (fd >= 0) {
    std::thread{[&] {
      if (setns(fd, CLONE_NEWNET) != 0) {
        error = errno;
        return;
      }
      work();
    }}.join();
    close(fd);
  }
  if (error != 0) {
    return std::unexpected(
        Error{Errc::system, fmt::format("enter namespace {}: {}", name, std::strerror(error))});
  }
  return {};
}

std::vector<std::string> list_netns() {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator{"/run/netns", ignored}) {
    names.push_back(entry.path().filename());
  }
  return names;
}

std::string owner_prefix() {
  return fmt::format("{}{}-{}-", kMark, getpid(), start_time(getpid()));
}

bool owner_is_dead(const std::string& name) {
  long pid = 0;
  unsigned long long started = 0;
  if (std::sscanf(name.c_str(), "rtlab-%ld-%llu-", &pid, &started) != 2) return false;
  return start_time(pid) != std::to_string(started);
}

std::vector<std::string> remove_leftovers() {
  std::vector<std::string> removed;
  for (const std::string& name : list_netns()) {
    if (owner_is_dead(name) && run({"ip", "netns", "del", name})) removed.push_back(name);
  }
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator{std::filesystem::temp_directory_path(), ignored}) {
    const std::string name = entry.path().filename();
    if (!owner_is_dead(name)) continue;
    std::error_code error;
    std::filesystem::remove_all(entry.path(), error);
    if (!error) removed.push_back(entry.path());
  }
  return removed;
}

}  // namespace rtchan::lab
