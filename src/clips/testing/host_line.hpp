// Hosts in a line in virtual time: the first sends, the last receives, those between forward. Every wire may
// delay what it carries at random, in order, as queues of switches do; every host may send best effort to its
// neighbour.
#pragma once

#include <deque>
#include <map>
#include <random>

#include "clips/testing/two_hosts.hpp"

namespace rtchan::clips::testing {

// Delays what the inner driver receives by up to `most`, never reordering it.
class Jittery final : public link::Driver {
 public:
  Jittery(link::Driver& inner, Duration most, std::uint64_t seed)
      : inner_(inner), most_(most), random_(seed) {}
  std::function<void(const link::TxPacket&, link::TrafficClass)> seen = [](const auto&, auto) {
  };                                                   // what is sent
  std::function<bool()> loses = [] { return false; };  // what is received

  std::size_t transmit(link::TrafficClass cls, std::span<const link::TxPacket> packets) override {
    const std::size_t n = inner_.transmit(cls, packets);
    for (const link::TxPacket& p : packets.first(n)) seen(p, cls);
    return n;
  }
  std::size_t receive(link::TrafficClass cls, Instant now, std::span<link::RxPacket> out) override {
    auto& queue = waiting_[static_cast<std::size_t>(cls)];
    link::RxPacket in[16];
    for (std::size_t n = 1; n > 0;) {
      n = inner_.receive(cls, now, in);
      for (std::size_t i = 0; i < n; ++i) {
        if (loses()) continue;
        const Duration delay =
            most_ > Duration{0}
                ? Duration{static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(most_.count()))}
                : most_;
        const Instant at = std::max(queue.empty() ? long_ago : queue.back().at, in[i].arrival + delay);
        queue.push_back({{in[i].bytes.begin(), in[i].bytes.end()}, in[i].from, at});
      }
    }
    std::size_t n = 0;
    lent_.clear();
    while (n < out.size() && !queue.empty() && queue.front().at <= now) {
      lent_.push_back(std::move(queue.front()));
      queue.pop_front();
      out[n++] = {lent_.back().from, lent_.back().bytes, lent_.back().at, true};
    }
    return n;
  }
  [[nodiscard]] Instant next_event(Instant now) const {
    Instant next = never;
    for (const auto& queue : waiting_) {
      if (!queue.empty() && queue.front().at > now) next = std::min(next, queue.front().at);
    }
    return next;
  }
  std::size_t completed() override { return inner_.completed(); }
  std::size_t payload_bytes() const override { return inner_.payload_bytes(); }
  int fd(link::TrafficClass cls) const override { return inner_.fd(cls); }
  Counters counters() const override { return inner_.counters(); }

 private:
  struct Held {
    std::vector<std::byte> bytes;
    Endpoint from;
    Instant at;
  };
  link::Driver& inner_;
  Duration most_;
  std::mt19937_64 random_;
  std::array<std::deque<Held>, 2> waiting_;
  std::deque<Held> lent_;
};

struct LineSettings {
  unsigned hosts = 4;
  std::uint64_t bits_per_second = 100'000'000;
  Duration delay = microseconds{10};
  Duration jitter{};
  std::uint32_t clips = 32;
  std::uint32_t frames = 16384;
  std::uint64_t seed = 1;
};

// What one sending host on the way (source or router) was given.
struct Hop {
  Duration cpu{};
  Duration link{};
  Duration horizon{};
  std::uint32_t packet_buffers = 0;  // 0: what the bound says
};

struct LineRequest {
  ServiceClass service = ServiceClass::guaranteed;
  Duration period{};
  std::uint32_t burst = 1;
  std::uint32_t bytes = 1000;
  std::vector<Hop> hops{};  // of the hosts `first`, `first` + 1, ...
  Duration receive_delay = milliseconds{1};
  unsigned first = 0;
  std::uint32_t slots = 96;
};

class HostLine {
 public:
  static constexpr std::uint32_t payload = 1472;
  static constexpr auto full = static_cast<std::uint32_t>(payload - wire::fragment_overhead_bytes);

