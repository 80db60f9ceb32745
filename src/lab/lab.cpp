#include "lab/lab.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "lab/netns.hpp"

namespace rtchan::lab {
namespace {

// Waits for the pipe on stdin to close, then removes what the lab made. Ignores the terminal's signals: the
// lab's process gets them, and the pipe tells the rest. $1 prefix of namespaces, $2 scratch directory or "".
constexpr const char* kJanitor = R"(
trap '' INT TERM HUP QUIT
read -r line
for name in $(ls /run/netns 2>/dev/null); do
  case "$name" in
    "$1"*) for pid in $(ip netns pids "$name"); do kill -9 "$pid"; done
           ip netns del "$name" ;;
  esac
done
if [ -n "$2" ]; then rm -rf -- "$2"; fi
)";

std::unexpected<Error> failed(const std::string& what) {
  return std::unexpected(Error{Errc::system, fmt::format("{}: {}", what, std::strerror(errno))});
}

}  // namespace

std::expected<std::unique_ptr<Lab>, Error> Lab::create(const std::string& label, bool keep_directory) {
  static std::atomic<unsigned> serial{0};
  remove_leftovers();
  const std::string prefix = fmt::format("{}{}{}-", owner_prefix(), label, serial++);
  std::string pattern = (std::filesystem::temp_directory_path() / (prefix + "XXXXXX")).string();
  if (mkdtemp(pattern.data()) == nullptr) return failed("create " + pattern);
  std::unique_ptr<Lab> lab{new Lab{prefix, pattern, keep_directory}};
  if (auto started = lab->start_janitor(); !started) return std::unexpected(started.error());
  return lab;
}

std::expected<void, Error> Lab::start_janitor() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return failed("pipe");
  leash_ = ends[1];
  // setsid keeps a Ctrl-C of the terminal away from it; it must outlive us, hence the double step through
  // setsid
  // --fork: a direct child would be killed with us.
  auto janitor = Process::start({"setsid", "--fork", "sh", "-c", kJanitor, "janitor", prefix_,
                                 keep_directory_ ? std::string{} : directory_.string()},
                                {.output = Output::discard, .stdin_fd = ends[0]});
  close(ends[0]);
  if (!janitor) return std::unexpected(janitor.error());
  if (const auto exit = janitor->wait(std::chrono::seconds{10}); !exit || !exit->ok()) {
    return std::unexpected(Error{Errc::system, "the janitor process could not be started (setsid, sh)"});
  }
  return {};
}

Lab::~Lab() {
  if (leash_ >= 0) close(leash_);
  // The janitor now removes everything; a lab that is gone should be gone when the destructor returns.
  const Instant end = RawClock::now() + std::chrono::seconds{10};
  const auto remains = [&] {
    for (const Host& host : hosts_) {
      if (access(netns_path(host.netns).c_str(), F_OK) == 0) return true;
    }
    return !keep_directory_ && access(directory_.c_str(), F_OK) == 0;
  };
  while (remains() && RawClock::now() < end) usleep(5'000);
}

std::expected<std::size_t, Error> Lab::add_host(const std::string& name) {
  Host host{.name = name, .netns = prefix_ + name, .interfaces = {}};
  if (auto made = run({"ip", "netns", "add", host.netns}); !made) return std::unexpected(made.error());
  hosts_.push_back(host);
  const std::size_t index = hosts_.size() - 1;
  // Best effort: a kernel without IPv6 has no such file.
  (void)sysctl(index, "ipv6/conf/all/disable_ipv6", "1");
  (void)sysctl(index, "ipv6/conf/default/disable_ipv6", "1");
  if (auto up = ip(index, "link set lo up"); !up) return std::unexpected(up.error());
  return index;
}

std::expected<void, Error> Lab::connect_bare(std::size_t left, std::size_t right, unsigned mtu) {
  const std::array<std::size_t, 2> ends{left, right};
  std::array<Interface, 2> made;
  for (std::size_t i = 0; i < 2; ++i) {
    const unsigned serial = ++macs_;
    made[i].name = fmt::format("net{}", hosts_.at(ends[i]).interfaces.size());
    made[i].mac = fmt::format("02:77:00:00:{:02x}:{:02x}", serial >> 8 & 0xff, serial & 0xff);
  }
  auto added = run({"ip",
                    "link",
                    "add",
                    made[0].name,
                    "netns",
                    hosts_[left].netns,
                    "mtu",
                    std::to_string(mtu),
                    "address",
                    made[0].mac,
                    "type",
                    "veth",
                    "peer",
                    "name",
                    made[1].name,
                    "netns",
                    hosts_[right].netns,
                    "mtu",
                    std::to_string(mtu),
                    "address",
                    made[1].mac});
  if (!added) return std::unexpected(added.error());
  for (std::size_t i = 0; i < 2; ++i) {
    hosts_[ends[i]].interfaces.push_back(made[i]);
    auto up = ip(ends[i], fmt::format("link set {} gso_max_segs 1 up", made[i].name));
    if (!up) return std::unexpected(up.error());
  }
  return {};
}

std::expected<void, Error> Lab::give_address(std::size_t host, const std::string& address) {
  Interface& interface = hosts_.at(host).interfaces.back();
  interface.address = address;
  auto given = ip(host, fmt::format("addr add {}/24 dev {}", address, interface.name));
  if (!given) return std::unexpected(given.error());
  return {};
}

std::expected<void, Error> Lab::introduce(std::size_t left, std::size_t right) {
  for (const auto& [one, other] : {std::pair{left, right}, std::pair{right, left}}) {
    const Interface& mine = hosts_.at(one).interfaces.back();
    const Interface& theirs = hosts_.at(other).interfaces.back();
    auto told = ip(one, fmt::format("neigh replace {} lladdr {} dev {} nud permanent", theirs.address,
                                    theirs.mac, mine.name));
    if (!told) return std::unexpected(told.error());
  }
  return {};
}

std::expected<void, Error> Lab::connect(std::size_t left, std::size_t right, unsigned mtu) {
  if (auto joined = connect_bare(left, right, mtu); !joined) return joined;
  const unsigned k = connections_++;
  if (auto given = give_address(left, fmt::format("10.77.{}.1", k)); !given) return given;
  if (auto given = give_address(right, fmt::format("10.77.{}.2", k)); !given) return given;
  return introduce(left, right);
}

std::expected<std::string, Error> Lab::ip(std::size_t host, std::string_view arguments) const {
  return run(words(fmt::format("ip -n {} {}", hosts_.at(host).netns, arguments)));
}

std::expected<std::string, Error> Lab::tc(std::size_t host, std::string_view arguments) const {
  return run(words(fmt::format("tc -n {} {}", hosts_.at(host).netns, arguments)));
}

std::expected<void, Error> Lab::sysctl(std::size_t host, const std::string& key,
                                       const std::string& value) const {
  bool written = false;
  auto entered = in_netns(hosts_.at(host).netns, [&] {
    std::ofstream file{"/proc/sys/net/" + key};
    file << value << std::flush;
    written = file.good();
  });
  if (!entered) return entered;
  if (!written) return std::unexpected(Error{Errc::system, "cannot write /proc/sys/net/" + key});
  return {};
}

std::expected<Process, Error> Lab::start(std::size_t host, const Argv& argv, ProcessOptions options) const {
  options.netns = hosts_.at(host).netns;
  return Process::start(argv, options);
}

}  // namespace rtchan::lab
