// The two ends of `rtc pipe`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/command.hpp"
#include "cli/pipe/contract.hpp"

namespace rtchan::cli {

struct PipeOptions {
  Common common;
  std::string to;
  StreamNeeds needs;
  bool no_confirm = false;
  std::string file_in = "-";

  std::optional<std::uint16_t> listen;
  std::string file_out = "-";
  std::uint64_t buffer_bytes = 64'000'000;
  Duration timeout = forever;
};

// The input is read only when the channel has room: its writer waits, nothing is lost because we are slow.
ExitStatus pipe_send(const PipeOptions& options, Console& console);
// The output is written by a thread of its own, behind a buffer: a reader that pauses does not lose messages, unless
// it falls further behind than that buffer, which is said.
ExitStatus pipe_receive(const PipeOptions& options, Console& console);

}  // namespace rtchan::cli
