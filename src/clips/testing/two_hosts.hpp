// Two domains and a cable between them in virtual time: the world of the clips tests. Time moves from event to
// event (a turn that is due, a packet that arrives), never by a fixed step, so instants are exact.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include "clips/clip.hpp"
#include "clips/domain.hpp"
#include "clips/local_queues.hpp"
#include "link/loopback.hpp"
#include "link/lossy.hpp"

namespace rtchan::clips::testing {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

inline Endpoint address(unsigned host) {
  Endpoint e;
  e.address.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, static_cast<std::uint8_t>(host + 1)};
  e.port = 4000;
  return e;
}

inline constexpr std::uint32_t overhead_bytes = 66;  // IPv4 + UDP + Ethernet + 24

// Bytes that can be told from any other message's.
inline std::vector<std::byte> message_of(std::uint32_t length, std::uint64_t number) {
  std::vector<std::byte> bytes(length);
  std::uint64_t x = number * 0x9e3779b97f4a7c15ULL + 1;
  for (std::byte& b : bytes) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    b = static_cast<std::byte>(x);
  }
  return bytes;
}

class Observer : public DomainObserver {
 public:
  struct Signal {
    Endpoint from;
    std::vector<std::byte> bytes;
    Instant at;
  };
  void signal_received(std::uint32_t, const Endpoint& from, std::span<const std::byte> bytes, Instant now) override {
    signals.push_back({from, {bytes.begin(), bytes.end()}, now});
  }
  void clip_closed(std::unique_ptr<Clip> clip) override {
    closed.push_back(clip->spec.slot);
    if (clip->handed_back) handed_back = std::move(clip);
  }
  void client_violated(ClipSlot slot) override { violated.push_back(slot); }
  void contract_violated(ClipSlot slot, Instant) override { exceeded.push_back(slot); }

  std::vector<Signal> signals;
  std::vector<ClipSlot> closed, violated, exceeded;
  std::unique_ptr<Clip> handed_back;
};

// One channel: its ends at both hosts, and what has come through.
struct Channel {
  ClipSpec sender, receiver;
  std::unique_ptr<LocalQueue> queue;
  std::unique_ptr<LocalMailbox> mailbox;
  std::uint64_t sent = 0;
  struct Delivery {
    std::uint64_t number;
    Instant readable;
    Duration delay;
    bool intact;
  };
  std::vector<Delivery> deliveries;
  bool keep_in_mailbox = false;  // a receiver that does not read
  std::uint32_t length = 0;      // of every message it sends
};

// Tells which channels have something to read: 10,000 need not be asked.
class NotedSink final : public MessageSink {
 public:
  NotedSink(Channel& channel, std::vector<Channel*>& readable)
      : channel_(channel), readable_(readable), sink_(*channel.mailbox) {}
  bool reserve(std::uint32_t length, std::uint32_t& slot) noexcept override { return sink_.reserve(length, slot); }
  void write(std::uint32_t slot, std::uint32_t offset, std::span<const std::byte> bytes) noexcept override {
    sink_.write(slot, offset, bytes);
  }
  void publish(std::uint32_t slot, std::uint32_t length, std::uint64_t number, Instant readable,
               Duration delay) noexcept override {
    sink_.publish(slot, length, number, readable, delay);
    readable_.push_back(&channel_);
  }
  void abandon(std::uint32_t slot) noexcept override { sink_.abandon(slot); }
  bool violated() const noexcept override { return false; }

 private:
  Channel& channel_;
  std::vector<Channel*>& readable_;
  LocalSink sink_;
};

struct ChannelSettings {
  ServiceClass service = ServiceClass::guaranteed;
  Duration period{};
  std::uint32_t burst = 1;
  std::uint32_t bytes = 1000;
  Duration cpu_delay = milliseconds{1};
  Duration link_delay = milliseconds{2};
  Duration receive_delay = milliseconds{1};
  Duration horizon{};
  Policing policing = Policing::shape;
  std::uint32_t slots = 64;
  std::uint32_t packets_per_step = 8;
  std::uint32_t packet_buffers = 64;
  std::unique_ptr<ProtocolStack> sender_stack{};
  std::unique_ptr<ProtocolStack> receiver_stack{};
};

