// When a data thread sleeps, and how long: exactly until something is due; after work it may look for more a little
// while (spin); and of each period it runs at most its duty share, since a SCHED_FIFO thread that runs on
// is stopped by the kernel for 50 ms at a time. Pure: `now` is handed in.
//
// Periods are aligned to the clock, so that all workers (and spinning applications) of one core are quiet at the same
// time, without a message between them:
//
//   |<------------- period ------------->|
//   |   may run and spin    |   quiet    |
//                           no spin here; who has not slept so long in this period does it now
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.hpp"

namespace rtchan::rtcd {

class Pacing {
 public:
  struct Settings {
    Duration spin{};
    Duration period = std::chrono::milliseconds{1};
    std::uint32_t duty_ppm = 1'000'000;  // 1'000'000: no cap (SCHED_OTHER shares the core anyway)
  };

  struct Decision {
    enum class Kind : std::uint8_t { run, sleep, forced } kind{};
    Instant until{};  // sleep, forced: at most until then; never: until an event
  };

  explicit Pacing(const Settings& settings) : settings_(settings) {}

  // After a turn that ended at `now`. `due`: what the turn returned; `worked`: it found something to do.
  [[nodiscard]] Decision after_turn(Instant now, Instant due, bool worked) noexcept {
    if (worked) spin_until_ = now + settings_.spin;
    const Instant quiet_from = enter_period(now);
    // Who has work and owes as much sleep as is left of the period pays now (what a long turn kept from the last period,
    // at once); idle threads sleep anyway. Not earlier: what comes meanwhile would wait for nothing.
    if (owed_ > Duration{0} && (worked || due <= now)) {
      if (owed_ > quiet()) return {Decision::Kind::forced, now + (owed_ - quiet())};
      if (now + owed_ >= quiet_from + quiet()) return {Decision::Kind::forced, now + owed_};
    }
    if (due <= now) return {Decision::Kind::run, now};
    if (now < spin_until_ && now < quiet_from) return {Decision::Kind::run, now};
    return {Decision::Kind::sleep, due};
  }

  // It slept from `from` to `to`.
  void slept(Instant from, Instant to) noexcept {
    enter_period(from);
    const Duration length = to - from;
    const Duration spare = std::max(Duration{0}, length - owed_);  // beyond what was owed: counts for the next period
    owed_ = std::max(Duration{0}, owed_ - length);
    const Instant before = period_start_;
    enter_period(to);
    if (period_start_ != before) owed_ = std::max(Duration{0}, owed_ - std::min(spare, to - period_start_));
  }

 private:
  [[nodiscard]] Duration quiet() const noexcept {
    return settings_.period - settings_.period * settings_.duty_ppm / 1'000'000;
  }
  // Returns where the quiet part of the current period begins.
  Instant enter_period(Instant now) noexcept {
    if (settings_.duty_ppm >= 1'000'000) return never;
    const Duration into = now.time_since_epoch() % settings_.period;
    if (const Instant start = now - into; start != period_start_) {
      const bool next = start - period_start_ == settings_.period;  // after a longer absence nothing is owed
      period_start_ = start;
      owed_ = quiet() + (next ? std::min(owed_, quiet()) : Duration{0});
    }
    return period_start_ + settings_.period - quiet();
  }

  Settings settings_;
  Instant spin_until_ = long_ago;
  Instant period_start_ = long_ago;
  Duration owed_{};  // sleep, until this period's end
};

}  // namespace rtchan::rtcd
