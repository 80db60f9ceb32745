#include "clips/packet_arrivals.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "clips/counters.hpp"

namespace rtchan::clips {

Extent extent_of(const wire::DataPacket& packet) noexcept {
  const auto bytes = static_cast<std::uint32_t>(packet.body.size());
  if (packet.header.type == wire::PacketType::fragment) return {1, packet.header.message_length, bytes};
  Extent e;
  wire::RecordReader records(packet.body);
  for (std::span<const std::byte> message; records.next(message); ++e.messages) {
    const auto length = static_cast<std::uint32_t>(message.size());
    e.longest = std::max(e.longest, length);
    e.bytes += length;
  }
  return e;
}

PacketArrivals::PacketArrivals(const ClipSpec& spec)
    : period_(spec.contract.period),
      upstream_rem_(spec.upstream_rem),
      upstream_propagation_(spec.upstream_propagation),
      early_(spec.upstream_rem + spec.upstream_propagation + limits::host_pause),
      packets_most_(spec.packets_per_message),
      bytes_most_(spec.contract.message_bytes),
      newest_(spec.first_message),
      counts_on_(spec.role == Role::forward) {}

bool PacketArrivals::repeated(std::uint32_t number, ClipCounters& counters) noexcept {
  const auto ahead = static_cast<std::int32_t>(number - next_packet_);
  if (ahead >= 0) {
    bump(counters.packets_missing, static_cast<std::uint32_t>(ahead));
    packets_seen_ = ahead < 63 ? (packets_seen_ << (ahead + 1)) | 1 : 1;
    next_packet_ = number + 1;
    return false;
  }
  if (ahead < -64) return false;
  const std::uint64_t bit = std::uint64_t{1} << (-ahead - 1);
  const bool seen = (packets_seen_ & bit) != 0;
  if (!seen) bump(counters.packets_missing, std::uint64_t(-1));  // minus one
  packets_seen_ |= bit;
  return seen;
}

bool PacketArrivals::within_budget(std::uint64_t message, const Extent& extent) noexcept {
  if (message != budget_of_) {
    budget_of_ = message;
    packets_ = 0;
    bytes_ = 0;
  }
  if (packets_most_ == 0) return true;
  // Several messages in one packet have a budget each, and are dated as far apart as the contract says.
  const std::uint64_t messages = std::max(extent.messages, 1u);
  if (packets_ >= packets_most_ || bytes_ + extent.bytes > bytes_most_ * messages) return false;
  ++packets_;
  bytes_ += extent.bytes;
  return true;
}

PacketArrivals::Dated PacketArrivals::date(std::uint64_t message, std::uint32_t messages, Duration rem, Instant arrival,
                                           ClipCounters& counters) noexcept {
  const Instant due = arrival + std::min(rem, upstream_rem_);
  const Instant here = std::max(due, arrival);
  if (message > newest_ || !begun_) {
    begun_ = true;
    lambda_before_ = lambda_;
    newest_ = message;
    const Duration excess = lambda_before_ + period_ - here;
    if (excess > upstream_rem_ + upstream_propagation_) bump(counters.unpoliced);
  }
  lambda_ = std::max({here, lambda_, lambda_before_ + period_});
  if (messages > 1) {  // whole messages in one packet: the last of them arrives logically (messages-1)*T later
    lambda_ += period_ * static_cast<std::int64_t>(messages - 1);
    newest_ += messages - 1;
  }
  return {lambda_, due};
}

}  // namespace rtchan::clips
