#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <tuple>
#include <utility>

#include "rtcd/config_table.hpp"
#include "sim/scenario.hpp"

namespace rtchan::sim {
namespace {

using rtcd::ConfigTable;

const std::map<std::string_view, Shape> shapes{
    {"line", Shape::line}, {"star", Shape::star}, {"tree", Shape::tree}, {"random", Shape::random}};

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> all;
  for (std::size_t at = 0; at < text.size();) {
    const auto begin = text.find_first_not_of(" ,", at);
    if (begin == std::string::npos) break;
    at = std::min(text.find_first_of(" ,", begin), text.size());
    all.push_back(text.substr(begin, at - begin));
  }
  return all;
}

// "5-8", or one number.
void span(ConfigTable& t, std::string_view key, Span within, Span& out) {
  std::string text;
  if (!t.text(key, text)) return;
  Span read;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, read.least);
  read.most = read.least;
  if (error == std::errc{} && rest != end && *rest == '-') std::tie(rest, error) = [&] {
    const auto r = std::from_chars(rest + 1, end, read.most);
    return std::pair{r.ptr, r.ec};
  }();
  if (error != std::errc{} || rest != end || read.least > read.most || read.least < within.least || read.most > within.most) {
    return t.fail(key, fmt::format("must be a number or a range such as \"5-8\", within {} ... {}", within.least, within.most));
  }
  out = read;
}

void read_topology(ConfigTable t, Sketch& s) {
  if (std::string names; t.text("shapes", names)) {
    s.shapes.clear();
    for (const std::string& name : words(names)) {
      if (const auto found = shapes.find(name); found != shapes.end()) {
        s.shapes.push_back(found->second);
      } else {
        t.fail("shapes", fmt::format("\"{}\" is none of line, star, tree, random", name));
      }
    }
    if (s.shapes.empty()) s.shapes = Sketch{}.shapes;
  }
  span(t, "hosts", {2, 2'000}, s.hosts);
  span(t, "rate_kbit", {1'000, 100'000'000}, s.rate_kbit);
  span(t, "delay_us", {0, 1'000'000}, s.link_delay_us);
  t.finish();
}

void read_workload(ConfigTable t, Sketch& s) {
  span(t, "applications", {1, 10}, s.applications);
  span(t, "setups", {1, 1'000'000}, s.setups);
  span(t, "gap_us", {0, 10'000'000}, s.setup_gap_us);
  span(t, "messages", {0, 1'000'000}, s.messages);
  t.number("best_effort_percent", 0, 100, s.best_effort_percent);
  t.number("workers_percent", 0, 100, s.workers_percent);
  span(t, "lease_ms", {500, 60'000}, s.lease_ms);
  t.finish();
}

void read_faults(ConfigTable t, Sketch& s) {
  span(t, "number", {0, 1'000}, s.faults);
  if (std::string names; t.text("kinds", names)) {
    const std::vector<std::string> known = Sketch{}.kinds;
    s.kinds = words(names);
    for (const std::string& kind : s.kinds) {
      if (std::ranges::find(known, kind) == known.end()) t.fail("kinds", fmt::format("\"{}\" is none of {}", kind, fmt::join(known, ", ")));
    }
    if (s.kinds.empty()) s.kinds = known;
  }
  t.finish();
}

void read_links(ConfigTable& root, Sketch& s) {
  std::map<std::string, std::uint32_t> hosts;
  for (ConfigTable& t : root.tables("link")) {
    FixedLink link;
    std::vector<std::string> names;
    t.require("between");
    if (t.texts("between", 2, names)) {
      if (names[0] == names[1]) t.fail("between", "must name two different hosts");
      link.joint.a = hosts.emplace(names[0], hosts.size()).first->second;
      link.joint.b = hosts.emplace(names[1], hosts.size()).first->second;
    }
    std::uint64_t rate = 1'000'000'000;
    t.bit_rate("rate", 1'000'000, 100'000'000'000, rate);
    link.rate_kbit = static_cast<std::int64_t>(rate / 1'000);
    Duration delay = std::chrono::microseconds{50};
    t.duration("delay", Duration{0}, std::chrono::seconds{1}, delay);
    link.delay_us = delay / std::chrono::microseconds{1};
    t.finish();
    s.links.push_back(link);
  }
  // Every host must be reached from the first.
  std::vector<Joint> all;
  for (const FixedLink& link : s.links) all.push_back(link.joint);
  const Routes routes{std::max<std::uint32_t>(1, static_cast<std::uint32_t>(hosts.size())), all};
  for (const auto& [name, host] : hosts) {
    if (host != 0 && routes.next(0, host) == Routes::nowhere) root.fail("link", fmt::format("host \"{}\" is not joined to the others", name));
  }
}

}  // namespace

std::expected<Sketch, std::vector<std::string>> load_sketch(const std::string& file) {
  std::vector<std::string> errors;
  Sketch sketch;
  try {
    const toml::table table = toml::parse_file(file);
    ConfigTable root{table, "", file, errors};
    if (auto t = root.table("topology")) read_topology(*std::move(t), sketch);
    if (auto t = root.table("workload")) read_workload(*std::move(t), sketch);
    if (auto t = root.table("faults")) read_faults(*std::move(t), sketch);
    read_links(root, sketch);
    root.finish();
  } catch (const toml::parse_error& error) {
    errors.push_back(fmt::format("{}:{}: {}", file, error.source().begin.line, error.description()));
  }
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return sketch;
}

}  // namespace rtchan::sim
