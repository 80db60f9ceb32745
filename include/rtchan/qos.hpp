// What an application asks of a channel: its traffic contract and its delay bound (paper 4.1, 4.4).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace rtchan {

enum class ServiceClass : std::uint8_t {
  best_effort = 0,  // no promise: what the channels leave over
  guaranteed = 1,   // every conforming message is delivered within max_delay of its logical arrival
};

// Traffic contract: in every interval of t seconds at most max_burst + max_rate * t messages, each of at
// most max_message_bytes. Each message is delivered (readable at the receiver) within max_delay of its
// logical arrival l(m) = max(hand-over(m), l(m-1) + 1/max_rate); a source that keeps its contract sees at most
// max_delay + (max_burst - 1)/max_rate from hand-over.
struct Qos {
  ServiceClass service = ServiceClass::guaranteed;
  double max_rate = 0;                  // messages per second, 0.001 ... 10,000,000 (best effort: 0 = no limit of its own)
  std::uint32_t max_burst = 1;          // messages, 1 ... 65,536
  std::uint32_t max_message_bytes = 0;  // 1 ... 16,777,216
  std::chrono::nanoseconds max_delay{}; // 1 us ... 30 s (best effort: ignored)

  friend bool operator==(const Qos&, const Qos&) = default;
};

// Optional model-specific parameter (paper 4.1): the admission policy interprets it; travels end to end with the
// request. At most 8 on a channel, of at most 64 bytes each. docs/protocol lists the tags; tags that a policy
// does not know are carried and ignored.
struct Extension {
  std::uint16_t tag{};
  std::vector<std::byte> value;

  friend bool operator==(const Extension&, const Extension&) = default;
};

}  // namespace rtchan
