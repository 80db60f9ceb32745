#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "cli/common/contract_options.hpp"
#include "cli/input.hpp"
#include "cli/notices.hpp"
#include "cli/patience.hpp"
#include "cli/pipe/frame.hpp"
#include "cli/pipe_ends.hpp"

namespace rtchan::cli {

namespace {

class PipeSender {
 public:
  PipeSender(Session& session, Channel channel, File input, Console& console)
      : session_(session), channel_(std::move(channel)), input_(std::move(input)), console_(console), notices_(session, console) {}

  std::expected<void, Error> hello(std::uint16_t reply_port) {
    return put([&](std::span<std::byte> message) { return writer_.hello(reply_port, message); });
  }

  // Until the input ends.
  std::expected<void, Error> carry() {
    start_ = RawClock::now();
    while (true) {
      auto message = loan(channel_, channel_.qos().max_message_bytes);
      if (!message) return std::unexpected(message.error());
      if (const auto ready = wait_for_input(); !ready) return ready;
      const auto got = input_.read(message->bytes().subspan(pipe_header_bytes));
      if (!got) return std::unexpected(got.error());
      if (*got == 0) return {};
      if (const auto sent = message->commit(writer_.chunk(*got, message->bytes())); !sent) return sent;
      show_progress();
    }
  }

  std::expected<void, Error> last() {
    return put([&](std::span<std::byte> message) { return writer_.last(message); });
  }
  // Best effort, on the way out: the receiver need not guess.
  void abort() {
    static_cast<void>(put([&](std::span<std::byte> message) { return writer_.aborted(message); }, std::chrono::seconds{1}));
  }

  [[nodiscard]] const PipeWriter& writer() const noexcept { return writer_; }
  [[nodiscard]] double seconds() const { return std::chrono::duration<double>(RawClock::now() - start_).count(); }
  [[nodiscard]] Channel& channel() noexcept { return channel_; }

 private:
  template <class Fill>
  std::expected<void, Error> put(Fill&& fill, Duration timeout = std::chrono::seconds{30}) {
    auto message = loan(channel_, channel_.qos().max_message_bytes, timeout);
    if (!message) return std::unexpected(message.error());
    return message->commit(fill(message->bytes()));
  }

  // The receiver may go while the input is silent: look at both.
  std::expected<void, Error> wait_for_input() {
    while (true) {
      if (interrupted()) return std::unexpected(Error{Errc::closed, "interrupted", {}});
      const std::array input{input_.fd()};
      if (wait_readable(input, patience_slice)) return {};
      if (!session_.alive()) return std::unexpected(Error{Errc::daemon_gone, "rtcd went away", {}});
      notices_.look();
      if (const auto& end = notices_.ended()) {
        return std::unexpected(Error{Errc::peer_gone, end->text.empty() ? "the receiver went away" : end->text, {}});
      }
      show_progress();
    }
  }

  void show_progress() {
    const Instant now = RawClock::now();
    if (!console_.shows_progress() || !metronome_.due(now)) return;
    const double bits = static_cast<double>(writer_.bytes() - shown_) * 8;
    shown_ = writer_.bytes();
    console_.progress(fmt::format("{} sent, {}", format_bytes(writer_.bytes()), format_bit_rate(static_cast<std::uint64_t>(bits))));
  }

  Session& session_;
  Channel channel_;
  File input_;
  Console& console_;
  Notices notices_;
  PipeWriter writer_;
  Instant start_{};
  Metronome metronome_;
  std::uint64_t shown_ = 0;
};

// What the receiver says, or why nothing was heard.
std::expected<PipeReceipt, Error> confirmation(Listener& listener, Duration patience) {
  auto back = accept(listener, patience);
  if (!back) return std::unexpected(back.error());
  const auto message = receive(*back, patience);
  if (!message) return std::unexpected(message.error());
  const auto receipt = read_receipt(message->bytes());
  if (!receipt) return std::unexpected(Error{Errc::protocol_error, receipt.error(), {}});
  return *receipt;
}

// Everything in the channel, and then a good while: the receiver may have to write a full buffer to a slow disk.
Duration confirmation_patience(const Qos& qos) {
  return qos.max_delay + Duration{static_cast<std::int64_t>(2 * qos.max_burst / qos.max_rate * 1e9)} + std::chrono::seconds{60};
}

ExitStatus confirm(PipeSender& sender, std::optional<Listener>& listener, Console& console) {
  const PipeWriter& sent = sender.writer();
  const std::string amount = fmt::format("{} in {:.1f} s", format_bytes(sent.bytes()), sender.seconds());
  nlohmann::json json{{"bytes", sent.bytes()}, {"crc32c", sent.checksum()}, {"seconds", sender.seconds()}, {"confirmed", false}};
  if (!listener) {
    console.note(fmt::format("{} sent; not asked for confirmation", amount));
    console.object(json);
    return ExitStatus::ok;
  }
  const auto receipt = confirmation(*listener, confirmation_patience(sender.channel().qos()));
  if (!receipt) return console.fail(fmt::format("{} sent, but the receiver did not confirm", amount), receipt.error());
  if (*receipt != PipeReceipt{true, sent.bytes(), sent.checksum()}) {
    return console.fail(ExitStatus::failed, fmt::format("the receiver has only {} of {} bytes", receipt->bytes, sent.bytes()));
  }
  json["confirmed"] = true;
  console.note(fmt::format("{} sent, all confirmed by the receiver", amount));
  console.object(json);
  return ExitStatus::ok;
}

}  // namespace

ExitStatus pipe_send(const PipeOptions& options, Console& console) {
  const auto qos = stream_contract(options.needs);
  if (!qos) return console.fail(ExitStatus::usage, qos.error());
  auto input = File::open_input(options.file_in);
  if (!input) return console.fail("input", input.error());
  auto session = open_session(options.common);
  if (!session) return no_session(console, session.error());
  std::optional<Listener> listener;
  if (!options.no_confirm) {
    auto made = session->listen(0);
    if (!made) return console.fail("cannot listen for the confirmation", made.error());
    listener = *std::move(made);
  }
  auto channel = session->connect(options.to, *qos);
  if (!channel) return console.fail(fmt::format("cannot open a channel to {} ({})", options.to, describe(*qos)), channel.error());
  PipeSender sender(*session, *std::move(channel), *std::move(input), console);
  auto done = sender.hello(listener ? listener->port() : std::uint16_t{0});
  if (done) done = sender.carry();
  if (done) done = sender.last();
  if (!done) {
    sender.abort();
    static_cast<void>(sender.channel().close());
    return console.fail(fmt::format("after {} bytes", sender.writer().bytes()), done.error());
  }
  const ExitStatus status = confirm(sender, listener, console);
  static_cast<void>(sender.channel().close());  // everything has been said already
  return status;
}

}  // namespace rtchan::cli
