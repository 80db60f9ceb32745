#include "lab/daemon.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

namespace rtchan::lab {
namespace {

std::string configuration(const Host& host, const DaemonOptions& options,
                          const std::filesystem::path& socket) {
  std::string text =
      fmt::format("[daemon]\nname = \"{}\"\nrun_dir = \"{}\"\nsocket = \"{}\"\n{}\n", host.name,
                  socket.parent_path().string(), socket.string(), options.daemon_extra);
  text += fmt::format("\n[[worker]]\ncore = {}\n{}\n", options.core, options.worker_extra);
  const std::string foreign =
      options.guard == "share" ? fmt::format("foreign = \"{}\"\n", options.foreign) : "";
  for (const Interface& interface : host.interfaces) {
    if (interface.address.empty()) continue;
    text += fmt::format(
        "\n[[link]]\nname = \"{0}\"\ninterface = \"{0}\"\naddress = \"{1}\"\nport = {2}\nrate = "
        "\"{3}\"\nguard = \"{4}\"\n{5}\n",
        interface.name, interface.address, options.port, options.rate, options.guard,
        foreign + options.link_extra);
  }
  return text + "\n" + options.extra;
}

std::string file_text(const std::filesystem::path& path) {
  std::ifstream in{path};
  return {std::istreambuf_iterator<char>{in}, {}};
}

// Somebody listens there: the socket's file alone may be a dead daemon's.
bool accepts(const std::filesystem::path& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.string().size() >= sizeof address.sun_path) return false;
  std::strcpy(address.sun_path, path.c_str());
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool connected = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return connected;
}

}  // namespace

std::string program(const std::string& name) {
  std::error_code ignored;
  const auto here = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  std::vector<std::filesystem::path> places;
  if (const char* given = std::getenv("RTCHAN_BIN")) places.emplace_back(given);
  places.insert(places.end(), {here, here.parent_path() / "bin"});
  for (const auto& place : places) {
    if (access((place / name).c_str(), X_OK) == 0) return place / name;
  }
  return name;
}

std::expected<Daemon, Error> Daemon::start(const Lab& lab, std::size_t host, const DaemonOptions& options) {
  const std::filesystem::path home = lab.directory() / ("rtcd-" + lab.host(host).name);
  const std::filesystem::path config = home / "rtcd.toml", socket = home / "rtcd.sock",
                              log = home / "rtcd.log";
  std::error_code error;
  std::filesystem::create_directories(home, error);
  {
    std::ofstream out{config};
    out << configuration(lab.host(host), options, socket);
    if (!out.flush()) return std::unexpected(Error{Errc::system, "cannot write " + config.string()});
  }
  Argv argv{program("rtcd"), "--config", config.string()};
  argv.insert(argv.end(), options.arguments.begin(), options.arguments.end());
  auto process = lab.start(host, argv, {.output = Output::file, .output_file = log});
  if (!process) return std::unexpected(process.error());
  Daemon daemon{std::move(*process), socket, log};
  if (auto ready = daemon.wait_ready(); !ready) return std::unexpected(ready.error());
  return daemon;
}

std::expected<void, Error> Daemon::wait_ready() {
  const Instant end = RawClock::now() + std::chrono::seconds{10};
  while (!accepts(socket_)) {
    const bool gone = !process_.running();
    if (gone || RawClock::now() > end) {
      return std::unexpected(
          Error{Errc::system,
                fmt::format("rtcd {}; its log: {}",
                            gone ? "ended at once" : "does not accept on its control socket", log())});
    }
    usleep(10'000);
  }
  return {};
}

std::string Daemon::log() const {
  return file_text(log_);
}

}  // namespace rtchan::lab
