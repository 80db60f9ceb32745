// From what a person knows of a stream (its bit rate and how late it may be) to a traffic contract.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "base/time.hpp"
#include <rtchan/qos.hpp>

namespace rtchan::cli {

struct StreamNeeds {
  std::uint64_t bits_per_second = 0;       // of the stream, peak over a few `delay`s
  Duration delay{};                        // from a chunk's logical arrival to the other end
  std::optional<std::uint32_t> chunk_bytes{};  // stream bytes in a message
  std::optional<std::uint32_t> burst{};        // messages
};

// Chunks of a quarter of what flows in `delay` (512 B ... 32 KiB): large enough that headers cost little, small
// enough that filling one does not eat the delay. The burst takes what a 64 KiB pipe can pour out at once.
// Errors: one sentence that names the value outside its range.
[[nodiscard]] std::expected<Qos, std::string> stream_contract(const StreamNeeds& needs);

}  // namespace rtchan::cli
