#include "clips/signalling.hpp"

#include <algorithm>
#include <cstring>

#include "base/limits.hpp"
#include "wire/data_packet.hpp"

namespace rtchan::clips {

Signalling::Signalling(const LinkConfig& config, LinkScheduler& link, PacketStore& store)
    : link_(link), store_(store) {
  flow_.frames.reserved = limits::signal_queue_packets;
  flow_.period = config.signal_period;
  flow_.delay = config.signal_delay;
  flow_.turn = 1;
}

bool Signalling::send(const Endpoint& to, std::span<const std::byte> bytes, Instant now) noexcept {
  const std::size_t length = wire::header_bytes + bytes.size() + wire::trailer_bytes;
  if (bytes.empty() || bytes.size() > limits::signal_bytes || length > link_.packet_bytes()) return false;
  const Frame frame = store_.take(flow_.frames);
  if (frame == no_frame) return false;
  const std::span<std::byte> packet = store_.bytes(frame).first(length);
  wire::DataHeader header;
  header.type = wire::PacketType::signal;
  header.packet_number = next_packet_++;
  wire::encode_header(header, packet);
  std::memcpy(packet.data() + wire::header_bytes, bytes.data(), bytes.size());
  Packet& queued = store_[frame];
  queued = Packet{};
  queued.bytes = static_cast<std::uint32_t>(length);
  queued.to = to;
  queued.logical = now;
  link_.stage(flow_, frame, now);
  return true;
}

}  // namespace rtchan::clips
