#include "support/loopback_daemon.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

namespace rtchan::testing {
namespace {

using namespace std::chrono_literals;

bool accepts(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  const bool connected = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return connected;
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in{path};
  return {std::istreambuf_iterator<char>{in}, {}};
}

}  // namespace

LoopbackDaemon::LoopbackDaemon(const std::filesystem::path& directory, int number, const Options& options)
    : config_(directory / fmt::format("{}.toml", number)),
      log_(directory / fmt::format("{}.log", number)),
      socket_((directory / fmt::format("{}.sock", number)).string()) {
  std::ofstream out{config_};
  out << fmt::format("[daemon]\nname = \"host{}\"\nsocket = \"{}\"\nlease = \"{}\"\n{}\n", number, socket_,
                     options.lease, options.daemon_extra);
  for (int i = 0; i < options.workers; ++i) out << "[[worker]]\nscheduling = \"other\"\n";
  out << fmt::format("[[link]]\nname = \"net0\"\ninterface = \"lo\"\naddress = \"{}\"\nport = {}\nrate = \"1Gbit\"\n"
                     "mtu = 1500\nguard = \"none\"\nworker = {}\n",
                     address(number), options.port, options.workers - 1);
  for (const int neighbour : options.neighbours) {
    const std::string port = options.neighbour_port != 0 ? fmt::format(":{}", options.neighbour_port) : "";
    out << fmt::format("[[route]]\ndestination = \"{0}\"\nneighbour = \"{0}{1}\"\nlink = \"net0\"\n", address(neighbour), port);
  }
  out << options.extra;
  out.close();
  start();
}

LoopbackDaemon::~LoopbackDaemon() {
  if (pid_ > 0 && end(SIGTERM) < 0) end(SIGKILL);
}

void LoopbackDaemon::start() {
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int log = open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log, STDERR_FILENO);
    execl(RTCD_PROGRAM, "rtcd", "--config", config_.c_str(), nullptr);
    _exit(127);
  }
  for (int i = 0; i < 1'000 && running() && !accepts(socket_); ++i) std::this_thread::sleep_for(10ms);
}

bool LoopbackDaemon::running() const {
  siginfo_t info{};
  return pid_ > 0 && waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

std::string LoopbackDaemon::log() const { return text_of(log_); }

int LoopbackDaemon::end(int signal) {
  if (pid_ <= 0) return -1;
  kill(pid_, signal);
  int status = 0;
  for (int i = 0; i < 1'000; ++i) {
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    std::this_thread::sleep_for(10ms);
  }
  return -1;
}

ScratchDirectory::ScratchDirectory() {
  std::string name = "/tmp/rtchan-test-XXXXXX";
  path_ = mkdtemp(name.data());
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::size_t open_descriptors(int pid) {
  std::error_code ignored;
  const auto files = std::filesystem::directory_iterator{fmt::format("/proc/{}/fd", pid), ignored};
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

std::size_t resident_kilobytes(int pid) {
  const std::string status = text_of(fmt::format("/proc/{}/status", pid));
  const std::size_t at = status.find("VmRSS:");
  return at == std::string::npos ? 0 : std::strtoul(status.c_str() + at + 6, nullptr, 10);
}

std::vector<int> children(int pid) {
  std::istringstream in{text_of(fmt::format("/proc/{0}/task/{0}/children", pid))};
  return {std::istream_iterator<int>{in}, {}};
}

}  // namespace rtchan::testing
