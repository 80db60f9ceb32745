#include "clips/forward.hpp"

#include <algorithm>
#include <cstring>

#include "clips/counters.hpp"
#include "clips/link_scheduler.hpp"

namespace rtchan::clips {

namespace {

std::size_t head_bytes(wire::PacketType type) noexcept {
  return wire::header_bytes + (type == wire::PacketType::fragment ? wire::fragment_bytes : 0);
}

// The end of a message, as far as its packets come in order: what that message was long.
std::uint32_t ended_bytes(const wire::DataPacket& packet, const Extent& extent) noexcept {
  const wire::DataHeader& h = packet.header;
  if (h.type != wire::PacketType::fragment) return extent.bytes;
  return h.offset + extent.bytes == h.message_length ? h.message_length : 0;
}

}  // namespace

// ---- input: at arrival ----------------------------------------------------------------------------------------

bool Forward::accept(const wire::DataPacket& packet, Instant arrival, std::size_t packet_bytes, FrameBudget& frames,
                     PacketStore& store, ClipCounters& counters) noexcept {
  const wire::DataHeader& header = packet.header;
  const Extent extent = extent_of(packet);
  const std::size_t head = head_bytes(header.type);
  const std::size_t length = head + packet.body.size() + wire::trailer_bytes;
  if (extent.longest > spec_.contract.message_bytes || length > packet_bytes) return false;
  // Several messages in one packet have one deadline: no more than a message's work until then.
  if (extent.messages > 1 && packet.body.size() > spec_.contract.message_bytes) return false;
  if (arrivals_.repeated(header.packet_number, counters)) {
    bump(counters.duplicate);
    return true;
  }
  const std::int64_t message = arrivals_.unwrap(header.first_message);
  if (arrivals_.overtaken(message)) {
    bump(counters.stale);
    return true;
  }
  const auto number = static_cast<std::uint64_t>(message);
  if (!arrivals_.within_budget(number, extent)) {
    bump(counters.excess);
    return true;
  }
  const Frame frame = store.take(frames);
  if (frame == no_frame) {
    bump(counters.no_buffer);
    arrivals_.spoil(number);  // what follows of this message would be carried for nothing
    return true;
  }
  const auto dated = arrivals_.date(number, extent.messages, header.rem, arrival, counters);
  if (number >= next_message_) {
    bump(counters.accepted, extent.messages);
    next_message_ = number + extent.messages;
  }

  Packet& queued = store[frame];
  queued = Packet{};
  queued.bytes = static_cast<std::uint32_t>(length);
  queued.message_logical = queued.logical = dated.logical;
  queued.deadline = dated.logical + spec_.cpu_delay;
  // What upstream was late, and what it makes this channel wait for its turn beyond what transit explains.
  queued.late = std::max({Duration{0}, arrival - dated.due, dated.logical - dated.due - spec_.upstream_propagation});
  queued.message = number;
  queued.type = header.type;
  queued.offset = header.offset;
  queued.message_length = header.message_length;
  queued.message_bytes = ended_bytes(packet, extent);
  queued.messages = extent.messages;
  std::memcpy(store.bytes(frame).data() + head, packet.body.data(), packet.body.size());
  packets_.push(store, frame);
  return true;
}

// ---- handler --------------------------------------------------------------------------------------------------

std::optional<Urgency> Forward::urgency(PacketStore& store) const noexcept {
  if (packets_.empty()) return std::nullopt;
  if (best_effort()) return Urgency{long_ago, never, never};
  const Packet& head = store[packets_.front()];
  if (in_the_middle(spec_.service)) return Urgency{long_ago, long_ago, head.deadline};
  return Urgency{head.logical - arrivals_.early(), head.logical, head.deadline};
}

std::uint32_t Forward::step(Instant now, LinkFlow& flow, LinkScheduler& link, PacketStore& store,
                            ClipCounters& counters) noexcept {
  std::uint32_t packets = 0;
  for (; packets < spec_.packets_per_step && !packets_.empty(); ++packets) {
    const Frame frame = packets_.front();
    Packet& packet = store[frame];
    if (spec_.service == ServiceClass::guaranteed && packet.logical - arrivals_.early() > now) break;
    packets_.pop(store);
    if (!best_effort()) raise(counters.worst_cpu, (now - packet.logical).count());
    packet.to = spec_.next_hop;
    packet.logical = packet.message_logical + spec_.cpu_delay;
    packet.deadline = best_effort() ? never : packet.logical + spec_.link_delay;
    address(packet, store.bytes(frame).first(packet.bytes));
    link.stage(flow, frame, now);
  }
  return packets;
}

// This hop's header; rem and the trailer come at hand-over.
void Forward::address(Packet& packet, std::span<std::byte> bytes) noexcept {
  wire::DataHeader header;
  header.type = packet.type;
  header.flags = wire::class_flag(spec_.service);
  header.label = spec_.next_label;
  header.packet_number = next_packet_++;
  header.first_message = static_cast<std::uint32_t>(packet.message);
  header.offset = packet.offset;
  header.message_length = packet.message_length;
  wire::encode_header(header, bytes);
}

void Forward::connect(const Endpoint& next_hop, Label next_label) noexcept {
  spec_.next_hop = next_hop;
  spec_.next_label = next_label;
}

}  // namespace rtchan::clips
