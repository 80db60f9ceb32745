// The exact EDF test for large sets: the same answers as smallest_delay_edf, at a cost that hardly depends on
// the number of channels.
//
// A question walks the buckets of time (time_grid.hpp), about which demand_sums.hpp knows what is demanded within, in
// groups as long as that is enough. A stretch in which the bounds leave room for every job of the candidate is passed over;
// where the slack at its *end*, which is known exactly, is too small, the candidate's jobs are pushed past the end. A group
// that neither settles is walked bucket by bucket, and only where a bucket is not settled either are the deadlines inside
// (event_store.hpp) swept one by one (an *expansion*), which also makes the bucket's bound exact again.
//
// A question looks at StageSettings::step_limit deadlines at most. Beyond that it is given to the plain sweep, which knows where the
// busy period ends; and what that finds too complex (refuses to answer), to the bounds alone: then, and only then, the answer may
// be larger than the exact one, never smaller.
#pragma once

#include <cstdint>
#include <expected>
#include <utility>
#include <vector>

#include "admission/burst_bound.hpp"
#include "admission/demand_sums.hpp"
#include "admission/event_store.hpp"
#include "admission/policy.hpp"
#include "admission/sweep_step.hpp"
#include "admission/task.hpp"

namespace rtchan::admission {

class DemandIndex {
 public:
  // The settings' values must be valid. `finest_bits` of the grid: small values serve tests.
  explicit DemandIndex(const StageSettings& settings, unsigned finest_bits = TimeGrid::nanoseconds);

  EntryId insert(const Task& task);  // valid, and together with the rest feasible
  void erase(EntryId id);
  void raise_delay(EntryId id, Duration delay);  // larger than it is
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
  struct Question;

  using Stretch = DemandSums::Stretch;

  void come(const Flow& flow);
  void go(const Flow& flow);
  void place_blocker(std::uint32_t slot);
  void drop_blocker(std::uint32_t slot, const Task& task);
  void look_further() const;
  [[nodiscard]] std::int64_t needed_left(const Question& q, std::uint32_t k) const noexcept;
  bool settle(Question& q, const Stretch& s) const;
  void push_past_witness(Question& q, const Stretch& bucket) const;
  bool approximate(Question& q, const Stretch& bucket) const;
  bool expand(Question& q, const Stretch& bucket) const;  // false: refused, or q.too_many
  void list_blockers(std::uint32_t k) const;
  [[nodiscard]] std::int64_t blocking_at(std::uint32_t k, std::int64_t t) const;  // after list_blockers(k)
  struct Place {  // where a walk has come to
    std::uint32_t bucket;
    DemandSums::Before before;
  };
  Place rule_out(Question& q) const;
  // By the bounds alone, given up beyond `enough`; 0: exactly, looking at deadlines one by one where it takes that.
  std::expected<Duration, StageRefusal> walk(Question& q, const Place& open, Duration enough) const;

  struct Entry {
    Task task;
    bool used = false;
    std::uint32_t place = 0;  // in beginning_ of its delay's bucket
  };

  StageSettings settings_;
  TimeGrid grid_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  std::size_t size_ = 0;
  Totals totals_;
  mutable DemandSums sums_;  // as far as questions look
  EventStore store_;
  std::vector<std::vector<std::uint32_t>> beginning_;  // per bucket (last: beyond the grid): entries whose d lies in it
  mutable std::vector<DemandSums::Before> begins_;  // of groups, for the question at hand
  mutable std::vector<std::pair<std::int64_t, std::int64_t>>
      inside_;  // (d, longest chunk from there on) of the bucket being expanded
  mutable Work work_;
};

}  // namespace rtchan::admission
