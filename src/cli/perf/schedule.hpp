// When a load generator means to send which message, decided before anything is sent: an open loop. Back-pressure,
// a slow machine or a busy daemon never shift an intended time, so a delay counted from it hides no waiting
// (no coordinated omission). Pure: time is an argument, measured from the start of the run.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"

namespace rtchan::cli {

// How much of the contracted rate is offered, in steps: from `from` on, `factor` times the rate. 0 is a pause;
// infinity offers as fast as messages are taken (there a message's intended time is the moment it is offered).
struct OfferStep {
  Duration from{};
  double factor = 1;
  friend bool operator==(const OfferStep&, const OfferStep&) = default;
};
using Offer = std::vector<OfferStep>;  // ordered, first step at 0, never empty

// "5", "0.5", "max": the whole run.
[[nodiscard]] std::expected<Offer, std::string> parse_offer(std::string_view factor);
// "0:1,10:5" or "10:max": seconds:factor. Before the first step the factor is 1.
[[nodiscard]] std::expected<Offer, std::string> parse_offer_schedule(std::string_view steps);
// One size in bytes per line; blank lines and lines that begin with # are skipped. Errors name the line.
[[nodiscard]] std::expected<std::vector<std::uint32_t>, std::string> parse_sizes(std::string_view text,
                                                                                 std::uint32_t smallest);

struct ScheduleOptions {
  double rate = 1;                     // messages a second at factor 1, above 0
  std::uint32_t at_once = 1;           // messages that come together, every at_once / rate
  Offer offer{{Duration{0}, 1.0}};
  std::vector<std::uint32_t> sizes{1}; // bytes, repeated from the start when exhausted; not empty
  Duration duration = Duration::max(); // nothing is intended at or after this
  std::uint64_t count = UINT64_MAX;    // nor beyond this many messages
};

class Schedule {
 public:
  explicit Schedule(ScheduleOptions options) : options_(std::move(options)) {}

  struct Due {
    Duration intended{};
    std::uint64_t sequence{};
    std::uint32_t bytes{};
  };
  // The next message. It may be sent when now >= intended; `now` matters only where the offer is unlimited.
  // nullopt: the schedule has ended.
  [[nodiscard]] std::optional<Due> peek(Duration now);
  void pop();  // the message that peek() returned is taken

  // Messages whose intended time has come by `now` without having been taken; they are skipped. Used at the end of
  // a run, to count what was offered but never handed over.
  std::uint64_t skip_until(Duration now);

 private:
  [[nodiscard]] Duration step_end() const;
  [[nodiscard]] Duration batch_time() const;  // of the next batch if this step lasted for ever
  void enter_next_step();

  ScheduleOptions options_;
  std::size_t step_ = 0;
  double phase_ = 1;              // part of a batch that was due when the step began
  std::uint64_t batches_ = 0;     // taken in this step
  std::uint32_t in_batch_ = 0;    // messages taken of the current batch
  std::uint64_t sequence_ = 0;
};

}  // namespace rtchan::cli
