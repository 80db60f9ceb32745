// A turn takes no memory from the heap, whatever happens in it: every allocation of this program is counted.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "clips/testing/two_hosts.hpp"

namespace {
std::atomic<bool> counting{false};
std::atomic<std::uint64_t> allocations{0};

void* take(std::size_t bytes) {
  if (counting.load(std::memory_order_relaxed)) allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(bytes)) return p;
  throw std::bad_alloc{};
}
}  // namespace

void* operator new(std::size_t bytes) { return take(bytes); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace rtchan::clips::testing {
namespace {

TEST(NoAllocation, WhateverHappensInATurn) {
  Instant now{seconds{1}};
  link::Cable cable({.ends = {address(0), address(1)}, .bits_per_second = 100'000'000,
                     .frame_overhead_bytes = overhead_bytes, .delay = microseconds{10}});
  cable.advance(now);
  std::array<Observer, 2> observers;
  std::array<std::vector<ClipCounters>, 2> counters{std::vector<ClipCounters>(8), std::vector<ClipCounters>(8)};
  std::array<std::unique_ptr<Domain>, 2> domains;
  for (unsigned host : {0u, 1u}) {
    const LinkConfig link{.driver = &cable.driver(host), .bits_per_second = 100'000'000,
                          .frame_overhead_bytes = overhead_bytes};
    domains[host] = std::make_unique<Domain>(
        DomainConfig{.links = std::span(&link, 1), .clips = 8, .packet_frames = 512, .best_effort_packets = 16,
                     .best_effort_period = milliseconds{1}, .counters = counters[host]},
        observers[host]);
    domains[host]->set_burst_bound(0, admission::BurstBound::constant(microseconds{400}));
  }
  // Shaped, refused, of many packets, and best effort; the receivers' slots run out, nobody reads.
  LocalQueue queues[] = {{16, 20'000}, {16, 500}, {16, 20'000}};
  LocalMailbox mailboxes[] = {{4, 20'000}, {4, 500}, {4, 20'000}};
  for (std::uint32_t i = 0; i < 3; ++i) {
    ClipSpec s;
    s.slot = ClipSlot{i};
    s.generation = 9;
    s.service = i == 2 ? ServiceClass::best_effort : ServiceClass::guaranteed;
    s.contract = {i == 2 ? Duration{0} : Duration{milliseconds{2}}, 2, i == 1 ? 500u : 20'000u};
    s.policing = i == 1 ? Policing::refuse : Policing::shape;
    s.cpu_delay = s.link_delay = milliseconds{1};
    s.packet_buffers = 32;
    s.next_hop = address(1);
    s.next_label = {i, 9};
    domains[0]->open(make_clip(s, std::make_unique<LocalSource>(queues[i]), nullptr), now);
    s.role = Role::incoming;
    s.upstream_rem = milliseconds{1};
    s.end_to_end = milliseconds{5};
    domains[1]->open(make_clip(s, nullptr, std::make_unique<LocalSink>(mailboxes[i])), now);
  }
  const std::vector<std::byte> large(20'000), small(500), signal(300);

  counting = true;
  for (const Instant end = now + milliseconds{100}; now < end;) {
    for (std::uint32_t i = 0; i < 3; ++i) {
      if (queues[i].send(i == 1 ? small : large, now)) domains[0]->sighted(ClipSlot{i}, now);
    }
    const Instant due = std::min(domains[0]->turn(now), domains[1]->turn(now));
    now = std::max(now, std::min({due, cable.next_event(), now + microseconds{500}}));
    cable.advance(now);
  }
  domains[0]->close(ClipSlot{0}, CloseMode::drain, now);
  domains[0]->close(ClipSlot{2}, CloseMode::abandon, now);
  domains[0]->send_signal(0, address(1), signal, now);
  counting = false;

  EXPECT_GT(counters[0][0].delivered, 30u);
  EXPECT_GT(counters[0][1].refused, 0u);
  EXPECT_GT(counters[1][0].no_slot, 0u);
  EXPECT_GT(counters[1][2].packets, 0u);
  // The observer's own lists are not the domain's: it is told once of each channel that exceeds its contract.
  EXPECT_LE(allocations.load(), observers[0].exceeded.size() + 2);
}

TEST(NoAllocation, WhateverARouterForwards) {
  Instant now{seconds{1}};
  const auto cable_between = [](unsigned left, unsigned right) {
    return link::CableConfig{.ends = {address(left), address(right)}, .bits_per_second = 100'000'000,
                             .frame_overhead_bytes = overhead_bytes, .delay = microseconds{10}};
  };
  link::Cable in(cable_between(0, 1)), out(cable_between(2, 3));
  in.advance(now), out.advance(now);
  std::vector<ClipCounters> counters(8);
  Observer observer;
  const LinkConfig links[] = {
      {.driver = &in.driver(1), .bits_per_second = 100'000'000, .frame_overhead_bytes = overhead_bytes},
      {.driver = &out.driver(0), .bits_per_second = 100'000'000, .frame_overhead_bytes = overhead_bytes}};
  Domain router({.links = links, .clips = 8, .packet_frames = 64, .best_effort_packets = 16,
                 .best_effort_period = milliseconds{1}, .counters = counters}, observer);
  for (std::uint32_t i = 0; i < 2; ++i) {  // guaranteed, with few buffers; best effort
    ClipSpec s;
    s.slot = ClipSlot{i};
    s.generation = 9;
    s.role = Role::forward;
    s.service = i == 1 ? ServiceClass::best_effort : ServiceClass::guaranteed;
    s.contract = {i == 1 ? Duration{0} : Duration{milliseconds{2}}, 2, 2'800};
    s.cpu_delay = s.link_delay = milliseconds{1};
    s.link = 1;
    s.packet_buffers = 6;
    s.packets_per_message = 2;
    router.open(make_clip(s, nullptr, nullptr), now);
    router.connect(s.slot, address(3), {i, 4}, now);
  }
  const Endpoint to = address(1);
  std::vector<std::byte> packet(1'400 + wire::fragment_overhead_bytes);
  const auto send = [&](std::uint32_t slot, std::uint32_t number) {
    wire::DataHeader h;
    h.type = wire::PacketType::fragment;
    h.flags = slot == 1 ? wire::flag_best_effort : std::uint8_t{0};
    h.label = {slot, 9};
    h.packet_number = number;
    h.first_message = number / 2;
    h.offset = number % 2 * 1'400;
    h.message_length = 2'800;
    wire::encode_header(h, packet);
    wire::seal(packet);
    const link::TxPacket tx{&to, packet};
    in.driver(0).transmit(slot == 1 ? link::TrafficClass::best_effort : link::TrafficClass::real_time, std::span(&tx, 1));
  };

  counting = true;
  allocations = 0;
  std::uint32_t number = 0;
  for (const Instant end = now + milliseconds{100}; now < end; ++number) {
    for (const std::uint32_t slot : {0u, 1u}) send(slot, number);  // twice as fast as the contract
    const Instant due = router.turn(now);
    now = std::max(now, std::min({due, in.next_event(), now + microseconds{500}}));
    in.advance(now), out.advance(now);
  }
  router.close(ClipSlot{0}, CloseMode::drain, now);
  router.close(ClipSlot{1}, CloseMode::abandon, now);
  counting = false;

  EXPECT_GT(counters[0].delivered, 30u);
  EXPECT_GT(counters[0].no_buffer + counters[0].stale, 0u);
  EXPECT_GT(counters[0].unpoliced, 0u);
  EXPECT_GT(counters[1].packets, 0u);
  EXPECT_LE(allocations.load(), 2u);
}

}  // namespace
}  // namespace rtchan::clips::testing
