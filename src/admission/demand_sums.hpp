// What a set of channels demands, summed up bucket by bucket (time_grid.hpp) and kept true as channels come and go:
//
//   demand:  exact work of all deadlines before the bucket;
//   input:   exact work of all input events before it (they have no deadline and are no deadline's fault);
//   least:   a lower bound on A(t) - demand over the deadlines t inside;
//   blocker: the longest chunk of a channel with d at or after the bucket's begin.
//
// Columns, because a channel that comes or goes touches all of them. Only as far as questions have ever looked (reach);
// the rest of the grid is summed up when one looks further.
#pragma once

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
  static constexpr std::int64_t no_deadline = INT64_MAX / 2;  // `least` of a bucket without deadlines

  DemandSums(const StageSettings& settings, const TimeGrid& grid);

  void add(const Flow& flow);
  void remove(const Flow& flow);
  // Buckets before this one are summed up (the edge at `reach` included).
  [[nodiscard]] std::uint32_t reach() const noexcept { return reach_; }
  // An octave further. `each_flow(visit)` must visit every flow of the set; reach() < buckets.
  template <class EachFlow>
  void extend(EachFlow&& each_flow) {
    const std::uint32_t from = reach_;
    reach_ = TimeGrid::widens(from);
    each_flow([&](const Flow& flow) { account_further(flow, from); });
    for (std::uint32_t k = from; k < reach_; ++k) {
      least_[k] = demand_[k] == demand_[k + 1] ? no_deadline : supply_[k] - demand_[k + 1];
    }
  }

  // Found by looking at every deadline of the bucket.
  void set_least(std::uint32_t k, std::int64_t exact) noexcept { least_[k] = exact; }

  // A chunk of a channel whose delay lies in the bucket (`buckets`: beyond the grid).
  void raise_blocker(std::uint32_t bucket, std::int64_t chunk);
  // False: it was the last of its bucket's longest; raise_blocker() what is left there, then refresh_blockers().
  [[nodiscard]] bool lower_blocker(std::uint32_t bucket, std::int64_t chunk);
  void refresh_blockers(std::uint32_t from);

  [[nodiscard]] const TimeGrid& grid() const noexcept { return grid_; }
  [[nodiscard]] std::int64_t edge(std::uint32_t k) const noexcept { return edge_[k]; }
  [[nodiscard]] std::int64_t supply(std::uint32_t k) const noexcept { return supply_[k]; }
  [[nodiscard]] std::int64_t demand(std::uint32_t k) const noexcept { return demand_[k]; }
  [[nodiscard]] std::int64_t input(std::uint32_t k) const noexcept { return input_[k]; }
  [[nodiscard]] std::int64_t blocker(std::uint32_t k) const noexcept { return blocker_[k]; }
  [[nodiscard]] bool empty(std::uint32_t k) const noexcept {
    return demand_[k] == demand_[k + 1] && input_[k] == input_[k + 1];
  }
  // Most input that counts anywhere in bucket k, beside `own` before its end.
  [[nodiscard]] std::int64_t input_within(std::uint32_t k, std::int64_t own) const noexcept {
    return std::min(input_[k + 1] + own, input_bound_[k]);
  }
  [[nodiscard]] std::int64_t input_bound(std::uint32_t k) const noexcept { return input_bound_[k]; }
  // b(t) <= this for t in bucket k and later.
  [[nodiscard]] std::int64_t blocked(std::uint32_t k) const noexcept {
    return std::max<std::int64_t>(0, std::max(blocker_[k], base_blocking_) - granularity_);
  }
  // Lower bound on A(t) - demand(t) at the deadlines of bucket k; no_deadline: it has none.
  [[nodiscard]] std::int64_t least(std::uint32_t k) const noexcept {
    if (least_[k] == no_deadline) return no_deadline;
    // A feasible set leaves b0 at every deadline, input aside; all of the bucket's work may come at its start.
    const std::int64_t feasible = least_blocking_ + std::min(input_[k], input_bound_[k]);
    return std::max({least_[k], supply_[k] - demand_[k + 1], feasible});
  }

  // Same sums, whatever the history; `least` is not compared, since it depends on it.
  [[nodiscard]] bool same_sums(const DemandSums& other) const;

 private:
  void account(const Flow& flow, int sign);
  void account_further(const Flow& flow, std::uint32_t from);

  TimeGrid grid_;
  std::uint32_t reach_ = 256;
  std::int64_t base_blocking_, granularity_, least_blocking_;
  std::vector<std::int64_t> edge_, supply_, demand_, input_, blocker_, input_bound_;  // per edge, the last per bucket
  std::vector<std::int64_t> chunk_;         // longest chunk of a channel with d in the bucket (last: beyond)
  std::vector<std::uint32_t> chunk_count_;  // how many have that length
  std::vector<std::int64_t> least_;
};

}  // namespace rtchan::admission
