// What a planned network would do: plain values for tables, pictures and programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/fabric.hpp"
#include "plan/network.hpp"

namespace rtchan::plan {

// One channel of the file, in order.
struct Verdict {
  std::size_t group = 0;         // in Network::channels
  std::uint32_t number = 1;      // of its group, from 1
  std::optional<Error> refused;  // none: admitted, and
  Way way;                       // this is what it was given
  Duration minima{};             // sum of the stages' minimum delays
  Duration propagation{};        // sum over its links
  Duration slack{};              // shared out: minima + propagation + slack <= its max_delay
  [[nodiscard]] bool admitted() const { return !refused; }
  [[nodiscard]] Duration total() const { return minima + propagation + slack; }
};

// What a stage could still take, in messages of Network::reference.
struct HeadRoom {
  std::optional<Duration> smallest_delay;  // local, at the reference's rate; none: not at that rate at all
  double largest_rate = 0;                 // messages a second at the reference's local delay; 0: none
};

// The CPU of a worker (no link), or one direction of a link.
struct StageLoad {
  HostIndex host = 0;  // whose worker; who sends
  std::uint32_t worker = 0;
  std::optional<LinkIndex> link;
  std::uint64_t bits_per_second = 0;  // links: what may be promised, at the most
  std::uint64_t promised_ppm = 0;     // signalling and best-effort input included
  std::uint64_t limit_ppm = 0;        // admission stops here at the latest
  std::size_t channels = 0;
  HeadRoom head_room;
  [[nodiscard]] double filled() const {
    return limit_ppm == 0 ? 0 : static_cast<double>(promised_ppm) / static_cast<double>(limit_ppm);
  }
};

// Memory that a host has set aside.
struct HostLoad {
  std::uint64_t memory_bytes = 0, memory_limit_bytes = 0;      // message buffers
  std::uint64_t packet_buffers = 0, packet_buffers_limit = 0;  // of all workers
};

// The channels nearest to a refused one that would have been admitted in its place: one value changed, the
// others as asked. Found by asking, to three digits; each was admitted. Nothing: no change of that value
// alone is enough.
struct Nearest {
  std::optional<Duration> delay;               // smallest
  std::optional<double> rate;                  // largest
  std::optional<std::uint32_t> message_bytes;  // largest
  Way way_at_delay;                            // with that delay: where its time goes
};

struct Outcome {
  std::vector<Verdict> verdicts;
  std::vector<StageLoad> cpus;   // by host, then worker
  std::vector<StageLoad> links;  // by link, then side that sends
  std::vector<HostLoad> hosts;
  std::optional<std::size_t> first_refused;  // in verdicts
  std::optional<Nearest> nearest;            // where admission refused it
  std::vector<std::string> remarks;
  [[nodiscard]] std::size_t admitted() const;
};

// Asks for all channels in order, then looks at what is promised. Deterministic; reads no clock. Costs some
// tens of admission tests for each stage and, if something is refused, all of it a second time.
[[nodiscard]] Outcome evaluate(const Network& network);

}  // namespace rtchan::plan
