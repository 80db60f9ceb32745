// One link's packets in the order in which they may leave (paper 4.3, "QoS-sensitive link bandwidth allocation").
//
// Four queues: current real-time packets by deadline; the middle class by deadline, never held back; best effort, in turns;
// early real-time packets, when nothing else waits. A flow (a clip's way to the link) queues by its head packet and is FIFO within itself.
//
// Hand-over rule. What is outstanding at the device (handed over, not yet on the wire) cannot be taken back, so
// it bounds how long an urgent packet that comes next must wait. A packet may always go when nothing is outstanding;
// otherwise only the next in order, while
//
//     foreign + outstanding wire time + its own  <=  beta*(deadline - now)         (middle class and best effort: deadline infinite)
//
// where `foreign` is what other programs may have in the device (LinkConfig), with beta* from admission (admission/burst_bound.hpp). Outstanding is what the link clock says at the configured
// capacity, or what the driver has not reported complete, whichever is more.
//
// A full device. What the driver does not take goes back to the head of its flow, as if it had never been chosen: it
// is not outstanding, and forget() drops it like the rest. A full class below real time holds up itself alone, for
// limits::device_retry; behind a full real-time class everything waits, and the next visit tries again.
//
// A dead device. While the link is held (its interface is down) nothing is handed over: what the device keeps for later
// would leave as one clump, past every rule above, when it is up again.
//
// It refuses to know what is in a packet, and never looks at one that is not at the head of its flow.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "admission/burst_bound.hpp"
#include "base/fifo.hpp"
#include "base/limits.hpp"
#include "base/time.hpp"
#include "clips/domain.hpp"
#include "clips/edf_queue.hpp"
#include "clips/packet_store.hpp"
#include "link/driver.hpp"

namespace rtchan::clips {

// Packets of one clip (or of a link's signalling) on their way to the link.
struct LinkFlow {
  PacketQueue packets;
  FrameBudget frames;
  Duration horizon{};        // how early a packet may leave
  bool best_effort = false;
  bool middle = false;       // below guaranteed, above best effort
  std::uint32_t turn = 8;    // best effort: packets before the next flow's turn
  Clip* clip = nullptr;      // nullptr: signalling
  [[nodiscard]] link::TrafficClass cls() const noexcept {
    return best_effort ? link::TrafficClass::best_effort : middle ? link::TrafficClass::middle : link::TrafficClass::real_time;
  }
  // > 0 (signalling): the head packet is certain to be current `period` after the last that was, due `delay` later; until
  // then it takes its turn with best effort, and if it goes so, it has used nothing of the flow's rate.
  Duration period{};
  Duration delay{};
  Instant last_current = long_ago;

  // The scheduler's own.
  EdfPlace edf;
  LinkFlow* next = nullptr;  // in the round of best effort
  LinkFlow* previous = nullptr;
  bool in_round = false;
  std::uint32_t turn_left = 0;
};

// What the scheduler tells its domain.
class Departures {
 public:
  virtual ~Departures() = default;
  // The packet has been handed over; its last bit is on the wire by `finish`, as far as the link clock can tell.
  // Its frame has been given back.
  virtual void departed(LinkFlow& flow, const Packet& packet, Instant finish) noexcept = 0;
};

class LinkScheduler {
 public:
  // At most `flows` flows queue at once, the signalling flow not counted.
  LinkScheduler(const LinkConfig& config, PacketStore& store, std::uint32_t flows, Departures& departures,
                DomainCounters& counters);

  void set_burst_bound(const admission::BurstBound& bound) noexcept {
    bound_ = bound;
    settled_ = false;
  }
  // Since the bound was set there was an instant without current real-time packets and with no more outstanding than
  // the bound ever allows: nothing that was handed over before stands in front of a channel that the bound counts with.
  [[nodiscard]] bool settled() const noexcept { return settled_; }
  [[nodiscard]] link::Driver& driver() noexcept { return *config_.driver; }
  // Largest packet, header to trailer.
  [[nodiscard]] std::size_t packet_bytes() const noexcept;

