// What happens in a simulated run, as data: the hosts and links, then deeds with their instants, in order. A seed makes a
// script (scenario.hpp), and only scripts are run; so a failing seed is a text file that replays the same events, that
// can be edited by hand and made smaller by leaving lines out (minimise.hpp).
//
//     settings seed=7 lease_ms=2000 workers=1
//     host host=0 drift_ppb=20000
//     link link=0 a=0 b=1 rate_kbit=100000 delay_us=50
//     @0.010000000 start app=0 host=0
//     @0.020000000 create channel=0 from=0 to=1 period_us=10000 burst=1 bytes=500 delay_us=30000 ...
//
// Every value is an integer whose unit stands in its key; what is left out is 0 or the default that the table says.
// A comment begins with '#'.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"

namespace rtchan::sim {

enum class Verb : std::uint8_t {
  settings,   // of the whole run
  host,       // of one host
  link,       // one more link
  start,      // an application starts and listens at its port
  create,     // it asks for a channel to another; once it has it, it sends
  destroy,    // an end gives its channel back
  kill,       // an application dies
  crash,      // a daemon and its worker are gone; its applications with it
  boot,       // ... and come back, with a new epoch
  shut_down,  // a daemon takes leave of everybody
  stall,      // a host does nothing for a while
  cut,        // nothing passes from a to b
  mend,       // it does again
  faults,     // what happens to packets from a to b from now on
  memory,     // so many per cent of the clips of a host cannot be opened
  void_link,  // a host's link toward a neighbour can promise nothing
  restore,    // it can again
  misroute,   // a host sends set-ups for a host by a neighbour of its own choice
  judge,      // nothing is being set up or torn down: the books are compared
};
inline constexpr std::size_t verbs = 19;

struct Key {
  std::string_view name;
  std::int64_t usual = 0;
};
inline constexpr std::size_t values_most = 14;

// A verb's name and keys, in the order of Deed::values.
struct Grammar {
  std::string_view name;
  std::array<Key, values_most> keys;
};
[[nodiscard]] const Grammar& grammar(Verb verb) noexcept;

struct Deed {
  Duration at{};
  Verb verb{};
  std::array<std::int64_t, values_most> values{};

  Deed() = default;
  Deed(Duration when, Verb what);  // the usual values
  // The value of a key of this verb (asserted).
  [[nodiscard]] std::int64_t operator[](std::string_view key) const noexcept;
  [[nodiscard]] bool has(std::string_view key) const noexcept;
  Deed& set(std::string_view key, std::int64_t value) noexcept;
  [[nodiscard]] std::uint32_t index(std::string_view key) const noexcept {
    return static_cast<std::uint32_t>((*this)[key]);
  }
  // settings, host, link: they hold from the beginning.
  [[nodiscard]] bool timeless() const noexcept { return verb <= Verb::link; }
};

using Script = std::vector<Deed>;

[[nodiscard]] std::string to_text(const Deed& deed);
[[nodiscard]] std::string to_text(std::span<const Deed> script);
// The error names the line and what is wrong with it.
[[nodiscard]] std::expected<Script, std::string> parse_script(std::string_view text);

}  // namespace rtchan::sim
