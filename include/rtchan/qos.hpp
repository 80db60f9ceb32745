// What an application asks of a channel: its traffic contract and its delay bound (paper 4.1, 4.4).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace rtchan {

enum class ServiceClass : std::uint8_t {
  best_effort = 0,  // no promise: what the channels leave over
  guaranteed = 1,   // every conforming message is delivered within max_delay of its logical arrival
  // Served below guaranteed and above best effort, where hosts and links on the route are configured to. Admitted and policed
  // by the contract like guaranteed; max_delay is what the route must be able to offer typically, no bound of any message.
  controlled_load = 2,  // sums of rates and bursts stay within a share: little queueing (in the sense of RFC 2211)
  statistical = 3,      // at any instant a stage is behind with at most its configured probability, if the channels are
                        // active independently of each other, each as often as it says (Extension, tag_activity)
};

// Whether channels of the class are admitted against what was promised before, and policed.
[[nodiscard]] constexpr bool admitted(ServiceClass service) noexcept { return service != ServiceClass::best_effort; }
// Whether anything is promised of their delay that can become void: controlled load only has a share.
[[nodiscard]] constexpr bool promised(ServiceClass service) noexcept {
  return service == ServiceClass::guaranteed || service == ServiceClass::statistical;
}
// Whether they are served in the middle class: below guaranteed, above best effort.
[[nodiscard]] constexpr bool in_the_middle(ServiceClass service) noexcept {
  return service == ServiceClass::controlled_load || service == ServiceClass::statistical;
}

// Traffic contract: in every interval of t seconds at most max_burst + max_rate * t messages, each of at
// most max_message_bytes. Each message is delivered (readable at the receiver) within max_delay of its
// logical arrival l(m) = max(hand-over(m), l(m-1) + 1/max_rate); a source that keeps its contract sees at most
// max_delay + (max_burst - 1)/max_rate from hand-over, and how late rtcd may see a message (1 ms at most, unless the host is kept
// from running).
struct Qos {
  ServiceClass service = ServiceClass::guaranteed;
  double max_rate = 0;                  // messages per second, 0.001 ... 10,000,000 (best effort: 0 = no limit of its own)
  std::uint32_t max_burst = 1;          // messages, 1 ... 65,536
  std::uint32_t max_message_bytes = 0;  // 1 ... 16,777,216
  std::chrono::nanoseconds max_delay{}; // 1 us ... 30 s (best effort: ignored)

  friend bool operator==(const Qos&, const Qos&) = default;
};

// Optional model-specific parameter (paper 4.1): the admission policy interprets it; travels end to end with the
// request. At most 8 on a channel, of at most 64 bytes each. Tags below 0x8000 are defined
// here and in docs/protocol; the others are free for an application and its agents, carried and otherwise ignored.
struct Extension {
  std::uint16_t tag{};
  std::vector<std::byte> value;

  friend bool operator==(const Extension&, const Extension&) = default;
};

// ServiceClass::statistical: the part of the time in which the channel sends, in parts per million, as 4 bytes, most significant
// first; 1 ... 1,000,000. Without it: 1,000,000, a channel that always sends.
inline constexpr std::uint16_t tag_activity = 1;
[[nodiscard]] inline Extension activity(std::uint32_t ppm) {
  return {tag_activity, {static_cast<std::byte>(ppm >> 24), static_cast<std::byte>(ppm >> 16), static_cast<std::byte>(ppm >> 8),
                         static_cast<std::byte>(ppm)}};
}
// What it says; nullopt: not what it should be.
[[nodiscard]] inline std::optional<std::uint32_t> activity_ppm(const Extension& e) {
  if (e.tag != tag_activity || e.value.size() != 4) return std::nullopt;
  std::uint32_t ppm = 0;
  for (const std::byte b : e.value) ppm = ppm << 8 | std::to_integer<std::uint32_t>(b);
  return ppm >= 1 && ppm <= 1'000'000 ? std::optional{ppm} : std::nullopt;
}

}  // namespace rtchan
