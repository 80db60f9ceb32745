// What a message costs in CLIPS, without kernel and application: from the source's slot to the driver (policing,
// handler, fragments, checksum, link scheduler), and from the driver to the sink's slot (input, demultiplexing, handler,
// reassembly). Virtual time; the driver does nothing. Compare ratios within one run, not figures between machines.
#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <vector>

#include "clips/clip.hpp"
#include "clips/domain.hpp"
#include "clips/local_queues.hpp"
#include "wire/data_packet.hpp"

namespace rtchan::clips {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t payload = 1472;

// Takes everything, and gives what it was told to give.
class Ideal final : public link::Driver {
 public:
  std::span<const std::vector<std::byte>> waiting;
  std::size_t transmit(link::TrafficClass, std::span<const link::TxPacket> packets) override {
    sent += packets.size();
    return packets.size();
  }
  std::size_t receive(link::TrafficClass cls, Instant now, std::span<link::RxPacket> out) override {
    if (cls != link::TrafficClass::real_time) return 0;
    const std::size_t n = std::min(out.size(), waiting.size());
    for (std::size_t i = 0; i < n; ++i) out[i] = {from, waiting[i], now, true};
    waiting = waiting.subspan(n);
    return n;
  }
  std::size_t completed() override { return std::exchange(sent, 0); }
  std::size_t payload_bytes() const override { return payload; }
  int fd(link::TrafficClass) const override { return -1; }
  Counters counters() const override { return {}; }

