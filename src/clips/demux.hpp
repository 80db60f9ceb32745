// Early demultiplexing (paper 5: "a packet arriving at the receiving host is demultiplexed into its
// connection-specific packet buffer when it enters"): validate once, look the label up, queue per path.
//
// Runs at arrival, before any deadline is known, so it is bounded per turn and does as little as it can.
// Best-effort and middle-class packets come through queues of their own of the driver and are taken by a polling server of
// N packets per period, scheduled by deadline like a channel: a flood of them costs what admission has counted, no more. The
// middle class goes first: admission gives it no more packets than the server takes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/limits.hpp"
#include "clips/cpu_scheduler.hpp"
#include "clips/domain.hpp"
#include "link/driver.hpp"
#include "wire/data_packet.hpp"

namespace rtchan::clips {

// Where valid packets go.
class Arrivals {
 public:
  virtual ~Arrivals() = default;
  virtual void data_arrived(const wire::DataPacket& packet, link::TrafficClass cls, Instant arrival, Instant now) = 0;
  virtual void signal_arrived(std::uint32_t link, const Endpoint& from, std::span<const std::byte> bytes,
                              Instant now) = 0;
};

class Demux {
 public:
  Demux(std::span<const LinkConfig> links, Arrivals& arrivals, DomainCounters& counters);

  // Takes what has arrived in the real-time queues, at most limits::input_packets_per_turn. True: there is more.
  bool real_time(Instant now);

 private:
  friend class BestEffortInput;
  std::size_t receive(std::uint32_t link, link::TrafficClass cls, std::size_t most, Instant now);
  void one(std::uint32_t link, link::TrafficClass cls, const link::RxPacket& packet, Instant now);
  bool signal_allowed(Instant now) noexcept;

  std::vector<link::Driver*> drivers_;
  Arrivals& arrivals_;
  DomainCounters& counters_;
  std::array<link::RxPacket, limits::input_packets_per_turn> received_{};
  std::uint32_t first_ = 0;              // link that is looked at first: it changes, so that none starves
  Instant signals_free_ = long_ago;      // token bucket: when the next signal beyond the burst may come
};

// The polling server. Activations are at least a period apart, each takes up to N packets by its deadline.
class BestEffortInput {
 public:
  BestEffortInput(Demux& demux, std::uint32_t packets, Duration period, Duration delay)
      : demux_(demux), packets_(packets), period_(period), delay_(delay) {
    task.polls = true;
  }

  CpuTask task;

  // A turn begins: the server is ready if its period has come.
  void poll(CpuScheduler& cpu, Instant now);
  // One step; returns how many packets it took.
  std::uint32_t step(CpuScheduler& cpu, Instant now);
  [[nodiscard]] Instant resumes() const noexcept { return left_ > 0 ? long_ago : activation_ + period_; }
  // When packets are known to wait for budget; `never`: none are known to.
  [[nodiscard]] Instant next_wake() const noexcept { return deferred_ ? activation_ + period_ : never; }

 private:
  Demux& demux_;
  std::uint32_t packets_;  // N_be; 0: no best-effort input
  Duration period_;        // T_in
  Duration delay_;         // d
  Instant activation_ = long_ago;
  std::uint32_t left_ = 0;
  std::uint32_t take(link::TrafficClass cls, std::uint32_t& link, std::uint32_t most, Instant now);

  std::uint32_t middle_link_ = 0, link_ = 0;  // where to look first
  bool deferred_ = false;
};

}  // namespace rtchan::clips
