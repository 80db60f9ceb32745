// One direction of a simulated link: capacity, delay, and what goes wrong on it. Each packet's fate depends on the run's seed,
// the wire and the packet's number there alone, so a change elsewhere in a script leaves it as it is.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "base/time.hpp"
#include "link/driver.hpp"

namespace rtchan::sim {

inline constexpr std::size_t payload_bytes = 1'472;          // a UDP payload in an Ethernet frame
inline constexpr std::uint32_t frame_overhead_bytes = 66;    // IPv4 20, UDP 8, Ethernet 14, preamble, FCS and gap 24

// A packet under way. Kept until its receiver's next look.
struct Parcel {
  std::uint32_t wire = 0;
  std::uint32_t length = 0;
  link::TrafficClass cls{};
  bool damaged = false;
  Instant arrival{};                    // true time
  std::array<std::byte, payload_bytes> bytes;
};

class Parcels {
 public:
  std::uint32_t take() {
    if (free_.empty()) {
      all_.emplace_back();
      return static_cast<std::uint32_t>(all_.size() - 1);
    }
    const std::uint32_t parcel = free_.back();
    free_.pop_back();
    return parcel;
  }
  void give(std::uint32_t parcel) { free_.push_back(parcel); }
  Parcel& operator[](std::uint32_t parcel) noexcept { return all_[parcel]; }
  [[nodiscard]] std::size_t taken() const noexcept { return all_.size() - free_.size(); }

 private:
  std::deque<Parcel> all_;  // addresses stay
  std::vector<std::uint32_t> free_;
};

struct WireFaults {
  std::uint32_t loss_ppm = 0, corrupt_ppm = 0, double_ppm = 0, copies = 1, hold_ppm = 0;
  Duration hold{};                      // held packets are late by up to this, and others overtake them
  friend bool operator==(const WireFaults&, const WireFaults&) = default;
};

// What has become of the packets of a wire: each is in exactly one of these, or still under way.
struct WireTally {
  std::uint64_t handed_over = 0, copied = 0;
  std::uint64_t delivered = 0, lost = 0, cut = 0, nobody_there = 0, receiver_full = 0;
  std::uint64_t damaged = 0, held = 0;  // of those that went on
};

class Wire {
 public:
  struct Settings {
    std::uint32_t number = 0;
    std::uint32_t from = 0, to = 0;       // hosts
    std::uint64_t bits_per_second = 0;
    Duration delay{};                     // the least,
    Duration jitter{};                    // and so much more at most, in order
    std::uint64_t seed = 0;
  };
  explicit Wire(const Settings& settings) : settings_(settings) {}

  // Puts a packet on the wire; calls arrive(parcel) for each copy of it that will arrive.
  template <class Arrive>
  void transmit(Parcels& parcels, link::TrafficClass cls, std::span<const std::byte> bytes, Instant at, Arrive arrive);
  // How long until what was handed over by now has left.
  [[nodiscard]] Duration waiting(Instant now) const noexcept { return free_ > now ? free_ - now : Duration{0}; }

  [[nodiscard]] std::uint32_t from() const noexcept { return settings_.from; }
  [[nodiscard]] std::uint32_t to() const noexcept { return settings_.to; }
  [[nodiscard]] const Settings& settings() const noexcept { return settings_; }

  WireFaults faults{};
  bool is_cut = false;
  WireTally tally{};

 private:
  [[nodiscard]] std::uint64_t draw() noexcept;
  [[nodiscard]] bool chance(std::uint32_t ppm) noexcept { return ppm != 0 && draw() % 1'000'000 < ppm; }
  void damage(Parcel& parcel) noexcept;

  Settings settings_;
  Instant free_ = long_ago;       // everything handed over has left
  Instant last_arrival_ = long_ago;
  std::uint64_t packet_ = 0;
  std::uint64_t draws_ = 0;       // for this packet
};

template <class Arrive>
void Wire::transmit(Parcels& parcels, link::TrafficClass cls, std::span<const std::byte> bytes, Instant at,
                    Arrive arrive) {
  ++packet_;
  draws_ = 0;
  ++tally.handed_over;
  const std::uint64_t bits = (bytes.size() + frame_overhead_bytes) * 8;
  free_ = std::max(free_, at) + Duration{static_cast<std::int64_t>((bits * 1'000'000'000 + settings_.bits_per_second - 1) /
                                                                   settings_.bits_per_second)};
  if (is_cut) {
    ++tally.cut;
    return;
  }
  if (chance(faults.loss_ppm)) {
    ++tally.lost;
    return;
  }
  const bool damaged = chance(faults.corrupt_ppm);
  const std::uint32_t copies = chance(faults.double_ppm) ? faults.copies : 0;
  tally.copied += copies;
  for (std::uint32_t copy = 0; copy <= copies; ++copy) {
    const std::uint32_t number = parcels.take();
    Parcel& parcel = parcels[number];
    parcel.wire = settings_.number;
    parcel.length = static_cast<std::uint32_t>(bytes.size());
    parcel.cls = cls;
    parcel.damaged = damaged;
    std::copy(bytes.begin(), bytes.end(), parcel.bytes.begin());
    if (damaged) {
      damage(parcel);
      ++tally.damaged;
    }
    const auto jitter = static_cast<std::uint64_t>(settings_.jitter.count());
    parcel.arrival = std::max(last_arrival_, free_ + settings_.delay + Duration{static_cast<std::int64_t>(jitter == 0 ? 0 : draw() % jitter)});
    last_arrival_ = parcel.arrival;
    if (faults.hold > Duration{0} && chance(faults.hold_ppm)) {
      parcel.arrival += Duration{static_cast<std::int64_t>(draw() % static_cast<std::uint64_t>(faults.hold.count()))};
      ++tally.held;
    }
    arrive(number);
  }
}

}  // namespace rtchan::sim
