#include "clips/domain.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/limits.hpp"
#include "clips/clip.hpp"
#include "clips/counters.hpp"
#include "clips/cpu_scheduler.hpp"
#include "clips/demux.hpp"
#include "clips/link_scheduler.hpp"
#include "clips/packet_store.hpp"
#include "clips/signalling.hpp"

namespace rtchan::clips {

namespace {

std::size_t frame_bytes(std::span<const LinkConfig> links) {
  std::size_t most = limits::mtu_bytes_min;
  for (const LinkConfig& link : links) most = std::max(most, link.driver->payload_bytes());
  return most;
}

std::uint32_t frames(const DomainConfig& config) {
  return config.packet_frames + static_cast<std::uint32_t>(config.links.size()) * limits::signal_queue_packets;
}

}  // namespace

struct Domain::State final : Arrivals, Departures {
  State(const DomainConfig& given, DomainObserver& told)
      : config(given),
        observer(told),
        store(frames(given), frame_bytes(given.links)),
        clips(given.clips),
        cpu(given.clips + 1),
        demux(given.links, *this, counters),
        best_effort(demux, given.best_effort_packets, given.best_effort_period, given.best_effort_delay) {
    assert(given.counters.size() >= given.clips);
    links.reserve(given.links.size());
    for (const LinkConfig& link : given.links) {
      links.push_back(std::make_unique<LinkScheduler>(link, store, given.clips, *this, counters));
      signalling.push_back(std::make_unique<Signalling>(link, *links.back(), store));
    }
    leaving.reserve(given.clips);
    joining.reserve(std::size_t{2} * given.clips);
  }

  Clip* find(ClipSlot slot) noexcept { return slot.value < clips.size() ? clips[slot.value].get() : nullptr; }
  [[nodiscard]] Instant time(Instant turn_began) const noexcept {
    return config.clock == nullptr ? turn_began : std::max(turn_began, config.clock());
  }

  // Arrivals
  void data_arrived(const wire::DataPacket& packet, link::TrafficClass cls, Instant arrival, Instant at) override;
  void signal_arrived(std::uint32_t link, const Endpoint& from, std::span<const std::byte> bytes,
                      Instant at) override {
    observer.signal_received(link, from, bytes, at);
  }
  // Departures
  void departed(LinkFlow& flow, const Packet& packet, Instant finish) noexcept override;

  bool accept(Clip& clip, const wire::DataPacket& packet, Instant arrival) noexcept;
  void schedule(Clip& clip, Instant now) noexcept;
  void sight(Clip& clip, Instant since, Instant now) noexcept;
  void look(Clip& clip, Instant since, Instant now) noexcept;
  void join(Clip& clip, Instant now) noexcept;
  void let_join(Instant now) noexcept;
  void stop(Clip& clip) noexcept;
  void settle(Clip& clip, Instant now) noexcept;
  void run_handlers(Instant now) noexcept;
  std::uint32_t step(Clip& clip, Instant now) noexcept;
  void serve_due_links(Instant now) noexcept;
  Instant serve_links(Instant now) noexcept;
  void let_go() noexcept;

