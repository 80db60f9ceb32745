#include "link/lossy.hpp"

#include <algorithm>
#include <array>

namespace rtchan::link {

namespace {
constexpr std::size_t datagram_bytes = 65'536;
constexpr std::size_t batch_packets = 32;

std::size_t index(TrafficClass cls) {
  return static_cast<std::size_t>(cls);
}
}  // namespace

Lossy::Lossy(Driver& inner, const Faults& faults, std::uint64_t seed, std::uint32_t frames)
    : inner_(inner),
      faults_(faults),
      random_(seed),
      frames_(frames, std::min(inner.payload_bytes() + 64, datagram_bytes)),
      waiting_{Heap<Instant, Held>(frames), Heap<Instant, Held>(frames), Heap<Instant, Held>(frames)} {
  for (auto& lent : lent_) lent.reserve(frames);
}

bool Lossy::chance(double probability) {
  // 53 random bits as a fraction: the same on every machine, unlike std's distributions.
  const double drawn = static_cast<double>(random_() >> 11) * 0x1p-53;
  return drawn < probability;
}

std::size_t Lossy::receive(TrafficClass cls, Instant now, std::span<RxPacket> out) {
  auto& lent = lent_[index(cls)];
  for (const std::uint32_t frame : lent) frames_.give(frame);
  lent.clear();
  take_in(cls, now);
  auto& waiting = waiting_[index(cls)];
  std::size_t n = 0;
  while (n < out.size() && !waiting.empty() && waiting.top_key() <= now) {
    const Instant arrival = waiting.top_key();
    const Held held = waiting.pop();
    const std::span<const std::byte> frame = frames_.bytes(held.frame);
    out[n++] = RxPacket{held.from, frame.first(held.length), arrival, held.stamped};
    lent.push_back(held.frame);
  }
  tally_.passed += n;
  return n;
}

void Lossy::take_in(TrafficClass cls, Instant now) {
  std::array<RxPacket, batch_packets> batch;
  std::size_t n = 0;
  do {
    n = inner_.receive(cls, now, batch);
    for (std::size_t i = 0; i < n; ++i) disturb(cls, batch[i]);
  } while (n == batch.size());
}

void Lossy::disturb(TrafficClass cls, const RxPacket& packet) {
  if (faults_.blackout || chance(faults_.loss)) {
    ++tally_.lost;
    return;
  }
  const bool damage = chance(faults_.corruption);
  const bool doubled = chance(faults_.duplication);
  if (doubled) ++tally_.duplicated;
  if (damage) ++tally_.corrupted;
  for (std::uint32_t copy = 0; copy <= (doubled ? faults_.copies : 0); ++copy) keep(cls, packet, damage);
}

void Lossy::keep(TrafficClass cls, const RxPacket& packet, bool damage) {
  Held held{0, packet.bytes.size(), packet.from, packet.stamped};
  Instant ready = packet.arrival;
  if (chance(faults_.holding) && faults_.hold_max > Duration{0}) {
    ready +=
        Duration{static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(faults_.hold_max.count()))};
    ++tally_.held;
  }
  const auto frame = packet.bytes.size() <= frames_.frame_bytes() ? frames_.take() : std::nullopt;
  if (!frame) {
    ++tally_.overflowed;
    return;
  }
  held.frame = *frame;
  const auto bytes = frames_.bytes(*frame);
  std::copy(packet.bytes.begin(), packet.bytes.end(), bytes.begin());
  if (damage && held.length > 0) {
    const std::uint64_t first = random_() % (held.length * 8);
    for (std::uint64_t flips = 1 + random_() % 3; flips > 0;
         --flips) {  // neighbours, so that none cancels another
      const std::uint64_t bit = (first + flips) % (held.length * 8);
      bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    }
  }
  waiting_[index(cls)].push(ready, held);  // as many places as frames: there is one
}

Instant Lossy::next_event() const {
  Instant next = never;
  for (const auto& waiting : waiting_) {
    if (!waiting.empty()) next = std::min(next, waiting.top_key());
  }
  return next;
}

}  // namespace rtchan::link
