#include "cli/common/contract_options.hpp"

#include <fmt/format.h>

#include "base/limits.hpp"

namespace rtchan::cli {

std::expected<std::uint32_t, std::string> parse_message_bytes(std::string_view text) {
  const auto bytes = parse_bytes(text);
  if (!bytes) return std::unexpected(bytes.error());
  if (*bytes < 1 || *bytes > limits::message_bytes) {
    return std::unexpected(fmt::format("\"{}\" is not a message size: 1B ... 16MiB", text));
  }
  return static_cast<std::uint32_t>(*bytes);
}

void add_contract_options(CLI::App& app, ContractOptions& options) {
  const std::string group = "Contract";
  add_quantity(app, "--rate", options.rate, parse_rate,
               fmt::format("messages a second at most: 500/s, 10k/s, 30/min [{}]", format_rate(options.rate)))
      ->group(group);
  app.add_option("--burst", options.burst, fmt::format("messages at once at most [{}]", options.burst))
      ->check(CLI::Range(1u, limits::burst_messages).description(""))
      ->type_name("")
      ->group(group);
  add_quantity(app, "--size", options.bytes, parse_message_bytes,
               fmt::format("bytes in a message at most: 1400, 30KB [{}]", options.bytes))
      ->group(group);
  add_quantity(app, "--delay", options.delay, parse_duration,
               fmt::format("each message arrives within this of its logical arrival: 5ms [{}]", format_duration(options.delay)))
      ->group(group);
  app.add_flag("--best-effort", options.best_effort, "no promise: what the channels leave over")->group(group);
  app.add_flag("--refuse-excess", options.refuse_excess,
               "what exceeds the contract and its buffer is refused; without it the sender waits")
      ->group(group);
}

std::expected<Qos, std::string> qos_of(const ContractOptions& options) {
  if (options.best_effort) {
    return Qos{.service = ServiceClass::best_effort,
               .max_rate = 0,
               .max_burst = options.burst,
               .max_message_bytes = options.bytes};
  }
  if (options.rate < limits::rate_min || options.rate > limits::rate_max) {
    return std::unexpected(fmt::format("--rate: {}/s is outside 0.001/s ... 10M/s", options.rate));
  }
  if (options.delay < limits::delay_min || options.delay > limits::delay_max) {
    return std::unexpected(fmt::format("--delay: {} is outside 1us ... {}", format_duration(options.delay), format_duration(limits::delay_max)));
  }
  return Qos{.max_rate = options.rate,
             .max_burst = options.burst,
             .max_message_bytes = options.bytes,
             .max_delay = options.delay};
}

std::string describe(const Qos& qos) {
  if (qos.service == ServiceClass::best_effort) {
    return fmt::format("best effort, messages of up to {}", format_bytes(qos.max_message_bytes));
  }
  return fmt::format("{} of up to {}, bursts of {}, within {}", format_rate(qos.max_rate),
                     format_bytes(qos.max_message_bytes), qos.max_burst, format_duration(qos.max_delay));
}

}  // namespace rtchan::cli
