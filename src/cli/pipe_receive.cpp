#include <fmt/format.h>

#include <array>
#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/text.hpp"
#include "cli/common/contract_options.hpp"
#include "cli/input.hpp"
#include "cli/patience.hpp"
#include "cli/pipe/frame.hpp"
#include "cli/pipe/spool.hpp"
#include "cli/pipe_ends.hpp"

namespace rtchan::cli {

namespace {

// Moves what is in the spool to the output until the spool ends.
void write_out(Spool& spool, File& output, std::optional<Error>& failure) {
  while (auto bytes = spool.take()) {
    if (const auto written = output.write(*bytes); !written) {
      failure = written.error();
      spool.refuse();
      return;
    }
  }
}

struct Outcome {
  std::string wrong;  // empty: the stream is complete
  PipeReader reader;
  double seconds = 0;
  Statistics statistics{};
  nlohmann::json late = nlohmann::json::array();  // the first of them, so that a cause can be looked for
};
constexpr std::size_t late_shown = 1000;

void note_lateness(Outcome& outcome, const ReceiveLoan& message, Duration bound) {
  const auto delay = message.delay();
  if (!delay || *delay <= bound || outcome.late.size() == late_shown) return;
  outcome.late.push_back({{"number", message.number()}, {"readable_ns", message.readable().count()}, {"delay_ns", delay->count()}});
}

// Takes messages until the stream has ended one way or the other.
Outcome take_stream(Channel& channel, Spool& spool, Console& console) {
  Outcome outcome;
  Metronome metronome;
  const Instant start = RawClock::now();
  while (outcome.wrong.empty() && !outcome.reader.complete()) {
    const auto message = receive(channel);
    if (!message) {
      outcome.wrong = fmt::format("the stream broke off after {} bytes: {}", outcome.reader.bytes(), sentence(message.error()));
      break;
    }
    note_lateness(outcome, *message, channel.bound());
    const auto bytes = outcome.reader.take(message->bytes());
    if (!bytes) {
      outcome.wrong = bytes.error();
    } else if (!bytes->empty() && !spool.put(*bytes)) {
      outcome.wrong = spool.full_sentence();
    }
    const Instant now = RawClock::now();
    if (metronome.due(now)) {
      const Statistics s = channel.statistics();
      console.progress(fmt::format("{} received, worst delay {} of {}", format_bytes(outcome.reader.bytes()),
                                   format_duration(s.worst_delay.value_or(Duration{0})), format_duration(s.bound)));
    }
  }
  outcome.seconds = std::chrono::duration<double>(RawClock::now() - start).count();
  outcome.statistics = channel.statistics();
  return outcome;
}

// Tells the sender; that it cannot be told changes nothing about what arrived.
void confirm(Session& session, const Channel& channel, const Outcome& outcome, Console& console) {
  if (outcome.reader.reply_port() == 0) return;
  const Qos qos{.service = ServiceClass::best_effort, .max_message_bytes = pipe_receipt_bytes};
  auto back = session.connect(Endpoint{channel.peer().address, outcome.reader.reply_port()}, qos);
  std::expected<void, Error> told;
  if (back) {
    std::array<std::byte, pipe_receipt_bytes> message{};
    write_receipt({outcome.wrong.empty(), outcome.reader.bytes(), outcome.reader.checksum()}, message);
    told = send(*back, message, std::chrono::seconds{5});
    if (told) told = back->close();
  } else {
    told = std::unexpected(back.error());
  }
  if (!told) console.note(fmt::format("cannot confirm to the sender: {}", sentence(told.error())));
}

ExitStatus report(const Outcome& outcome, Console& console) {
  const Statistics& s = outcome.statistics;
  const std::string delay = s.worst_delay ? fmt::format("; worst delay {} of {} promised, {} late", format_duration(*s.worst_delay),
                                                        format_duration(s.bound), s.late)
                                          : std::string();
  console.object({{"bytes", outcome.reader.bytes()},
                  {"crc32c", outcome.reader.checksum()},
                  {"messages", outcome.reader.messages()},
                  {"seconds", outcome.seconds},
                  {"complete", outcome.wrong.empty()},
                  {"late", s.late},
                  {"late_messages", outcome.late},
                  {"lost", s.lost},
                  {"bound_ns", s.bound.count()},
                  {"worst_delay_ns", s.worst_delay.value_or(Duration{0}).count()}});
  if (!outcome.wrong.empty()) return console.fail(ExitStatus::failed, outcome.wrong + delay);
  console.note(fmt::format("{} received in {:.1f} s, complete and unchanged{}", format_bytes(outcome.reader.bytes()),
                           outcome.seconds, delay));
  return ExitStatus::ok;
}

}  // namespace

ExitStatus pipe_receive(const PipeOptions& options, Console& console) {
  auto output = File::open_output(options.file_out);
  if (!output) return console.fail("output", output.error());
  auto session = open_session(options.common);
  if (!session) return no_session(console, session.error());
  std::atomic<bool> taken = false;
  auto listener = session->listen(*options.listen, [&taken](const AgentCall& call) {
    if (call.kind == AgentCall::Kind::aborted) taken = false;
    return call.kind != AgentCall::Kind::setup || !taken.exchange(true);  // one stream: the second sender is refused
  });
  if (!listener) return console.fail(fmt::format("cannot listen on port {}", *options.listen), listener.error());
  if (*options.listen == 0) console.note(fmt::format("listening on port {}", listener->port()));
  auto channel = accept(*listener, options.timeout);
  if (!channel) return console.fail("waiting for a sender", channel.error());
  console.note(fmt::format("stream from {}: {}", channel->peer().text(), describe(channel->qos())));

  Spool spool(options.buffer_bytes);
  std::optional<Error> write_failure;
  std::thread writer([&] { write_out(spool, *output, write_failure); });
  Outcome outcome = take_stream(*channel, spool, console);
  spool.end();
  writer.join();
  if (write_failure) outcome.wrong = sentence(*write_failure);
  confirm(*session, *channel, outcome, console);
  return report(outcome, console);
}

}  // namespace rtchan::cli
