// What `rtc perf` leaves behind, read back: one record per received message, and the sender's own count.
//
// The log is CSV with a header line that names its columns, in any order; unknown columns are ignored:
//   sequence,intended_ns,handover_ns,readable_ns,delay_ns,received_ns[,bytes]
// All instants on CLOCK_MONOTONIC_RAW of one machine. Sequence, intended and handover were written into the
// message by the sending application; readable and delay come with the message from the receiving daemon;
// received is the receiving application's own clock after its wake-up.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "rtchan/error.hpp"

namespace rtchan::demo {

struct Record {
  std::uint64_t sequence = 0;
  Instant intended{};       // when the load tool meant to send it
  Instant handover{};       // just before the send call
  Instant readable{};       // in the receiver's queue: "delivered" of the promise
  Instant received{};       // seen by the receiving application
  Duration daemon_delay{};  // delay from logical arrival as the daemon says it; best effort: not meaningful
  std::uint32_t bytes = 0;
};

// The sender's own count.
struct Sent {
  std::uint64_t offered = 0;   // messages whose time had come
  std::uint64_t accepted = 0;  // the send call said yes
  std::uint64_t policed = 0;  // refused, or no room for them: beyond the contract (or the capacity left over)
};

// From what `rtc perf --to ... --json` prints: the last JSON object of `text` that has the members offered
// and handed_over (dropped, refused, left_over), at its top, in "sent" or in "streams", summed over several
// streams. Errors: Errc::invalid_argument when there is none.
[[nodiscard]] std::expected<Sent, Error> read_sent(std::string_view text);

// Reads a log that may still be growing, in pieces: a last line without its newline waits for its rest.
class RecordReader {
 public:
  // Errors: Errc::invalid_argument, with the line, when a column is missing or a line is not what was
  // announced.
  std::expected<std::vector<Record>, Error> read(std::string_view more);

 private:
  enum class Column : std::uint8_t {
    ignored,
    sequence,
    intended,
    handover,
    readable,
    delay,
    received,
    bytes
  };
  std::expected<void, Error> read_header(std::string_view line);
  std::expected<Record, Error> read_record(std::string_view line) const;

  std::string pending_;
  std::vector<Column> columns_;
};

[[nodiscard]] std::expected<std::vector<Record>, Error> read_log(const std::filesystem::path& file);

}  // namespace rtchan::demo