 private:
  std::size_t sent = 0;
  Endpoint from{};
};

class Quiet final : public DomainObserver {
 public:
  void signal_received(std::uint32_t, const Endpoint&, std::span<const std::byte>, Instant) override {}
  void clip_closed(std::unique_ptr<Clip>) override {}
  void client_violated(ClipSlot) override {}
  void contract_violated(ClipSlot, Instant) override {}
};

ClipSpec spec_of(Role role, std::uint32_t slot, std::uint32_t bytes) {
  ClipSpec s;
  s.slot = ClipSlot{slot};
  s.generation = 1;
  s.role = role;
  s.contract = {1us, 64, bytes};
  s.cpu_delay = 1ms;
  s.link_delay = 1ms;
  s.horizon = 2ms;
  s.packet_buffers = 512;
  s.next_hop.port = 1;
  s.upstream_rem = 3ms;
  s.upstream_propagation = 1ms;
  s.end_to_end = 5ms;
  return s;
}

struct World {
  explicit World(std::uint32_t clips) : counters(clips) {
    link.driver = &driver;
    link.bits_per_second = 1'000'000'000'000;
    link.frame_overhead_bytes = 66;
    domain = std::make_unique<Domain>(
        DomainConfig{.links = std::span(&link, 1), .clips = clips, .packet_frames = 16'384, .counters = counters}, quiet);
    domain->set_burst_bound(0, admission::BurstBound::constant(1ms));
  }
  void turn() {
    while (domain->turn(now) <= now) {
    }
  }
  Ideal driver;
  Quiet quiet;
  LinkConfig link;
  std::vector<ClipCounters> counters;
  std::unique_ptr<Domain> domain;
  Instant now{1s};
};

// Arguments: message bytes, messages per turn, open clips (one of them sends).
void outgoing(benchmark::State& state) {
  const auto bytes = static_cast<std::uint32_t>(state.range(0));
  const auto burst = state.range(1);
  const auto clips = static_cast<std::uint32_t>(state.range(2));
  World w(clips);
  LocalQueue idle(1, bytes);
  LocalQueue queue(64, bytes);
  for (std::uint32_t i = 0; i < clips; ++i) {
    auto source = std::make_unique<LocalSource>(i == 0 ? queue : idle);
    w.domain->open(make_clip(spec_of(Role::outgoing, i, bytes), std::move(source), nullptr), w.now);
  }
  const std::vector<std::byte> message(bytes);
  for (auto _ : state) {
    for (std::int64_t i = 0; i < burst; ++i) queue.send(message, w.now);
    w.domain->sighted(ClipSlot{0}, w.now);
    w.turn();
    w.now += 5us * burst;
    w.turn();
  }
  const auto& c = w.counters[0];
  state.SetItemsProcessed(static_cast<std::int64_t>(c.delivered));
  state.SetBytesProcessed(static_cast<std::int64_t>(c.bytes));

  state.counters["ns/message"] = benchmark::Counter(
      static_cast<double>(c.delivered) * 1e-9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  if (c.delivered + 64 < static_cast<std::uint64_t>(state.iterations() * burst)) state.SkipWithError("messages are missing");
}

std::vector<std::vector<std::byte>> packets_of(std::uint32_t bytes, std::size_t messages) {
  Ideal driver;
  std::vector<std::vector<std::byte>> made;
  const auto fragment = static_cast<std::uint32_t>(payload - wire::fragment_overhead_bytes);
  const bool whole = bytes <= payload - wire::header_bytes - wire::record_bytes - wire::trailer_bytes;
  for (std::uint64_t m = 0; m < messages; ++m) {
    for (std::uint32_t offset = 0; offset < bytes; offset += whole ? bytes : fragment) {
      const std::uint32_t part = whole ? bytes : std::min(fragment, bytes - offset);
      const std::size_t head = wire::header_bytes + (whole ? wire::record_bytes : wire::fragment_bytes);
      std::vector<std::byte> p(head + part + wire::trailer_bytes);
      if (whole) {
        p[wire::header_bytes] = static_cast<std::byte>(part >> 8);
        p[wire::header_bytes + 1] = static_cast<std::byte>(part);
      }
      wire::DataHeader h;
      h.type = whole ? wire::PacketType::messages : wire::PacketType::fragment;
      h.label = {0, 1};
      h.packet_number = static_cast<std::uint32_t>(made.size());
      h.rem = 1ms;
      h.first_message = static_cast<std::uint32_t>(m);
      h.offset = offset;
      h.message_length = bytes;
      wire::encode_header(h, p);
      wire::seal(p);
      made.push_back(std::move(p));
    }
  }
  return made;
}

// Arguments as above.
void incoming(benchmark::State& state) {
  const auto bytes = static_cast<std::uint32_t>(state.range(0));
  const auto burst = static_cast<std::size_t>(state.range(1));
  const auto clips = static_cast<std::uint32_t>(state.range(2));
  World w(clips);
  LocalMailbox idle(1, bytes);
  LocalMailbox mailbox(256, bytes);
  for (std::uint32_t i = 1; i < clips; ++i) {
    w.domain->open(make_clip(spec_of(Role::incoming, i, bytes), nullptr, std::make_unique<LocalSink>(idle)), w.now);
  }
  auto open = [&] {
    w.domain->open(make_clip(spec_of(Role::incoming, 0, bytes), nullptr, std::make_unique<LocalSink>(mailbox)), w.now);
  };
  open();
  const std::size_t messages = bytes > 2'000 ? 256 : 4'096;
  const auto packets = packets_of(bytes, messages);
  const std::size_t per_message = packets.size() / messages;
  std::size_t at = 0;
  std::uint64_t delivered = 0;
  for (auto _ : state) {
    if (at == packets.size()) {  // message numbers must not repeat: a new clip, the same packets
      state.PauseTiming();
      w.domain->close(ClipSlot{0}, CloseMode::abandon, w.now);
      w.turn();
      open();
      at = 0;
      state.ResumeTiming();
    }
    const std::size_t n = std::min(burst * per_message, packets.size() - at);
    w.driver.waiting = std::span(packets).subspan(at, n);
    at += n;
    w.turn();
    w.now += 5us * static_cast<std::int64_t>(burst);
    while (!mailbox.empty()) mailbox.release(mailbox.receive()), ++delivered;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(delivered));
  state.SetBytesProcessed(static_cast<std::int64_t>(delivered * bytes));
  state.counters["ns/message"] = benchmark::Counter(static_cast<double>(delivered) * 1e-9,
                                                    benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  if (delivered + 300 < static_cast<std::uint64_t>(state.iterations())) state.SkipWithError("messages are missing");
}

void arguments(benchmark::internal::Benchmark* b) {
  b->ArgNames({"bytes", "per_turn", "clips"});
  for (const int bytes : {64, 1'400, 30'000}) {
    b->Args({bytes, 1, 1});
    b->Args({bytes, 16, 1});
  }
  b->Args({64, 1, 1'000})->Args({64, 1, 10'000});
}

BENCHMARK(outgoing)->Apply(arguments);
BENCHMARK(incoming)->Apply(arguments);

}  // namespace
}  // namespace rtchan::clips


