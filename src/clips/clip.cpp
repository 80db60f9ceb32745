#include "clips/clip.hpp"

#include <utility>

namespace rtchan::clips {

Clip::Clip(const ClipSpec& given, std::unique_ptr<MessageSource> source, std::unique_ptr<MessageSink> sink,
           std::unique_ptr<ProtocolStack> protocol)
    : spec(given), stack(std::move(protocol)) {
  task.clip = this;
  task.middle = in_the_middle(spec.service);
  connected = spec.next_hop.port != 0;
  if (spec.role != Role::incoming) {
    flow.clip = this;
    flow.frames.reserved = spec.packet_buffers;
    flow.horizon = spec.horizon;
    flow.best_effort = best_effort();
    flow.middle = in_the_middle(spec.service);
    flow.turn = spec.packets_per_step;
  }
  switch (spec.role) {
    case Role::outgoing: outgoing.emplace(spec, std::move(source), stack.get()); break;
    case Role::incoming: incoming.emplace(spec, std::move(sink), stack.get()); break;
    case Role::forward: forward.emplace(spec); break;
  }
}

std::optional<Urgency> Clip::urgency(PacketStore& store) const noexcept {
  if (outgoing) return outgoing->urgency();
  return forward ? forward->urgency(store) : incoming->urgency(store);
}

bool Clip::broken() const noexcept {
  if (outgoing) return outgoing->violated();
  return incoming && incoming->violated();
}

bool Clip::idle() const noexcept {
  if (joining) return false;
  const bool ended = closing == Closing::abandoned || violated;
  if (incoming) return ended || incoming->idle();
  // A full device may still hold the last frames of an abandoned clip.
  if (flow.frames.used > 0) return false;
  return ended || (outgoing ? outgoing->idle() : forward->idle());
}

std::unique_ptr<Clip> make_clip(const ClipSpec& spec, std::unique_ptr<MessageSource> source,
                                std::unique_ptr<MessageSink> sink, std::unique_ptr<ProtocolStack> stack) {
  return std::make_unique<Clip>(spec, std::move(source), std::move(sink), std::move(stack));
}

}  // namespace rtchan::clips
