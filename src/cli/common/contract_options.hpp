// The traffic contract on the command line, the same for every subcommand that opens a channel.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>

#include "base/text.hpp"
#include <rtchan/qos.hpp>

namespace rtchan::cli {

// Adds an option whose text is read by one of the parse functions of base/text.hpp. What does not parse ends the
// program with status 2 and the parser's sentence.
template <class Value, class Parsed>
CLI::Option* add_quantity(CLI::App& app, const std::string& flag, Value& target,
                          std::expected<Parsed, std::string> (*parse)(std::string_view), const std::string& description) {
  return app
      .add_option_function<std::string>(
          flag,
          [&target, parse, flag](const std::string& text) {
            auto value = parse(text);
            if (!value) throw CLI::ValidationError(flag, value.error());
            target = static_cast<Value>(*std::move(value));
          },
          description)
      ->type_name("");
}

// A size that a message can have. Parses like parse_bytes.
[[nodiscard]] std::expected<std::uint32_t, std::string> parse_message_bytes(std::string_view text);

struct ContractOptions {
  double rate = 100;               // messages a second
  std::uint32_t burst = 1;         // messages
  std::uint32_t bytes = 1400;      // largest message
  Duration delay = std::chrono::milliseconds{20};
  bool best_effort = false;
  bool controlled_load = false;
  double activity = 0;             // > 0: statistical, the part of the time in which the channel sends
  bool refuse_excess = false;      // messages beyond the contract are refused instead of delayed
};

// --rate, --burst, --size, --delay, --best-effort, --controlled-load, --statistical, --refuse-excess, with the present values of `options` as defaults.
void add_contract_options(CLI::App& app, ContractOptions& options);

// Errors: one sentence naming the option that is out of range.
[[nodiscard]] std::expected<Qos, std::string> qos_of(const ContractOptions& options);
// What goes with the contract: how often a statistical channel sends.
[[nodiscard]] std::vector<Extension> extensions_of(const ContractOptions& options);

// "guaranteed", "best effort", "controlled load", "statistical"; nullopt: none of them.
[[nodiscard]] const char* name(ServiceClass service) noexcept;
[[nodiscard]] std::optional<ServiceClass> service_named(std::string_view text) noexcept;

// "500/s of up to 1KB, bursts of 1, within 5ms", "best effort, up to 1.4KB"
[[nodiscard]] std::string describe(const Qos& qos);

}  // namespace rtchan::cli
