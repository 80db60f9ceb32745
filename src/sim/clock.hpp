// A host's clock: it has its own zero, and runs faster or slower than the truth by a constant part.
#pragma once

#include <cstdint>

#include "base/time.hpp"

namespace rtchan::sim {

class HostClock {
 public:
  HostClock() = default;
  HostClock(Duration ahead, std::int64_t parts_per_billion) : ahead_(ahead), ppb_(parts_per_billion) {}

  [[nodiscard]] Instant local(Instant truth) const noexcept {
    if (truth == never) return never;
    const auto t = truth.time_since_epoch().count();
    return Instant{Duration{t + scaled(t) + ahead_.count()}};
  }
  // The first true instant at which the clock shows `local` or more.
  [[nodiscard]] Instant truth(Instant local) const noexcept {
    if (local == never || local <= long_ago) return local;
    if (ppb_ == 0) return local - ahead_;
    const Wide t = Wide{(local - ahead_).time_since_epoch().count()} * 1'000'000'000 / (1'000'000'000 + ppb_);
    Instant guess{Duration{static_cast<std::int64_t>(t) - 2}};
    while (this->local(guess) < local) guess += Duration{1};
    return guess;
  }
  [[nodiscard]] std::int64_t drift_ppb() const noexcept { return ppb_; }

 private:
  __extension__ typedef __int128 Wide;
  [[nodiscard]] std::int64_t scaled(std::int64_t t) const noexcept {
    return static_cast<std::int64_t>(Wide{t} * ppb_ / 1'000'000'000);
  }
  Duration ahead_{};
  std::int64_t ppb_ = 0;
};

}  // namespace rtchan::sim
