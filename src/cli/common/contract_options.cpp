#include "cli/common/contract_options.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdlib>

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

namespace {

// "40%"
std::expected<double, std::string> parse_activity(std::string_view text) {
  const std::string number{text.substr(0, text.empty() ? 0 : text.size() - 1)};
  char* end = nullptr;
  const double percent = std::strtod(number.c_str(), &end);
  const bool understood = !number.empty() && text.back() == '%' && *end == '\0';
  if (!understood || !(percent >= 0.0001 && percent <= 100)) {
    return std::unexpected(fmt::format("\"{}\" is not a part of the time: 0.0001% ... 100%", text));
  }
  return percent / 100;
}

constexpr std::array services{ServiceClass::best_effort, ServiceClass::guaranteed, ServiceClass::controlled_load,
                              ServiceClass::statistical};

}  // namespace

const char* name(ServiceClass service) noexcept {
  switch (service) {
    case ServiceClass::best_effort: return "best effort";
    case ServiceClass::guaranteed: return "guaranteed";
    case ServiceClass::controlled_load: return "controlled load";
    case ServiceClass::statistical: return "statistical";
  }
  return "?";
}

std::optional<ServiceClass> service_named(std::string_view text) noexcept {
  for (const ServiceClass service : services) {
    if (text == name(service)) return service;
  }
  return std::nullopt;
}

std::vector<Extension> extensions_of(const ContractOptions& options) {
  if (options.activity <= 0) return {};
  return {activity(static_cast<std::uint32_t>(std::llround(options.activity * 1e6)))};
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
  auto* loose = app.add_flag("--best-effort", options.best_effort, "no promise: what the channels leave over")->group(group);
  auto* controlled =
      app.add_flag("--controlled-load", options.controlled_load,
                   "served below guaranteed and above best effort: little queueing, --delay is typical, not promised")
          ->group(group)
          ->excludes(loose);
  add_quantity(app, "--statistical", options.activity, parse_activity,
               "served likewise; the channel sends this part of the time: 40%")
      ->group(group)
      ->excludes(loose)
      ->excludes(controlled);
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
  const ServiceClass service = options.controlled_load ? ServiceClass::controlled_load
                               : options.activity > 0  ? ServiceClass::statistical
                                                       : ServiceClass::guaranteed;
  return Qos{.service = service,
             .max_rate = options.rate,
             .max_burst = options.burst,
             .max_message_bytes = options.bytes,
             .max_delay = options.delay};
}

std::string describe(const Qos& qos) {
  if (qos.service == ServiceClass::best_effort) {
    return fmt::format("best effort, messages of up to {}", format_bytes(qos.max_message_bytes));
  }
  const std::string traffic = fmt::format("{} of up to {}, bursts of {}", format_rate(qos.max_rate),
                                          format_bytes(qos.max_message_bytes), qos.max_burst);
  const std::string delay = format_duration(qos.max_delay);
  if (qos.service == ServiceClass::guaranteed) return fmt::format("{}, within {}", traffic, delay);
  return fmt::format("{}, {}, typically within {}", name(qos.service), traffic, delay);
}

}  // namespace rtchan::cli
