#include "clips/demux.hpp"

#include <algorithm>

#include "clips/counters.hpp"

namespace rtchan::clips {

namespace {

link::TrafficClass class_of(std::uint8_t flags) noexcept {
  if ((flags & wire::flag_best_effort) != 0) return link::TrafficClass::best_effort;
  return (flags & wire::flag_middle) != 0 ? link::TrafficClass::middle : link::TrafficClass::real_time;
}

}  // namespace

Demux::Demux(std::span<const LinkConfig> links, Arrivals& arrivals, DomainCounters& counters)
    : arrivals_(arrivals), counters_(counters) {
  for (const LinkConfig& link : links) drivers_.push_back(link.driver);
}

bool Demux::real_time(Instant now) {
  std::size_t room = limits::input_packets_per_turn;
  bool more = false;
  for (std::uint32_t i = 0; i < drivers_.size() && room > 0; ++i) {
    const auto link = static_cast<std::uint32_t>((first_ + i) % drivers_.size());
    const std::size_t most = room;
    const std::size_t n = receive(link, link::TrafficClass::real_time, most, now);
    room -= n;
    more = more || n == most;
  }
  if (!drivers_.empty()) first_ = static_cast<std::uint32_t>((first_ + 1) % drivers_.size());
  return more;
}

std::size_t Demux::receive(std::uint32_t link, link::TrafficClass cls, std::size_t most, Instant now) {
  const std::size_t n = drivers_[link]->receive(cls, now, std::span(received_).first(most));
  bump(counters_.input_packets, n);
  for (std::size_t i = 0; i < n; ++i) one(link, cls, received_[i], now);
  return n;
}

void Demux::one(std::uint32_t link, link::TrafficClass cls, const link::RxPacket& packet, Instant now) {
  const auto decoded = wire::decode(packet.bytes);
  if (!decoded) return dropped(counters_, packet_drop(decoded.error()));
  // A peer that sends best effort through the real-time queue would have it handled ahead of its budget.
  if (class_of(decoded->header.flags) != cls) return dropped(counters_, PacketDrop::wrong_queue);
  switch (decoded->header.type) {
    case wire::PacketType::messages:
    case wire::PacketType::fragment:
      arrivals_.data_arrived(*decoded, cls, std::min(packet.arrival, now), now);
      return;
    case wire::PacketType::signal:
      if (!signal_allowed(now)) return dropped(counters_, PacketDrop::signal_rate);
      bump(counters_.signals_in);
      arrivals_.signal_arrived(link, packet.from, decoded->body, now);
      return;
    case wire::PacketType::parity:
    case wire::PacketType::resend:
      return dropped(counters_, PacketDrop::bad_type);
  }
}

bool Demux::signal_allowed(Instant now) noexcept {
  constexpr Duration burst = limits::signal_in_period * limits::signals_in_burst;
  const Instant next = std::max(signals_free_, now - burst) + limits::signal_in_period;
  if (next > now) return false;
  signals_free_ = next;
  return true;
}

void BestEffortInput::poll(CpuScheduler& cpu, Instant now) {
  if (packets_ == 0 || task.edf.state != EdfPlace::State::absent) return;
  if (now >= activation_ + period_) {
    activation_ = now;
    left_ = packets_;
    deferred_ = false;
  }
  if (left_ > 0) cpu.place(task, {activation_, activation_, activation_ + delay_}, now);
}

std::uint32_t BestEffortInput::take(link::TrafficClass cls, std::uint32_t& link, std::uint32_t most, Instant now) {
  std::uint32_t taken = 0;
  for (std::size_t looked = 0; looked < demux_.drivers_.size() && taken < most; ++looked) {
    taken += static_cast<std::uint32_t>(demux_.receive(link, cls, most - taken, now));
    if (taken < most) link = static_cast<std::uint32_t>((link + 1) % demux_.drivers_.size());
  }
  return taken;
}

std::uint32_t BestEffortInput::step(CpuScheduler& cpu, Instant now) {
  const std::uint32_t most = std::min(left_, limits::best_effort_packets_per_turn);
  std::uint32_t taken = take(link::TrafficClass::middle, middle_link_, most, now);
  taken += take(link::TrafficClass::best_effort, link_, most - taken, now);
  left_ -= taken;
  if (taken == most && left_ > 0) {
    cpu.place(task, task.edf.urgency, now);
    return taken;
  }
  if (taken == most) {  // more may wait: it has to
    deferred_ = true;
    bump(demux_.counters_.best_effort_deferred);
  }
  cpu.remove(task);
  return taken;
}

}  // namespace rtchan::clips
