// One host's control plane as a pure state machine: sessions, ports, channels, admission and signalling,
// wired together. rtcd and the simulator both run it: `step(now, event)` -> actions; no I/O, no clock, no
// threads; randomness only from the seed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "admission/burst_bound.hpp"
#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "clips/spec.hpp"
#include "ipc/requests.hpp"

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
struct Timer {};                                               // the instant returned by next_wake() has come
using Event = std::variant<SessionOpened, SessionClosed, Requested, SignalReceived, ClipReady, ClipFailed, ClipClosed,
                           ClientViolated, ContractViolated, LinkVoided, Timer>;

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
};
struct ConnectClip { std::uint32_t worker; ClipSlot slot; Endpoint next_hop; Label next_label; };  // commit: data may flow
struct CloseClip { std::uint32_t worker; ClipSlot slot; clips::CloseMode mode; };  // answered by ClipClosed
struct MarkQueue { SessionId session; ipc::QueuePlace queue; std::uint32_t closed; bool voided; };  // QueueBlock::State
struct SetBurstBound { std::uint32_t link; admission::BurstBound bound; };
struct Log { enum class Level : std::uint8_t { info, warn } level; std::string text; };
using Action = std::variant<ReplyTo, EvictSession, SendSignal, OpenClip, ConnectClip, CloseClip, MarkQueue, SetBurstBound, Log>;

}  // namespace rtchan::node