  explicit HostLine(const LineSettings& settings) : settings_(settings) {
    for (unsigned i = 0; i + 1 < settings.hosts; ++i) {
      cables_.push_back(
          std::make_unique<link::Cable>(link::CableConfig{.ends = {end(i, 0), end(i, 1)},
                                                          .bits_per_second = settings.bits_per_second,
                                                          .frame_overhead_bytes = overhead_bytes,
                                                          .delay = settings.delay,
                                                          .payload_bytes = payload,
                                                          .device_packets = 1024,
                                                          .frames = 16384,
                                                          .receive_packets = 8192}));
      cables_.back()->advance(now);
      for (unsigned side : {0u, 1u}) {
        drivers_.push_back(std::make_unique<Jittery>(cables_.back()->driver(side), settings.jitter,
                                                     settings.seed * 100 + i * 2 + side));
      }
    }
    counters_.resize(settings.hosts);
    due_.resize(settings.hosts, never);
    away_until_.resize(settings.hosts, long_ago);
    next_slot_.resize(settings.hosts);
    observers = std::vector<Observer>(settings.hosts);
    for (unsigned h = 0; h < settings.hosts; ++h) {
      std::vector<LinkConfig> links;
      for (const unsigned driver : drivers_of(h)) {
        links.push_back({.driver = drivers_[driver].get(),
                         .bits_per_second = settings.bits_per_second,
                         .frame_overhead_bytes = overhead_bytes,
                         .refill_latency = Duration{0}});
      }
      counters_[h].resize(settings.clips);
      domains_.push_back(std::make_unique<Domain>(DomainConfig{.links = links,
                                                               .clips = settings.clips,
                                                               .packet_frames = settings.frames,
                                                               .best_effort_packets = 64,
                                                               .best_effort_period = milliseconds{1},
                                                               .counters = counters_[h]},
                                                  observers[h]));
    }
  }

  // The sender's index of its link to the next host.
  static std::uint32_t right(unsigned host) { return host == 0 ? 0 : 1; }
  [[nodiscard]] Duration transit() const { return settings_.delay + settings_.jitter; }
  static std::uint32_t packets(std::uint32_t bytes) { return (bytes - 1) / full + 1; }

  Channel& open(const LineRequest& r) {
    auto owned = std::make_unique<Channel>();
    Channel& c = *owned;
    c.length = r.bytes;
    c.queue = std::make_unique<LocalQueue>(r.slots, r.bytes);
    c.mailbox = std::make_unique<LocalMailbox>(r.slots, r.bytes);
    const auto count = static_cast<unsigned>(r.hops.size());
    std::vector<ClipSpec> specs(count + 1);
    for (unsigned k = 0; k <= count; ++k) {
      ClipSpec& s = specs[k];
      s.slot = ClipSlot{next_slot_[r.first + k]++};
      s.generation = 100 * k + s.slot.value;
      s.role = k == 0 ? Role::outgoing : k == count ? Role::incoming : Role::forward;
      s.service = r.service;
      s.contract = {r.period, r.burst, r.bytes};
      if (k > 0) s.contract.period -= r.period / limits::downstream_part;
      s.packets_per_message = r.service == ServiceClass::guaranteed ? packets(r.bytes) : 0;
      s.cpu_delay = k < count ? r.hops[k].cpu : r.receive_delay;
      if (k < count) {
        s.link = right(r.first + k);
        s.link_delay = r.hops[k].link;
        s.horizon = r.hops[k].horizon;
      }
      if (k > 0) {
        s.upstream_rem = r.hops[k - 1].link + r.hops[k - 1].horizon;
        s.upstream_propagation = transit();
      }
      s.packet_buffers = 512;
      if (k > 0 && k < count && r.period > Duration{0}) {
        s.packet_buffers = r.hops[k].packet_buffers;
        if (s.packet_buffers == 0) s.packet_buffers = bound(s) * packets(r.bytes);
      }
    }
    for (unsigned k = 0; k < count; ++k) {
      specs[k].next_hop = end(r.first + k, 1);
      specs[k].next_label = {specs[k + 1].slot.value, specs[k + 1].generation};
      specs[k + 1].end_to_end = specs[k].end_to_end + specs[k].cpu_delay + specs[k].link_delay + transit();
    }
    specs[count].end_to_end += r.receive_delay;
    for (unsigned k = count + 1; k-- > 0;) {
      auto source = k == 0 ? std::make_unique<LocalSource>(*c.queue) : nullptr;
      auto sink = k == count ? std::make_unique<NotedSink>(c, readable_) : nullptr;
      domains_[r.first + k]->open(make_clip(specs[k], std::move(source), std::move(sink)), now);
    }
    c.sender = specs.front();
    c.receiver = specs.back();
    on_way_[&c] = {r.first, specs};
    channels.push_back(std::move(owned));
    return c;
  }

