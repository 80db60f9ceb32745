// What a set of channels demands, summed up bucket by bucket (time_grid.hpp) and kept true as channels come and go:
//
//   work:    exact work of the deadlines in the bucket;
//   input:   exact work of the input events in it (they have no deadline and are no deadline's fault);
//   dip:     a lower bound on what the bucket itself leaves at its deadlines: A(t) - A(begin) - work due in [begin, t];
//   witness: an instant in it (its lowest point when somebody last looked) for which this is known exactly;
//   blocker: the longest chunk of a channel with d at or after the bucket's begin.
//
// Work, input and dip say nothing about what came before the bucket. So a channel touches only the buckets in which it
// has deadlines, which for most are few, and who walks the buckets in order (`Before`) has the sums from the beginning for
// an addition a bucket. Groups of buckets have the same sums, for walking over many at once; they are made true when asked for.
//
// Only as far as questions have ever looked (reach); the rest of the grid is summed up when one looks further.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "admission/policy.hpp"
#include "admission/time_grid.hpp"

namespace rtchan::admission {

// Work that recurs at offset, offset + period, ...: a channel's deadlines, or its input (offset = -jitter).
struct Flow {
  std::int64_t offset{}, period{}, work{};
  std::uint32_t owner{};
  bool deadline = true;
};

class DemandSums {
 public:
  static constexpr std::uint32_t buckets = TimeGrid::buckets;
  static constexpr std::uint32_t group = 16;                       // buckets; divides every octave
  static constexpr std::int64_t no_deadline = INT64_MAX / 2;  // `dip` and `least` where there are no deadlines

  DemandSums(const StageSettings& settings, const TimeGrid& grid);

  // `count` of the flow's events lie in bucket k < reach(), the first at `at`.
  void come(std::uint32_t k, const Flow& flow, std::int64_t at, std::int64_t count);
  void go(std::uint32_t k, const Flow& flow, std::int64_t at, std::int64_t count);
  // Input that may have gathered before time zero; `times`: +1 it comes, -1 it goes.
  void gather(const Flow& flow, std::int64_t times);

  // Buckets before this one are summed up.
  [[nodiscard]] std::uint32_t reach() const noexcept { return reach_; }
  // An octave further; what lies there must come() then. reach() < buckets.
  void extend() noexcept { reach_ = TimeGrid::widens(reach_); }

  // --- walking ---
  struct Before {  // a bucket
    std::int64_t demand = 0, input = 0;
  };
  [[nodiscard]] Before beginning() const noexcept { return {0, gathered_}; }

  // A bucket or a group of them, seen from where a walk has come to.
  struct Stretch {
    std::uint32_t first, end;  // buckets [first, end)
    Before before, after;
    std::int64_t least;        // lower bound on A(t) - demand(t) at its deadlines; no_deadline
  };
  [[nodiscard]] Stretch bucket_at(std::uint32_t k, const Before& before) const noexcept {
    return stretch(k, k + 1, before, work_[k], input_[k], dip_[k]);
  }
  [[nodiscard]] Stretch group_at(std::uint32_t k, const Before& before) {  // k a multiple of `group`, k < reach()
    Group& g = groups_[k / group];
    if (g.stale) refresh(g, k);
    return stretch(k, k + group, before, g.work, g.input, g.dip);
  }
  // Found by looking at every deadline of the bucket: A(t) - demand(t) at the worst, and where that is.
  void set_least(const Stretch& bucket, std::int64_t exact, std::int64_t where) noexcept {
    const std::uint32_t k = bucket.first;
    dip_[k] = exact - (supply_[k] - bucket.before.demand);
    witness_[k] = {where, dip_[k]};
    groups_[k / group].stale = true;
  }
  struct Witness {
    std::int64_t at = INT64_MAX;  // INT64_MAX: there is none
    std::int64_t dip = 0;
  };
  [[nodiscard]] const Witness& witness(std::uint32_t k) const noexcept { return witness_[k]; }

  // --- blocking ---
  // A chunk of a channel whose delay lies in the bucket (`buckets`: beyond the grid).
  void raise_blocker(std::uint32_t bucket, std::int64_t chunk);
  // False: it was the last of its bucket's longest; raise_blocker() what is left there, then refresh_blockers().
  [[nodiscard]] bool lower_blocker(std::uint32_t bucket, std::int64_t chunk);
  void refresh_blockers(std::uint32_t from);

  [[nodiscard]] const TimeGrid& grid() const noexcept { return grid_; }
  [[nodiscard]] std::int64_t edge(std::uint32_t k) const noexcept { return edge_[k]; }
  [[nodiscard]] std::int64_t supply(std::uint32_t k) const noexcept { return supply_[k]; }
  [[nodiscard]] std::int64_t blocker(std::uint32_t k) const noexcept { return blocker_[k]; }
  [[nodiscard]] bool empty(std::uint32_t k) const noexcept { return work_[k] == 0 && input_[k] == 0; }
  // Most input that counts anywhere in the stretch, beside `own` before its end.
  [[nodiscard]] std::int64_t input_within(const Stretch& s, std::int64_t own) const noexcept {
    return std::min(s.after.input + own, input_bound_[s.end - 1]);
  }
  [[nodiscard]] std::int64_t input_bound(std::uint32_t k) const noexcept { return input_bound_[k]; }
  // b(t) <= this for t in bucket k and later.
  [[nodiscard]] std::int64_t blocked(std::uint32_t k) const noexcept {
    return std::max<std::int64_t>(0, std::max(blocker_[k], base_blocking_) - granularity_);
  }

  // Same sums, whatever the history; `dip` is not compared, since it depends on it.
  [[nodiscard]] bool same_sums(const DemandSums& other) const;

 private:
  struct Group {
    std::int64_t work = 0, input = 0, dip = no_deadline;
    bool stale = false;
  };
  [[nodiscard]] Stretch stretch(std::uint32_t first, std::uint32_t end, const Before& before, std::int64_t work,
                                std::int64_t input, std::int64_t dip) const noexcept {
    Stretch s{first, end, before, {before.demand + work, before.input + input}, no_deadline};
    // A feasible set leaves b0 at every deadline, input aside.
    if (dip != no_deadline) {
      s.least = std::max(supply_[first] - before.demand + dip,
                         least_blocking_ + std::min(before.input, input_bound_[first]));
    }
    return s;
  }
  void refresh(Group& g, std::uint32_t first) const noexcept;
  // How many of `count` events from `at` on are due by the bucket's witness.
  [[nodiscard]] std::int64_t seen(std::uint32_t k, const Flow& flow, std::int64_t at, std::int64_t count) const noexcept {
    const std::int64_t last = witness_[k].at;
    if (last < at || last == INT64_MAX) return 0;
    return count == 1 ? 1 : std::min(count, (last - at) / flow.period + 1);
  }

  TimeGrid grid_;
  std::uint32_t reach_ = 256;
  std::int64_t base_blocking_, granularity_, least_blocking_;
  std::int64_t gathered_ = 0;
  std::vector<std::int64_t> edge_, supply_, blocker_;              // per edge
  std::vector<std::int64_t> work_, input_, dip_, input_bound_;  // per bucket; dip >= -work: all of it at the begin
  std::vector<Witness> witness_;
  std::vector<Group> groups_;
  std::vector<std::int64_t> chunk_;         // longest chunk of a channel with d in the bucket (last: beyond)
  std::vector<std::uint32_t> chunk_count_;  // how many have that length
};

}  // namespace rtchan::admission
