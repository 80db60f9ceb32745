// The guard keeps traffic of programs that do not use rtcd from breaking the promises on a link: what leaves
// by the same interface without asking us is either put behind us, or watched. It is installed and checked by
// the control process; a guard that is lost voids the channels over its link. It never replaces a queueing
// discipline that somebody else configured, unless told to.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <rtchan/error.hpp>
#include <string>
#include <string_view>

#include "base/time.hpp"
#include "link/driver.hpp"
#include "link/guard/capacity.hpp"

namespace rtchan::link {

enum class GuardKind : std::uint8_t {
  none,   // nothing is done: promises hold while nobody else uses the interface
  share,  // nothing is installed: promises hold while others send at most `share`; their traffic is measured
  htb,    // root HTB at `bits_per_second`, our real-time class first
};
[[nodiscard]] const char* name(GuardKind kind) noexcept;
// "none", "share", "htb"
[[nodiscard]] std::optional<GuardKind> parse_guard_kind(std::string_view text) noexcept;

struct GuardConfig {
  GuardKind kind = GuardKind::none;
  std::string interface;
  // htb: capacity of the link. The root runs at `root_percent` of it, so that the queue forms here and not
  // in the NIC or a switch; admission counts on the reduced rate: guarded_bits_per_second().
  std::uint64_t bits_per_second = 0;
  std::uint32_t root_percent = htb_root_percent;
  // htb: largest GSO datagram that others may hand to the NIC in one piece, since one piece blocks the wire.
  // 0: what the link sends in 250 us, at least two frames.
  std::uint32_t gso_max_bytes = 0;
  bool replace_foreign = false;             // htb: take the place even of a qdisc that somebody configured
  std::uint64_t share_bits_per_second = 0;  // share: S
  Duration share_period = std::chrono::seconds{1};  // share: S is the mean over this long
  std::uint32_t share_burst_bytes = 0;  // share: others' longest burst; cannot be checked. 0: one frame
};

class Guard {
 public:
  virtual ~Guard() = default;  // htb: removes what it installed
  Guard() = default;
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  // Whether the promise still stands: nullopt, or one sentence why not. Call every 100 ms or so.
  // `our_bytes`: what our drivers sent on this interface so far, link headers included (share only).
  virtual std::optional<std::string> check(Instant now, std::uint64_t our_bytes) = 0;
  // SO_PRIORITY for the sockets of this class.
  [[nodiscard]] virtual std::uint32_t priority(TrafficClass cls) const = 0;
  // Wire bits a second that admission may count on.
  [[nodiscard]] virtual std::uint64_t guarded_bits_per_second() const = 0;
  // Bytes of other programs' traffic that can stand in the device ahead of a packet of ours: a blocking term.
  [[nodiscard]] virtual std::uint64_t foreign_blocking_bytes() const = 0;
  // The condition under which promises hold, for `rtc status`: "exact: ..." or "while ...".
  [[nodiscard]] virtual std::string condition() const = 0;
};

// Fails with permission_denied (CAP_NET_ADMIN), refused (a foreign qdisc is in place; text names it),
// invalid_argument or system.
[[nodiscard]] std::expected<std::unique_ptr<Guard>, Error> make_guard(const GuardConfig& config);

}  // namespace rtchan::link
