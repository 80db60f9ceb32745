#include "lab/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "lab/netns.hpp"

extern char** environ;

namespace rtchan::lab {
namespace {

constexpr std::size_t kMaxOutput = 16u << 20;

std::unexpected<Error> failed(const std::string& what, int error) {
  return std::unexpected(Error{Errc::system, fmt::format("{}: {}", what, std::strerror(error))});
}

int pidfd_open(pid_t pid) {
  return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
}

// Everything the child needs, prepared before fork: between fork and exec only async-signal-safe calls are
// made.
struct Plan {
  std::vector<std::string> argv_text, env_text;
  std::vector<char*> argv, env;
  std::string program;
  int netns = -1, in = -1, out = -1, err = -1, report = -1;
  std::optional<int> core;
  pid_t parent = 0;
};

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::string places = fmt::format("{}:/usr/sbin:/sbin:/usr/bin:/bin", path ? path : "");
  for (std::size_t at = 0; at <= places.size();) {
    const std::size_t end = std::min(places.find(':', at), places.size());
    const std::string candidate = places.substr(at, end - at) + "/" + name;
    if (end > at && access(candidate.c_str(), X_OK) == 0) return candidate;
    at = end + 1;
  }
  return name;
}

// /sys shows the network namespace it was mounted from: give the child one that shows its own interfaces, as
// `ip netns exec` does. Where that is not permitted the child sees the old one, which only sysfs readers
// notice.
void show_own_sysfs() {
  if (unshare(CLONE_NEWNS) != 0) return;
  if (mount("", "/", "none", MS_SLAVE | MS_REC, nullptr) != 0) return;
  (void)mount("sysfs", "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
}

[[noreturn]] void child(Plan& plan) {
  const auto give_up = [&](int stage) {
    const std::array<int, 2> report{stage, errno};
    (void)!write(plan.report, report.data(), sizeof report);
    _exit(127);
  };
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != plan.parent) _exit(127);
  if (plan.netns >= 0) {
    if (setns(plan.netns, CLONE_NEWNET) != 0) give_up(0);
    show_own_sysfs();
  }
  if (plan.core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(*plan.core), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) give_up(1);
  }
  if (dup2(plan.in, 0) < 0 || (plan.out >= 0 && dup2(plan.out, 1) < 0) ||
      (plan.err >= 0 && dup2(plan.err, 2) < 0)) {
    give_up(2);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  execve(plan.program.c_str(), plan.argv.data(), plan.env.data());
  give_up(3);
  _exit(127);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// Closes at the end of the scope; parent-side copies of what the child inherited.
struct Fd {
  int fd = -1;
  ~Fd() { reset(); }
  void reset(int next = -1) {
    if (fd >= 0) close(fd);
    fd = next;
  }
  int release() { return std::exchange(fd, -1); }
};

int open_append(const std::filesystem::path& path) {
  return open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

}  // namespace

std::expected<Process, Error> Process::start(const std::vector<std::string>& argv,
                                             const ProcessOptions& options) {
  Plan plan;
  plan.argv_text = argv;
  plan.argv = pointers(plan.argv_text);
  for (char** e = environ; *e != nullptr; ++e) plan.env_text.emplace_back(*e);
  plan.env_text.insert(plan.env_text.end(), options.environment.begin(), options.environment.end());
  plan.env = pointers(plan.env_text);
  plan.program = find_program(argv.at(0));
  plan.core = options.core;
  plan.parent = getpid();

  Fd netns, in, out, err, pipe_read, report_read, report_write;
  if (!options.netns.empty()) {
    netns.reset(open(netns_path(options.netns).c_str(), O_RDONLY | O_CLOEXEC));
    if (netns.fd < 0) return failed("open namespace " + options.netns, errno);
  }
  in.reset(options.stdin_fd >= 0 ? fcntl(options.stdin_fd, F_DUPFD_CLOEXEC, 3)
                                 : open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (in.fd < 0) return failed("stdin of " + argv[0], errno);
  if (options.output == Output::discard) out.reset(open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (options.output == Output::file) {
    out.reset(open_append(options.output_file));
    if (out.fd < 0) return failed("open " + options.output_file.string(), errno);
    if (!options.error_file.empty()) err.reset(open_append(options.error_file));
  }
  if (options.output == Output::pipe) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return failed("pipe", errno);
    pipe_read.reset(ends[0]);
    out.reset(ends[1]);
    fcntl(pipe_read.fd, F_SETFL, O_NONBLOCK);
  }
  std::array<int, 2> report{};
  if (pipe2(report.data(), O_CLOEXEC) != 0) return failed("pipe", errno);
  report_read.reset(report[0]);
  report_write.reset(report[1]);

  plan.netns = netns.fd;
  plan.in = in.fd;
  plan.out = out.fd;
  plan.err = err.fd >= 0 ? err.fd : out.fd;
  plan.report = report_write.fd;
  const pid_t pid = fork();
  if (pid < 0) return failed("fork", errno);
  if (pid == 0) child(plan);

  report_write.reset();
  std::array<int, 2> trouble{};
  ssize_t got = 0;
  do got = read(report_read.fd, trouble.data(), sizeof trouble);
  while (got < 0 && errno == EINTR);
  if (got == sizeof trouble) {
    waitpid(pid, nullptr, 0);
    static constexpr std::array stages{"enter the namespace for", "pin to a core", "redirect output of",
                                       "execute"};
    return failed(fmt::format("{} {}", stages.at(static_cast<std::size_t>(trouble[0])), plan.program),
                  trouble[1]);
  }
  return Process{pid, pidfd_open(pid), pipe_read.release()};
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::exchange(other.pidfd_, -1)),
      out_(std::exchange(other.out_, -1)),
      text_(std::move(other.text_)),
      exit_(other.exit_) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    release();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::exchange(other.pidfd_, -1);
    out_ = std::exchange(other.out_, -1);
    text_ = std::move(other.text_);
    exit_ = other.exit_;
  }
  return *this;
}

Process::~Process() {
  release();
}

void Process::release() noexcept {
  if (pid_ > 0 && !exit_) stop();
  if (pidfd_ >= 0) close(pidfd_);
  if (out_ >= 0) close(out_);
  pid_ = pidfd_ = out_ = -1;
}

bool Process::running() {
  return !wait(Duration::zero());
}

std::optional<Exit> Process::wait(Duration timeout) {
  const Instant end = RawClock::now() + timeout;
  while (!exit_ && pid_ > 0) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      exit_ = WIFEXITED(status) ? Exit{.code = WEXITSTATUS(status)} : Exit{.signal = WTERMSIG(status)};
      break;
    }
    const Duration left = end - RawClock::now();
    if (left <= Duration::zero()) return std::nullopt;
    std::array<pollfd, 2> fds{pollfd{pidfd_, POLLIN, 0}, pollfd{out_, POLLIN, 0}};
    const auto ms =
        std::chrono::ceil<std::chrono::milliseconds>(std::min<Duration>(left, std::chrono::hours{1}));
    poll(fds.data(), out_ >= 0 ? 2 : 1, static_cast<int>(ms.count()));
    drain();
  }
  drain();
  return exit_;
}

