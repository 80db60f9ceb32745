// Throughput and delay over time, in bins: what the pictures show.
#pragma once

#include <vector>

#include "cli/demo/judge.hpp"

namespace rtchan::demo {

struct Bin {
  double begin = 0;     // seconds after the start of the run
  double bits = 0;      // delivered payload per second
  double worst_ms = 0;  // largest delay from logical arrival (best effort: from hand-over) of what became
                        // readable in this bin; 0 when nothing did
  std::uint64_t messages = 0;
};

// Covers [start, start + duration); what became readable later is in the last bin's successor, which is not
// kept.
[[nodiscard]] std::vector<Bin> series(const FlowResult& flow, Instant start, Duration duration, Duration bin);

}  // namespace rtchan::demo
