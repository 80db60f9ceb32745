#include "clips/clip.hpp"

#include <cassert>
#include <utility>

namespace rtchan::clips {

Clip::Clip(const ClipSpec& given, std::unique_ptr<MessageSource> source, std::unique_ptr<MessageSink> sink,
           std::unique_ptr<ProtocolStack> protocol)
    : spec(given), stack(std::move(protocol)) {
  task.clip = this;
  connected = spec.next_hop.port != 0;
  switch (spec.role) {
    case Role::outgoing:
      flow.clip = this;
      flow.frames.reserved = spec.packet_buffers;
      flow.horizon = spec.horizon;
      flow.best_effort = best_effort();
      flow.turn = spec.packets_per_step;
      outgoing.emplace(spec, std::move(source), stack.get());
      break;
    case Role::incoming:
      incoming.emplace(spec, std::move(sink), stack.get());
      break;
    case Role::forward:
      break;
  }
  assert(outgoing || incoming);
}

bool Clip::idle() const noexcept {
  if (joining) return false;
  if (outgoing) {
    // A full device may still hold the last frames of an abandoned clip.
    if (closing == Closing::abandoned || violated) return flow.frames.used == 0;
    return outgoing->idle() && flow.frames.used == 0;
  }
  return closing == Closing::abandoned || violated || incoming->idle();
}

std::unique_ptr<Clip> make_clip(const ClipSpec& spec, std::unique_ptr<MessageSource> source,
                                std::unique_ptr<MessageSink> sink, std::unique_ptr<ProtocolStack> stack) {
  return std::make_unique<Clip>(spec, std::move(source), std::move(sink), std::move(stack));
}

}  // namespace rtchan::clips
