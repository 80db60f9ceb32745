#include "cli/perf/tally.hpp"

#include <algorithm>
#include <cmath>

namespace rtchan::cli {

SequenceTracker::Verdict SequenceTracker::add(std::uint64_t sequence) {
  if (sequence >= end_) {
    const bool skipped_window = sequence - end_ >= window;
    if (skipped_window) {
      std::fill(seen_.begin(), seen_.end(), false);
    } else {
      for (std::uint64_t s = end_; s < sequence; ++s) seen_[s % window] = false;
    }
    seen_[sequence % window] = true;
    end_ = sequence + 1;
    ++distinct_;
    return Verdict::in_order;
  }
  if (end_ - sequence > window || seen_[sequence % window]) {
    ++duplicates_;
    return Verdict::duplicate;
  }
  seen_[sequence % window] = true;
  ++distinct_;
  ++out_of_order_;
  return Verdict::out_of_order;
}

void Tally::add(const Arrival& arrival) {
  if (sequence_.add(arrival.sequence) == SequenceTracker::Verdict::duplicate) return;
  if (sequence_.distinct() == 1) {
    first_ = arrival.readable;
    last_ = arrival.readable;
    first_bytes_ = arrival.bytes;
    same_clock_ = arrival.same_clock;
  }
  last_ = std::max(last_, arrival.readable);
  bytes_ += arrival.bytes;
  delays_.wake_up.add(arrival.read - arrival.readable);
  if (arrival.from_logical) {
    delays_.from_logical.add(*arrival.from_logical);
    if (admitted(contract_.service) && *arrival.from_logical > contract_.max_delay) ++late_;
  }
  same_clock_ = same_clock_ && arrival.same_clock;
  if (!arrival.same_clock) return;
  delays_.from_hand_over.add(arrival.readable - arrival.handed_over);
  delays_.from_intended.add(arrival.readable - arrival.intended);
}

void Tally::finish(std::uint64_t handed_over) noexcept {
  finished_ = true;
  announced_ = std::max(announced_, handed_over);
}

Summary Tally::summary() const {
  Summary s;
  s.contract = contract_;
  s.sender_finished = finished_;
  s.handed_over = std::max(announced_, sequence_.end());
  s.received = sequence_.distinct();
  s.bytes = bytes_;
  s.lost = s.handed_over - s.received;
  s.out_of_order = sequence_.out_of_order();
  s.duplicates = sequence_.duplicates();
  s.damaged = damaged_;
  s.late = late_;
  s.same_clock = same_clock_;
  s.seconds = std::chrono::duration<double>(last_ - first_).count();
  if (s.seconds > 0) {
    s.messages_per_second = static_cast<double>(s.received - 1) / s.seconds;
    s.bits_per_second = static_cast<double>(bytes_ - first_bytes_) * 8 / s.seconds;
  }
  return s;
}

Duration bound_from_logical(const Qos& contract) noexcept { return contract.max_delay; }

Duration bound_from_hand_over(const Qos& contract) noexcept {
  if (contract.max_rate <= 0) return contract.max_delay;
  const double waiting = (contract.max_burst - 1) / contract.max_rate * 1e9;
  return contract.max_delay + Duration{std::llround(waiting)};
}

}  // namespace rtchan::cli
