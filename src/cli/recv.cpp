// rtc recv: writes what arrives at a port.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/text.hpp"
#include "cli/command.hpp"
#include "cli/common/contract_options.hpp"
#include "cli/inbox.hpp"
#include "cli/input.hpp"
#include "cli/notices.hpp"

namespace rtchan::cli {

namespace {

struct RecvOptions {
  Common common;
  std::uint16_t port = 0;
  std::string output = "-";
  std::uint64_t count = UINT64_MAX;
  Duration timeout = forever;
  bool keep = false;
};

// Bytes that are not UTF-8 cannot stand in JSON: such a message is given in hexadecimal instead.
nlohmann::json content(std::span<const std::byte> bytes) {
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  try {
    static_cast<void>(nlohmann::json(text).dump());
    return {{"text", text}};
  } catch (const nlohmann::json::type_error&) {
    std::string hex;
    for (const std::byte b : bytes) fmt::format_to(std::back_inserter(hex), "{:02x}", std::to_integer<unsigned>(b));
    return {{"hex", hex}};
  }
}

class Receiver {
 public:
  Receiver(const RecvOptions& options, Console& console, File output)
      : options_(options), console_(console), output_(std::move(output)) {}

  ExitStatus run(Session& session, Listener& listener) {
    Notices notices(session, console_);
    Inbox inbox(session, listener,
                {.opened = [this](std::uint64_t, Channel& channel) { opened(channel); },
                 .message = [this](std::uint64_t key, const ReceiveLoan& message) { take(key, message); },
                 .ended = [this](std::uint64_t, const Error& why) { ended(why); },
                 .looked = [&notices] { notices.look(); }});
    last_ = RawClock::now();
    while (!interrupted() && !failure_ && messages_ < options_.count) {
      if (const auto turned = inbox.turn(std::chrono::milliseconds{100}); !turned) return console_.fail("receiving", turned.error());
      if (senders_ > 0 && inbox.open() == 0 && !options_.keep) break;
      if (options_.timeout != forever && RawClock::now() - last_ > options_.timeout) {
        return console_.fail(ExitStatus::failed, fmt::format("nothing came for {}", format_duration(options_.timeout)));
      }
    }
    if (failure_) return console_.fail("writing", *failure_);
    notices.look();
    console_.note(fmt::format("{} messages received, {}; {} lost, {} late{}", messages_, format_bytes(bytes_), lost_, late_,
                              lost_best_effort_ > 0 ? fmt::format("; {} lost of best effort", lost_best_effort_) : std::string{}));
    if (broken_) return console_.fail("a sender did not end in order", *broken_);
    return lost_ == 0 && late_ == 0 && !notices.voided() ? ExitStatus::ok : ExitStatus::failed;
  }

 private:
  void opened(const Channel& channel) {
    ++senders_;
    next_number_.push_back(0);
    bounds_.push_back(channel.qos().service == ServiceClass::guaranteed ? std::optional{channel.bound()} : std::nullopt);
    console_.note(fmt::format("channel from {}: {}", channel.peer().text(), describe(channel.qos())));
  }

  void take(std::uint64_t key, const ReceiveLoan& message) {
    if (messages_ >= options_.count || failure_) return;
    ++messages_;
    bytes_ += message.bytes().size();
    last_ = RawClock::now();
    const std::uint64_t missed = message.number() - std::min(message.number(), next_number_[key]);
    (bounds_[key] ? lost_ : lost_best_effort_) += missed;
    if (bounds_[key] && message.delay().value_or(Duration{0}) > *bounds_[key]) ++late_;
    next_number_[key] = message.number() + 1;
    if (console_.json()) {
      nlohmann::json json = content(message.bytes());
      json["number"] = message.number();
      json["sender"] = key;
      json["bytes"] = message.bytes().size();
      if (message.delay()) json["delay_ns"] = message.delay()->count();
      console_.object(json);
    } else if (const auto written = output_.write(message.bytes()); !written) {
      failure_ = written.error();
    }
    if (metronome_.due(last_)) console_.progress(fmt::format("{} messages, {}", messages_, format_bytes(bytes_)));
  }

  void ended(const Error& why) {
    if (why.code != Errc::peer_closed && why.code != Errc::closed) broken_ = why;
  }

  const RecvOptions& options_;
  Console& console_;
  File output_;
  std::vector<std::uint64_t> next_number_;
  std::vector<std::optional<Duration>> bounds_;  // none: best effort
  std::uint64_t senders_ = 0;
  std::uint64_t messages_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t lost_best_effort_ = 0;  // nobody promised them
  std::uint64_t late_ = 0;
  Instant last_{};
  Metronome metronome_;
  std::optional<Error> failure_;
  std::optional<Error> broken_;
};

ExitStatus run(const RecvOptions& options) {
  Console console("rtc recv", options.common.json);
  auto output = File::open_output(options.output);
  if (!output) return console.fail("output", output.error());
  auto session = open_session(options.common);
  if (!session) return no_session(console, session.error());
  auto listener = session->listen(options.port);
  if (!listener) return console.fail(fmt::format("cannot listen on port {}", options.port), listener.error());
  if (options.port == 0) console.note(fmt::format("listening on port {}", listener->port()));
  return Receiver(options, console, *std::move(output)).run(*session, *listener);
}

}  // namespace

void add_recv(CLI::App& root, Chosen& chosen) {
  auto options = std::make_shared<RecvOptions>();
  CLI::App* app = add_command(root, options->common, "recv", "Write the messages that arrive at a port.",
                              "  rtc recv --port 7000\n"
                              "  rtc recv --port 7000 --count 10 --json\n"
                              "  rtc recv --port 7000 --output copy.img");
  app->add_option("--port", options->port, "port to listen on; 0: any free one")->required()->type_name("");
  app->add_option("--output", options->output, "where to write the messages' bytes; - is standard output [-]")->type_name("");
  app->add_option("--count", options->count, "end after this many messages")->check(CLI::PositiveNumber.description(""))->type_name("");
  add_quantity(*app, "--timeout", options->timeout, parse_duration, "end, with status 1, when nothing comes for so long: 30s");
  app->add_flag("--keep", options->keep, "go on when the last sender has closed");
  app->callback([options, &chosen] { chosen.run = [options] { return run(*options); }; });
}

}  // namespace rtchan::cli
