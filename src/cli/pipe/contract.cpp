#include "cli/pipe/contract.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "cli/pipe/frame.hpp"

namespace rtchan::cli {

namespace {
constexpr double chunk_min = 512;
constexpr double chunk_max = 32.0 * 1024;
constexpr double pipe_buffer = 64.0 * 1024;  // what a Linux pipe holds
}  // namespace

std::expected<Qos, std::string> stream_contract(const StreamNeeds& needs) {
  if (needs.bits_per_second == 0) return std::unexpected(std::string("a stream of 0 bit/s needs no channel"));
  if (needs.delay < limits::delay_min || needs.delay > limits::delay_max) {
    return std::unexpected(fmt::format("delay {} is outside {} ... {}", format_duration(needs.delay),
                                       format_duration(limits::delay_min), format_duration(limits::delay_max)));
  }
  const double bytes_per_second = static_cast<double>(needs.bits_per_second) / 8;
  const double in_delay = bytes_per_second * std::chrono::duration<double>(needs.delay).count();
  const std::uint32_t chunk =
      needs.chunk_bytes.value_or(static_cast<std::uint32_t>(std::clamp(in_delay / 4, chunk_min, chunk_max)));
  if (chunk < pipe_message_bytes_min || chunk > limits::message_bytes - pipe_header_bytes) {
    return std::unexpected(fmt::format("chunk of {} bytes is outside {} ... {}", chunk, pipe_message_bytes_min,
                                       limits::message_bytes - pipe_header_bytes));
  }
  const double rate = bytes_per_second / chunk;
  if (rate < limits::rate_min || rate > limits::rate_max) {
    return std::unexpected(fmt::format("{} in chunks of {} bytes is {} messages a second: outside {} ... {}",
                                       format_bit_rate(needs.bits_per_second), chunk, rate, limits::rate_min, limits::rate_max));
  }
  const std::uint32_t burst =
      needs.burst.value_or(static_cast<std::uint32_t>(std::clamp(pipe_buffer / chunk, 2.0, 128.0)));
  return Qos{.max_rate = rate,
             .max_burst = burst,
             .max_message_bytes = chunk + pipe_header_bytes,
             .max_delay = needs.delay};
}

}  // namespace rtchan::cli
