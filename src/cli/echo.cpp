#include "cli/echo.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "cli/patience.hpp"

namespace rtchan::cli {

namespace {

constexpr Duration count_within = std::chrono::seconds{10};
constexpr Duration ask_count_again = std::chrono::milliseconds{200};

Error not_a_responder(Duration waited) {
  return {Errc::timed_out,
          fmt::format("no answering channel within {} s: is `rtc ping --listen` or `rtc perf --listen` on that port, and was its way back admitted (it says so there)?",
                      std::chrono::duration<double>(waited).count()),
          {}};
}

// What a responder remembers of the burst that runs.
struct Burst {
  std::uint32_t stream = UINT32_MAX;
  std::uint64_t received = 0;
  Instant first{};
  Instant last{};
};

Instant readable_at(const ReceiveLoan& message) { return Instant{message.readable()}; }

// The answer to `asked`: the same header turned round, and when the message was seen here.
std::expected<void, Error> answer(Channel& out, const Payload& asked, std::size_t bytes, EchoTimes times) {
  auto reply = loan(out, std::max<std::size_t>(bytes, echo_bytes), std::chrono::seconds{5});
  if (!reply) return std::unexpected(reply.error());
  times.clock = clock_identity();
  times.handed_back = RawClock::now();
  write_echo_times(times, reply->bytes());
  Payload payload = asked;
  payload.kind = PayloadKind::echo;
  write_payload(payload, reply->bytes());
  return reply->commit();
}

// How many messages of a burst arrived. The question is repeated: on best effort it may be lost behind the burst.
std::expected<BurstResult, Error> count_of(Conversation& conversation, std::uint32_t stream, BurstResult result) {
  std::array<std::byte, payload_bytes> end{};
  write_payload({.kind = PayloadKind::end, .stream = stream, .sequence = result.sent, .clock = clock_identity()}, end);
  for (const Instant start = RawClock::now(); RawClock::now() - start < count_within;) {
    if (const auto sent = send(conversation.out, end, count_within); !sent) return std::unexpected(sent.error());
    const auto reply = receive(conversation.in, ask_count_again);
    if (!reply && reply.error().code != Errc::timed_out) return std::unexpected(reply.error());
    const auto payload = reply ? read_payload(reply->bytes()) : std::nullopt;
    if (!payload || payload->kind != PayloadKind::echo || payload->stream != stream || reply->bytes().size() < echo_bytes) continue;
    const EchoTimes times = read_echo_times(reply->bytes());
    result.received = payload->sequence;
    const double seconds = std::chrono::duration<double>(times.read - times.readable).count();
    if (seconds > 0) result.received_per_second = static_cast<double>(result.received - 1) / seconds;
    return result;
  }
  return std::unexpected(Error{Errc::timed_out, "the responder does not say how many messages arrived", {}});
}

}  // namespace

std::expected<Conversation, Error> call(Session& session, const std::string& destination, const Qos& qos, Duration timeout,
                                        const std::vector<Extension>& extensions) {
  if (qos.max_message_bytes < echo_bytes) {
    return std::unexpected(Error{Errc::invalid_argument, fmt::format("--size: at least {} bytes are needed", echo_bytes), {}});
  }
  auto listener = session.listen(0);
  if (!listener) return std::unexpected(listener.error());
  auto out = session.connect(destination, qos, {.extensions = extensions});
  if (!out) return std::unexpected(out.error());
  std::array<std::byte, payload_bytes> hello{};
  write_payload({.kind = PayloadKind::hello, .sequence = listener->port(), .clock = clock_identity()}, hello);
  if (const auto sent = send(*out, hello, timeout); !sent) return std::unexpected(sent.error());
  auto in = accept(*listener, timeout);
  if (!in) return std::unexpected(in.error().code == Errc::timed_out ? not_a_responder(timeout) : in.error());
  return Conversation{*std::move(out), *std::move(in)};
}

std::expected<RoundTrip, Error> round_trip(Conversation& conversation, std::uint64_t sequence, std::uint32_t bytes,
                                           Duration timeout) {
  auto message = loan(conversation.out, bytes, timeout);
  if (!message) return std::unexpected(message.error());
  const Instant start = RawClock::now();
  write_payload({.sequence = sequence, .intended = start, .handed_over = start, .clock = clock_identity()}, message->bytes());
  if (const auto sent = message->commit(); !sent) return std::unexpected(sent.error());
  while (true) {
    const auto reply = receive(conversation.in, timeout - (RawClock::now() - start));
    if (!reply) return std::unexpected(reply.error());
    const Instant read = RawClock::now();
    const auto payload = read_payload(reply->bytes());
    if (!payload || payload->kind != PayloadKind::echo || payload->sequence != sequence ||
        payload->handed_over != start || reply->bytes().size() < echo_bytes) {
      continue;
    }
    return RoundTrip{sequence, start, read_echo_times(reply->bytes()), readable_at(*reply), read};
  }
}

std::expected<BurstResult, Error> burst(Conversation& conversation, std::uint32_t stream, std::uint32_t bytes, Duration time) {
  BurstResult result;
  const std::uint64_t clock = clock_identity();
  const Instant start = RawClock::now();
  for (Instant now = start; now - start < time; now = RawClock::now()) {
    auto message = conversation.out.loan(bytes, std::chrono::milliseconds{50});
    if (!message) {
      if (message.error().code == Errc::timed_out || message.error().code == Errc::would_block) continue;
      return std::unexpected(message.error());
    }
    write_payload({.stream = stream, .sequence = result.sent, .intended = now, .handed_over = now, .clock = clock},
                  message->bytes());
    if (const auto sent = message->commit(); !sent) return std::unexpected(sent.error());
    ++result.sent;
  }
  return count_of(conversation, stream, result);
}

std::expected<std::uint64_t, Error> respond(Session& session, Channel in, std::uint16_t reply_port) {
  auto out = session.connect(Endpoint{in.peer().address, reply_port}, in.qos());
  if (!out) return std::unexpected(out.error());
  std::uint64_t answered = 0;
  Burst seen;
  while (true) {
    const auto message = receive(in);
    if (!message) return answered;  // the caller has gone, or an interrupt came
    const Instant read = RawClock::now();
    auto payload = read_payload(message->bytes());
    if (!payload) continue;
    std::expected<void, Error> sent;
    if (payload->kind == PayloadKind::data && payload->stream == 0) {
      sent = answer(*out, *payload, message->bytes().size(), {readable_at(*message), read, {}, 0});
      ++answered;
    } else if (payload->kind == PayloadKind::data) {
      if (seen.stream != payload->stream) seen = {payload->stream, 0, readable_at(*message), {}};
      ++seen.received;
      seen.last = readable_at(*message);
    } else if (payload->kind == PayloadKind::end) {
      payload->sequence = seen.stream == payload->stream ? seen.received : 0;
      sent = answer(*out, *payload, echo_bytes, {seen.first, seen.last, {}, 0});
    }
    if (!sent) return answered;
  }
}

}  // namespace rtchan::cli
