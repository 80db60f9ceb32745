// rtc pipe: any byte stream over a channel, exactly.
#include <fmt/format.h>

#include <memory>

#include "base/text.hpp"
#include "cli/command.hpp"
#include "cli/common/contract_options.hpp"
#include "cli/pipe_ends.hpp"

namespace rtchan::cli {

namespace {

ExitStatus run(const PipeOptions& options) {
  Console console("rtc pipe", options.common.json);
  if (options.to.empty() == !options.listen) {
    return console.fail(ExitStatus::usage, "say either --to HOST:PORT or --listen PORT");
  }
  if (options.listen) return pipe_receive(options, console);
  if (options.needs.bits_per_second == 0 || options.needs.delay == Duration{0}) {
    return console.fail(ExitStatus::usage, "a stream needs --rate and --delay, as in --rate 4Mbit --delay 50ms");
  }
  return pipe_send(options, console);
}

}  // namespace

void add_pipe(CLI::App& root, Chosen& chosen) {
  auto options = std::make_shared<PipeOptions>();
  CLI::App* app = add_command(
      root, options->common, "pipe", "Carry a byte stream: what goes in at one end comes out at the other, all of it, or an error.",
      "  rtc pipe --listen 7000 > copy.mp4\n"
      "  ffmpeg ... | rtc pipe --to 10.0.0.2:7000 --rate 4Mbit --delay 50ms\n"
      "  rtc pipe --to backup:7000 --rate 50Mbit --delay 200ms < image.raw");
  add_destination(*app, "--to", options->to, "where to: HOST:PORT or [IPv6]:PORT");
  app->add_option("--listen", options->listen, "receive one stream on this port")->type_name("PORT");
  add_quantity(*app, "--rate", options->needs.bits_per_second, parse_bit_rate, "bit rate that the stream needs at most: 4Mbit")
      ->group("Sending");
  add_quantity(*app, "--delay", options->needs.delay, parse_duration, "each chunk arrives within this: 50ms")->group("Sending");
  add_quantity(*app, "--chunk", options->needs.chunk_bytes, parse_message_bytes,
               "stream bytes in a message [a quarter of rate x delay, 512B ... 32KiB]")
      ->group("Sending");
  app->add_option("--burst", options->needs.burst, "messages at once at most [what a 64 KiB pipe pours out]")
      ->type_name("")
      ->group("Sending");
  app->add_flag("--no-confirm", options->no_confirm, "end without waiting for the receiver's word that all has arrived")
      ->group("Sending");
  app->add_option("--input", options->file_in, "what to send [standard input]")->type_name("FILE")->group("Sending");
  app->add_option("--output", options->file_out, "where to write [standard output]")->type_name("FILE")->group("Receiving");
  add_quantity(*app, "--buffer", options->buffer_bytes, parse_bytes,
               fmt::format("how far the program that reads our output may fall behind [{}]", format_bytes(options->buffer_bytes)))
      ->group("Receiving");
  add_quantity(*app, "--timeout", options->timeout, parse_duration, "end, with status 1, when no sender comes for so long")
      ->group("Receiving");
  app->callback([options, &chosen] { chosen.run = [options] { return run(*options); }; });
}

}  // namespace rtchan::cli
