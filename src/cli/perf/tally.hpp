// The receiver's account of a stream: what arrived, what is missing, and how long it took, against the contract.
// Pure: fed with facts, asked for a summary. Nothing is trimmed.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/histogram.hpp"
#include "base/time.hpp"
#include <rtchan/qos.hpp>

namespace rtchan::cli {

// Which sequence numbers came, in what order. Remembers the newest `window` numbers one by one; a number that is older
// than that counts as a duplicate (it cannot be told from one, and counting it new could hide a loss).
class SequenceTracker {
 public:
  static constexpr std::uint64_t window = 65'536;
  enum class Verdict : std::uint8_t { in_order, out_of_order, duplicate };

  Verdict add(std::uint64_t sequence);
  [[nodiscard]] std::uint64_t distinct() const noexcept { return distinct_; }
  [[nodiscard]] std::uint64_t out_of_order() const noexcept { return out_of_order_; }
  [[nodiscard]] std::uint64_t duplicates() const noexcept { return duplicates_; }
  // One past the highest number seen.
  [[nodiscard]] std::uint64_t end() const noexcept { return end_; }

 private:
  std::vector<bool> seen_ = std::vector<bool>(window);
  std::uint64_t end_ = 0;
  std::uint64_t distinct_ = 0;
  std::uint64_t out_of_order_ = 0;
  std::uint64_t duplicates_ = 0;
};

struct Arrival {
  std::uint32_t stream{};
  std::uint64_t sequence{};
  std::uint32_t bytes{};
  Instant intended{};
  Instant handed_over{};
  Instant readable{};                       // in the receive queue: what the promise is about
  Instant read{};                           // by this program: its wake-up is counted apart
  std::optional<Duration> from_logical{};   // delay from logical arrival, from the receive record
  bool same_clock = false;                  // intended and handed_over may be compared with readable
};

// Delay figures of one stream; the same set is kept for a second and for the whole run.
struct Delays {
  Histogram from_logical;
  Histogram from_hand_over;
  Histogram from_intended;
  Histogram wake_up;
};

struct Summary {
  Qos contract{};
  bool sender_finished = false;     // the sender said how many it handed over
  std::uint64_t handed_over = 0;    // by the sender; without its word: highest number seen + 1
  std::uint64_t received = 0;       // distinct messages
  std::uint64_t bytes = 0;
  std::uint64_t lost = 0;
  std::uint64_t out_of_order = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t damaged = 0;        // not a perf message, or its checksum is wrong
  std::uint64_t late = 0;           // past max_delay from logical arrival: promised to guaranteed channels, typical below
  bool same_clock = false;
  double seconds = 0;               // from the first to the last message
  double messages_per_second = 0;   // between the first and the last
  double bits_per_second = 0;       // message bytes
};

class Tally {
 public:
  explicit Tally(const Qos& contract) : contract_(contract) {}

  void add(const Arrival& arrival);
  void add_damaged() noexcept { ++damaged_; }
  void finish(std::uint64_t handed_over) noexcept;  // the sender's `end`; the largest counts

  [[nodiscard]] Summary summary() const;
  [[nodiscard]] const Delays& delays() const noexcept { return delays_; }
  [[nodiscard]] bool finished() const noexcept { return finished_; }

 private:
  Qos contract_;
  SequenceTracker sequence_;
  Delays delays_;
  bool finished_ = false;
  bool same_clock_ = false;
  std::uint64_t announced_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t first_bytes_ = 0;
  std::uint64_t damaged_ = 0;
  std::uint64_t late_ = 0;
  Instant first_{};
  Instant last_{};
};

// The promise in two forms (qos.hpp): from logical arrival, and, for a source that keeps its contract, from hand-over.
[[nodiscard]] Duration bound_from_logical(const Qos& contract) noexcept;
[[nodiscard]] Duration bound_from_hand_over(const Qos& contract) noexcept;

}  // namespace rtchan::cli
