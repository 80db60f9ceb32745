#include "link/loopback.hpp"

#include <algorithm>
#include <cassert>
#include <utility>
#include <vector>

#include "base/fifo.hpp"
#include "base/pool.hpp"

namespace rtchan::link {

// A side's transmit direction: packets stay in `wire_` from hand-over until they reach the peer's queues.
class Cable::Side final : public Driver {
 public:
  Side(const CableConfig& config, unsigned side)
      : config_(config),
        self_(config.ends[side]),
        frames_(config.frames, config.payload_bytes),
        wire_(config.frames),
        queues_{Queue(config.receive_packets), Queue(config.receive_packets), Queue(config.receive_packets)} {}

  void connect(Side& peer) { peer_ = &peer; }

  std::size_t transmit(TrafficClass cls, std::span<const TxPacket> packets) override;
  std::size_t receive(TrafficClass cls, Instant now, std::span<RxPacket> out) override;
  std::size_t completed() override { return std::exchange(completed_, 0); }
  std::size_t payload_bytes() const override { return config_.payload_bytes; }
  int fd(TrafficClass) const override { return -1; }
  Counters counters() const override { return counters_; }

  void advance(Instant now);
  Instant next_event() const;

 private:
  struct Flight {
    std::uint32_t frame;
    std::size_t length;
    TrafficClass cls;
    Instant on_wire;  // last bit has left
    Instant arrival;
  };
  struct Queue {
    explicit Queue(std::size_t capacity) : waiting(capacity) { lent.reserve(capacity); }
    Fifo<Flight> waiting;
    std::vector<std::uint32_t> lent;  // returned by the last receive(); frames of the peer's pool
  };

  Duration wire_time(std::size_t payload) const;
  void arrived(const Flight& flight);

  CableConfig config_;
  Endpoint self_;
  Side* peer_ = nullptr;
  Pool frames_;  // what this side has sent
  Fifo<Flight> wire_;
  std::size_t not_yet_sent_ = 0;  // of wire_: still in the device; always its last ones
  std::size_t completed_ = 0;
  Instant now_ = long_ago;
  Instant wire_free_ = long_ago;
  std::array<Queue, traffic_classes> queues_;
  Counters counters_;
};

Duration Cable::Side::wire_time(std::size_t payload) const {
  if (config_.bits_per_second == 0) return Duration{0};
  const std::uint64_t bits = (payload + config_.frame_overhead_bytes) * 8;
  return Duration{static_cast<std::int64_t>((bits * 1'000'000'000 + config_.bits_per_second - 1) /
                                            config_.bits_per_second)};
}

std::size_t Cable::Side::transmit(TrafficClass cls, std::span<const TxPacket> packets) {
  std::size_t taken = 0;
  for (const TxPacket& packet : packets) {
    if (packet.bytes.size() > config_.payload_bytes) {
      ++counters_.oversized;
    } else if (*packet.to != peer_->self_) {
      ++counters_.send_errors;
    } else {
      const auto frame = not_yet_sent_ < config_.device_packets ? frames_.take() : std::nullopt;
      if (!frame) {
        ++counters_.device_full;
        break;
      }
      std::copy(packet.bytes.begin(), packet.bytes.end(), frames_.bytes(*frame).begin());
      wire_free_ = std::max(wire_free_, now_) + wire_time(packet.bytes.size());
      wire_.push({*frame, packet.bytes.size(), cls, wire_free_, wire_free_ + config_.delay});
      ++not_yet_sent_;
      ++counters_.sent;
      counters_.sent_bytes += packet.bytes.size();
    }
    ++taken;
  }
  advance(now_);  // on an unlimited wire it has already left
  return taken;
}

void Cable::Side::advance(Instant now) {
  assert(now >= now_);
  now_ = now;
  while (not_yet_sent_ > 0 && wire_[wire_.size() - not_yet_sent_].on_wire <= now) {
    --not_yet_sent_;
    ++completed_;
  }
  while (!wire_.empty() && wire_.front().arrival <= now) {
    peer_->arrived(wire_.pop());
  }
}

Instant Cable::Side::next_event() const {
  Instant next = never;
  if (!wire_.empty()) next = wire_.front().arrival;
  if (not_yet_sent_ > 0) next = std::min(next, wire_[wire_.size() - not_yet_sent_].on_wire);
  return next;
}

void Cable::Side::arrived(const Flight& flight) {
  Queue& queue = queues_[static_cast<std::size_t>(flight.cls)];
  if (queue.waiting.push(flight)) return;
  peer_->frames_.give(flight.frame);
  ++counters_.kernel_drops[static_cast<std::size_t>(flight.cls)];
}

std::size_t Cable::Side::receive(TrafficClass cls, Instant now, std::span<RxPacket> out) {
  Queue& queue = queues_[static_cast<std::size_t>(cls)];
  for (const std::uint32_t frame : queue.lent) peer_->frames_.give(frame);
  queue.lent.clear();
  std::size_t n = 0;
  while (n < out.size() && !queue.waiting.empty() && queue.waiting.front().arrival <= now) {
    const Flight flight = queue.waiting.pop();
    const std::span<const std::byte> frame = peer_->frames_.bytes(flight.frame);
    out[n++] = RxPacket{peer_->self_, frame.first(flight.length), flight.arrival, true};
    queue.lent.push_back(flight.frame);
  }
  counters_.received += n;
  return n;
}

Cable::Cable(const CableConfig& config)
    : sides_{std::make_unique<Side>(config, 0), std::make_unique<Side>(config, 1)} {
  assert(config.ends[0] != config.ends[1]);
  sides_[0]->connect(*sides_[1]);
  sides_[1]->connect(*sides_[0]);
}

Cable::~Cable() = default;

Driver& Cable::driver(unsigned side) {
  return *sides_.at(side);
}

void Cable::advance(Instant now) {
  for (const auto& side : sides_) side->advance(now);
}

Instant Cable::next_event() const {
  return std::min(sides_[0]->next_event(), sides_[1]->next_event());
}

}  // namespace rtchan::link
