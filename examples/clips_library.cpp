// CLIPS as a library, without rtcd: two hosts in one program, joined by a cable that lives in virtual time. A control
// loop keeps its rate and deadline beside a bulk transfer that offers ten times what it was granted.
#include <cstdio>
#include <vector>

#include "clips/library.hpp"
#include "link/loopback.hpp"

using namespace rtchan;
using namespace std::chrono_literals;

namespace {

// A protocol of one's own in the handler: here it only counts what passes.
class Meter final : public clips::ProtocolStack {
 public:
  explicit Meter(std::uint64_t& packets) : packets_(packets) {}
  void outgoing(const clips::Piece&, std::span<std::byte>) noexcept override { ++packets_; }
  bool incoming(const clips::Piece&, std::span<std::byte>) noexcept override { return true; }

 private:
  std::uint64_t& packets_;
};

}  // namespace

int main() {
  link::CableConfig wire;
  wire.ends = {*Endpoint::parse("10.0.0.1:4000"), *Endpoint::parse("10.0.0.2:4000")};
  wire.bits_per_second = 100'000'000;
  wire.frame_overhead_bytes = 66;
  wire.delay = 50us;
  link::Cable cable(wire);

  auto host_on = [&](unsigned side) {
    return clips::LinkConfig{.driver = &cable.driver(side),
                             .bits_per_second = wire.bits_per_second,
                             .frame_overhead_bytes = wire.frame_overhead_bytes};
  };
  clips::ClipHost sender(host_on(0));
  clips::ClipHost receiver(host_on(1));
  Instant now{1s};
  cable.advance(now);

  // 100-byte commands, one packet in each 5 ms; and 30 KB blocks, at most 22 packets in each 20 ms.
  const clips::ClipRequest control{100, 400, 1, 5ms, 4ms};
  const clips::ClipRequest bulk{30'000, 240'000, 22, 20ms, 0ms};
  std::uint64_t bulk_packets = 0;
  const auto control_label = receiver.open_receiver(control, now);
  const auto bulk_label = receiver.open_receiver(bulk, now);
  if (!control_label || !bulk_label) return std::puts("the receiver refuses"), 1;
  const auto control_clip = sender.open_sender(control, wire.ends[1], *control_label, now);
  const auto bulk_clip = sender.open_sender(bulk, wire.ends[1], *bulk_label, now,
                                            std::make_unique<Meter>(bulk_packets));
  if (!control_clip || !bulk_clip) return std::puts("the sender refuses"), 1;

  // What does not fit is refused, with the resource that is short.
  const clips::ClipRequest too_much{30'000, 30'000, 22, 2ms, 0ms};
  if (const auto no = sender.open_sender(too_much, wire.ends[1], *bulk_label, now); !no) {
    std::printf("120 Mb/s more: refused (%s)\n", no.error().text.c_str());
  }

  const std::vector<std::byte> command(100), block(30'000);
  std::uint64_t commands = 0, blocks = 0;
  Duration worst{};
  const Instant start = now, end = now + 10s;
  for (Instant next_command = now; now < end;) {
    if (now >= next_command) {
      sender.send(*control_clip, command, now);
      next_command += 5ms;
    }
    while (sender.send(*bulk_clip, block, now)) {  // as much as there is room for: far above its contract
    }
    const Instant due = std::min({sender.turn(now), receiver.turn(now), cable.next_event(), next_command});
    commands += receiver.receive(ClipSlot{control_label->slot}, [&](auto, std::uint64_t, Duration delay) {
      worst = std::max(worst, delay);
    });
    blocks += receiver.receive(ClipSlot{bulk_label->slot}, [](auto, std::uint64_t, Duration) {});
    now = std::max(now, due);
    cable.advance(now);
  }
  const double seconds = std::chrono::duration<double>(now - start).count();
  const auto& late = receiver.counters(ClipSlot{control_label->slot}).late;
  std::printf("control: %.1f messages/s (contract 200), worst delay %.2f ms, %lu late\n",
              static_cast<double>(commands) / seconds, std::chrono::duration<double, std::milli>(worst).count(),
              static_cast<unsigned long>(late));
  std::printf("bulk:    %.1f messages/s (contract 50) in %lu packets\n", static_cast<double>(blocks) / seconds,
              static_cast<unsigned long>(bulk_packets));
  return late == 0 ? 0 : 1;
}