void Process::kill(int signal) noexcept {
  if (pid_ > 0 && !exit_) ::kill(pid_, signal);
}

Exit Process::stop(Duration patience) {
  kill(SIGTERM);
  kill(SIGCONT);
  if (const auto exit = wait(patience)) return *exit;
  kill(SIGKILL);
  return wait(std::chrono::hours{1}).value_or(Exit{.signal = SIGKILL});
}

void Process::drain() {
  std::array<char, 65536> buffer;
  while (out_ >= 0) {
    const ssize_t got = read(out_, buffer.data(), buffer.size());
    if (got < 0) {
      if (errno == EINTR) continue;
      return;  // nothing more for now
    }
    if (got == 0) {
      close(out_);
      out_ = -1;
      return;
    }
    if (text_.size() < kMaxOutput) text_.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

std::string Process::take_output() {
  drain();
  return std::exchange(text_, {});
}

std::optional<std::string> Process::read_line(Duration timeout) {
  const Instant end = RawClock::now() + timeout;
  for (;;) {
    drain();
    if (const std::size_t at = text_.find('\n'); at != std::string::npos) {
      std::string line = text_.substr(0, at);
      text_.erase(0, at + 1);
      return line;
    }
    const Duration left = end - RawClock::now();
    if (out_ < 0 || left <= Duration::zero()) return std::nullopt;
    pollfd fd{out_, POLLIN, 0};
    const auto ms =
        std::chrono::ceil<std::chrono::milliseconds>(std::min<Duration>(left, std::chrono::hours{1}));
    poll(&fd, 1, static_cast<int>(ms.count()));
  }
}

std::string Exit::text() const {
  if (signal != 0) return fmt::format("was ended by signal {} ({})", signal, strsignal(signal));
  return fmt::format("exited with {}", code);
}

}  // namespace rtchan::lab
