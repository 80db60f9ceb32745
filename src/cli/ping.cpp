// rtc ping: round trips over a pair of channels, and where their time goes.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "cli/command.hpp"
#include "cli/common/contract_options.hpp"
#include "cli/echo.hpp"
#include "cli/patience.hpp"
#include "cli/perf/report.hpp"
#include "cli/responder.hpp"

namespace rtchan::cli {

namespace {

struct PingOptions {
  Common common;
  ContractOptions contract{.rate = 100, .bytes = 128};
  std::string to;
  std::uint16_t listen = 0;
  std::uint64_t count = UINT64_MAX;
  Duration interval = std::chrono::seconds{1};
  Duration spin{};
};

ExitStatus listen(const PingOptions& options, Console& console) {
  auto session = open_session(options.common, options.spin);
  if (!session) return no_session(console, session.error());
  auto listener = session->listen(options.listen);
  if (!listener) return console.fail(fmt::format("cannot listen on port {}", options.listen), listener.error());
  console.note(fmt::format("answering on port {}", listener->port()));
  Responder responder(*session, console);
  Inbox inbox(*session, *listener,
              {.opened = [](std::uint64_t, Channel&) {},
               .message = [&](std::uint64_t key, const ReceiveLoan& message) { responder.greet(inbox, key, message); },
               .ended = [](std::uint64_t, const Error&) {}});
  while (!interrupted()) {
    if (const auto turned = inbox.turn(std::chrono::milliseconds{100}); !turned) return console.fail("answering", turned.error());
  }
  return ExitStatus::ok;
}

std::string where_time_goes(const RoundTrip& trip) {
  return fmt::format("{} there, {} awake, {} turn, {} back, {} awake", format_duration(trip.there.readable - trip.handed_over),
                     format_duration(trip.there.read - trip.there.readable),
                     format_duration(trip.there.handed_back - trip.there.read),
                     format_duration(trip.readable - trip.there.handed_back), format_duration(trip.read - trip.readable));
}

void show(Console& console, const RoundTrip& trip, std::uint32_t bytes) {
  const Duration time = trip.read - trip.handed_over;
  const bool same_clock = trip.there.clock != 0 && trip.there.clock == clock_identity();
  console.line(fmt::format("{} bytes, {}: {}{}", bytes, trip.sequence, format_duration(time),
                           same_clock ? " = " + where_time_goes(trip) : ""));
  console.object({{"sequence", trip.sequence}, {"bytes", bytes}, {"round_trip_ns", time.count()}});
}

ExitStatus ping(const PingOptions& options, Console& console) {
  const auto qos = qos_of(options.contract);
  if (!qos) return console.fail(ExitStatus::usage, qos.error());
  auto session = open_session(options.common, options.spin);
  if (!session) return no_session(console, session.error());
  auto conversation = call(*session, options.to, *qos, std::chrono::seconds{5}, extensions_of(options.contract));
  if (!conversation) return console.fail(fmt::format("cannot ping {} ({})", options.to, describe(*qos)), conversation.error());
  Histogram times;
  std::uint64_t sent = 0;
  const Duration patience = 2 * qos->max_delay + std::chrono::seconds{1};
  Instant next = RawClock::now();
  while (sent < options.count && !interrupted()) {
    const auto trip = round_trip(*conversation, sent++, options.contract.bytes, patience);
    if (trip) {
      times.add(trip->read - trip->handed_over);
      show(console, *trip, options.contract.bytes);
    } else if (trip.error().code == Errc::timed_out) {
      console.line(fmt::format("{}: no answer within {}", sent - 1, format_duration(patience)));
    } else if (!interrupted()) {
      return console.fail("pinging", trip.error());
    }
    next += options.interval;
    while (sent < options.count && RawClock::now() < next && !interrupted()) wait_readable({}, std::min<Duration>(next - RawClock::now(), patience_slice));
  }
  const std::uint64_t lost = sent - times.count();
  console.line(fmt::format("{} sent, {} without answer; round trip p50 {}, p99 {}, worst {} (promised: {} each way)", sent, lost,
                           format_duration(times.quantile(0.5)), format_duration(times.quantile(0.99)),
                           format_duration(times.max()), format_duration(conversation->out.bound())));
  console.object({{"sent", sent}, {"lost", lost}, {"round_trip", to_json(times)}});
  return lost == 0 && sent > 0 ? ExitStatus::ok : ExitStatus::failed;
}

ExitStatus run(const PingOptions& options) {
  Console console("rtc ping", options.common.json);
  if (options.to.empty() == (options.listen == 0)) {
    return console.fail(ExitStatus::usage, "say either where to (HOST:PORT) or --listen PORT");
  }
  if (options.contract.bytes < echo_bytes) {
    return console.fail(ExitStatus::usage, fmt::format("--size: at least {} bytes are needed", echo_bytes));
  }
  no_timer_slack();
  return options.to.empty() ? listen(options, console) : ping(options, console);
}

}  // namespace

void add_ping(CLI::App& root, Chosen& chosen) {
  auto options = std::make_shared<PingOptions>();
  CLI::App* app = add_command(root, options->common, "ping", "Measure round trips over a pair of channels.",
                              "  rtc ping --listen 7000\n"
                              "  rtc ping 10.0.0.2:7000 --count 100 --interval 10ms\n"
                              "  rtc ping 10.0.0.2:7000 --size 1KB --rate 1k/s --delay 5ms --json");
  add_destination(*app, "HOST:PORT", options->to, "where `rtc ping --listen PORT` (or `rtc perf --listen PORT`) answers");
  app->add_option("--listen", options->listen, "answer on this port")->type_name("PORT");
  app->add_option("--count", options->count, "end after this many")->check(CLI::PositiveNumber.description(""))->type_name("");
  add_quantity(*app, "--interval", options->interval, parse_duration, "from one to the next [1s]");
  add_quantity(*app, "--spin", options->spin, parse_duration, "look again for so long before sleeping: 20us [0]");
  add_contract_options(*app, options->contract);
  app->callback([options, &chosen] { chosen.run = [options] { return run(*options); }; });
}

}  // namespace rtchan::cli
