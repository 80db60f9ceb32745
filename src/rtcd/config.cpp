#include "rtcd/config.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "rtcd/config_sections.hpp"

namespace rtchan::rtcd {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;

// What every section's reader needs.
struct Reading {
  std::string_view file;
  ConfigErrors errors{};
  Config config{};
};

void read_daemon(Reading& r, ConfigTable t) {
  DaemonSection& d = r.config.daemon;
  std::string text;
  std::size_t choice = 0;
  t.text("name", d.name);
  if (t.text("run_dir", text)) {
    d.run_dir = text;
    d.socket = d.run_dir / "rtcd.sock";
  }
  if (t.text("socket", text)) d.socket = text;
  if (d.socket.string().size() >= 108) t.fail("socket", "is longer than 107 characters, which the kernel does not take");
  if (t.text("socket_mode", text)) {
    char* end = nullptr;
    const unsigned long mode = std::strtoul(text.c_str(), &end, 8);
    if (*end != '\0' || mode > 0777) {
      t.fail("socket_mode", "must be an octal mode in quotes, \"0600\" ... \"0777\"");
    } else {
      d.socket_mode = static_cast<std::uint32_t>(mode);
    }
  }
  static constexpr std::array levels{"error"sv, "warn"sv, "info"sv, "debug"sv};
  if (t.word("log", levels, choice)) d.log = static_cast<LogLevel>(choice);
  t.duration("lease", 500ms, 10min, d.lease);
  static constexpr std::array kinds{"processes"sv, "threads"sv};
  if (t.word("workers", kinds, choice)) d.workers = static_cast<WorkerKind>(choice);
  t.finish();
}

void read_link(Reading& r, ConfigTable t) {
  LinkSection l;
  l.line = t.line();
  t.require("name");
  t.text("name", l.name);
  for (const LinkSection& other : r.config.links) {
    if (other.name == l.name) t.fail("name", fmt::format("\"{}\" is the name of another link (line {})", l.name, other.line));
  }
  t.text("interface", l.interface);
  std::string text;
  if (t.text("address", text)) {
    l.address = IpAddress::parse(text);
    if (!l.address) t.fail("address", fmt::format("\"{}\" is no numeric IPv4 or IPv6 address", text));
  } else if (l.interface.empty()) {
    t.fail("address", "is missing: give the interface, the address, or both");
  }
  t.number("port", 1, 65'533, l.port);
  t.require("rate");
  read_capacity(t, l);
  if (l.guard == Guard::share && l.bits_per_second > 0 && l.foreign_bits_per_second >= l.bits_per_second) {
    t.fail("foreign", "leaves nothing of the rate to be promised");
  }
  t.finish();
  r.config.links.push_back(std::move(l));
}

// "10.0.0.0/8" or a plain address.
std::optional<std::string> parse_prefix(const std::string& text, RouteSection& route) {
  const std::size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return "must be a numeric address or prefix such as \"10.1.0.0/16\"";
  const std::uint32_t width = address->is_v4() ? 32 : 128;
  std::uint32_t bits = width;
  if (slash != std::string::npos) {
    char* end = nullptr;
    bits = static_cast<std::uint32_t>(std::strtoul(text.c_str() + slash + 1, &end, 10));
    if (*end != '\0' || end == text.c_str() + slash + 1 || bits > width) {
      return fmt::format("the prefix length must be 0 ... {}", width);
    }
  }
  route.prefix = *address;
  route.prefix_bits = bits + (128 - width);
  return std::nullopt;
}

void read_route(Reading& r, ConfigTable t) {
  RouteSection route;
  std::string text;
  t.require("destination");
  if (t.text("destination", text)) {
    if (const auto wrong = parse_prefix(text, route)) t.fail("destination", *wrong);
  }
  t.require("neighbour");
  if (t.text("neighbour", text)) {
    if (const auto endpoint = Endpoint::parse(text)) {
      route.neighbour = *endpoint;
    } else if (const auto address = IpAddress::parse(text)) {
      route.neighbour = {*address, 0};
    } else {
      t.fail("neighbour", "must be a numeric address, or address:port, of the neighbour's [[link]]");
    }
  }
  t.require("link");
  if (t.text("link", text)) {
    const auto& links = r.config.links;
    const auto found = std::ranges::find(links, text, &LinkSection::name);
    if (found == links.end()) {
      std::string names;
      for (const LinkSection& link : links) names += (names.empty() ? "\"" : ", \"") + link.name + '"';
      t.fail("link", fmt::format("there is no link \"{}\"; there are {}", text, names));
    } else {
      route.link = static_cast<std::uint32_t>(found - links.begin());
      if (route.neighbour.port == 0) route.neighbour.port = found->port;
    }
  }
  t.finish();
  r.config.routes.push_back(route);
}

// Calls read(table) for [name], or for each [[name]] in order.
template <class F>
void each(Reading& r, const toml::table& root, std::string_view name, bool many, F&& read) {
  const toml::node* node = root.get(name);
  if (node == nullptr) return;
  const auto line = node->source().begin.line;
  if (!many) {
    if (const toml::table* table = node->as_table()) return read(ConfigTable{*table, std::string{name}, r.file, r.errors});
    r.errors.push_back(fmt::format("{}:{}: {}: must be a table, [{}]", r.file, line, name, name));
    return;
  }
  const toml::array* array = node->as_array();
  if (array == nullptr || !array->is_array_of_tables()) {
    r.errors.push_back(fmt::format("{}:{}: {}: must be a list of tables, each begins [[{}]]", r.file, line, name, name));
    return;
  }
  int index = 0;
  for (const toml::node& entry : *array) {
    read(ConfigTable{*entry.as_table(), fmt::format("{}[{}]", name, index++), r.file, r.errors});
  }
}

void check_whole(Reading& r) {
  Config& c = r.config;
  if (c.workers.empty()) c.workers.emplace_back();
  if (c.workers.size() > limits::workers) {
    r.errors.push_back(fmt::format("{}: worker: at most {} [[worker]] tables", r.file, limits::workers));
  }
  for (std::size_t i = 0; i < c.workers.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (c.workers[i].core && c.workers[i].core == c.workers[j].core) {
        r.errors.push_back(fmt::format("{}: worker[{}].core: worker[{}] has core {} already: its time cannot be promised twice", r.file, i,
                                       j, *c.workers[i].core));
      }
    }
  }
  for (std::size_t i = 0; i < c.links.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const LinkSection &a = c.links[i], &b = c.links[j];
      if (!a.interface.empty() && a.interface == b.interface && a.address == b.address) {
        r.errors.push_back(fmt::format("{}:{}: link.interface: \"{}\" has {} already: a wire cannot be promised twice", r.file, a.line, b.name,
                                       a.interface));
      }
    }
  }
  if (c.links.empty()) r.errors.push_back(fmt::format("{}: link: at least one [[link]] is needed", r.file));
  std::vector<std::uint32_t> per_worker(limits::workers);
  for (const LinkSection& l : c.links) {
    if (l.worker >= c.workers.size()) {
      r.errors.push_back(fmt::format("{}:{}: link.worker: there is no worker {}; there are 0 ... {}", r.file, l.line, l.worker,
                                     c.workers.size() - 1));
    } else if (++per_worker[l.worker] > limits::links_per_worker) {
      r.errors.push_back(
          fmt::format("{}:{}: link.worker: a worker serves at most {} links", r.file, l.line, limits::links_per_worker));
    }
  }
}

}  // namespace

