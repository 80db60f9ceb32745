// Why a call failed, in terms that the caller can act on: which hop, which resource, and what would fit.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace rtchan {

enum class Errc : std::uint8_t {
  ok = 0,
  invalid_argument,     // a parameter is outside its range; text names it
  no_daemon,            // rtcd cannot be reached
  daemon_gone,          // rtcd went away: every channel of this session is closed; open a new session
  permission_denied,    // not allowed to talk to rtcd, or over this uid's quota
  refused,              // admission said no: see `refusal`
  rejected_by_agent,    // the receiving application said no
  no_listener,          // nobody registered that port at the destination
  port_in_use,
  no_route,
  timed_out,
  would_block,          // nothing to receive / no buffer to send from, and the call does not wait
  message_too_long,
  contract_exceeded,    // refuse-mode policing: the message does not conform (policing = shape waits instead)
  closed,               // this channel was destroyed here
  peer_closed,          // the other end closed, in order: nothing is missing
  channel_void,         // the promise no longer holds (why: text); the channel still carries messages
  version_mismatch,
  exhausted,            // a fixed table or memory is full; text names it
  protocol_error,       // the other side broke the protocol
  would_deadlock,       // blocking call from inside an agent function
  system,               // an operating system call failed; text has its name and errno
  peer_gone,            // the other end, its host or the path died: what it had still to send will not come
};
inline constexpr Errc last_errc = Errc::peer_gone;  // on the wire and in shared memory nothing beyond is believed

enum class Resource : std::uint8_t { none = 0, cpu, link, memory, blocking, quota, delay };

// Filled when code == refused. Times and rates that would have been admitted are hints computed at the
// refusing hop at that moment, not reservations. Zero: unknown or nothing would fit.
struct Refusal {
  std::string hop;                          // address of the refusing node
  Resource resource = Resource::none;
  std::chrono::nanoseconds binding_time{};  // the deadline at which demand exceeds supply
  std::chrono::nanoseconds fitting_delay{}; // smallest end-to-end max_delay that would fit at this rate
  double fitting_rate = 0;                  // largest rate (messages/s) that would fit at this delay
};

struct Error {
  Errc code = Errc::ok;
  std::string text;  // one sentence for a person
  Refusal refusal{};
};

[[nodiscard]] const char* name(Errc code) noexcept;
[[nodiscard]] const char* name(Resource resource) noexcept;

}  // namespace rtchan
