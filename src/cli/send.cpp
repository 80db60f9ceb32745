// rtc send: a file or a pipe becomes messages, one a line or one a block.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "cli/command.hpp"
#include "cli/common/contract_options.hpp"
#include "cli/input.hpp"
#include "cli/notices.hpp"
#include "cli/patience.hpp"

namespace rtchan::cli {

namespace {

struct SendOptions {
  Common common;
  ContractOptions contract;
  std::string to;
  std::string file = "-";
  bool blocks = false;
};

struct Sent {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
};

// Everything, or the error that ended it.
std::expected<void, Error> send_all(Channel& channel, PieceReader& pieces, bool blocks, Console& console, Notices& notices,
                                    Sent& sent) {
  Metronome metronome;
  while (true) {
    if (interrupted()) return std::unexpected(Error{Errc::closed, "interrupted", {}});
    const auto piece = blocks ? pieces.block() : pieces.line();
    if (!piece) return std::unexpected(piece.error());
    if (!*piece) return {};
    if (const auto done = send(channel, **piece); !done) return done;
    notices.look();
    ++sent.messages;
    sent.bytes += (*piece)->size();
    if (metronome.due(RawClock::now())) {
      console.progress(fmt::format("{} messages, {} sent", sent.messages, format_bytes(sent.bytes)));
    }
  }
}

ExitStatus run(const SendOptions& options) {
  Console console("rtc send", options.common.json);
  const auto qos = qos_of(options.contract);
  if (!qos) return console.fail(ExitStatus::usage, qos.error());
  auto file = File::open_input(options.file);
  if (!file) return console.fail("input", file.error());
  auto session = open_session(options.common);
  if (!session) return no_session(console, session.error());
  auto channel = session->connect(options.to, *qos,
                                  {.policing = options.contract.refuse_excess ? Policing::refuse : Policing::shape,
                                   .extensions = extensions_of(options.contract)});
  if (!channel) return console.fail(fmt::format("cannot open a channel to {} ({})", options.to, describe(*qos)), channel.error());
  PieceReader pieces(*file, qos->max_message_bytes);
  Notices notices(*session, console);
  Sent sent;
  const auto done = send_all(*channel, pieces, options.blocks, console, notices, sent);
  const auto closed = channel->close();
  notices.look();
  if (!done) return console.fail(fmt::format("after {} messages", sent.messages), done.error());
  if (!closed) return console.fail("closing the channel", closed.error());
  console.note(fmt::format("{} messages sent, {}", sent.messages, format_bytes(sent.bytes)));
  console.object({{"messages", sent.messages},
                  {"bytes", sent.bytes},
                  {"contract_violations", notices.violations()},
                  {"void", notices.voided() ? nlohmann::json(*notices.voided()) : nlohmann::json(nullptr)}});
  return notices.voided() ? ExitStatus::failed : ExitStatus::ok;
}

}  // namespace

void add_send(CLI::App& root, Chosen& chosen) {
  auto options = std::make_shared<SendOptions>();
  CLI::App* app = add_command(root, options->common, "send", "Send lines or blocks of a file as messages.",
                              "  rtc send --to 10.0.0.2:7000 --rate 500/s --size 1KB --delay 5ms messages.txt\n"
                              "  journalctl -f | rtc send --to logger:7000 --rate 200/s --burst 50 --delay 100ms\n"
                              "  rtc send --to 10.0.0.2:7000 --blocks --size 30KB --rate 100/s --delay 50ms disk.img");
  add_destination(*app, "--to", options->to, "where to: HOST:PORT or [IPv6]:PORT")->required();
  app->add_option("FILE", options->file, "what to send; - is standard input [-]")->type_name("");
  app->add_flag("--blocks", options->blocks,
                "messages of exactly --size bytes; without it each line, with its newline, is a message");
  add_contract_options(*app, options->contract);
  app->callback([options, &chosen] { chosen.run = [options] { return run(*options); }; });
}

}  // namespace rtchan::cli
