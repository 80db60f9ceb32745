// What nodes hold, compared across nodes: both sides of every link know the same paths, a channel's delays add up to no more than was
// asked for, no link is sold beyond its capacity; and when everybody has gone, nothing is held anywhere.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "sim/watch.hpp"
#include "sim/world.hpp"

namespace rtchan::sim {
namespace {

struct Seen {
  std::uint32_t host = 0;
  node::ChannelStatus status;
};
using ByPath = std::map<std::string, std::vector<Seen>>;

constexpr std::uint64_t limit_ppm = 980'000;

// Bits on the wire of one message: packets of 1,472 bytes at most, 48 of them ours, and 66 around each.
std::uint64_t wire_bits(std::uint64_t bytes) {
  const std::uint64_t packets = (bytes + 1'423) / 1'424;
  return (bytes + packets * (48 + 66)) * 8;
}

}  // namespace

void Watch::standing() {
  every_answer();
  overdue();
  standing_paths();
  standing_links();
  for (std::uint32_t h = 0; h < world_.hosts(); ++h) {
    if (!world_.machine(h).node().reconciles()) wrong(fmt::format("the books of host{} do not agree with each other", h));
  }
}

void Watch::standing_paths() {
  ByPath paths;
  for (std::uint32_t h = 0; h < world_.hosts(); ++h) {
    for (auto& status : world_.machine(h).node().channels()) {
      if (status.state == "closed" || status.state == "draining") continue;
      paths[status.path].push_back({h, std::move(status)});
    }
  }
  for (auto& [path, nodes] : paths) {
    const auto source = std::ranges::find(nodes, "sending", [](const Seen& s) { return s.status.role; });
    if (source == nodes.end()) {
      wrong(fmt::format("path {} is held at host{} and has no source", path, nodes.front().host));
      continue;
    }
    // From hop to hop, by what each node says of its own next link.
    Duration sum{};
    std::size_t met = 0;
    std::uint32_t at = source->host;
    for (;; ++met) {
      const auto here = std::ranges::find(nodes, at, &Seen::host);
      if (here == nodes.end()) {
        wrong(fmt::format("path {} leads to host{}, which does not hold it", path, at));
        break;
      }
      const auto& s = here->status;
      if (s.state != "open") wrong(fmt::format("path {} is {} at host{}", path, s.state, at));
      if (std::tie(s.source, s.destination, s.qos.max_message_bytes, s.qos.max_burst, s.qos.max_delay) !=
          std::tie(source->status.source, source->status.destination, source->status.qos.max_message_bytes,
                   source->status.qos.max_burst, source->status.qos.max_delay)) {
        wrong(fmt::format("path {} is another one at host{} than at its source", path, at));
      }
      sum += s.cpu_delay + s.link_delay;
      if (s.role == "receiving") {
        ++met;
        break;
      }
      const Routes::Port& out = world_.routes().ports(at)[s.link];
      sum += world_.wire(at, out).settings().delay + world_.wire(at, out).settings().jitter;
      at = out.peer;
      if (met > world_.hosts()) break;
    }
    if (met != nodes.size()) wrong(fmt::format("path {} is held by {} hosts, {} are on its way", path, nodes.size(), met));
    const Qos& qos = source->status.qos;
    if (met == nodes.size() && qos.service == ServiceClass::guaranteed && sum > qos.max_delay) {
      wrong(fmt::format("the delays of path {} add up to {} ns, promised are {}", path, sum.count(), qos.max_delay.count()));
    }
  }
}

// Each link: what its channels need, by their contracts, against what is entered.
void Watch::standing_links() {
  for (std::uint32_t h = 0; h < world_.hosts(); ++h) {
    Machine& machine = world_.machine(h);
    const auto ports = world_.routes().ports(h);
    std::vector<double> need(ports.size());
    std::vector<std::uint32_t> channels(ports.size());
    for (const auto& s : machine.node().channels()) {
      if (!s.has_link || s.qos.service != ServiceClass::guaranteed || s.state != "open") continue;
      const double period = 1e9 / s.qos.max_rate * (s.role == "forwarding" ? 127.0 / 128 : 1);
      const double rate = static_cast<double>(world_.wire(h, ports[s.link]).settings().bits_per_second);
      need[s.link] += static_cast<double>(wire_bits(s.qos.max_message_bytes)) * 1e9 / period / rate * 1e6;
      ++channels[s.link];
    }
    const auto status = machine.node().status();
    for (std::size_t l = 0; l < ports.size(); ++l) {
      const auto& stage = status.stages[1 + l];
      const double entered = static_cast<double>(stage.utilisation_ppm);
      if (need[l] > static_cast<double>(limit_ppm) || entered > static_cast<double>(limit_ppm) + 1) {
        wrong(fmt::format("host{}: {} is sold beyond its capacity: {:.0f} ppm needed, {:.0f} entered", h, stage.name, need[l], entered));
      }
      if (entered + 1 < need[l]) {
        wrong(fmt::format("host{}: {} is entered as {:.0f} ppm, its channels need {:.0f}", h, stage.name, entered, need[l]));
      }
      // The signalling channel is one entry; besides channels there is nothing.
      if (stage.entries > channels[l] + 1 + stage.draining) {
        wrong(fmt::format("host{}: {} has {} entries for {} channels", h, stage.name, stage.entries, channels[l]));
      }
    }
  }
}

void Watch::nothing_left() {
  for (std::uint32_t h = 0; h < world_.hosts(); ++h) {
    Machine& machine = world_.machine(h);
    std::string all;
    if (!machine.ends().empty()) all += fmt::format(" {} clips", machine.ends().size());
    const node::Status s = machine.node().status();
    if (s.channels != 0) all += fmt::format(" {} channels", s.channels);
    if (s.paths != 0) all += fmt::format(" {} paths", s.paths);
    if (s.questions != 0) all += fmt::format(" {} questions", s.questions);
    if (s.sessions != 0 || s.listeners != 0) all += fmt::format(" {} sessions, {} listeners", s.sessions, s.listeners);
    const std::uint64_t links = world_.routes().ports(h).size();
    for (const auto& stage : s.stages) {
      const std::uint64_t permanent = stage.kind == "cpu" ? 1 + links : 1;
      if (stage.entries != permanent) all += fmt::format(" {}: {} entries instead of {}", stage.name, stage.entries, permanent);
      if (stage.tentative != 0 || stage.draining != 0) all += fmt::format(" {}: {} tentative, {} draining", stage.name, stage.tentative, stage.draining);
    }
    for (const auto& pool : s.pools) {
      if (pool.used != 0) all += fmt::format(" {}: {}", pool.name, pool.used);
    }
    for (const auto& n : s.neighbours) {
      if (n.paths != 0) all += fmt::format(" {} paths with {}", n.paths, n.address);
    }
    if (!all.empty()) wrong(fmt::format("host{} still holds{}", h, all));
    if (!machine.node().reconciles()) wrong(fmt::format("the books of host{} do not agree with each other", h));
  }
}

}  // namespace rtchan::sim
