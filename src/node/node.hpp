// One host's control plane as a pure state machine: sessions, ports, channels, admission and signalling,
// wired together. rtcd and the simulator both run it: `step(now, event)` -> actions; no I/O, no clock, no
// threads; randomness only from the seed. Links and workers are numbered as in NodeConfig.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "admission/burst_bound.hpp"
#include "admission/ledger.hpp"
#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "clips/spec.hpp"
#include "ipc/requests.hpp"
#include "node/config.hpp"
#include "node/status.hpp"

namespace rtchan::rtcop {
struct EngineCounters;
}

namespace rtchan::node {

// --- events -----------------------------------------------------------------------------------------------
struct SessionOpened { SessionId session; std::uint32_t uid; std::uint32_t pid; };
struct SessionClosed { SessionId session; std::string why; };  // socket closed, process died, or evicted
struct Requested { SessionId session; ipc::Request request; }; // everything but Hello and Mapped
struct SignalReceived { std::uint32_t link; Endpoint from; std::span<const std::byte> bytes; };
struct ClipReady { std::uint32_t worker; ClipSlot slot; };     // its memory is mapped and prefaulted on the worker
struct ClipFailed { std::uint32_t worker; ClipSlot slot; std::string why; };  // no memory
struct ClipClosed { std::uint32_t worker; ClipSlot slot; };    // drained or abandoned: buffers and slot are free
struct ClientViolated { std::uint32_t worker; ClipSlot slot; };
struct ContractViolated { std::uint32_t worker; ClipSlot slot; };
struct LinkVoided { std::uint32_t link; std::string why; };    // guard lost, MTU or speed changed
struct LinkRestored { std::uint32_t link; };                   // new channels may be promised there again
struct RoutesChanged {};                                       // ask the router again where channels go
struct Timer {};                                               // the instant returned by next_wake() has come
struct ShutDown {};                                            // close every channel, tell everybody, take nothing new
using Event = std::variant<SessionOpened, SessionClosed, Requested, SignalReceived, ClipReady, ClipFailed, ClipClosed,
                           ClientViolated, ContractViolated, LinkVoided, LinkRestored, RoutesChanged, Timer, ShutDown>;

// --- actions ----------------------------------------------------------------------------------------------
struct ReplyTo { SessionId session; ipc::Reply reply; };
struct EvictSession { SessionId session; std::string why; };   // answered by SessionClosed
struct SendSignal { std::uint32_t link; Endpoint to; std::vector<std::byte> bytes; };
struct OpenClip {                                              // answered by ClipReady or ClipFailed
  std::uint32_t worker;
  clips::ClipSpec spec;
  SessionId session;
  ChannelId channel;
  ipc::QueuePlace queue;
  Label before{};  // the queue is in use: take over what the clip of that label (closed with hand_back) knows of it. Generation 0: none
};
struct ConnectClip { std::uint32_t worker; ClipSlot slot; Endpoint next_hop; Label next_label; };  // commit: data may flow
struct CloseClip { std::uint32_t worker; ClipSlot slot; clips::CloseMode mode; };  // answered by ClipClosed
struct ForgetClip { std::uint32_t worker; SessionId session; Label before; };       // handed back, and nothing takes over
struct MarkQueue { SessionId session; ipc::QueuePlace queue; std::uint32_t closed; bool voided; };  // QueueBlock::State
struct SetBurstBound { std::uint32_t link; admission::BurstBound bound; };
struct Log { enum class Level : std::uint8_t { info, warn } level; std::string text; };
using Action = std::variant<ReplyTo, EvictSession, SendSignal, OpenClip, ConnectClip, CloseClip, ForgetClip, MarkQueue, SetBurstBound, Log>;

// A worker's slot is free for a new clip only after its ClipClosed (or ClipFailed) has been delivered here; the same
// holds for the queue's place in the arena: rtcd reports ClipClosed once the worker no longer touches it.
class Node {
 public:
  // `router` outlives the node. The configuration names existing workers and policies (asserted).
  Node(const NodeConfig& config, const Router& router, std::uint64_t seed);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Appends what is to be done to `out`, in order. `now` never goes back.
  void step(Instant now, const Event& event, std::vector<Action>& out);
  // Deliver a Timer then (earlier does no harm); `never`: nothing is due.
  [[nodiscard]] Instant next_wake() const;

  // After ShutDown: every clip is closed and every neighbour has been told (or has been given up).
  [[nodiscard]] bool quiet() const;
  [[nodiscard]] Status status() const;
  [[nodiscard]] std::vector<ChannelStatus> channels() const;
  // Everything that is promised here. Stages: the CPU of each worker, then each link, as numbered in the configuration.
  [[nodiscard]] const admission::Ledger& ledger() const;
  [[nodiscard]] const rtcop::EngineCounters& signalling() const;
  // Recomputes what can be recomputed (ledger sums, tables, quotas): false is a bug of ours.
  [[nodiscard]] bool reconciles() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rtchan::node
