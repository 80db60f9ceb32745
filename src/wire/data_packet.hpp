// The data packet: 24-byte header, records or one fragment, 16-byte trailer, inside UDP (or any datagram).
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +---------------+---------------+-------------------------------+
//   | version| type |     flags     |       length (whole packet)   |
//   +---------------+---------------+-------------------------------+
//   |                       label: slot                             |
//   +---------------------------------------------------------------+
//   |                       label: generation                       |
//   +---------------------------------------------------------------+
//   |                       packet number                           |
//   +---------------------------------------------------------------+
//   |                rem (signed, units of 16 ns)                   |
//   +---------------------------------------------------------------+
//   |                   first message number                        |
//   +---------------------------------------------------------------+
//   |  whole messages: {u16 length, bytes} ...                      |
//   |  one fragment:   u32 offset, u32 message length, bytes        |
//   |  signal:         one signalling message (wire/signal.hpp)     |
//   +---------------------------------------------------------------+
//   |  trailer, 16 bytes: keyed tag; without security CRC32C + 12 zero bytes |
//   +---------------------------------------------------------------+
//
// All integers big-endian. The trailer covers every byte before it, rem included.
// Decoding validates everything that a receiver will rely on, once; it keeps no state and does no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include "base/ids.hpp"
#include "base/time.hpp"
#include <rtchan/qos.hpp>

namespace rtchan::wire {

inline constexpr std::uint8_t version = 1;
inline constexpr std::size_t header_bytes = 24;
inline constexpr std::size_t fragment_bytes = 8;   // offset, message length
inline constexpr std::size_t record_bytes = 2;     // length before each whole message
inline constexpr std::size_t trailer_bytes = 16;
// What one fragment's packet adds to its payload.
inline constexpr std::size_t fragment_overhead_bytes = header_bytes + fragment_bytes + trailer_bytes;

enum class PacketType : std::uint8_t {
  messages = 1,  // records of whole consecutive messages
  fragment = 2,  // part of one message
  signal = 3,    // RTCOP between neighbours; label is zero
  parity = 4,    // reserved: repair by parity
  resend = 5,    // reserved: repair by resending
};

// Bits of `flags`.
inline constexpr std::uint8_t flag_best_effort = 0x01;  // no deadline: rem is meaningless
inline constexpr std::uint8_t flag_keyed = 0x02;        // trailer is a keyed tag, else CRC32C
inline constexpr std::uint8_t flag_middle = 0x04;       // served below guaranteed, above best effort; not with flag_best_effort

[[nodiscard]] constexpr std::uint8_t class_flag(ServiceClass service) noexcept {
  if (service == ServiceClass::best_effort) return flag_best_effort;
  return in_the_middle(service) ? flag_middle : std::uint8_t{0};
}

struct DataHeader {
  PacketType type{};
  std::uint8_t flags{};
  Label label{};
  std::uint32_t packet_number{};  // per channel and hop, for loss accounting
  // Time left until this stage's deadline when the packet left. Travels rounded up to 16 ns and limited to
  // +-34.36 s (32 bits), more than limits::delay_max + horizon_max; negative: it left late.
  Duration rem{};
  std::uint32_t first_message{};  // number of the first (or only) message, modulo 2^32
  // type == fragment:
  std::uint32_t offset{};
  std::uint32_t message_length{};
};

struct DataPacket {
  DataHeader header;
  std::span<const std::byte> body;  // fragment bytes, records, or signal; inside the input
};

enum class Drop : std::uint8_t {  // why a packet was not taken; each has a counter
  short_packet,
  bad_version,
  bad_type,
  bad_length,    // length field is not the datagram's length
  bad_checksum,
  bad_record,    // no record, a record of no bytes or past the end; a fragment or signal without bytes
  bad_offset,    // offset + bytes > message length, or message length above the bound
  bad_flags,     // a flag that this version does not know, or two classes at once
};
inline constexpr std::size_t drop_reasons = 8;
[[nodiscard]] const char* name(Drop reason) noexcept;

// Writes the header into packet[0, header_bytes (+ fragment_bytes)). The caller has put (or puts) the body
// after it. `packet` is the whole packet, trailer included (at most 65,535 bytes, asserted). Then seal()
// fills the trailer.
void encode_header(const DataHeader& header, std::span<std::byte> packet) noexcept;
// Fills the 16-byte trailer with CRC32C of everything before it.
void seal(std::span<std::byte> packet) noexcept;
// Rewrites rem (and nothing else) in a sealed packet and seals it again: rem is known only at hand-over.
void set_rem_and_seal(std::span<std::byte> packet, Duration rem) noexcept;

// Reads and validates; never reads outside `packet`. Keyed packets are refused as bad_checksum: verifying a
// keyed tag needs the neighbour's key, which this room does not have.
[[nodiscard]] std::expected<DataPacket, Drop> decode(std::span<const std::byte> packet) noexcept;

// Records of a `messages` packet.
class RecordReader {
 public:
  explicit RecordReader(std::span<const std::byte> body) noexcept : rest_(body) {}
  // The next message's bytes; false at the end. decode() has already checked that all records are whole.
  bool next(std::span<const std::byte>& message) noexcept;

 private:
  std::span<const std::byte> rest_;
};

}  // namespace rtchan::wire