  DomainConfig config;
  DomainObserver& observer;
  DomainCounters counters;
  PacketStore store;
  std::vector<std::unique_ptr<Clip>> clips;  // by slot
  CpuScheduler cpu;
  Demux demux;
  BestEffortInput best_effort;
  std::vector<std::unique_ptr<LinkScheduler>> links;
  std::vector<std::unique_ptr<Signalling>> signalling;
  std::vector<ClipSlot> leaving;             // closed and done: handed back at the end of the turn
  std::vector<ClipSlot> joining;             // connected, and their link is not ready for them
  Instant latest = long_ago;
  Instant links_due = never;                 // as of the last visit
};

Domain::Domain(const DomainConfig& config, DomainObserver& observer)
    : state_(std::make_unique<State>(config, observer)) {}
Domain::~Domain() = default;

// One turn. Input comes first, at arrival, since its deadlines are not known before; then the handlers, by
// deadline; then what they have made goes to the links, by deadline. A link that has run low is not kept waiting for the
// turn's end.
Instant Domain::turn(Instant now) {
  State& s = *state_;
  bump(s.counters.turns);
  s.latest = now;
  s.serve_due_links(now);
  const bool more_input = s.demux.real_time(now);
  s.best_effort.poll(s.cpu, now);
  s.run_handlers(now);
  const Instant links_due = s.serve_links(s.time(now));
  if (!s.joining.empty()) s.let_join(s.time(now));
  s.let_go();
  if (more_input) return now;
  return std::min({links_due, s.cpu.next_wake(now), s.best_effort.next_wake()});
}

void Domain::State::run_handlers(Instant turn_began) noexcept {
  std::uint32_t packets = 0;
  for (std::uint32_t steps = 0; steps < limits::handler_steps_per_turn; ++steps) {
    if (packets >= limits::handler_packets_per_turn) return;
    latest = time(turn_began);
    serve_due_links(latest);
    CpuTask* task = cpu.next(latest, counters.handler_switches);
    if (task == nullptr) return;
    if (!task->polls) bump(counters.handler_steps);
    packets += task->polls ? best_effort.step(cpu, latest) : step(*task->clip, latest);
  }
}

std::uint32_t Domain::State::step(Clip& clip, Instant at) noexcept {
  std::uint32_t packets = 0;
  if (clip.outgoing) packets = clip.outgoing->step(at, clip.flow, *links[clip.spec.link], store, *clip.counters);
  if (clip.incoming) packets = clip.incoming->step(at, store, *clip.counters);
  if (clip.forward) packets = clip.forward->step(at, clip.flow, *links[clip.spec.link], store, *clip.counters);
  settle(clip, at);
  return packets;
}

void Domain::State::serve_due_links(Instant at) noexcept {
  if (links_due <= at) serve_links(at);
}

Instant Domain::State::serve_links(Instant at) noexcept {
  latest = at;
  links_due = never;
  for (const auto& link : links) links_due = std::min(links_due, link->serve(at));
  return links_due;
}

void Domain::State::data_arrived(const wire::DataPacket& packet, link::TrafficClass cls, Instant arrival,
                                 Instant at) {
  const Label label = packet.header.label;
  Clip* clip = find(ClipSlot{label.slot});
  if (clip == nullptr || clip->outgoing) return dropped(counters, PacketDrop::unknown_label);
  if (clip->spec.generation != label.generation) return dropped(counters, PacketDrop::wrong_generation);
  if (clip->closing == Clip::Closing::abandoned || clip->violated) return dropped(counters, PacketDrop::closed_channel);
  if (clip->traffic_class() != cls) return dropped(counters, PacketDrop::wrong_class);
  if (!accept(*clip, packet, arrival)) dropped(counters, PacketDrop::above_contract);
  if (clip->task.edf.state == EdfPlace::State::absent) schedule(*clip, at);
}

bool Domain::State::accept(Clip& clip, const wire::DataPacket& packet, Instant arrival) noexcept {
  if (clip.incoming) return clip.incoming->accept(packet, arrival, store, *clip.counters);
  const std::size_t fits = links[clip.spec.link]->packet_bytes();
  return clip.forward->accept(packet, arrival, fits, clip.flow.frames, store, *clip.counters);
}

void Domain::State::departed(LinkFlow& flow, const Packet& packet, Instant finish) noexcept {
  if (flow.clip == nullptr) return;
  Clip& clip = *flow.clip;
  ClipCounters& c = *clip.counters;
  bump(c.packets);
  if (packet.message_bytes > 0) {
    bump(c.delivered, packet.messages);
    bump(c.bytes, packet.message_bytes);
    if (!clip.best_effort()) {
      if (finish > packet.deadline) bump(c.late, packet.messages);
      raise(c.worst_link, (finish - packet.logical).count());
      raise(c.worst_delay, (finish - packet.message_logical).count());
    }
  }
  if (clip.outgoing && clip.outgoing->unblock() && clip.closing != Clip::Closing::abandoned) schedule(clip, latest);
  if (clip.closing != Clip::Closing::open) settle(clip, latest);
}

// The handler queues for the CPU by its next piece of work, or leaves the queue.
void Domain::State::schedule(Clip& clip, Instant at) noexcept {
  const auto urgency = clip.urgency(store);
  if (urgency && clip.connected) {
    cpu.place(clip.task, *urgency, at);
  } else {
    cpu.remove(clip.task);
  }
}

// After the clip has worked, or was told to close: where does it stand?
void Domain::State::settle(Clip& clip, Instant at) noexcept {
  if (clip.broken() && !clip.violated) {
    clip.violated = true;
    stop(clip);
    observer.client_violated(clip.spec.slot);
  }
  if (!clip.violated && clip.closing != Clip::Closing::abandoned) schedule(clip, at);
  if (clip.closing != Clip::Closing::open && !clip.leaving && clip.idle()) {
    clip.leaving = true;
    leaving.push_back(clip.spec.slot);
  }
}

void Domain::State::stop(Clip& clip) noexcept {
  clip.joining = false;
  cpu.remove(clip.task);
  if (clip.incoming) return clip.incoming->abandon(store, *clip.counters);
  if (clip.forward) clip.forward->abandon(store, clip.flow.frames);
  links[clip.spec.link]->forget(clip.flow);
}

void Domain::State::let_go() noexcept {
  while (!leaving.empty()) {
    const ClipSlot slot = leaving.back();
    leaving.pop_back();
    Clip& clip = *clips[slot.value];
    stop(clip);
    if (clip.handed_back) clip.counted = *clip.counters;
    observer.clip_closed(std::move(clips[slot.value]));
  }
}

void Domain::open(std::unique_ptr<Clip> clip, Instant now) {
  State& s = *state_;
  s.latest = now;
  const ClipSlot slot = clip->spec.slot;
  assert(slot.value < s.clips.size() && s.clips[slot.value] == nullptr && clip->spec.link < s.links.size());
  clip->counters = &s.config.counters[slot.value];
  clear(*clip->counters);
  if (clip->spec.takes_over) restore(*clip->counters, clip->counted);
  if (clip->incoming) clip->connected = true;
  s.clips[slot.value] = std::move(clip);
  if (s.clips[slot.value]->connected) s.join(*s.clips[slot.value], now);
}

void Domain::close(ClipSlot slot, CloseMode mode, Instant now) {
  State& s = *state_;
  s.latest = now;
  Clip* clip = s.find(slot);
  if (clip == nullptr || clip->leaving) return;
  const bool can_drain = clip->connected && !clip->violated && clip->closing != Clip::Closing::abandoned;
  clip->handed_back = mode == CloseMode::hand_back;
  if (mode == CloseMode::drain && can_drain) {
    s.sight(*clip, now, now);  // what was published before the close still goes, also if it has yet to join
    clip->closing = Clip::Closing::draining;
  } else if (mode == CloseMode::hand_back && can_drain && clip->outgoing) {
    clip->joining = false;
    clip->outgoing->finish(*clip->counters);
    clip->closing = Clip::Closing::draining;
  } else {
    clip->closing = Clip::Closing::abandoned;
    s.stop(*clip);
  }
  s.settle(*clip, now);
}

void Domain::connect(ClipSlot slot, const Endpoint& next_hop, Label next_label, Instant now) {
  State& s = *state_;
  s.latest = now;
  Clip* clip = s.find(slot);
  if (clip == nullptr || clip->incoming) return;
  if (clip->outgoing) clip->outgoing->connect(next_hop, next_label);
  if (clip->forward) clip->forward->connect(next_hop, next_label);
  clip->connected = true;
  if (!clip->violated && clip->closing != Clip::Closing::abandoned) s.join(*clip, now);
}

// An outgoing channel begins once its link is ready for it (link_scheduler.hpp); until then its messages wait unseen. What
// is forwarded has begun upstream: to hold it up as well would only make it later.
void Domain::State::join(Clip& clip, Instant at) noexcept {
  clip.joining = clip.outgoing && clip.spec.service == ServiceClass::guaranteed && !links[clip.spec.link]->settled();
  if (clip.joining) return joining.push_back(clip.spec.slot);
  clip.active_since = at;
  if (clip.forward) return settle(clip, at);
  look(clip, at, at);
}

void Domain::State::let_join(Instant at) noexcept {
  for (std::size_t i = 0; i < joining.size();) {
    Clip* clip = find(joining[i]);
    const bool waits = clip != nullptr && clip->joining;
    if (waits && !links[clip->spec.link]->settled()) {
      ++i;
      continue;
    }
    joining[i] = joining.back();
    joining.pop_back();
    if (!waits) continue;
    clip->joining = false;
    clip->active_since = at;
    look(*clip, at, at);
    settle(*clip, at);
  }
}

void Domain::sighted(ClipSlot slot, Instant since, Instant now) {
  State& s = *state_;
  s.latest = now;
  if (Clip* clip = s.find(slot)) s.sight(*clip, since, now);
}

void Domain::State::sight(Clip& clip, Instant since, Instant at) noexcept {
  if (clip.closing == Clip::Closing::open) look(clip, since, at);
}

// No message is dated before its channel began, nor further back than buffers hold what a pause makes wait.
void Domain::State::look(Clip& clip, Instant since, Instant at) noexcept {
  if (!clip.outgoing || clip.violated || clip.active_since > at) return;
  since = std::max({since, clip.active_since, at - limits::host_pause});
  if (clip.outgoing->sight(since, at, *clip.counters)) observer.contract_violated(clip.spec.slot, at);
  if (clip.task.edf.state == EdfPlace::State::absent || clip.outgoing->violated()) settle(clip, at);
}

bool Domain::send_signal(std::uint32_t link, const Endpoint& to, std::span<const std::byte> bytes, Instant now) {
  State& s = *state_;
  if (link < s.signalling.size() && s.signalling[link]->send(to, bytes, now)) return true;
  dropped(s.counters, PacketDrop::signal_queue_full);
  return false;
}

void Domain::set_burst_bound(std::uint32_t link, const admission::BurstBound& bound) {
  if (link < state_->links.size()) state_->links[link]->set_burst_bound(bound);
}

void Domain::hold_link(std::uint32_t link, bool held) {
  if (link < state_->links.size()) state_->links[link]->hold(held);
}

Instant Domain::best_effort_resumes() const noexcept { return state_->best_effort.resumes(); }

const DomainCounters& Domain::counters() const noexcept { return state_->counters; }

}  // namespace rtchan::clips
