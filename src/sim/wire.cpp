#include "sim/wire.hpp"

#include "rtcop/random.hpp"

namespace rtchan::sim {

std::uint64_t Wire::draw() noexcept {
  return rtcop::mix(settings_.seed ^ (packet_ << 20) ^ (std::uint64_t{settings_.number} << 50) ^ ++draws_);
}

// One to three neighbouring bits, so that none undoes another.
void Wire::damage(Parcel& parcel) noexcept {
  const std::uint64_t bits = std::uint64_t{parcel.length} * 8;
  const std::uint64_t first = draw() % bits;
  for (std::uint64_t flips = 1 + draw() % 3; flips > 0; --flips) {
    const std::uint64_t bit = (first + flips) % bits;
    parcel.bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
  }
}

}  // namespace rtchan::sim
