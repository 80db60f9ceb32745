// A clip: every resource of one end of a path in one owner (paper 4.3, 5.2). Message queue, handler with its
// budget, packet queue with its reserved frames; destroying the clip returns all of them.
//
//   outgoing   source -> LogicalArrivals -> Outgoing (handler) -> LinkFlow -> link scheduler
//   incoming   demux -> Incoming (per-path packet queue, handler) -> sink
//   forward    demux -> Forward (per-path packet queue, handler) -> LinkFlow -> link scheduler
//
// Made off the data thread (make_clip), then owned by one domain and touched by its thread alone.
#pragma once

#include <memory>
#include <optional>

#include "clips/cpu_scheduler.hpp"
#include "clips/domain.hpp"
#include "clips/forward.hpp"
#include "clips/incoming.hpp"
#include "clips/link_scheduler.hpp"
#include "clips/outgoing.hpp"
#include "clips/spec.hpp"

namespace rtchan::clips {

class Clip {
 public:
  Clip(const ClipSpec& given, std::unique_ptr<MessageSource> source, std::unique_ptr<MessageSink> sink,
       std::unique_ptr<ProtocolStack> stack);
  Clip(const Clip&) = delete;
  Clip& operator=(const Clip&) = delete;

  const ClipSpec spec;               // as it was made; the neighbour's label may have become known since

  [[nodiscard]] bool best_effort() const noexcept { return spec.service == ServiceClass::best_effort; }
  [[nodiscard]] link::TrafficClass traffic_class() const noexcept {
    if (best_effort()) return link::TrafficClass::best_effort;
    return in_the_middle(spec.service) ? link::TrafficClass::middle : link::TrafficClass::real_time;
  }

  std::unique_ptr<ProtocolStack> stack;
  CpuTask task;                      // its place in the CPU scheduler
  LinkFlow flow;                     // outgoing, forward: its way to the link
  std::optional<Outgoing> outgoing;  // exactly one of these three
  std::optional<Incoming> incoming;
  std::optional<Forward> forward;
  ClipCounters* counters = nullptr;
  bool connected = false;            // the neighbour's label is known
  // outgoing: connected, but bursts that were handed over before its link knew of it may still stand in front of it. Its
  // messages are not looked at until then: their logical arrivals begin with `active_since`.
  bool joining = false;
  Instant active_since = never;
  bool violated = false;             // its application broke the rules of shared memory: does nothing more
  enum class Closing : std::uint8_t { open, draining, abandoned } closing = Closing::open;
  bool leaving = false;              // closed and done: goes at the end of the turn
  bool handed_back = false;          // closed so: another clip will take over its queue
  ClipCounters counted{};            // what it had counted when it was handed back; or the one that it takes over from

  // When and how urgently its handler wants to run; nullopt: nothing to do, or blocked.
  [[nodiscard]] std::optional<Urgency> urgency(PacketStore& store) const noexcept;
  // Its application broke the rules of shared memory; a router's clip has none.
  [[nodiscard]] bool broken() const noexcept;
  // Nothing is left to do or to give back.
  [[nodiscard]] bool idle() const noexcept;
};

}  // namespace rtchan::clips