  // Appends a complete packet to its flow. Packets of one flow come in the order of their deadlines.
  void stage(LinkFlow& flow, Frame frame, Instant now) noexcept;
  // Drops what the flow has queued, what a full device did not take included.
  void forget(LinkFlow& flow) noexcept;

  // Nothing is handed over while it is held.
  void hold(bool held) noexcept { held_ = held; }

  // Hands over what the rule allows, in one batch. Returns when the next visit is due.
  Instant serve(Instant now) noexcept;

  [[nodiscard]] Duration wire_time(std::size_t packet_bytes) const noexcept;
  // Until everything that was handed over is on the wire.
  [[nodiscard]] Duration outstanding(Instant now) const noexcept;

 private:
  static constexpr std::size_t batch_most = limits::burst_packets;
  static constexpr std::size_t outstanding_most = limits::outstanding_packets;

  struct Chosen {
    Frame frame{};
    LinkFlow* flow{};
    link::TrafficClass cls{};
    Instant finish{};
    bool taken = false;
    // Of the flow, before it was chosen.
    Instant last_current{};
    std::uint32_t turn_left{};
    bool in_turn = false;  // chosen as best effort
  };
  struct Candidate {
    LinkFlow* flow;
    Instant deadline;  // that the hand-over rule goes by; `never`: of what has none to keep
    bool in_turn;      // as best effort
  };
  struct Uncompleted {
    Duration wire{};
    Instant finish{};
  };

  void settle(Instant now) noexcept;
  Candidate next(Instant now) noexcept;
  [[nodiscard]] bool blocked(link::TrafficClass cls, Instant now) const noexcept { return now < retry_[static_cast<std::size_t>(cls)]; }
  EdfQueue<LinkFlow>& queue_of(const LinkFlow& flow) noexcept { return flow.middle ? middle_ : real_time_; }
  [[nodiscard]] Duration handed_over(Instant now) const noexcept;
  [[nodiscard]] Duration allowed(const Candidate& candidate, Instant now) const noexcept;
  [[nodiscard]] Duration most_allowed() const noexcept;
  [[nodiscard]] bool may_go(const Candidate& candidate, Instant now) const noexcept;
  void choose(const Candidate& candidate, Instant now) noexcept;
  void requeue(LinkFlow& flow, Instant now) noexcept;
  bool transmit(Instant now) noexcept;
  std::size_t hand_over(std::size_t begin, std::size_t count, Instant now) noexcept;
  void stamp(Chosen& chosen, Instant bound, Instant clock) noexcept;
  void put_back(Chosen& chosen, Instant now) noexcept;
  void finish_batch(Instant now) noexcept;
  Instant next_visit(Instant now) noexcept;
  void join_round(LinkFlow& flow) noexcept;
  void enter_round(LinkFlow& flow, LinkFlow* before, LinkFlow* after) noexcept;
  void leave_round(LinkFlow& flow) noexcept;

  LinkConfig config_;
  PacketStore& store_;
  Departures& departures_;
  DomainCounters& counters_;
  admission::BurstBound bound_;
  bool settled_ = true;
  bool held_ = false;
  EdfQueue<LinkFlow> real_time_;
  EdfQueue<LinkFlow> middle_;
  LinkFlow* round_first_ = nullptr;  // best effort
  LinkFlow* round_last_ = nullptr;
  LinkFlow* signalling_ = nullptr;   // while it is in the round: the one flow there that is not of the best-effort class
  // Until then the device's class counts as full; real time is tried at every visit.
  std::array<Instant, link::traffic_classes> retry_{long_ago, long_ago, long_ago};

  Instant busy_until_ = long_ago;    // link clock: everything handed over is on the wire
  Duration chosen_wire_{};           // of the batch that is being put together
  Duration uncompleted_wire_{};
  Fifo<Uncompleted> uncompleted_{outstanding_most};  // FIFO as handed over

  std::array<Chosen, batch_most> batch_{};
  std::array<link::TxPacket, batch_most> to_driver_{};
  std::size_t chosen_ = 0;           // 0 outside serve()
};

}  // namespace rtchan::clips
