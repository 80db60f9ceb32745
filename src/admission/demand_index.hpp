// The exact EDF test for large sets: the same answers as smallest_delay_edf, at a cost that hardly depends on
// the number of channels.
//
// Time after a simultaneous start is cut into about 3,000 buckets whose width grows with t (1/128 to 1/256 of
// t, never below 2^finest_bits ns). For each bucket [x, y) the index keeps, as channels come and go,
//   - demand:   h(x-), the exact work of all deadlines before x;
//   - least:    a lower bound on A(t) - h(t) over the deadlines t inside;
//   - gathered: the work of input events inside (they have no deadline and are no deadline's fault);
//   - blocker:  the longest chunk of a channel with d >= x.
// A question walks the buckets. A bucket in which the bounds leave room for every job of the candidate is
// passed over; where the slack at its *end*, which is known exactly, is too small, the candidate's jobs are
// pushed past the end; only where neither settles it are the deadlines inside enumerated and swept one by one
// (an *expansion*), which also makes `least` exact again.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <vector>

#include "admission/burst_bound.hpp"
#include "admission/policy.hpp"
#include "admission/sweep_step.hpp"
#include "admission/task.hpp"

namespace rtchan::admission {

class DemandIndex {
 public:
  // The settings' values must be valid. `finest_bits`: 10 for nanoseconds; small values serve tests.
  explicit DemandIndex(const StageSettings& settings, unsigned finest_bits = 10);

  EntryId insert(const Task& task);  // valid, and together with the rest feasible
  void erase(EntryId id);
  [[nodiscard]] const Task& task(EntryId id) const noexcept { return entries_[id.value].task; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::vector<Task> tasks() const;  // in no particular order
  [[nodiscard]] const Totals& totals() const noexcept { return totals_; }
  [[nodiscard]] const StageSettings& settings() const noexcept { return settings_; }

  // As AdmissionPolicy::test. Load and validity of the candidate have been checked.
  [[nodiscard]] std::expected<Duration, StageRefusal> smallest_delay(const Candidate& candidate,
                                                                     Duration enough) const;
  [[nodiscard]] BurstBound burst_bound() const;
  [[nodiscard]] bool reconciles() const;

  struct Work {  // what answering has cost since construction
    std::uint64_t questions = 0, expanded_questions = 0, expansions = 0, swept = 0, fallbacks = 0;
  };
  [[nodiscard]] const Work& work() const noexcept { return work_; }

 private:
  static constexpr unsigned sub_bits = 8;  // 256 buckets of the finest width, then 128 per octave
  static constexpr unsigned octaves = 22;
  static constexpr std::uint32_t buckets = 256 + octaves * 128;
  static constexpr std::uint32_t classes = octaves + 2;  // flows by octave of their offset; the last: beyond

  // Work that recurs at offset, offset + period, ...: a channel's deadlines, or its input (offset = -jitter).
  struct Flow {
    std::int64_t offset{}, period{}, work{};
    std::uint32_t owner{};
    bool deadline = true;
  };
  struct FlowClass {  // columns: an expansion reads offset, period and inverse of everything
    std::vector<std::int64_t> offset, period;
    std::vector<std::uint64_t> inverse;  // floor(2^64 / period)
    std::vector<std::int64_t> work;
    std::vector<std::uint32_t> owner;  // entry * 2 + (deadline ? 1 : 0)
  };
  struct Entry {
    Task task;
    std::uint32_t place[2]{};  // index in its class: [1] deadlines, [0] input
    bool used = false;
  };
  struct Event {
    std::int64_t at, work;
    bool deadline;
    friend bool operator==(const Event&, const Event&) = default;
  };
  // The events of a bucket that was expanded, kept in order and up to date: questions come back to the same
  // tight stretches of time again and again.
  struct Known {
    std::uint32_t bucket = buckets;
    std::uint64_t used = 0;  // when, for throwing out the oldest
    std::vector<Event> events;
  };
  static constexpr std::size_t known_max = 1'024;
  static constexpr std::size_t known_events_max = 4'096;       // larger ones are not kept
  static constexpr std::size_t bucket_events_max = 1'000'000;  // more are not looked at one by one
  struct Question;

  [[nodiscard]] std::uint32_t bucket_of(std::int64_t t) const noexcept;  // `buckets` if beyond
  [[nodiscard]] std::int64_t edge(std::uint32_t k) const noexcept;
  [[nodiscard]] std::uint32_t class_of(std::int64_t offset) const noexcept;
  void add_flow(const Flow& flow);
  void remove_flow(const Flow& flow);
  void account(const Flow& flow, int sign);
  void raise_blocker(std::uint32_t bucket, std::int64_t chunk);
  void lower_blocker(std::uint32_t bucket, std::int64_t chunk);
  void refresh_blockers(std::uint32_t from);
  [[nodiscard]] std::int64_t blocked(
      std::uint32_t k) const noexcept;  // b(t) <= this for t in bucket k and later
  [[nodiscard]] std::int64_t least(std::uint32_t k) const noexcept;
  void enumerate(std::uint32_t k) const;
  [[nodiscard]] const std::vector<Event>& events_in(std::uint32_t k) const;
  void update_known(const Flow& flow, int sign);
  void enumerate(const FlowClass& flows, std::int64_t from, std::int64_t to) const;
  void list_blockers(std::uint32_t k) const;
  [[nodiscard]] std::int64_t blocking_at(std::uint32_t k, std::int64_t t) const;  // after list_blockers(k)
  [[nodiscard]] std::int64_t needed_left(const Question& q, std::uint32_t k) const noexcept;
  bool settle(Question& q, std::uint32_t k) const;
  bool approximate(Question& q, std::uint32_t k) const;
  bool expand(Question& q, std::uint32_t k) const;
  std::expected<Duration, StageRefusal> walk(const Candidate& candidate, bool exact) const;

  StageSettings settings_;
  unsigned finest_bits_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  std::size_t size_ = 0;
  Totals totals_;
  std::array<FlowClass, classes> flows_;

  // Per bucket; edges have one more.
  std::vector<std::int64_t> edge_, supply_, demand_, gathered_, blocker_;
  std::vector<std::int64_t> chunk_;         // longest chunk of a channel with d in the bucket (last: beyond)
  std::vector<std::uint32_t> chunk_count_;  // how many have that length
  mutable std::vector<std::int64_t> least_;
  mutable std::vector<Event> events_;  // of the bucket being expanded
  mutable std::vector<std::pair<std::int64_t, std::int64_t>>
      inside_;  // (d, longest chunk from there on) of the bucket
  mutable std::vector<Known> known_;
  mutable std::vector<std::uint16_t> known_at_;  // per bucket: place in known_, known_max if none
  mutable std::uint64_t clock_ = 0;              // counts uses of known_
  mutable Work work_;
};

}  // namespace rtchan::admission
