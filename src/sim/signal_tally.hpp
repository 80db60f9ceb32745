// What is said on all wires, by kind of message: read by the drawings in docs/protocol, not by the parser, and believed of no
// node's counter.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace rtchan::sim {

struct SignalTally {
  enum Type : std::size_t { hello = 1, ack = 2, setup = 3, commit = 4, confirm = 5, start = 6, refuse = 7, teardown = 8, refresh = 9,
                            voided = 10, heartbeat = 11 };
  std::uint64_t packets = 0, bytes = 0;            // bytes: of the packets' bodies
  std::array<std::uint64_t, 12> said{};            // by type, repetitions included
  std::array<std::uint64_t, 12> again{};           // of these: repetitions
  std::uint64_t list_acks = 0;                     // of the ACKs: of lists of paths (REFRESH, VOIDED)

  void count(std::span<const std::byte> packet) noexcept {
    constexpr std::size_t frame = 24, trailer = 16, head = 24, message_head = 12;
    if (packet.size() < frame + head + trailer) return;
    const auto body = packet.subspan(frame, packet.size() - frame - trailer);
    const auto byte = [&](std::size_t at) { return std::to_integer<std::size_t>(body[at]); };
    ++packets;
    bytes += body.size();
    for (std::size_t at = head; at + message_head <= body.size();) {
      const std::size_t type = byte(at), length = byte(at + 2) << 8 | byte(at + 3);
      if (type >= said.size() || length < message_head) return;
      ++said[type];
      if (byte(at + 1) != 0) ++again[type];
      if (type == ack && at + message_head < body.size() && byte(at + message_head) >> 7 != 0) ++list_acks;
      at += length;
    }
  }

  [[nodiscard]] std::uint64_t of_paths() const noexcept {  // set-ups and ends, acknowledgements included
    std::uint64_t sum = said[ack] - list_acks;
    for (std::size_t type = setup; type <= teardown; ++type) sum += said[type];
    return sum;
  }
  [[nodiscard]] std::uint64_t of_lists() const noexcept { return said[refresh] + said[voided] + list_acks; }

  friend SignalTally operator-(SignalTally a, const SignalTally& b) noexcept {
    a.packets -= b.packets, a.bytes -= b.bytes, a.list_acks -= b.list_acks;
    for (std::size_t i = 0; i < a.said.size(); ++i) a.said[i] -= b.said[i], a.again[i] -= b.again[i];
    return a;
  }
};

}  // namespace rtchan::sim