struct HostsSettings {
  std::uint64_t bits_per_second = 100'000'000;
  std::uint64_t cable_bits_per_second = 0;  // 0: the same
  Duration delay = microseconds{10};
  std::uint32_t clips = 64;
  std::uint32_t frames = 8192;
  std::uint32_t best_effort_packets = 16;
  Duration best_effort_period = milliseconds{1};
  std::optional<link::Faults> faults{};  // absent: the bare cable
  std::uint64_t seed = 1;
  std::uint32_t device_packets = 1024;
};

// Sees every packet that a host hands over.
class Tap final : public link::Driver {
 public:
  explicit Tap(link::Driver& inner) : inner_(inner) {}
  std::function<void(link::TrafficClass, const link::TxPacket&)> seen = [](auto, const auto&) {};
  std::size_t transmit(link::TrafficClass cls, std::span<const link::TxPacket> packets) override {
    const std::size_t n = inner_.transmit(cls, packets);
    for (const link::TxPacket& p : packets.first(n)) seen(cls, p);
    return n;
  }
  std::size_t receive(link::TrafficClass cls, Instant now, std::span<link::RxPacket> out) override {
    return inner_.receive(cls, now, out);
  }
  std::size_t completed() override { return inner_.completed(); }
  std::size_t payload_bytes() const override { return inner_.payload_bytes(); }
  int fd(link::TrafficClass cls) const override { return inner_.fd(cls); }
  Counters counters() const override { return inner_.counters(); }

 private:
  link::Driver& inner_;
};

class TwoHosts {
 public:
  explicit TwoHosts(const HostsSettings& settings = {})
      : cable_({{address(0), address(1)},
                settings.cable_bits_per_second != 0 ? settings.cable_bits_per_second : settings.bits_per_second,
                overhead_bytes,
                settings.delay,
                1472,
                settings.device_packets,
                16384,
                1024}),
        lossy_{link::Lossy(cable_.driver(0), settings.faults.value_or(link::Faults{}), settings.seed),
               link::Lossy(cable_.driver(1), settings.faults.value_or(link::Faults{}), settings.seed + 1)},
        tap_{Tap(settings.faults ? static_cast<link::Driver&>(lossy_[0]) : cable_.driver(0)),
             Tap(settings.faults ? static_cast<link::Driver&>(lossy_[1]) : cable_.driver(1))} {
    cable_.advance(now);
    for (unsigned host : {0u, 1u}) {
      counters_[host].resize(settings.clips);
      const LinkConfig link{.driver = &tap_[host],
                            .bits_per_second = settings.bits_per_second,
                            .frame_overhead_bytes = overhead_bytes,
                            .refill_latency = Duration{0}};
      const DomainConfig config{.links = std::span(&link, 1),
                                .clips = settings.clips,
                                .packet_frames = settings.frames,
                                .best_effort_packets = settings.best_effort_packets,
                                .best_effort_period = settings.best_effort_period,
                                .counters = counters_[host]};
      domain_[host] = std::make_unique<Domain>(config, observer[host]);
    }
  }

