// From a set-up request to what this node must set aside for it: the work of each stage, and the buffers for a given
// delay. Pure functions; who is asked for the resources is none of their business.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "admission/cost_model.hpp"
#include "admission/stages.hpp"
#include "base/time.hpp"
#include "clips/spec.hpp"
#include "ipc/layout.hpp"
#include "wire/signal.hpp"

namespace rtchan::node {

// What is fixed about a channel at this node before any admission test.
struct Plan {
  clips::Role role = clips::Role::outgoing;
  ServiceClass service = ServiceClass::guaranteed;
  bool admitted = true;                 // all but best effort: stages are asked, buffers sized by the contract
  bool tight = false;                   // exact minima, however much is left
  admission::Contract contract{};
  std::uint32_t packets = 1;            // per message, as the source cuts it
  admission::Candidate cpu{};
  admission::Candidate link{};          // outgoing, forward
  wire::Promised before{};              // by the stages upstream
  Duration max_delay{};
  std::uint32_t slots_most = 0;         // of its queue, which exists already; 0: any number
};

// Delays of the stages here, and of the one before.
struct Delays {
  Duration previous{};                  // incoming, forward: d_prev
  Duration cpu{};
  Duration link{};                      // outgoing, forward
};

struct Sizes {
  std::uint32_t slots = 0;              // messages in the shared queue (not forward)
  std::uint32_t slot_bytes = 0;
  std::uint64_t queue_bytes = 0;        // of the whole queue in the arena
  std::uint32_t packet_buffers = 0;
};

[[nodiscard]] Plan make_plan(const wire::Setup& setup, clips::Role role, const admission::CostModel& costs,
                             const admission::LinkModel* in, const admission::LinkModel* out);
[[nodiscard]] Sizes sizes(const Plan& plan, const Delays& delays);
[[nodiscard]] ipc::QueuePlace queue_place(const Plan& plan, const Sizes& sizes, std::uint64_t offset);

// Minimum delays that admission has found here.
struct Minima {
  Duration cpu{};
  Duration link{};
};
// The largest delays that buffers are set aside for, and the stretch that goes on with the set-up. More is set aside
// as long as the request leaves slack and the buffers stay modest.
struct Reach {
  Delays delays{};
  Sizes sizes{};
  std::uint64_t stretch = UINT64_MAX;
};
[[nodiscard]] Reach reach(const Plan& plan, const Minima& minima, Duration propagation);
// The final delays under the destination's terms.
[[nodiscard]] Delays final_delays(const Plan& plan, const Minima& minima, const wire::Terms& terms);
// What a stage here is given at least, of what is `left` of the end-to-end delay; no time if the request is tight.
[[nodiscard]] Duration room_on_cpu(const Plan& plan, Duration left);
[[nodiscard]] Duration room_on_link(const Plan& plan, Duration left);
// Largest delay that the stage before may be given: how much its packets may bunch at our input.
[[nodiscard]] Duration largest_previous(const Plan& plan);
// A Promised::stretch with which the channel fits here, when it does not with what came; as it came if it never does.
// `least`: Books::least_delay() under that stretch.
[[nodiscard]] std::uint64_t narrowed(const wire::Setup& setup, clips::Role role,
                                     const std::function<std::optional<Duration>(std::uint64_t)>& least);

// How often the channel sends, by its extensions (tag_activity); nullopt: not understood.
[[nodiscard]] std::optional<std::uint32_t> activity_of(std::span<const Extension> extensions);

// The contract as signalling carries it, and as the agent sees it.
[[nodiscard]] wire::SignalQos to_signal(const Qos& qos);
[[nodiscard]] Qos from_signal(const wire::SignalQos& qos);

}  // namespace rtchan::node
