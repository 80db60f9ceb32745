// CRC32C (Castagnoli, RFC 3720 appendix B.4): the trailer of data packets where no security is configured.
// It finds accidents of the network, not adversaries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rtchan {

// Checksum of `bytes`, or, given the checksum of what came before, of both together.
// Uses the processor's instruction where it has one (decided once). Thread-safe.
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0) noexcept;

namespace detail {  // both ways, for tests to compare
[[nodiscard]] std::uint32_t crc32c_table(std::span<const std::byte> bytes, std::uint32_t before) noexcept;
[[nodiscard]] std::uint32_t crc32c_hardware(std::span<const std::byte> bytes, std::uint32_t before) noexcept;
[[nodiscard]] bool crc32c_has_hardware() noexcept;
}  // namespace detail

}  // namespace rtchan