  // The two ends of a channel, with the next slot; nothing is opened.
  std::unique_ptr<Channel> describe(const ChannelSettings& given) {
    auto channel = std::make_unique<Channel>();
    Channel& c = *channel;
    c.length = given.bytes;
    const ClipSlot slot{next_slot_++};
    c.sender.slot = slot;
    c.sender.role = Role::outgoing;
    c.sender.service = given.service;
    c.sender.contract = {given.period, given.burst, given.bytes};
    c.sender.policing = given.policing;
    c.sender.cpu_delay = given.cpu_delay;
    c.sender.link_delay = given.link_delay;
    c.sender.horizon = given.horizon;
    c.sender.packets_per_step = given.packets_per_step;
    c.sender.packet_buffers = given.packet_buffers;
    c.sender.next_hop = address(1);
    c.sender.next_label = {slot.value, 77 + slot.value};
    c.receiver = c.sender;
    c.receiver.role = Role::incoming;
    c.receiver.contract.period -= given.period / limits::downstream_part;  // as admission has it
    c.receiver.generation = 77 + slot.value;
    c.receiver.cpu_delay = given.receive_delay;
    c.receiver.upstream_rem = given.link_delay + given.horizon;
    c.receiver.upstream_propagation = microseconds{100};
    c.receiver.end_to_end =
        given.cpu_delay + given.link_delay + c.receiver.upstream_propagation + given.receive_delay;
    if (given.service == ServiceClass::best_effort) {
      c.sender.cpu_delay = c.sender.link_delay = c.receiver.cpu_delay = c.receiver.end_to_end = Duration{0};
    }
    return channel;
  }

  Channel& open(ChannelSettings given) {
    auto channel = describe(given);
    Channel& c = *channel;
    c.queue = std::make_unique<LocalQueue>(given.slots, given.bytes);
    c.mailbox = std::make_unique<LocalMailbox>(given.slots, given.bytes);
    domain_[1]->open(make_clip(c.receiver, nullptr, std::make_unique<NotedSink>(c, readable_),
                               std::move(given.receiver_stack)), now);
    domain_[0]->open(make_clip(c.sender, std::make_unique<LocalSource>(*c.queue), nullptr,
                               std::move(given.sender_stack)), now);
    channels.push_back(std::move(channel));
    return c;
  }

  // The clips of both ends, which were handed back, are followed by others with the same queues.
  void take_over(Channel& c) {
    const std::unique_ptr<Clip> sent = std::move(observer[0].handed_back), received = std::move(observer[1].handed_back);
    for (ClipSpec* spec : {&c.sender, &c.receiver}) spec->takes_over = true, ++spec->generation;
    c.sender.next_label.generation = c.receiver.generation;
    c.sender.first_message = sent->outgoing->next_message();
    c.receiver.first_message = received->incoming->next_message();
    auto in = make_clip(c.receiver, nullptr, received->incoming->hand_over());
    auto out = make_clip(c.sender, sent->outgoing->hand_over(), nullptr);
    in->counted = received->counted;
    out->counted = sent->counted;
    domain_[1]->open(std::move(in), now);
    domain_[0]->open(std::move(out), now);
    domain_[0]->connect(c.sender.slot, c.sender.next_hop, c.sender.next_label, now);
    due_[0] = due_[1] = now;
  }

  // Publishes messages of the channel's largest size; returns how many there was room for.
  std::uint32_t send(Channel& c, std::uint32_t count = 1) {
    std::uint32_t n = 0;
    for (; n < count && c.queue->room() > 0; ++n, ++c.sent) {
      if (!c.queue->send(message_of(c.length, c.sent), now)) break;
    }
    if (away(0)) return n;
    if (n > 0) domain_[0]->sighted(c.sender.slot, now == away_until_[0] ? back_since_ : now, now);
    due_[0] = now;
    return n;
  }
  // The worker of `host` is taken away until `end`. It knows how late it is but for `patience`.
  void take_away(unsigned host, Instant end, Duration patience = microseconds{300}) {
    away_until_[host] = end;
    back_since_ = std::min(now + patience, end);
    jobs_.push_back({end, seconds{1}, 1, [this, host] {
      for (auto& c : channels) {
        if (host == 0) domain_[0]->sighted(c->sender.slot, back_since_, now);
      }
      due_[host] = now;
    }});
  }
  // The host was given something to do from outside.
  void poke(unsigned host) { due_[host] = now; }
  // Both ends have gone: the channel's slot may be opened again.
  void reuse_slot(const Channel& c) { next_slot_ = c.sender.slot.value; }
  // Does something now and every `period` from then on, `times` times.
  void every(Duration period, std::function<void()> action, std::uint64_t times = UINT64_MAX) {
    jobs_.push_back({now, period, times, std::move(action)});
  }