  std::uint32_t send(Channel& c, std::uint32_t count = 1) {
    std::uint32_t n = 0;
    for (; n < count && c.queue->room() > 0; ++n, ++c.sent) {
      if (!c.queue->send(message_of(c.length, c.sent), now)) break;
    }
    const unsigned first = on_way_[&c].first;
    if (n > 0) domains_[first]->sighted(c.sender.slot, now);
    due_[first] = now;
    return n;
  }
  void every(Duration period, std::function<void()> action, std::uint64_t times = UINT64_MAX) {
    jobs_.push_back({now, period, times, std::move(action)});
  }
  void take_away(unsigned host, Instant end) { away_until_[host] = end; }

  void run_until(Instant stop) {
    for (;;) {
      for (std::size_t i = 0; i < jobs_.size(); ++i) {
        while (jobs_[i].left > 0 && jobs_[i].at <= now) {
          --jobs_[i].left;
          jobs_[i].at += jobs_[i].period;
          jobs_[i].action();
        }
      }
      step();
      const Instant next = next_event();
      if (next > stop) break;
      move_to(std::max(now, next));
    }
    move_to(stop);
  }
  void run_for(Duration time) { run_until(now + time); }

  // Of the channel at the host that is `k` after its first.
  ClipCounters& counters(const Channel& c, unsigned k) {
    const Way& way = on_way_.at(&c);
    return counters_[way.first + k][way.specs[k].slot.value];
  }
  const ClipSpec& spec(const Channel& c, unsigned k) { return on_way_.at(&c).specs[k]; }
  Domain& domain(unsigned host) { return *domains_[host]; }
  // Left (0) and right (1) end of the wire between host i and i + 1.
  Jittery& wire(unsigned i, unsigned side) { return *drivers_[2 * i + side]; }
  static Endpoint end(unsigned cable, unsigned side) { return address(2 * cable + side); }
  // Messages, by the bound: floor((d_prev + H_prev + pi + d) / T) + 1.
  static std::uint32_t bound(const ClipSpec& s) {
    return static_cast<std::uint32_t>((s.upstream_rem + s.upstream_propagation + s.cpu_delay + s.link_delay) /
                                      s.contract.period) +
           1;
  }

  Instant now = Instant{seconds{1}};
  std::vector<Observer> observers;
  std::vector<std::unique_ptr<Channel>> channels;

 private:
  struct Way {
    unsigned first = 0;
    std::vector<ClipSpec> specs;
  };
  struct Job {
    Instant at;
    Duration period;
    std::uint64_t left;
    std::function<void()> action;
  };
  [[nodiscard]] std::vector<unsigned> drivers_of(unsigned host) const {
    std::vector<unsigned> all;
    if (host > 0) all.push_back(2 * (host - 1) + 1);
    if (host + 1 < settings_.hosts) all.push_back(2 * host);
    return all;
  }
  void move_to(Instant at) {
    now = at;
    for (auto& cable : cables_) cable->advance(now);
  }
  void step() {
    for (unsigned h = 0; h < domains_.size(); ++h) {
      if (now < away_until_[h]) {
        due_[h] = away_until_[h];
        continue;
      }
      int spins = 0;
      do {
        due_[h] = domains_[h]->turn(now);
        if (++spins > 100'000) throw std::runtime_error("a domain never comes to rest");
      } while (due_[h] <= now);
    }
    for (Channel* c : readable_) {
      while (!c->mailbox->empty()) {
        const LocalMailbox::Message m = c->mailbox->receive();
        const auto wanted = message_of(c->length, m.number);
        c->deliveries.push_back(
            {m.number, m.readable, m.delay, std::ranges::equal(c->mailbox->bytes(m), wanted)});
        c->mailbox->release(m);
      }
    }
    readable_.clear();
  }
  [[nodiscard]] Instant next_event() const {
    Instant next = never;
    for (const Instant due : due_) next = std::min(next, due);
    for (const auto& cable : cables_) next = std::min(next, cable->next_event());
    for (const auto& driver : drivers_) next = std::min(next, driver->next_event(now));
    for (const Job& job : jobs_) {
      if (job.left > 0) next = std::min(next, job.at);
    }
    return next;
  }

  LineSettings settings_;
  std::vector<std::unique_ptr<link::Cable>> cables_;
  std::vector<std::unique_ptr<Jittery>> drivers_;
  std::vector<std::vector<ClipCounters>> counters_;
  std::vector<std::unique_ptr<Domain>> domains_;
  std::vector<Instant> due_, away_until_;
  std::vector<std::uint32_t> next_slot_;
  std::map<const Channel*, Way> on_way_;
  std::vector<Channel*> readable_;
  std::vector<Job> jobs_;
};

}  // namespace rtchan::clips::testing
