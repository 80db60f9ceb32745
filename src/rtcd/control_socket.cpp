#include "rtcd/control_socket.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace rtchan::rtcd {
namespace {

constexpr int backlog = 128;

std::unexpected<std::string> failed(const std::string& what) {
  return std::unexpected(fmt::format("{}: {}", what, std::strerror(errno)));
}

}  // namespace

std::expected<ControlSocket, std::string> ControlSocket::open(const std::filesystem::path& path, unsigned mode) {
  std::error_code ignored;
  std::filesystem::create_directories(path.parent_path(), ignored);
  const std::string lock_path = path.string() + ".lock";
  ipc::Fd lock{::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!lock) return failed("cannot open " + lock_path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return std::unexpected(fmt::format("another rtcd already listens on {}", path.string()));
  }
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  path.string().copy(address.sun_path, sizeof address.sun_path - 1);
  unlink(path.c_str());  // nobody holds the lock: what is there is a dead daemon's
  ipc::Fd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket) return failed("socket");
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return failed("cannot bind " + path.string());
  }
  if (chmod(path.c_str(), mode) != 0) return failed("chmod of " + path.string());
  return ControlSocket{path, std::move(lock), std::move(socket)};
}

std::expected<void, std::string> ControlSocket::listen() const {
  if (::listen(socket_.get(), backlog) != 0) return failed("cannot listen on " + path_.string());
  return {};
}

ControlSocket::~ControlSocket() {
  if (!socket_) return;  // moved from
  unlink(path_.c_str());
  unlink((path_.string() + ".lock").c_str());  // while it is still locked
}

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

}  // namespace rtchan::rtcd
