// A bad network as a driver that wraps another: what the inner driver receives is lost, doubled, damaged,
// held back (and so reordered) by seeded chance. Time is what receive() is told; nothing else is random, so
// a seed is a script. It disturbs the receiving direction only: wrap both ends to disturb both.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "base/heap.hpp"
#include "base/pool.hpp"
#include "link/driver.hpp"

namespace rtchan::link {

struct Faults {
  // Probabilities, each drawn for every packet, in this order.
  double loss = 0;
  double corruption = 0;   // one to three bits flipped
  double duplication = 0;  // delivered 1 + copies times
  std::uint32_t copies = 1;
  double holding = 0;  // held back for up to hold_max: later packets overtake
  Duration hold_max{};
  bool blackout = false;  // nothing passes
};

class Lossy final : public Driver {
 public:
  // `inner` outlives this. At most `frames` packets wait inside; beyond, they are lost (and counted).
  Lossy(Driver& inner, const Faults& faults, std::uint64_t seed, std::uint32_t frames = 4'096);

  // The network changes: applies to what is received from now on.
  void set_faults(const Faults& faults) { faults_ = faults; }

  std::size_t transmit(TrafficClass cls, std::span<const TxPacket> packets) override {
    return inner_.transmit(cls, packets);
  }
  std::size_t receive(TrafficClass cls, Instant now, std::span<RxPacket> out) override;
  std::size_t completed() override { return inner_.completed(); }
  std::size_t payload_bytes() const override { return inner_.payload_bytes(); }
  int fd(TrafficClass cls) const override { return inner_.fd(cls); }
  Counters counters() const override { return inner_.counters(); }

  // Earliest instant at which a packet that waits inside can be received; `never` if none does.
  [[nodiscard]] Instant next_event() const;

  struct Tally {
    std::uint64_t passed{}, lost{}, corrupted{}, duplicated{}, held{}, overflowed{};
  };
  [[nodiscard]] const Tally& tally() const { return tally_; }

 private:
  struct Held {
    std::uint32_t frame;
    std::size_t length;
    Endpoint from;
    bool stamped;
  };
  bool chance(double probability);
  void take_in(TrafficClass cls, Instant now);
  void disturb(TrafficClass cls, const RxPacket& packet);
  void keep(TrafficClass cls, const RxPacket& packet, bool damage);

  Driver& inner_;
  Faults faults_;
  std::mt19937_64 random_;
  Pool frames_;
  Heap<Instant, Held> waiting_[traffic_classes];      // by the instant at which it may be received
  std::vector<std::uint32_t> lent_[traffic_classes];  // returned by the last receive()
  Tally tally_;
};

}  // namespace rtchan::link
