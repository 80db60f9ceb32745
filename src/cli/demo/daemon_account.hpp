// What the two daemons say about a flow's channel, beside the independent judgement: the class of the
// promise, its conditions, and on which side the time was spent. It explains; it does not decide.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"

namespace rtchan::demo {

struct ChannelAccount {
  bool sending = false;         // the sending host's end
  std::string promise_class{};  // "exact", "conditional", "void"; empty: best effort
  std::vector<std::string> conditions{};
  std::optional<Duration> bound{};  // sending: from logical arrival to the wire; receiving: D
  Duration worst{};                 // the worst seen of it
  Duration worst_cpu{}, worst_link{};
  std::uint64_t shaped = 0, refused = 0, late = 0, lost = 0;
};

// The channel to `port` in what `rtc channels --json` printed; nullopt when there is none or it cannot be
// read.
[[nodiscard]] std::optional<ChannelAccount> find_channel(std::string_view channels_json, std::uint16_t port);

// Where a late message lost its time, as far as two ends can tell; empty when neither is known.
[[nodiscard]] std::string attribution(const std::optional<ChannelAccount>& sender,
                                      const std::optional<ChannelAccount>& receiver);

}  // namespace rtchan::demo
