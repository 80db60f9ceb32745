#include "cli/perf/payload.hpp"

#include <unistd.h>

#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <string>

#include "base/crc32c.hpp"

namespace rtchan::cli {

static_assert(std::endian::native == std::endian::little, "values are copied as they lie in memory");

namespace {

constexpr std::uint32_t magic = 0x31637472;  // "rtc1"
constexpr std::uint8_t version = 1;
constexpr std::uint16_t flag_filler_checked = 1;
constexpr std::size_t crc_offset = 12;

template <class T>
void put(std::span<std::byte> to, std::size_t offset, T value) noexcept {
  std::memcpy(to.data() + offset, &value, sizeof value);
}
template <class T>
T get(std::span<const std::byte> from, std::size_t offset) noexcept {
  T value;
  std::memcpy(&value, from.data() + offset, sizeof value);
  return value;
}

std::int64_t count(Instant at) noexcept { return at.time_since_epoch().count(); }
Instant instant(std::int64_t ns) noexcept { return Instant{Duration{ns}}; }

std::uint32_t checksum(std::span<const std::byte> message, bool filler) noexcept {
  std::array<std::byte, payload_bytes> header;
  std::memcpy(header.data(), message.data(), header.size());
  std::memset(header.data() + crc_offset, 0, 4);
  const std::uint32_t crc = crc32c(header);
  return filler ? crc32c(message.subspan(payload_bytes), crc) : crc;
}

}  // namespace

void write_payload(const Payload& payload, std::span<std::byte> message) noexcept {
  put(message, 0, magic);
  put(message, 4, version);
  put(message, 5, static_cast<std::uint8_t>(payload.kind));
  put(message, 6, payload.filler_checked ? flag_filler_checked : std::uint16_t{0});
  put(message, 8, payload.stream);
  put(message, 16, payload.sequence);
  put(message, 24, count(payload.intended));
  put(message, 32, count(payload.handed_over));
  put(message, 40, payload.clock);
  put(message, crc_offset, checksum(message, payload.filler_checked));
}

std::optional<Payload> read_payload(std::span<const std::byte> message) noexcept {
  if (message.size() < payload_bytes || get<std::uint32_t>(message, 0) != magic) return std::nullopt;
  const auto kind = get<std::uint8_t>(message, 5);
  const auto flags = get<std::uint16_t>(message, 6);
  if (get<std::uint8_t>(message, 4) != version || kind > static_cast<std::uint8_t>(PayloadKind::echo)) return std::nullopt;
  const bool checked = (flags & flag_filler_checked) != 0;
  if (get<std::uint32_t>(message, crc_offset) != checksum(message, checked)) return std::nullopt;
  return Payload{static_cast<PayloadKind>(kind),
                 checked,
                 get<std::uint32_t>(message, 8),
                 get<std::uint64_t>(message, 16),
                 instant(get<std::int64_t>(message, 24)),
                 instant(get<std::int64_t>(message, 32)),
                 get<std::uint64_t>(message, 40)};
}

void write_echo_times(const EchoTimes& times, std::span<std::byte> message) noexcept {
  put(message, payload_bytes, count(times.readable));
  put(message, payload_bytes + 8, count(times.read));
  put(message, payload_bytes + 16, count(times.handed_back));
  put(message, payload_bytes + 24, times.clock);
}

EchoTimes read_echo_times(std::span<const std::byte> message) noexcept {
  return {instant(get<std::int64_t>(message, payload_bytes)), instant(get<std::int64_t>(message, payload_bytes + 8)),
          instant(get<std::int64_t>(message, payload_bytes + 16)), get<std::uint64_t>(message, payload_bytes + 24)};
}

std::uint64_t clock_identity() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  if (!std::getline(file, id) || id.empty()) return 0;
  std::array<char, 64> space{};  // "time:[4026531834]": its offsets apply to the clock that we read
  const ssize_t length = readlink("/proc/self/ns/time", space.data(), space.size());
  if (length > 0) id.append(space.data(), static_cast<std::size_t>(length));
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : id) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  return hash == 0 ? 1 : hash;
}

}  // namespace rtchan::cli
