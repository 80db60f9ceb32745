// What a node shows of itself: plain values for `rtc status` and `rtc channels`, and their JSON form. Counters of
// the data path live with the workers (clips::ClipCounters), by the worker and slot given here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include <rtchan/qos.hpp>

namespace rtchan::node {

struct StageStatus {       // the CPU of a worker, or a link
  std::string name;
  std::string kind;        // "cpu", "link"
  std::string policy;
  std::uint64_t utilisation_ppm{};
  std::uint64_t entries{}, tentative{}, draining{};
};

struct PoolStatus {
  std::string name;
  std::int64_t bytes{}, used{};
};

struct NeighbourStatus {
  std::string address;
  std::uint32_t link{};
  std::uint64_t host{};    // 0: never met
  bool up{};
  std::uint64_t paths{};
  std::uint64_t unacknowledged{};
  Duration round_trip{};   // smoothed; 0: not measured
};

struct Status {
  std::string name;
  std::uint64_t host{}, epoch{};
  std::uint64_t sessions{}, listeners{}, channels{}, paths{}, questions{};
  std::vector<StageStatus> stages;
  std::vector<PoolStatus> pools;
  std::vector<NeighbourStatus> neighbours;
  std::vector<std::pair<std::string, std::uint64_t>> counters;  // signalling: one sentence's worth of name each
};

struct ChannelStatus {     // one channel end (or a channel passing through)
  std::string path;        // "host/sequence", both in hex
  std::string role;        // "sending", "receiving", "forwarding"
  std::string state;       // "reserving", ..., "open", "draining", "closed"
  std::uint32_t session{}, channel{}, uid{};
  std::uint32_t worker{}, slot{};
  bool has_clip{};         // worker and slot mean something
  std::uint32_t link{};    // outgoing link; the incoming one where nothing leaves
  bool has_link{};         // it leaves by `link`
  std::string source, destination;
  Qos qos{};
  Duration cpu_delay{}, link_delay{};   // this node's share of max_delay
  Duration cpu_minimum{}, link_minimum{};  // the least that admission found possible here when it was made
  std::uint64_t memory_bytes{};
  bool voided{};
  std::uint32_t reroutes{};             // how often its route has changed and it went on over another
  std::string why;                      // voided or closed: why
};

[[nodiscard]] std::string to_json(const Status& status);
[[nodiscard]] std::string to_json(const std::vector<ChannelStatus>& channels);

}  // namespace rtchan::node
