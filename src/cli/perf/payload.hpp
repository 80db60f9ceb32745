// What `rtc perf` and `rtc ping` put into a message, so that its receiver can measure without knowing the sender.
//
//    0      4      5      6       8       12       16        24          32        40        48
//   +------+------+------+-------+--------+--------+---------+-----------+---------+---------+------
//   |magic |vers. |kind  |flags  |stream  |crc32c  |sequence |intended ns|handed ns|clock    |filler
//   +------+------+------+-------+--------+--------+---------+-----------+---------+---------+------
//
// Little endian. crc32c covers the header with this field as zero, and the filler if flag 1 is set. `clock` names the
// clock that both times were read from (CLOCK_MONOTONIC_RAW of one boot): equal values mean comparable times.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/time.hpp"

namespace rtchan::cli {

enum class PayloadKind : std::uint8_t {
  data = 0,
  end = 1,    // `sequence` is the number of data messages that were handed over before; may come repeatedly
  hello = 2,  // opens a conversation: `sequence` is the port on which the sender takes the answering channel
  echo = 3,   // answer to a data message; EchoTimes follow the header
};

struct Payload {
  PayloadKind kind = PayloadKind::data;
  bool filler_checked = false;
  std::uint32_t stream = 0;
  std::uint64_t sequence = 0;
  Instant intended{};
  Instant handed_over{};
  std::uint64_t clock = 0;
  friend bool operator==(const Payload&, const Payload&) = default;
};

inline constexpr std::uint32_t payload_bytes = 48;

// Writes the header to the first payload_bytes of `message` (which must be at least so long) and leaves the rest.
void write_payload(const Payload& payload, std::span<std::byte> message) noexcept;
// nullopt: too short, not ours, or damaged.
[[nodiscard]] std::optional<Payload> read_payload(std::span<const std::byte> message) noexcept;

// When the responder of a round trip saw the message, for the account of where the time goes.
struct EchoTimes {
  Instant readable{};     // in the responder's queue
  Instant read{};         // by the responder
  Instant handed_back{};  // to the answering channel
  std::uint64_t clock = 0;
};
inline constexpr std::uint32_t echo_bytes = payload_bytes + 32;
void write_echo_times(const EchoTimes& times, std::span<std::byte> message) noexcept;  // message.size() >= echo_bytes
[[nodiscard]] EchoTimes read_echo_times(std::span<const std::byte> message) noexcept;

// Names this machine's clock: a hash of the boot id and of the time namespace. 0: unknown (comparable with nothing).
[[nodiscard]] std::uint64_t clock_identity();

}  // namespace rtchan::cli
