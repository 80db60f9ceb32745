#include "clips/incoming.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "base/limits.hpp"
#include "clips/counters.hpp"

namespace rtchan::clips {

Incoming::Incoming(const ClipSpec& spec, std::unique_ptr<MessageSink> sink, ProtocolStack* stack)
    : spec_(spec),
      sink_(std::move(sink)),
      stack_(stack),
      arrivals_(spec),
      next_message_(spec.first_message),
      here_(spec.contract.message_bytes / limits::fragment_bytes_min / 64 + 1, 0) {
  frames_.reserved = spec.packet_buffers;
}

// ---- input: at arrival ----------------------------------------------------------------------------------------

bool Incoming::accept(const wire::DataPacket& packet, Instant arrival, PacketStore& store,
                      ClipCounters& counters) noexcept {
  const wire::DataHeader& header = packet.header;
  const Extent extent = extent_of(packet);
  if (extent.longest > spec_.contract.message_bytes || packet.body.size() > store.frame_bytes()) return false;
  bump(counters.packets);
  if (arrivals_.repeated(header.packet_number, counters)) {
    bump(counters.duplicate);
    return true;
  }
  const std::int64_t message = arrivals_.unwrap(header.first_message);
  if (stale(message)) {
    bump(counters.stale);
    return true;
  }
  const auto number = static_cast<std::uint64_t>(message);
  if (!arrivals_.within_budget(number, extent)) {
    bump(counters.excess);
    return true;
  }
  const Frame frame = store.take(frames_);
  if (frame == no_frame) {
    bump(counters.no_buffer);
    arrivals_.spoil(number);
    return true;
  }
  const auto dated = arrivals_.date(number, extent.messages, header.rem, arrival, counters);

  Packet& queued = store[frame];
  queued.bytes = static_cast<std::uint32_t>(packet.body.size());
  queued.logical = dated.logical;
  queued.deadline = dated.logical + spec_.cpu_delay;
  queued.due = dated.due;
  queued.message = number;
  queued.type = header.type;
  queued.offset = header.offset;
  queued.message_length = header.message_length;
  std::memcpy(store.bytes(frame).data(), packet.body.data(), packet.body.size());
  packets_.push(store, frame);
  return true;
}

// Of a message that is over, that cannot be completed any more, or that a later one has overtaken.
bool Incoming::stale(std::int64_t message) const noexcept {
  if (arrivals_.overtaken(message)) return true;
  return assembly_.state == Assembly::State::over && static_cast<std::uint64_t>(message) <= assembly_.number;
}

// ---- handler --------------------------------------------------------------------------------------------------

std::optional<Urgency> Incoming::urgency(PacketStore& store) const noexcept {
  if (packets_.empty()) return std::nullopt;
  if (spec_.service == ServiceClass::best_effort) return Urgency{long_ago, never, never};
  const Packet& head = store[packets_.front()];
  if (in_the_middle(spec_.service)) return Urgency{long_ago, long_ago, head.deadline};
  return Urgency{head.logical - arrivals_.early(), head.logical, head.deadline};
}

std::uint32_t Incoming::step(Instant now, PacketStore& store, ClipCounters& counters) noexcept {
  std::uint32_t packets = 0;
  while (packets < spec_.packets_per_step && !packets_.empty()) {
    const Frame frame = packets_.front();
    if (spec_.service == ServiceClass::guaranteed && store[frame].logical - arrivals_.early() > now) break;
    packets_.pop(store);
    take(store[frame], store.bytes(frame).first(store[frame].bytes), now, counters);
    store.give(frame, frames_);
    ++packets;
  }
  return packets;
}

void Incoming::take(const Packet& packet, std::span<std::byte> body, Instant now, ClipCounters& counters) noexcept {
  if (arrivals_.spoiled(packet.message)) {
    bump(counters.stale);
    return;
  }
  if (packet.type == wire::PacketType::messages) {
    take_records(packet, body, now, counters);
    return;
  }
  const bool going_on = assembly_.state != Assembly::State::none && assembly_.number == packet.message;
  if (!going_on) {
    if (packet.message < next_message_) {
      bump(counters.stale);
      return;
    }
    begin(packet, packet.message, packet.message_length, counters);
  }
  if (assembly_.state != Assembly::State::building) {
    bump(counters.stale);
    return;
  }
  switch (add_fragment(packet, body)) {
    case Fit::added: break;
    case Fit::here_already: return bump(counters.duplicate);
    case Fit::misfit: return bump(counters.misfit);
    case Fit::rejected: return bump(counters.rejected);
  }
  assembly_.deadline = std::max(assembly_.deadline, packet.deadline);
  assembly_.promised = std::max(assembly_.promised, packet.due + spec_.cpu_delay);
  if (complete()) publish(now, counters);
}

void Incoming::take_records(const Packet& packet, std::span<std::byte> body, Instant now,
                            ClipCounters& counters) noexcept {
  wire::RecordReader records(body);
  std::uint64_t number = packet.message;
  for (std::span<const std::byte> message; records.next(message); ++number) {
    const auto length = static_cast<std::uint32_t>(message.size());
    if (number < next_message_) {
      bump(counters.stale);
      continue;
    }
    if (stack_ != nullptr) {
      const std::span<std::byte> bytes = body.subspan(static_cast<std::size_t>(message.data() - body.data()), length);
      if (!stack_->incoming({number, 0, length}, bytes)) {
        bump(counters.rejected);
        continue;
      }
    }
    if (!begin(packet, number, length, counters)) continue;
    sink_->write(assembly_.slot, 0, message);
    publish(now, counters);
  }
}

// Opens a slot for the message. False: the application has none free.
bool Incoming::begin(const Packet& packet, std::uint64_t number, std::uint32_t length, ClipCounters& counters) noexcept {
  if (assembly_.state == Assembly::State::building) give_up(counters);
  bump(counters.lost, number - next_message_);
  bump(counters.accepted);
  next_message_ = number + 1;
  assembly_ = Assembly{};
  assembly_.number = number;
  assembly_.length = length;
  assembly_.deadline = packet.deadline;
  assembly_.promised = packet.due + spec_.cpu_delay;
  if (!sink_->reserve(length, assembly_.slot)) {
    bump(counters.no_slot);
    assembly_.state = Assembly::State::over;
    return false;
  }
  assembly_.state = Assembly::State::building;
  std::fill_n(here_.begin(), length / limits::fragment_bytes_min / 64 + 1, 0);
  return true;
}

Incoming::Fit Incoming::add_fragment(const Packet& packet, std::span<std::byte> body) noexcept {
  const auto bytes = static_cast<std::uint32_t>(body.size());
  if (const Fit f = fit(packet, bytes); f != Fit::added) return f;
  if (stack_ != nullptr && !stack_->incoming({packet.message, packet.offset, assembly_.length}, body)) {
    arrivals_.spoil(packet.message);  // refused: the message can never be complete
    return Fit::rejected;
  }
  if (packet.offset + bytes == assembly_.length) {
    assembly_.last_offset = packet.offset;
    assembly_.last_bytes = bytes;
  }
  sink_->write(assembly_.slot, packet.offset, body);
  return Fit::added;
}

// All fragments but the last are equally long.
Incoming::Fit Incoming::fit(const Packet& packet, std::uint32_t bytes) noexcept {
  if (packet.message_length != assembly_.length) return Fit::misfit;
  if (packet.offset + bytes != assembly_.length) return add_full(packet.offset, bytes);
  if (assembly_.last_bytes == 0) return Fit::added;
  return assembly_.last_bytes == bytes ? Fit::here_already : Fit::misfit;
}

Incoming::Fit Incoming::add_full(std::uint32_t offset, std::uint32_t bytes) noexcept {
  if (assembly_.fragment_bytes == 0 && bytes >= limits::fragment_bytes_min) assembly_.fragment_bytes = bytes;
  if (bytes != assembly_.fragment_bytes || offset % bytes != 0) return Fit::misfit;
  const std::uint32_t index = offset / bytes;
  std::uint64_t& word = here_[index / 64];
  const std::uint64_t bit = std::uint64_t{1} << (index % 64);
  if ((word & bit) != 0) return Fit::here_already;
  word |= bit;
  ++assembly_.full_fragments;
  assembly_.highest = std::max(assembly_.highest, index);
  return Fit::added;
}

// As many distinct full fragments as there are places before the last one, and none beyond: no hole.
bool Incoming::complete() const noexcept {
  if (assembly_.last_bytes == 0) return false;
  const std::uint64_t before = std::uint64_t{assembly_.full_fragments} * assembly_.fragment_bytes;
  return before == assembly_.last_offset &&
         (assembly_.full_fragments == 0 || assembly_.highest < assembly_.full_fragments);
}

void Incoming::publish(Instant now, ClipCounters& counters) noexcept {
  assembly_.state = Assembly::State::over;
  if (stack_ != nullptr) stack_->complete(assembly_.number, assembly_.length);
  Duration delay = Duration::min();
  if (spec_.service != ServiceClass::best_effort) {
    delay = spec_.end_to_end - (assembly_.promised - now);
    if (now > assembly_.promised) bump(counters.late);
    raise(counters.worst_delay, delay.count());
    raise(counters.worst_cpu, (now - (assembly_.deadline - spec_.cpu_delay)).count());
  }
  sink_->publish(assembly_.slot, assembly_.length, assembly_.number, now, delay);
  bump(counters.delivered);
  bump(counters.bytes, assembly_.length);
}

void Incoming::give_up(ClipCounters& counters) noexcept {
  sink_->abandon(assembly_.slot);
  bump(counters.lost);
  assembly_.state = Assembly::State::over;
}

void Incoming::abandon(PacketStore& store, ClipCounters& counters) noexcept {
  packets_.clear(store, frames_);
  if (assembly_.state == Assembly::State::building) give_up(counters);
}

}  // namespace rtchan::clips
