// What simulated applications say: bytes that can be told from any other message's, made when they are read and checked when
// they are delivered, so that nothing need be kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace rtchan::sim {

inline constexpr std::uint32_t message_bytes_least = 16;

struct MessageName {
  std::uint32_t channel = 0;
  std::uint32_t index = 0;     // 0, 1, ... in the order in which it was handed over
};

// The word at offset 8 * `place`; the first is the name itself.
[[nodiscard]] constexpr std::uint64_t message_word(const MessageName& m, std::uint32_t place) noexcept {
  const std::uint64_t name = std::uint64_t{m.channel} << 32 | m.index;
  if (place == 0) return name;
  std::uint64_t x = (name + place) * 0x9e3779b97f4a7c15ULL;
  x ^= x >> 31;
  return x * 0xd6e8feb86659fd93ULL;
}

inline void write_message(const MessageName& m, std::uint32_t offset, std::span<std::byte> out) noexcept {
  for (std::size_t i = 0; i < out.size();) {
    const std::uint32_t at = offset + static_cast<std::uint32_t>(i);
    const std::uint64_t word = message_word(m, at / 8);
    const std::size_t skip = at % 8;
    const std::size_t n = std::min<std::size_t>(8 - skip, out.size() - i);
    std::memcpy(out.data() + i, reinterpret_cast<const std::byte*>(&word) + skip, n);
    i += n;
  }
}

// nullopt: not what anybody has said.
[[nodiscard]] inline std::optional<MessageName> read_message(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < message_bytes_least) return std::nullopt;
  std::uint64_t name = 0;
  std::memcpy(&name, bytes.data(), 8);
  const MessageName m{static_cast<std::uint32_t>(name >> 32), static_cast<std::uint32_t>(name)};
  for (std::size_t at = 8; at < bytes.size(); at += 8) {
    const std::uint64_t word = message_word(m, static_cast<std::uint32_t>(at / 8));
    if (std::memcmp(&word, bytes.data() + at, std::min<std::size_t>(8, bytes.size() - at)) != 0) return std::nullopt;
  }
  return m;
}

}  // namespace rtchan::sim