  void run_until(Instant end) {
    for (;;) {
      run_jobs();
      step();
      const Instant next = next_event();
      if (next > end) break;
      now = std::max(now, next);
      cable_.advance(now);
    }
    now = end;
    cable_.advance(now);
  }
  void run_for(Duration time) { run_until(now + time); }

  ClipCounters& sent_counters(const Channel& c) { return counters_[0][c.sender.slot.value]; }
  ClipCounters& received_counters(const Channel& c) { return counters_[1][c.receiver.slot.value]; }
  [[nodiscard]] std::uint64_t dropped(unsigned host, PacketDrop reason) {
    return domain_[host]->counters().dropped[std::to_underlying(reason)];
  }
  Domain& domain(unsigned host) { return *domain_[host]; }
  Tap& tap(unsigned host) { return tap_[host]; }
  link::Lossy& lossy(unsigned host) { return lossy_[host]; }
  link::Driver& wire(unsigned host) { return cable_.driver(host); }

  Instant now = Instant{seconds{1}};
  std::array<Observer, 2> observer;
  std::vector<std::unique_ptr<Channel>> channels;
  std::uint64_t turns = 0;

 private:
  struct Job {
    Instant at;
    Duration period;
    std::uint64_t left;
    std::function<void()> action;
  };

  void run_jobs() {
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
      while (jobs_[i].left > 0 && jobs_[i].at <= now) {
        --jobs_[i].left;
        jobs_[i].at += jobs_[i].period;
        jobs_[i].action();
      }
    }
  }

  [[nodiscard]] bool away(unsigned host) const { return now < away_until_[host]; }

  // Both hosts turn until neither has anything to do at this instant.
  void step() {
    for (unsigned host : {0u, 1u}) {
      if (away(host)) {
        due_[host] = away_until_[host];
        continue;
      }
      int spins = 0;
      do {
        due_[host] = domain_[host]->turn(now);
        ++turns;
        if (++spins > 100'000) throw std::runtime_error("a domain never comes to rest");
      } while (due_[host] <= now);
    }
    for (Channel* c : readable_) read(*c);
    readable_.clear();
  }

  void read(Channel& c) {
    while (!c.keep_in_mailbox && !c.mailbox->empty()) {
      const LocalMailbox::Message m = c.mailbox->receive();
      const auto bytes = c.mailbox->bytes(m);
      const auto wanted = message_of(c.length, m.number);
      c.deliveries.push_back({m.number, m.readable, m.delay, std::ranges::equal(bytes, wanted)});
      c.mailbox->release(m);
    }
  }

  [[nodiscard]] Instant next_event() const {
    Instant next = std::min({cable_.next_event(), due_[0], due_[1]});
    for (const link::Lossy& l : lossy_) {
      if (l.next_event() > now) next = std::min(next, l.next_event());  // else it waits for its receiver
    }
    for (const Job& job : jobs_) {
      if (job.left > 0) next = std::min(next, job.at);
    }
    return next;
  }

  link::Cable cable_;
  std::array<link::Lossy, 2> lossy_;
  std::array<Tap, 2> tap_;
  std::array<std::vector<ClipCounters>, 2> counters_;
  std::array<std::unique_ptr<Domain>, 2> domain_;
  std::array<Instant, 2> due_{never, never};
  std::array<Instant, 2> away_until_{long_ago, long_ago};
  Instant back_since_{};
  std::vector<Job> jobs_;
  std::vector<Channel*> readable_;
  std::uint32_t next_slot_ = 0;
};

}  // namespace rtchan::clips::testing
