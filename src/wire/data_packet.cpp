#include "wire/data_packet.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/crc32c.hpp"
#include "base/limits.hpp"

namespace rtchan::wire {

namespace {

constexpr std::size_t length_at = 2;
constexpr std::size_t slot_at = 4;
constexpr std::size_t generation_at = 8;
constexpr std::size_t packet_number_at = 12;
constexpr std::size_t rem_at = 16;
constexpr std::size_t first_message_at = 20;
constexpr std::size_t offset_at = 24;
constexpr std::size_t message_length_at = 28;
static_assert(first_message_at + 4 == header_bytes);
static_assert(message_length_at + 4 == header_bytes + fragment_bytes);

constexpr std::uint8_t known_flags = flag_best_effort | flag_keyed | flag_middle;
constexpr std::uint8_t class_flags = flag_best_effort | flag_middle;
constexpr std::int64_t rem_unit_ns = 16;

void put8(std::span<std::byte> packet, std::size_t at, unsigned value) noexcept {
  packet[at] = static_cast<std::byte>(value & 0xff);
}
void put16(std::span<std::byte> packet, std::size_t at, std::uint32_t value) noexcept {
  put8(packet, at, value >> 8);
  put8(packet, at + 1, value);
}
void put32(std::span<std::byte> packet, std::size_t at, std::uint32_t value) noexcept {
  put16(packet, at, value >> 16);
  put16(packet, at + 2, value);
}
std::uint8_t get8(std::span<const std::byte> packet, std::size_t at) noexcept {
  return std::to_integer<std::uint8_t>(packet[at]);
}
std::uint16_t get16(std::span<const std::byte> packet, std::size_t at) noexcept {
  return static_cast<std::uint16_t>(get8(packet, at) << 8 | get8(packet, at + 1));
}
std::uint32_t get32(std::span<const std::byte> packet, std::size_t at) noexcept {
  return static_cast<std::uint32_t>(get16(packet, at)) << 16 | get16(packet, at + 2);
}

static_assert(limits::delay_max + limits::horizon_max <= std::chrono::nanoseconds{std::int64_t{INT32_MAX} * rem_unit_ns},
              "the time left of every packet that leaves in time can be said");

// Rounded up, so that the next hop never believes the packet is more urgent than it is.
std::uint32_t encode_rem(Duration rem) noexcept {
  const std::int64_t ns = rem.count();
  const std::int64_t units = ns / rem_unit_ns + (ns % rem_unit_ns > 0 ? 1 : 0);
  return static_cast<std::uint32_t>(
      static_cast<std::int32_t>(std::clamp<std::int64_t>(units, INT32_MIN, INT32_MAX)));
}

Duration decode_rem(std::uint32_t units) noexcept {
  return Duration{static_cast<std::int64_t>(static_cast<std::int32_t>(units)) * rem_unit_ns};
}

bool sealed(std::span<const std::byte> packet) noexcept {
  const auto trailer = packet.last(trailer_bytes);
  const auto zeros = trailer.subspan(4);
  return get32(trailer, 0) == crc32c(packet.first(packet.size() - trailer_bytes)) &&
         std::all_of(zeros.begin(), zeros.end(), [](std::byte b) { return b == std::byte{0}; });
}

bool whole_records(std::span<const std::byte> body) noexcept {
  if (body.empty()) return false;
  while (!body.empty()) {
    if (body.size() < record_bytes) return false;
    const std::size_t length = get16(body, 0);
    if (length == 0 || length > body.size() - record_bytes) return false;
    body = body.subspan(record_bytes + length);
  }
  return true;
}

std::expected<DataPacket, Drop> decode_fragment(DataPacket packet,
                                                std::span<const std::byte> bytes) noexcept {
  if (packet.body.size() <= fragment_bytes) return std::unexpected(Drop::bad_record);
  packet.header.offset = get32(bytes, offset_at);
  packet.header.message_length = get32(bytes, message_length_at);
  packet.body = packet.body.subspan(fragment_bytes);
  const std::uint64_t end = std::uint64_t{packet.header.offset} + packet.body.size();
  if (packet.header.message_length > limits::message_bytes || end > packet.header.message_length) {
    return std::unexpected(Drop::bad_offset);
  }
  return packet;
}

// The body's own rules, once the whole packet is known to be intact.
std::expected<DataPacket, Drop> decode_body(const DataPacket& packet,
                                            std::span<const std::byte> bytes) noexcept {
  switch (packet.header.type) {
    case PacketType::messages:
      if (!whole_records(packet.body)) return std::unexpected(Drop::bad_record);
      return packet;
    case PacketType::fragment:
      return decode_fragment(packet, bytes);
    case PacketType::signal:
      if (packet.body.empty()) return std::unexpected(Drop::bad_record);
      return packet;
    case PacketType::parity:
    case PacketType::resend:
      break;
  }
  return std::unexpected(Drop::bad_type);
}

bool type_is_carried(std::uint8_t type) noexcept {
  return type >= static_cast<std::uint8_t>(PacketType::messages) &&
         type <= static_cast<std::uint8_t>(PacketType::signal);
}

}  // namespace

const char* name(Drop reason) noexcept {
  switch (reason) {
    case Drop::short_packet:
      return "shorter than a header and a trailer";
    case Drop::bad_version:
      return "of another protocol version";
    case Drop::bad_type:
      return "of a type that is not carried";
    case Drop::bad_length:
      return "length field differs from the datagram's length";
    case Drop::bad_checksum:
      return "trailer does not match";
    case Drop::bad_record:
      return "records or body malformed";
    case Drop::bad_offset:
      return "fragment outside its message";
    case Drop::bad_flags:
      return "unknown flags";
  }
  return "unknown";
}

void encode_header(const DataHeader& header, std::span<std::byte> packet) noexcept {
  assert(packet.size() <= UINT16_MAX);
  assert(packet.size() >=
         header_bytes + trailer_bytes + (header.type == PacketType::fragment ? fragment_bytes : 0));
  put8(packet, 0, static_cast<unsigned>(version << 4) | static_cast<unsigned>(header.type));
  put8(packet, 1, header.flags);
  put16(packet, length_at, static_cast<std::uint32_t>(packet.size()));
  put32(packet, slot_at, header.label.slot);
  put32(packet, generation_at, header.label.generation);
  put32(packet, packet_number_at, header.packet_number);
  put32(packet, rem_at, encode_rem(header.rem));
  put32(packet, first_message_at, header.first_message);
  if (header.type == PacketType::fragment) {
    put32(packet, offset_at, header.offset);
    put32(packet, message_length_at, header.message_length);
  }
}

void seal(std::span<std::byte> packet) noexcept {
  assert(packet.size() >= header_bytes + trailer_bytes);
  const auto trailer = packet.last(trailer_bytes);
  put32(trailer, 0, crc32c(packet.first(packet.size() - trailer_bytes)));
  std::memset(trailer.data() + 4, 0, trailer_bytes - 4);
}

void set_rem_and_seal(std::span<std::byte> packet, Duration rem) noexcept {
  put32(packet, rem_at, encode_rem(rem));
  seal(packet);
}

std::expected<DataPacket, Drop> decode(std::span<const std::byte> packet) noexcept {
  if (packet.size() < header_bytes + trailer_bytes) return std::unexpected(Drop::short_packet);
  if (get8(packet, 0) >> 4 != version) return std::unexpected(Drop::bad_version);
  const std::uint8_t type = get8(packet, 0) & 0x0f;
  if (!type_is_carried(type)) return std::unexpected(Drop::bad_type);
  const std::uint8_t flags = get8(packet, 1);
  if ((flags & ~known_flags) != 0 || (flags & class_flags) == class_flags) return std::unexpected(Drop::bad_flags);
  if (get16(packet, length_at) != packet.size()) return std::unexpected(Drop::bad_length);
  if ((flags & flag_keyed) != 0 || !sealed(packet)) return std::unexpected(Drop::bad_checksum);

  DataPacket out;
  out.header.type = PacketType{type};
  out.header.flags = flags;
  out.header.label = {get32(packet, slot_at), get32(packet, generation_at)};
  out.header.packet_number = get32(packet, packet_number_at);
  out.header.rem = decode_rem(get32(packet, rem_at));
  out.header.first_message = get32(packet, first_message_at);
  out.body = packet.subspan(header_bytes, packet.size() - header_bytes - trailer_bytes);
  return decode_body(out, packet);
}

bool RecordReader::next(std::span<const std::byte>& message) noexcept {
  if (rest_.size() < record_bytes) return false;
  const std::size_t length = get16(rest_, 0);
  if (length > rest_.size() - record_bytes) return false;
  message = rest_.subspan(record_bytes, length);
  rest_ = rest_.subspan(record_bytes + length);
  return true;
}

}  // namespace rtchan::wire
