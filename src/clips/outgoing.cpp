#include "clips/outgoing.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "clips/counters.hpp"
#include "clips/link_scheduler.hpp"
#include "clips/packet_store.hpp"
#include "wire/data_packet.hpp"

namespace rtchan::clips {

Outgoing::Outgoing(const ClipSpec& spec, std::unique_ptr<MessageSource> source, ProtocolStack* stack)
    : spec_(spec),
      source_(std::move(source)),
      stack_(stack),
      arrivals_(spec.contract, spec.policing, source_->capacity()),
      ahead_(std::max(Duration{0}, spec.horizon - spec.cpu_delay)),
      next_message_(spec.first_message),
      gathered_(spec.takes_over) {}

bool Outgoing::sight(Instant since, Instant now, ClipCounters& counters) noexcept {
  const bool gathered = std::exchange(gathered_, false);
  const std::uint32_t published = std::min(source_->waiting(), source_->capacity());
  const std::uint32_t known = arrivals_.waiting();
  if (published <= known) return false;
  const LogicalArrivals::Sighting seen = arrivals_.sight(published - known, since, now);
  const bool shaping = spec_.policing == Policing::shape;
  bump(counters.accepted, shaping ? published - known : seen.conforming);
  if (seen.exceeding > 0 && shaping) bump(counters.shaped, seen.exceeding);
  if (seen.quiet) exceeding_ = false;
  return seen.exceeding > 0 && !std::exchange(exceeding_, true) && !gathered;
}

Instant Outgoing::eligible(Instant logical) const noexcept { return logical - ahead_; }

std::optional<Urgency> Outgoing::urgency() const noexcept {
  if (blocked_ || idle()) return std::nullopt;
  const Instant logical = in_work_ ? in_work_->logical : arrivals_.front();
  if (spec_.service == ServiceClass::best_effort) return Urgency{logical, never, never};
  return Urgency{eligible(logical), logical, logical + spec_.cpu_delay};
}

std::uint32_t Outgoing::step(Instant now, LinkFlow& flow, LinkScheduler& link, PacketStore& store,
                             ClipCounters& counters) noexcept {
  const bool best_effort = spec_.service == ServiceClass::best_effort;
  std::uint32_t packets = 0;
  while (packets < spec_.packets_per_step) {
    if (!in_work_) {
      if (arrivals_.empty() || eligible(arrivals_.front()) > now) break;  // no budget before the next period
      if (arrivals_.front_refused()) {
        refuse(counters);
        ++packets;
        continue;
      }
      if (!begin(now, packet_bytes(link), counters)) break;
    }
    const Frame frame = store.take(flow.frames);
    if (frame == no_frame) {
      blocked_ = true;
      break;
    }
    Packet& packet = store[frame];
    packet.bytes = write_packet(store.bytes(frame));
    packet.to = spec_.next_hop;
    packet.message_logical = in_work_->logical;
    packet.logical = in_work_->logical + spec_.cpu_delay;
    packet.deadline = best_effort ? never : packet.logical + spec_.link_delay;
    packet.message_bytes = 0;
    packet.messages = 1;
    packet.late = Duration{0};
    ++packets;
    if (in_work_->done_bytes == in_work_->ref.length) {
      packet.message_bytes = in_work_->ref.length;
      if (stack_ != nullptr) stack_->complete(in_work_->number, in_work_->ref.length);
      source_->release(in_work_->ref);
      raise(counters.worst_cpu, (now - in_work_->logical).count());
      in_work_.reset();
    }
    link.stage(flow, frame, now);
  }
  return packets;
}

// So that every packet fits every link of the route: routers pass packets on as they are.
std::size_t Outgoing::packet_bytes(const LinkScheduler& link) const noexcept {
  return spec_.packet_bytes == 0 ? link.packet_bytes() : std::min<std::size_t>(spec_.packet_bytes, link.packet_bytes());
}

bool Outgoing::begin(Instant, std::size_t packet_bytes, ClipCounters&) noexcept {
  MessageRef ref;
  if (!source_->take(ref) || ref.length == 0) {  // less than it had published: the source is broken or hostile
    arrivals_.clear();
    return false;
  }
  InWork& work = in_work_.emplace(InWork{});
  work.ref = ref;
  work.logical = arrivals_.front();
  work.number = next_message_++;
  arrivals_.pop();
  const std::size_t alone = wire::header_bytes + wire::record_bytes + ref.length + wire::trailer_bytes;
  if (alone > packet_bytes) {
    work.fragment_bytes = static_cast<std::uint32_t>(packet_bytes - wire::fragment_overhead_bytes);
  }
  return true;
}

void Outgoing::refuse(ClipCounters& counters) noexcept {
  MessageRef ref;
  if (!source_->take(ref)) {
    arrivals_.clear();
    return;
  }
  source_->release(ref);
  arrivals_.pop();
  bump(counters.refused);
}

// The next packet of the message in work. Several small messages could share a packet here: records of a
// `messages` packet are as they would be then, only that there is one.
std::uint32_t Outgoing::write_packet(std::span<std::byte> frame) noexcept {
  InWork& work = *in_work_;
  wire::DataHeader header;
  header.flags = wire::class_flag(spec_.service);
  header.label = spec_.next_label;
  header.packet_number = next_packet_++;
  header.first_message = static_cast<std::uint32_t>(work.number);
  std::size_t body = wire::header_bytes;
  std::uint32_t length = work.ref.length;
  if (work.fragment_bytes == 0) {
    header.type = wire::PacketType::messages;
    frame[body] = static_cast<std::byte>(length >> 8);
    frame[body + 1] = static_cast<std::byte>(length);
    body += wire::record_bytes;
  } else {
    header.type = wire::PacketType::fragment;
    header.offset = work.done_bytes;
    header.message_length = work.ref.length;
    body += wire::fragment_bytes;
    length = std::min(work.fragment_bytes, work.ref.length - work.done_bytes);
  }
  const std::span<std::byte> packet = frame.first(body + length + wire::trailer_bytes);
  wire::encode_header(header, packet);
  return write_body(packet, body, length);
}

std::uint32_t Outgoing::write_body(std::span<std::byte> packet, std::size_t at, std::uint32_t length) noexcept {
  InWork& work = *in_work_;
  const std::span<std::byte> body = packet.subspan(at, length);
  source_->read(work.ref, work.done_bytes, body);
  if (stack_ != nullptr) stack_->outgoing({work.number, work.done_bytes, work.ref.length}, body);
  work.done_bytes += length;
  return static_cast<std::uint32_t>(packet.size());
}

void Outgoing::finish(ClipCounters& counters) noexcept {
  std::uint64_t left = 0;  // counted again by whoever sights them again
  for (; !arrivals_.empty(); arrivals_.pop()) left += arrivals_.front_refused() ? 0 : 1;
  bump(counters.accepted, std::uint64_t{0} - left);
}

bool Outgoing::unblock() noexcept { return std::exchange(blocked_, false); }

void Outgoing::connect(const Endpoint& next_hop, Label next_label) noexcept {
  spec_.next_hop = next_hop;
  spec_.next_label = next_label;
}

}  // namespace rtchan::clips
