// The one thread of a worker that messages and packets pass through: looks which sessions have something, lets the
// domain do a bounded turn, rings who must be rung, and sleeps exactly until something is due.
//
// A session's ready bits are looked at every turn only while it is busy. An idle session stays announced as
// "sleeping" even while the thread is awake: its next message rings the doorbell, which epoll reports. So a turn
// costs what is active, not what is connected.
//
// Real-time class: no allocation, no lock, no exception, no system call that can block except its own sleep.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "clips/domain.hpp"
#include "clips/shared_queues.hpp"
#include "rtcd/pacing.hpp"
#include "rtcd/worker_messages.hpp"
#include "rtcd/worker_session.hpp"

namespace rtchan::rtcd {

class DataThread final : private clips::DomainObserver {
 public:
  struct Surroundings {
    WorkerBlock& block;            // shared with control
    InnerRings& inner;             // shared with the housekeeper
    int wake_fd;                   // eventfd: control or the housekeeper has something for us
    int control_fd;                // eventfd: we have something for control
    std::span<const clips::LinkConfig> links;
    clips::DomainConfig domain;
    Pacing::Settings pacing;
  };

  // Allocates everything. `clips::SharedSource` and `SharedSink` of the clips handed over list their bells in bells().
  explicit DataThread(const Surroundings& surroundings);
  ~DataThread() override;
  DataThread(const DataThread&) = delete;
  DataThread& operator=(const DataThread&) = delete;

  [[nodiscard]] clips::BellList& bells() noexcept { return bells_; }
  // Until inner.stop.
  void run();

 private:
  struct Owner {
    WorkerSession* session = nullptr;
    ChannelId channel{};
  };

  bool take_handovers(Instant now);   // true: none is left
  bool take_commands(Instant now);
  bool take_sightings(Instant since, Instant now);
  void obey(const Command& command, Instant now);
  void accept(const Handover& handover, Instant now);
  void ring_applications();
  void send_unsent();

  void poll_session(WorkerSession& session);
  bool rest_session(WorkerSession& session);  // false: it has something, it stays polled
  void forget(WorkerSession& session);
  void pause(Instant due, bool worked);
  void sleep(Instant until, Instant now);
  bool nothing_waits();
  void wait_for_events(Duration at_most);
  void watch_best_effort(Instant now);
  void publish_counters(Instant now);
  [[nodiscard]] std::uint64_t work_done() const noexcept;

  void signal_received(std::uint32_t link, const Endpoint& from, std::span<const std::byte> bytes, Instant now) override;
  void clip_closed(std::unique_ptr<clips::Clip> clip) override;
  void client_violated(ClipSlot slot) override;
  void contract_violated(ClipSlot slot, Instant now) override;
  void report(const Report& report);

  Surroundings with_;
  WorkerCounters& counters_;
  clips::Domain domain_;
  clips::BellList bells_;
  Pacing pacing_;
  ipc::Fd epoll_;
  bool best_effort_watched_ = true;
  std::vector<Owner> owners_;                // by clip slot
  std::vector<WorkerSession*> polled_;       // busy sessions
  std::size_t first_polled_ = 0;             // whose turn it is to be looked at first
  std::vector<Report> unsent_;               // reports that must not be lost while control is behind
  std::uint64_t work_seen_ = 0;
  Instant awake_since_{};
  Instant sighted_last_ = long_ago;
  Instant look_due_ = never;                 // if the next look at the sessions is later, somebody kept us from it
  Instant events_seen_ = long_ago;
  Instant counters_published_ = long_ago;
};

}  // namespace rtchan::rtcd
