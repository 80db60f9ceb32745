#include "lab/topology.hpp"

#include <fmt/format.h>

namespace rtchan::lab {
namespace {

// A chain of steps of which the first failure is the answer.
using Done = std::expected<void, Error>;

Done forget(std::expected<std::string, Error> result) {
  if (!result) return std::unexpected(result.error());
  return {};
}

std::expected<TwoHosts, Error> two_hosts(const std::string& label) {
  auto lab = Lab::create(label);
  if (!lab) return std::unexpected(lab.error());
  auto a = (*lab)->add_host("a");
  if (!a) return std::unexpected(a.error());
  auto b = (*lab)->add_host("b");
  if (!b) return std::unexpected(b.error());
  return TwoHosts{std::move(*lab), *a, *b};
}

// Frames that enter `from` leave through `to`, at the bottleneck's rate.
Done pass_on(const Lab& lab, std::size_t middle, const std::string& from, const std::string& to,
             const Bottleneck& slow) {
  for (const std::string& step : {
           fmt::format("qdisc add dev {} root handle 1: htb default 1", to),
           fmt::format("class add dev {} parent 1: classid 1:1 htb rate {}bit burst {} cburst {} quantum {} "
                       "overhead 24",
                       to, slow.bits_per_second, slow.burst_bytes, slow.burst_bytes, slow.mtu + 14),
           fmt::format("qdisc add dev {} parent 1:1 handle 10: pfifo limit {}", to, slow.queue_packets),
           fmt::format("qdisc add dev {} clsact", from),
           fmt::format(
               "filter add dev {} ingress protocol all u32 match u32 0 0 action mirred egress mirror dev {}",
               from, to),
       }) {
    if (auto done = forget(lab.tc(middle, step)); !done) return done;
  }
  return {};
}

Done build_bottleneck(SlowPair& pair, const Bottleneck& slow) {
  Lab& lab = *pair.lab;
  auto middle = lab.add_host("middle");
  if (!middle) return std::unexpected(middle.error());
  pair.middle = *middle;
  if (auto done = lab.connect_bare(pair.a, pair.middle, slow.mtu); !done) return done;
  if (auto done = lab.connect_bare(pair.middle, pair.b, slow.mtu); !done) return done;
  if (auto done = lab.give_address(pair.a, "10.77.0.1"); !done) return done;
  if (auto done = lab.give_address(pair.b, "10.77.0.2"); !done) return done;
  if (auto done = lab.introduce(pair.a, pair.b); !done) return done;
  if (auto done = pass_on(lab, pair.middle, "net0", "net1", slow); !done) return done;
  return pass_on(lab, pair.middle, "net1", "net0", slow);
}

Done build_line(Lab& lab, std::size_t n, unsigned mtu) {
  for (std::size_t i = 0; i < n; ++i) {
    if (auto host = lab.add_host(fmt::format("h{}", i)); !host) return std::unexpected(host.error());
    if (auto done = lab.sysctl(i, "ipv4/ip_forward", "1"); !done) return done;
  }
  for (std::size_t i = 0; i + 1 < n; ++i) {
    if (auto done = lab.connect(i, i + 1, mtu); !done) return done;
  }
  // Host i reaches subnet k over its neighbour on the side where k lies.
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k + 1 < n; ++k) {
      if (k == i || k + 1 == i) continue;
      const std::string via = k > i ? fmt::format("10.77.{}.2", i) : fmt::format("10.77.{}.1", i - 1);
      if (auto done = forget(lab.ip(i, fmt::format("route add 10.77.{}.0/24 via {}", k, via))); !done)
        return done;
    }
  }
  return {};
}

}  // namespace

std::expected<TwoHosts, Error> direct_pair(const std::string& label, unsigned mtu) {
  auto pair = two_hosts(label);
  if (!pair) return pair;
  if (auto done = pair->lab->connect(pair->a, pair->b, mtu); !done) return std::unexpected(done.error());
  return pair;
}

std::expected<SlowPair, Error> bottleneck_pair(const std::string& label, const Bottleneck& bottleneck) {
  auto hosts = two_hosts(label);
  if (!hosts) return std::unexpected(hosts.error());
  SlowPair pair{{std::move(*hosts)}, 0};
  if (auto done = build_bottleneck(pair, bottleneck); !done) return std::unexpected(done.error());
  return pair;
}

std::expected<std::unique_ptr<Lab>, Error> line(const std::string& label, std::size_t n, unsigned mtu) {
  if (n < 2 || n > 64) return std::unexpected(Error{Errc::invalid_argument, "a line has 2 to 64 hosts"});
  auto lab = Lab::create(label);
  if (!lab) return lab;
  if (auto done = build_line(**lab, n, mtu); !done) return std::unexpected(done.error());
  return lab;
}

}  // namespace rtchan::lab
