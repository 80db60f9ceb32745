// rtc perf on the command line: the load tool.
#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <memory>

#include "base/text.hpp"
#include "cli/perf/payload.hpp"
#include "cli/patience.hpp"
#include "cli/perf_ends.hpp"

namespace rtchan::cli {

namespace {

std::vector<std::uint32_t> read_sizes(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw CLI::ValidationError("--sizes", "cannot read " + path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  auto sizes = parse_sizes(text, payload_bytes);
  if (!sizes) throw CLI::ValidationError("--sizes", path + ": " + sizes.error());
  return *std::move(sizes);
}

template <class Parse>
void add_offer(CLI::App& app, const std::string& flag, Offer& target, Parse parse, const std::string& description) {
  app.add_option_function<std::string>(
         flag,
         [&target, parse, flag](const std::string& text) {
           auto offer = parse(text);
           if (!offer) throw CLI::ValidationError(flag, offer.error());
           target = *std::move(offer);
         },
         description)
      ->type_name("")
      ->group("Sending");
}

void add_sending_options(CLI::App& app, PerfOptions& o) {
  add_destination(app, "--to", o.to, "send there: HOST:PORT or [IPv6]:PORT")->group("Sending");
  add_contract_options(app, o.contract);
  add_offer(app, "--offer", o.offer, parse_offer, "offer this many times the contracted rate: 5, 0.5, max [1]");
  add_offer(app, "--schedule", o.offer, parse_offer_schedule, "the same in steps, seconds:factor: 0:1,10:5,15:max");
  app.add_option_function<std::string>("--sizes", [&o](const std::string& path) { o.sizes = read_sizes(path); },
                                       "message sizes from a file, one a line, repeated [all of --size]")
      ->type_name("FILE")
      ->group("Sending");
  app.add_option("--at-once", o.at_once, "messages that come together, at the same rate [1]")
      ->check(CLI::Range(1u, 65'536u).description(""))
      ->type_name("")
      ->group("Sending");
  app.add_option("--streams", o.streams, "channels with this contract [1]")
      ->check(CLI::Range(1u, 16'000u).description(""))
      ->type_name("")
      ->group("Sending");
  app.add_option_function<std::string>(
         "--when-full", [&o](const std::string& what) { o.when_full = what == "drop" ? WhenFull::drop : WhenFull::wait; },
         "a message that finds no room: wait (handed over late) or drop (counted) [wait]")
      ->check(CLI::IsMember({"wait", "drop"}).description(""))
      ->type_name("")
      ->group("Sending");
  app.add_flag("--check", o.check_filler, "fill messages and check every byte at the receiver")->group("Sending");
}

void add_other_options(CLI::App& app, PerfOptions& o) {
  app.add_option("--listen", o.listen, "receive on this port, from any number of senders")->type_name("PORT")->group("Receiving");
  app.add_option("--log", o.log, "write a CSV line for every message")->type_name("FILE")->group("Receiving");
  app.add_flag("--keep", o.keep, "go on when the last sender has closed")->group("Receiving");
  app.add_flag("--clocks-synchronised", o.clocks_synchronised,
               "compare the clocks of two hosts: you keep them together (PTP on CLOCK_MONOTONIC_RAW's source)")
      ->group("Receiving");
  app.add_flag("--round-trip", o.round_trip, "measure round trips and rates against `rtc perf --listen`")->group("Round trip");
  app.add_flag("--beside-udp", o.beside_udp,
               "also over plain UDP, in turns, and print ratios; the receiver needs it too (UDP on the same port number), "
               "and rtcd guard = \"none\"")
      ->group("Round trip");
  app.add_option("--rounds", o.rounds, "how often, in turns [5]")->check(CLI::Range(1u, 1000u).description(""))->type_name("")->group("Round trip");
  app.add_option_function<std::string>(
         "--duration",
         [&o](const std::string& text) {
           const auto value = parse_duration(text);
           if (!value || *value == Duration{0}) throw CLI::ValidationError("--duration", value ? "must be above 0" : value.error());
           o.duration = *value;
         },
         "how long [sending: 10s; receiving: until the last sender has closed]")
      ->type_name("");
  app.add_option("--count", o.count, "end after this many messages (a stream, when sending)")
      ->check(CLI::PositiveNumber.description(""))
      ->type_name("");
  add_quantity(app, "--spin", o.spin, parse_duration, "look again for so long before sleeping, at most 1ms [0]");
  app.add_flag("--progress", o.progress_json, "with --json: an object every second");
}

ExitStatus run(const PerfOptions& options) {
  Console console("rtc perf", options.common.json);
  if (options.to.empty() == !options.listen) {
    return console.fail(ExitStatus::usage, "say either --to HOST:PORT or --listen PORT");
  }
  no_timer_slack();
  if (options.listen) return perf_receive(options, console);
  if (options.round_trip) return perf_round_trip(options, console);
  if (options.beside_udp) return console.fail(ExitStatus::usage, "--beside-udp goes with --round-trip (or --listen)");
  return perf_send(options, console);
}

}  // namespace

void add_perf(CLI::App& root, Chosen& chosen) {
  auto options = std::make_shared<PerfOptions>();
  CLI::App* app = add_command(
      root, options->common, "perf", "Offer load and measure what becomes of it: rates, losses, delays against their bounds.",
      "  rtc perf --listen 7000 --log messages.csv\n"
      "  rtc perf --to 10.0.0.2:7000 --rate 500/s --size 1KB --delay 5ms --duration 20s\n"
      "  rtc perf --to 10.0.0.2:7000 --rate 1k/s --delay 10ms --schedule 0:1,10:5   # breaks its contract after 10 s\n"
      "  rtc perf --to 10.0.0.2:7000 --best-effort --rate 20k/s --size 1400\n"
      "  rtc perf --listen 7000 --beside-udp                                        # on one host, and on the other:\n"
      "  rtc perf --to 10.0.0.2:7000 --round-trip --beside-udp --spin 20us");
  add_sending_options(*app, *options);
  add_other_options(*app, *options);
  app->callback([options, &chosen] { chosen.run = [options] { return run(*options); }; });
}

}  // namespace rtchan::cli
