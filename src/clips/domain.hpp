// One worker's resource management domain: its clips, its CPU scheduler and its links' schedulers, and the
// turn that drives them. Single-threaded, no I/O but the drivers', no clock, no allocation inside turn().
// rtcd runs it on a real-time thread; the simulator and the tests run the same code in virtual time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "admission/burst_bound.hpp"
#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "clips/counters.hpp"
#include "clips/protocol_stack.hpp"
#include "clips/spec.hpp"
#include "link/driver.hpp"

namespace rtchan::clips {

class Clip;  // clips/clip.hpp

// Where an outgoing handler finds messages. Implemented over shared memory (clips/shared_queues.hpp) and
// in-process (clips/local_queues.hpp).
struct MessageRef {
  std::uint32_t slot{};
  std::uint32_t length{};
  Instant app_stamp{};
};
class MessageSource {
 public:
  virtual ~MessageSource() = default;
  virtual std::uint32_t waiting() noexcept = 0;         // published and not yet taken; at most capacity()
  [[nodiscard]] virtual std::uint32_t capacity() const noexcept = 0;
  virtual bool take(MessageRef& out) noexcept = 0;  // false: none
  virtual void read(const MessageRef& m, std::uint32_t offset, std::span<std::byte> out) const noexcept = 0;
  virtual void release(const MessageRef& m) noexcept = 0;
  [[nodiscard]] virtual bool violated() const noexcept = 0;
};

// Where an incoming handler assembles messages.
class MessageSink {
 public:
  virtual ~MessageSink() = default;
  virtual bool reserve(std::uint32_t length, std::uint32_t& slot) noexcept = 0;  // false: receiver is behind
  virtual void write(std::uint32_t slot, std::uint32_t offset, std::span<const std::byte> bytes) noexcept = 0;
  virtual void publish(std::uint32_t slot, std::uint32_t length, std::uint64_t number, Instant readable,
                       Duration delay) noexcept = 0;
  virtual void abandon(std::uint32_t slot) noexcept = 0;
  [[nodiscard]] virtual bool violated() const noexcept = 0;
};

// What the domain tells its surroundings. Called from inside turn(); must not call back into the domain.
class DomainObserver {
 public:
  virtual ~DomainObserver() = default;
  virtual void signal_received(std::uint32_t link, const Endpoint& from, std::span<const std::byte> bytes,
                               Instant now) = 0;
  virtual void clip_closed(std::unique_ptr<Clip> clip) = 0;  // drained or abandoned; destroy it off the data thread
  virtual void client_violated(ClipSlot slot) = 0;           // shared memory rules broken: evict the session
  virtual void contract_violated(ClipSlot slot, Instant now) = 0;  // first time since the last quiet period
};

struct LinkConfig {
  link::Driver* driver{};
  std::uint64_t bits_per_second{};      // configured capacity in wire bits
  std::uint32_t frame_overhead_bytes{}; // what a UDP payload gains on the wire: IP + UDP + Ethernet header + 24 (preamble, FCS, gap)
  // J_c: bound of the time from `now` of a turn to the driver's hand-over in it; makes rem an honest upper bound.
  Duration refill_latency{};
  // V: a visit to the link's scheduler that is due may come so late, at most as admission has counted (admission::link_visit).
  // Not known: the wire is kept as full as the burst bound lets it be, in smaller batches.
  Duration visit = Duration::max();
  // Other programs' traffic that may be in the device ahead of a packet of ours: time on the wire. It counts as
  // outstanding beside what we have handed over.
  Duration foreign{};
  // The link's signalling clip: one packet per period is certain, each within `delay`; more when the link is idle.
  Duration signal_period{2'000'000};
  Duration signal_delay{10'000'000};
};

struct DomainConfig {
  std::span<const LinkConfig> links;
  std::uint32_t clips = 0;                 // table size
  std::uint32_t packet_frames = 0;         // frames in the pool
  std::uint32_t best_effort_packets = 0;   // polling server of best-effort input: N_be packets ...
  Duration best_effort_period{};           // ... per T_in
  Duration best_effort_delay = std::chrono::seconds{1};  // d, as admitted: more than a period (admission/stages.hpp)
  std::span<ClipCounters> counters;        // one per slot, readable from outside
  // Read again within a turn where the true instant matters (delivery, hand-over). nullptr: time stands still
  // during a turn (simulator, tests).
  Instant (*clock)() = nullptr;
};

class Domain {
 public:
  Domain(const DomainConfig& config, DomainObserver& observer);
  ~Domain();
  Domain(const Domain&) = delete;
  Domain& operator=(const Domain&) = delete;

  // Takes a clip that was made elsewhere (make_clip allocates; this does not). Its slot must be free.
  void open(std::unique_ptr<Clip> clip, Instant now);
  void close(ClipSlot slot, CloseMode mode, Instant now);
  // The neighbour's label and endpoint become known with the commit: set before the first packet may leave.
  void connect(ClipSlot slot, const Endpoint& next_hop, Label next_label, Instant now);
  // New messages may wait in the clip's source (or slots were freed in its sink). Unknown slots are ignored.
  // `since`: when a worker that nobody had kept from running would have looked (clips/logical_arrival.hpp).
  void sighted(ClipSlot slot, Instant since, Instant now);
  void sighted(ClipSlot slot, Instant now) { sighted(slot, now, now); }
  // One signalling packet, through the link's signalling clip (EDF, its own budget). False: queue full, dropped.
  bool send_signal(std::uint32_t link, const Endpoint& to, std::span<const std::byte> bytes, Instant now);
  void set_burst_bound(std::uint32_t link, const admission::BurstBound& bound);
  // The interface under the link is down: what is for it waits, by deadline, until `held` is false again.
  void hold_link(std::uint32_t link, bool held);

  // One turn: input, handlers, links. Bounded (limits.hpp). Returns when something is due next:
  // `now` or earlier means "call again at once".
  Instant turn(Instant now);

  // When the polling server of best-effort input has budget again; at or before `now`: it has. While it has none,
  // do not wait on best-effort descriptors (they stay readable); turn() returns this instant if packets wait.
  [[nodiscard]] Instant best_effort_resumes() const noexcept;

  [[nodiscard]] const DomainCounters& counters() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Allocates everything the clip will ever need. Call off the data thread.
[[nodiscard]] std::unique_ptr<Clip> make_clip(const ClipSpec& spec, std::unique_ptr<MessageSource> source,
                                              std::unique_ptr<MessageSink> sink,
                                              std::unique_ptr<ProtocolStack> stack = nullptr);

}  // namespace rtchan::clips
