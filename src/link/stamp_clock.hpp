// Kernel stamps are wall-clock time; the house runs on the raw clock. This keeps the distance between the two
// and notices when somebody sets the wall clock: stamps taken before such a step and read after it are wrong.
#pragma once

#include <chrono>
#include <optional>

#include "base/time.hpp"

namespace rtchan::link {

class StampClock {
 public:
  // Both clocks, read at nearly the same moment. Call before converting a batch of stamps.
  void update(Instant raw, Duration wall) {
    const Duration offset = raw.time_since_epoch() - wall;
    steady_ = true;
    if (offset_) {
      // NTP slews the wall clock by 500 ppm (chrony: at most 8 %); what moved more than that was set.
      const Duration moved = offset > *offset_ ? offset - *offset_ : *offset_ - offset;
      steady_ = moved <= std::chrono::microseconds{100} + (raw - last_) / 10;
    }
    offset_ = offset;
    last_ = raw;
  }

  // The instant of a wall-clock stamp; nullopt: it cannot be trusted (wall clock set, or stamp from the
  // future). Instants a little after `now` (the caller's clock reading is older than the packet) become
  // `now`.
  [[nodiscard]] std::optional<Instant> convert(Duration wall_stamp, Instant now) const {
    if (!offset_ || !steady_) return std::nullopt;
    const Instant arrival{wall_stamp + *offset_};
    if (arrival > last_ + std::chrono::milliseconds{1}) return std::nullopt;
    return arrival < now ? arrival : now;
  }

 private:
  std::optional<Duration> offset_;  // raw - wall
  Instant last_{};
  bool steady_ = false;
};

}  // namespace rtchan::link
