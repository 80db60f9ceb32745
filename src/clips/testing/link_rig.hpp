// One link scheduler on a wire that records when each packet's last bit has left, and that can be full.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <vector>

#include "clips/link_scheduler.hpp"

namespace rtchan::clips::testing {

using std::chrono::microseconds;
inline constexpr Instant start{std::chrono::seconds{1}};
inline constexpr std::uint64_t gigabit = 1'000'000'000;
inline constexpr std::uint32_t overhead_bytes = 66;
inline constexpr std::size_t payload = 1472;

// Sends in order at the configured rate; what is in it cannot be taken back.
class Wire final : public link::Driver {
 public:
  struct Sent {
    std::uint32_t id;
    link::TrafficClass cls;
    Duration rem;
    Instant finish;
  };
  Instant now = start;
  Instant free = long_ago;
  Duration idle{};  // between packets
  std::vector<Sent> sent;
  std::vector<std::size_t> bursts;
  std::size_t room[link::traffic_classes] = {SIZE_MAX, SIZE_MAX, SIZE_MAX};  // packets that the device takes before it is full, per class
  bool reports_completion = false;

  std::size_t transmit(link::TrafficClass cls, std::span<const link::TxPacket> packets) override {
    std::size_t n = 0;
    for (const link::TxPacket& p : packets) {
      std::size_t& left = room[static_cast<std::size_t>(cls)];
      if (left == 0) break;
      if (left != SIZE_MAX) --left;
      if (!sent.empty() && now > free) idle += now - free;
      free = std::max(free, now) + Duration{static_cast<std::int64_t>((p.bytes.size() + overhead_bytes) * 8)};
      const auto decoded = wire::decode(p.bytes);
      EXPECT_TRUE(decoded) << "a packet leaves sealed";
      sent.push_back({decoded->header.first_message, cls, decoded->header.rem, free});
      pending_.push_back(free);
      ++n;
    }
    bursts.push_back(n);
    return n;
  }
  std::size_t completed() override {
    std::size_t n = 0;
    while (!pending_.empty() && (!reports_completion || pending_.front() <= now)) pending_.pop_front(), ++n;
    return n;
  }
  std::size_t receive(link::TrafficClass, Instant, std::span<link::RxPacket>) override { return 0; }
  std::size_t payload_bytes() const override { return payload; }
  int fd(link::TrafficClass) const override { return -1; }
  Counters counters() const override { return {}; }

 private:
  std::deque<Instant> pending_;
};

class Nothing final : public Departures {
 public:
  void departed(LinkFlow&, const Packet&, Instant) noexcept override {}
};

inline Duration wire_time(std::size_t packet_bytes) {
  return Duration{static_cast<std::int64_t>((packet_bytes + overhead_bytes) * 8)};
}

class LinkTest : public ::testing::Test {
 protected:
  LinkFlow& flow(Duration horizon = {}, bool best_effort = false) {
    LinkFlow& f = flows.emplace_back();
    f.frames.reserved = 1u << 20;
    f.horizon = horizon;
    f.best_effort = best_effort;
    return f;
  }
  LinkFlow& middle_flow() {
    LinkFlow& f = flow();
    f.middle = true;
    return f;
  }
  // Stages a packet of `bytes`; returns its id.
  std::uint32_t stage(LinkFlow& f, std::size_t bytes, Instant logical, Instant deadline) {
    const Frame frame = store.take(f.frames);
    EXPECT_NE(frame, no_frame);
    const auto packet = store.bytes(frame).first(bytes);
    std::memset(packet.data(), 0, bytes);
    wire::DataHeader header;
    header.type = wire::PacketType::signal;
    header.first_message = next_id;
    if (f.best_effort) header.flags = wire::flag_best_effort;
    if (f.middle) header.flags = wire::flag_middle;
    wire::encode_header(header, packet);
    store[frame] = Packet{};
    store[frame].bytes = static_cast<std::uint32_t>(bytes);
    store[frame].logical = logical;
    store[frame].deadline = f.best_effort ? never : deadline;
    link.stage(f, frame, wire.now);
    return next_id++;
  }
  std::uint32_t best_effort(LinkFlow& f, std::size_t bytes = payload) { return stage(f, bytes, wire.now, never); }
  Instant serve() { return link.serve(wire.now); }
  // Serves at every instant that the scheduler asks for, until `end`.
  void run_until(Instant end) {
    for (Instant due = serve(); due <= end; due = serve()) wire.now = std::max(wire.now, due);
    wire.now = end;
  }
  std::vector<std::uint32_t> order() const {
    std::vector<std::uint32_t> ids;
    for (const auto& s : wire.sent) ids.push_back(s.id);
    return ids;
  }

  static constexpr Duration visit{20'000};  // the worker may come so late
  Wire wire;
  DomainCounters counters;
  Nothing nothing;
  PacketStore store{4096, payload};
  LinkScheduler link{
      LinkConfig{.driver = &wire, .bits_per_second = gigabit, .frame_overhead_bytes = overhead_bytes, .visit = visit}, store, 64,
      nothing, counters};
  std::deque<LinkFlow> flows;
  std::uint32_t next_id = 0;
};

}  // namespace rtchan::clips::testing
