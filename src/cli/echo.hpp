// Round trips over a pair of channels: the caller's messages go one way, the responder's answers come back on a channel
// that the responder opens to the caller, with the same contract.
#pragma once

#include <functional>
#include <optional>

#include "base/time.hpp"
#include "cli/perf/payload.hpp"
#include <rtchan/channel.hpp>

namespace rtchan::cli {

// One end's two channels.
struct Conversation {
  Channel out;
  Channel in;
};

// The caller's side: opens `destination`, tells where to answer, waits for the answering channel.
// Errors: those of Session::connect; timed_out when the other side is not a responder.
[[nodiscard]] std::expected<Conversation, Error> call(Session& session, const std::string& destination, const Qos& qos,
                                                      Duration timeout, const std::vector<Extension>& extensions = {});

// A finished round trip; all instants of the caller are its own clock's, `there` the responder's.
struct RoundTrip {
  std::uint64_t sequence{};
  Instant handed_over{};
  EchoTimes there;
  Instant readable{};
  Instant read{};
};

// Sends message `sequence` of `bytes` bytes (at least echo_bytes) and waits for its answer; older answers are skipped.
// Errors: timed_out, and whatever ended a channel.
[[nodiscard]] std::expected<RoundTrip, Error> round_trip(Conversation& conversation, std::uint64_t sequence,
                                                         std::uint32_t bytes, Duration timeout);

// The caller's burst: as many messages of `bytes` as are taken in `time`; then asks how many arrived.
struct BurstResult {
  std::uint64_t sent{};
  std::uint64_t received{};
  double received_per_second{};  // between the first and the last that arrived
};
[[nodiscard]] std::expected<BurstResult, Error> burst(Conversation& conversation, std::uint32_t stream, std::uint32_t bytes,
                                                      Duration time);

// The responder's side. `in` has just delivered a hello with this reply port; returns when the caller has gone (or an
// interrupt has come). `answered` counts.
// Errors: why the answering channel could not be opened.
[[nodiscard]] std::expected<std::uint64_t, Error> respond(Session& session, Channel in, std::uint16_t reply_port);

}  // namespace rtchan::cli
