// The open loop of the load generator: offers every message at its intended time, whatever became of the ones before.
// What to do is decided here, in virtual time; sending is the outlet's business.
#pragma once

#include <cstdint>
#include <queue>
#include <utility>
#include <vector>

#include "base/histogram.hpp"
#include "cli/perf/schedule.hpp"

namespace rtchan::cli {

// Where messages go.
class Outlet {
 public:
  enum class Result : std::uint8_t {
    taken,    // handed over
    full,     // no buffer now: ask again
    refused,  // this message was turned down (policing)
    broken,   // the channel carries nothing any more
  };
  virtual ~Outlet() = default;
  // Must not wait.
  virtual Result offer(std::uint32_t stream, const Schedule::Due& due) = 0;
};

// What becomes of a message that finds no buffer.
enum class WhenFull : std::uint8_t {
  wait,  // it is handed over as soon as there is room, late against its intended time
  drop,  // it is counted and forgotten
};

struct StreamCounts {
  std::uint64_t offered = 0;      // intended times that have come
  std::uint64_t handed_over = 0;
  std::uint64_t dropped = 0;      // WhenFull::drop
  std::uint64_t refused = 0;
  std::uint64_t left_over = 0;    // intended, but still waiting for room when the run ended
  std::uint64_t bytes = 0;        // handed over
  bool broken = false;
  Histogram lateness;             // hand-over minus intended time: our own lateness and back-pressure together
};

class LoadGenerator {
 public:
  // One schedule a stream. A stream's messages are numbered by what was handed over, so that a gap at the receiver
  // is a loss and not a message that was never sent.
  LoadGenerator(std::vector<Schedule> schedules, Outlet& outlet, WhenFull when_full);

  struct Next {
    Duration wake = Duration::max();  // nothing becomes due before (max: nothing at all, but see blocked)
    bool blocked = false;             // some stream waits for room: call again when there may be some
    bool finished = false;            // every schedule has ended and nothing waits
  };
  // Offers what is due at `now` (time since the start of the run). At most `most` messages, then returns with
  // wake <= now, so that the caller can look at its clock.
  Next step(Duration now, std::uint32_t most = 256);

  // Ends the run: what is due by `now` and was not taken is counted as left over.
  void stop(Duration now);

  [[nodiscard]] const std::vector<StreamCounts>& counts() const noexcept { return counts_; }

 private:
  using Entry = std::pair<Duration, std::uint32_t>;  // intended time, stream
  enum class Outcome : std::uint8_t { next, blocked, ended };
  Outcome offer_one(std::uint32_t stream, Duration now);
  void enqueue(std::uint32_t stream, Duration now);

  std::vector<Schedule> schedules_;
  Outlet& outlet_;
  WhenFull when_full_;
  std::vector<StreamCounts> counts_;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> due_;
  std::vector<std::uint32_t> blocked_;
};

}  // namespace rtchan::cli