std::expected<Config, ConfigErrors> parse_config(std::string_view text, std::string_view file) {
  Reading r{.file = file};
  toml::table root;
  try {
    root = toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    return std::unexpected(ConfigErrors{explained(error, text, file)});
  }
  each(r, root, "daemon", false, [&](ConfigTable t) { read_daemon(r, std::move(t)); });
  each(r, root, "limits", false, [&](ConfigTable t) { read_limits(std::move(t), r.config.limits); });
  each(r, root, "worker", true, [&](ConfigTable t) { read_worker(std::move(t), r.config.workers.emplace_back(), sysconf(_SC_NPROCESSORS_CONF)); });
  each(r, root, "link", true, [&](ConfigTable t) { read_link(r, std::move(t)); });
  each(r, root, "route", true, [&](ConfigTable t) { read_route(r, std::move(t)); });
  each(r, root, "admission", false, [&](ConfigTable t) { read_admission(std::move(t), r.config.admission); });
  each(r, root, "costs", false, [&](ConfigTable t) { read_costs(std::move(t), r.config.admission.costs); });
  static const std::set<std::string_view> sections{"admission", "costs", "daemon", "limits", "link", "route", "worker"};
  for (const auto& [key, node] : root) {
    if (sections.contains(key.str())) continue;
    r.errors.push_back(fmt::format("{}:{}: {}: no such table; here are [admission], [costs], [daemon], [limits], [[link]], "
                                   "[[route]], [[worker]]",
                                   file, node.source().begin.line, key.str()));
  }
  check_whole(r);
  if (!r.errors.empty()) return std::unexpected(std::move(r.errors));
  if (r.config.daemon.name.empty()) {
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    r.config.daemon.name = host.data();
  }
  return std::move(r.config);
}

std::expected<Config, ConfigErrors> load_config(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) {
    return std::unexpected(ConfigErrors{fmt::format("{}: cannot be read: it is a directory", file.string())});
  }
  std::ifstream in{file};
  if (!in) return std::unexpected(ConfigErrors{fmt::format("{}: cannot be read: {}", file.string(), std::strerror(errno))});
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  return parse_config(text, file.string());
}

}  // namespace rtchan::rtcd
