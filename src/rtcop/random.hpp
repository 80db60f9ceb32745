// Small seeded generator (SplitMix64), so that a run is a function of its seed. Not for secrets.
#pragma once

#include <cstdint>

namespace rtchan::rtcop {

[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(mix(seed)) {}
  std::uint64_t next() noexcept { return mix(state_ += 0x9e3779b97f4a7c15ULL); }
  // 0 ... bound-1; bound > 0. The bias of the remainder does not matter here.
  std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }
  std::uint64_t nonzero() noexcept {
    std::uint64_t value = next();
    while (value == 0) value = next();
    return value;
  }

 private:
  std::uint64_t state_;
};

}  // namespace rtchan::rtcop
