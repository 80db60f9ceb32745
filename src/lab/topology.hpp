// The networks that tests and the demo use, built from a Lab.
#pragma once

#include <expected>
#include <memory>

#include "lab/lab.hpp"

namespace rtchan::lab {

// Two hosts and the wire between them. `a` and `b` are host indices in the lab.
struct TwoHosts {
  std::unique_ptr<Lab> lab;
  std::size_t a = 0;
  std::size_t b = 0;
  [[nodiscard]] const std::string& address_a() const { return lab->host(a).interfaces.at(0).address; }
  [[nodiscard]] const std::string& address_b() const { return lab->host(b).interfaces.at(0).address; }
};

// a --- b
[[nodiscard]] std::expected<TwoHosts, Error> direct_pair(const std::string& label, unsigned mtu = 1500);

struct Bottleneck {
  std::uint64_t bits_per_second =
      100'000'000;                // of wire bytes: frame + 24 (FCS, preamble, gap), like Ethernet
  unsigned queue_packets = 1000;  // tail-drop FIFO in front of it, each direction
  unsigned burst_bytes = 12'000;  // what HTB may send at once after idling; covers timer lateness
  unsigned mtu = 1500;
};

// a --- middle --- b, and the middle is slow: each direction leaves it through an HTB class at the given
// rate. The queue stands one hop beyond the sender, whose socket does not feel it: the middle does not
// forward, it *mirrors* what enters one interface to the other (clsact + u32 + mirred), and the mirrored copy
// has no owner, so the sender's buffer space is returned the moment the frame reaches the middle. A redirect
// would keep it charged. The middle's index is `middle`, e.g. to read its counters: tc(middle, "-s class show
// dev net1").
struct SlowPair : TwoHosts {
  std::size_t middle = 0;
};
[[nodiscard]] std::expected<SlowPair, Error> bottleneck_pair(const std::string& label,
                                                             const Bottleneck& bottleneck = {});

// h0 --- h1 --- ... --- h(n-1): each link its own subnet 10.77.K.0/24, IPv4 forwarding on between, static
// routes everywhere. Host i has interfaces toward i-1 (if any) and i+1 (if any), in this order. 2 <= n <= 64.
[[nodiscard]] std::expected<std::unique_ptr<Lab>, Error> line(const std::string& label, std::size_t n,
                                                              unsigned mtu = 1500);

}  // namespace rtchan::lab
