#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "link/guard/capacity.hpp"
#include "plan/network.hpp"
#include "rtcd/config_sections.hpp"
#include "rtcd/node_settings.hpp"

namespace rtchan::plan {
namespace {

using namespace std::string_view_literals;
using rtcd::ConfigTable;

struct Reading {
  Network network{};
  Host usual{};  // what [limits], [costs], [admission] of the file say of every host
  std::map<std::string, HostIndex> hosts{};
  std::map<std::string, int> link_lines{};
  std::uint64_t channels = 0;
};

// The host that a key names.
std::optional<HostIndex> host_named(const Reading& r, ConfigTable& t, std::string_view key,
                                    const std::string& name) {
  const auto found = r.hosts.find(name);
  if (found != r.hosts.end()) return found->second;
  std::string all;
  for (HostIndex h = 0; h < r.network.hosts.size(); ++h) {
    const std::string& known = r.network.hosts[h].name;
    if (known.empty() || r.hosts.at(known) != h) continue;  // named twice: said where it is defined
    if (all.size() > 200) {
      all += ", ...";
      break;
    }
    all += fmt::format("{}\"{}\"", all.empty() ? "" : ", ", known);
  }
  t.fail(key, fmt::format("there is no host \"{}\"; there are {}", name, all.empty() ? "none" : all));
  return std::nullopt;
}

std::optional<HostIndex> host_at(const Reading& r, ConfigTable& t, std::string_view key) {
  std::string name;
  t.require(key);
  return t.text(key, name) ? host_named(r, t, key, name) : std::nullopt;
}

// --- hosts
// --------------------------------------------------------------------------------------------------

void read_promises(ConfigTable& t, Host& host) {
  if (auto limits = t.table("limits")) rtcd::read_limits(*std::move(limits), host.limits);
  if (auto admission = t.table("admission")) rtcd::read_admission(*std::move(admission), host.admission);
  if (auto costs = t.table("costs")) rtcd::read_costs(*std::move(costs), host.admission.costs);
}

void read_host(Reading& r, ConfigTable t) {
  Host host = r.usual;
  t.require("name");
  t.text("name", host.name);
  if (!host.name.empty() && !r.hosts.emplace(host.name, r.network.hosts.size()).second) {
    t.fail("name", fmt::format("\"{}\" is the name of another host", host.name));
  }
  read_promises(t, host);
  for (ConfigTable& worker : t.tables("worker")) {
    rtcd::read_worker(std::move(worker), host.workers.emplace_back(), limits::plan_cores);
  }
  if (host.workers.size() > limits::workers)
    t.fail("worker", fmt::format("at most {} workers", limits::workers));
  if (host.workers.empty()) host.workers.emplace_back();
  t.finish();
  r.network.hosts.push_back(std::move(host));
}

// --- links
// --------------------------------------------------------------------------------------------------

void check_end(const Reading& r, ConfigTable& t, const LinkEnd& end) {
  const Host& host = r.network.hosts[end.host];
  const rtcd::LinkSection& s = end.settings;
  if (s.worker >= host.workers.size()) {
    t.fail("worker",
           fmt::format("{} has no worker {}; it has 0 ... {}", host.name, s.worker, host.workers.size() - 1));
  }
  if (s.guard == rtcd::Guard::share && s.foreign_bits_per_second == 0) {
    t.fail("foreign",
           "must be above 0 with guard = \"share\"; with nobody else on the link, guard = \"none\"");
  }
  if (s.bits_per_second != 0 && promised_capacity(s) == 0)
    t.fail("foreign", "leaves nothing of the rate to be promised");
}

void read_ends(Reading& r, ConfigTable& t, Link& link, const std::vector<std::string>& names,
               const rtcd::LinkSection& both) {
  for (std::size_t side = 0; side < 2; ++side) {
    const auto host = host_named(r, t, "between", names[side]);
    link.ends[side].settings = both;
    if (host) link.ends[side].host = *host;
  }
  if (names[0] == names[1]) t.fail("between", "must name two different hosts");
  auto at = t.table("at");
  for (std::size_t side = 0; side < 2; ++side) {
    LinkEnd& end = link.ends[side];
    auto own = at ? at->table(names[side]) : std::nullopt;
    if (own) {
      rtcd::read_capacity(*own, end.settings);
      own->finish();
    }
    if (r.hosts.contains(names[side])) check_end(r, own ? *own : t, end);
  }
  if (at) at->finish();
}

void read_link(Reading& r, ConfigTable t) {
  Link link;
  rtcd::LinkSection both;
  both.mtu_bytes = 1500;
  std::vector<std::string> names;
  t.require("between");
  if (t.texts("between", 2, names)) link.name = fmt::format("{}-{}", names[0], names[1]);
  t.text("name", link.name);
  t.require("rate");
  rtcd::read_capacity(t, both);
  both.name = link.name;
  both.line = t.line();
  if (!link.name.empty()) {
    const auto [other, fresh] = r.link_lines.emplace(link.name, t.line());
    if (!fresh)
      t.fail("name", fmt::format("\"{}\" is the name of another link (line {}); give this one another",
                                 link.name, other->second));
  }
  if (names.size() == 2) read_ends(r, t, link, names, both);
  t.finish();
  r.network.links.push_back(std::move(link));
}

// --- routes
// -------------------------------------------------------------------------------------------------

void read_route(Reading& r, ConfigTable t) {
  const auto at = host_at(r, t, "at");
  const auto to = host_at(r, t, "to");
  const auto via = host_at(r, t, "via");
  std::string name;
  const bool by_name = t.text("link", name);
  t.finish();
  if (!at || !to || !via) return;
  const auto& links = r.network.links;
  const auto found = std::ranges::find_if(links, [&](const Link& l) {
    const bool joins = (l.ends[0].host == *at && l.ends[1].host == *via) ||
                       (l.ends[1].host == *at && l.ends[0].host == *via);
    return joins && (!by_name || l.name == name);
  });
  if (found == links.end()) {
    t.fail(by_name ? "link" : "via",
           fmt::format("{} and {} are not joined by {}", r.network.hosts[*at].name,
                       r.network.hosts[*via].name, by_name ? fmt::format("a link \"{}\"", name) : "a link"));
    return;
  }
  r.network.routes.push_back({*at, *to, static_cast<LinkIndex>(found - links.begin())});
}

// --- channels
// -----------------------------------------------------------------------------------------------

void read_rate(ConfigTable& t, double& out) {
  std::string text;
  if (!t.text("rate", text)) return;
  const auto rate = parse_rate(text);
  if (!rate) return t.fail("rate", rate.error());
  if (*rate < limits::rate_min || *rate > limits::rate_max)
    return t.fail("rate", fmt::format("{} is outside 0.001/s ... 10M/s", text));
  out = *rate;
}

void read_size(ConfigTable& t, std::uint32_t& out) {
  std::uint64_t bytes = out;
  t.bytes("size", 1, limits::message_bytes, bytes);
  out = static_cast<std::uint32_t>(bytes);
}

void read_channel(Reading& r, ConfigTable t) {
  ChannelGroup c;
  const auto from = host_at(r, t, "from");
  const auto to = host_at(r, t, "to");
  if (from && to && *from == *to)
    t.fail("to", "must be another host than `from`: channels go to other hosts");
  c.from = from.value_or(0);
  c.to = to.value_or(0);
  if (from && to) c.name = fmt::format("{}-{}", r.network.hosts[*from].name, r.network.hosts[*to].name);
  t.text("name", c.name);
  static constexpr std::array services{"best_effort"sv, "guaranteed"sv, "controlled_load"sv, "statistical"sv};  // as the enumerators
  auto service = static_cast<std::size_t>(ServiceClass::guaranteed);
  t.word("service", services, service);
  c.qos.service = static_cast<ServiceClass>(service);
  t.require("size");
  if (admitted(c.qos.service)) {
    t.require("rate");
    t.require("delay");
  }
  if (std::uint32_t ppm = 0; t.share("activity", 1, 1'000'000, ppm)) {
    if (c.qos.service != ServiceClass::statistical) t.fail("activity", "says how often channels with service = \"statistical\" send");
    c.extensions = {activity(ppm)};
  }
  read_rate(t, c.qos.max_rate);
  read_size(t, c.qos.max_message_bytes);
  t.number("burst", 1, limits::burst_messages, c.qos.max_burst);
  t.duration("delay", limits::delay_min, limits::delay_max, c.qos.max_delay);
  t.number("count", 1, limits::plan_channels, c.count);
  r.channels += c.count;
  if (r.channels > limits::plan_channels)
    t.fail("count", fmt::format("more than {} channels in one plan", limits::plan_channels));
  t.finish();
  r.network.channels.push_back(std::move(c));
}

void read_reference(ConfigTable t, Reference& reference) {
  read_rate(t, reference.rate);
  read_size(t, reference.message_bytes);
  t.duration("delay", limits::delay_min, limits::delay_max, reference.local_delay);
  t.finish();
}

// --- the whole
// ----------------------------------------------------------------------------------------------

void check_whole(Reading& r, ConfigTable& root) {
  if (r.network.hosts.size() > limits::plan_hosts)
    root.fail("host", fmt::format("at most {} hosts", limits::plan_hosts));
  if (r.network.links.size() > limits::plan_links)
    root.fail("link", fmt::format("at most {} links", limits::plan_links));
  std::map<std::pair<HostIndex, std::uint32_t>, std::uint32_t> links_of_worker;
  std::vector<bool> linked(r.network.hosts.size());
  for (const Link& link : r.network.links) {
    for (const LinkEnd& end : link.ends) {
      linked[end.host] = true;
      if (++links_of_worker[{end.host, end.settings.worker}] != limits::links_per_worker + 1) continue;
      root.fail("link",
                fmt::format(
                    "worker {} of {} would serve more than {} links; give the host a further [[host.worker]]",
                    end.settings.worker, r.network.hosts[end.host].name, limits::links_per_worker));
    }
  }
  for (HostIndex h = 0; h < linked.size(); ++h) {
    if (!linked[h]) root.fail("link", fmt::format("no link leads to host \"{}\"", r.network.hosts[h].name));
  }
}

}  // namespace

std::uint64_t promised_capacity(const rtcd::LinkSection& link) {
  switch (link.guard) {
    case rtcd::Guard::none:
      return link.bits_per_second;
    case rtcd::Guard::share:
      return link::left_by_share(link.bits_per_second, link.foreign_bits_per_second);
    case rtcd::Guard::htb:
      return link::left_by_htb(link.bits_per_second);
  }
  return 0;
}

Duration foreign_blocking(const rtcd::LinkSection& link) {
  constexpr std::uint32_t ethernet_header_bytes = 14;
  const std::uint32_t frame = link.mtu_bytes + ethernet_header_bytes;
  std::uint64_t bytes = 0;
  switch (link.guard) {
    case rtcd::Guard::none:
      break;
    case rtcd::Guard::share:
      bytes = frame;
      break;
    case rtcd::Guard::htb: {
      const std::uint64_t root = link::htb_root_rate(link.bits_per_second, link::htb_root_percent);
      bytes = link::before_us_with_htb(link::htb_piece_bytes(root, frame), frame);
      break;
    }
  }
  return rtcd::blocking_on_wire(bytes, promised_capacity(link));
}

std::expected<Network, FileErrors> parse_network(std::string_view text, std::string_view file) {
  toml::table table;
  try {
    table = toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    return std::unexpected(FileErrors{rtcd::explained(error, text, file)});
  }
  FileErrors errors;
  Reading r;
  ConfigTable root{table, "", file, errors};
  root.text("name", r.network.name);
  read_promises(root, r.usual);
  for (const char* needed : {"host", "link", "channel"}) root.require(needed);
  for (ConfigTable& t : root.tables("host")) read_host(r, std::move(t));
  for (ConfigTable& t : root.tables("link")) read_link(r, std::move(t));
  for (ConfigTable& t : root.tables("route")) read_route(r, std::move(t));
  for (ConfigTable& t : root.tables("channel")) read_channel(r, std::move(t));
  if (auto reference = root.table("reference")) read_reference(*std::move(reference), r.network.reference);
  root.finish();
  if (errors.empty()) check_whole(r, root);
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return std::move(r.network);
}

std::expected<Network, FileErrors> load_network(const std::filesystem::path& file) {
  if (file == "-") return parse_network(std::string{std::istreambuf_iterator<char>{std::cin}, {}}, "standard input");
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored))
    return std::unexpected(FileErrors{fmt::format("{}: cannot be read: it is a directory", file.string())});
  std::ifstream in{file};
  if (!in)
    return std::unexpected(
        FileErrors{fmt::format("{}: cannot be read: {}", file.string(), std::strerror(errno))});
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  if (in.bad()) return std::unexpected(FileErrors{fmt::format("{}: cannot be read", file.string())});
  return parse_network(text, file.string());
}

}  // namespace rtchan::plan
