// Judges interface counters: did other programs send more than their share S? Pure; guard.hpp reads the
// counters for it.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.hpp"

namespace rtchan::link {

class ShareWatch {
 public:
  // Others may send `bits_per_second` on average over any `period`.
  ShareWatch(std::uint64_t bits_per_second, Duration period);

  struct Excess {
    std::uint64_t foreign_bits_per_second;  // measured
    Duration over;                          // measured over
  };
  // Counters so far. Judges whenever a period is over; in between it returns what it found last, at first nullopt.
  std::optional<Excess> check(Instant now, std::uint64_t interface_bytes, std::uint64_t our_bytes);

 private:
  struct Sample {
    Instant at{};
    std::uint64_t interface_bytes{};
    std::uint64_t our_bytes{};
  };
  std::uint64_t allowed_;
  Duration period_;
  std::optional<Sample> last_;
  std::optional<Excess> verdict_;
};

}  // namespace rtchan::link
