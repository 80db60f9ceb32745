#include "admission/demand_sums.hpp"

#include <algorithm>

#include "admission/arithmetic.hpp"

namespace rtchan::admission {

DemandSums::DemandSums(const StageSettings& settings, const TimeGrid& grid)
    : grid_(grid),
      base_blocking_(settings.base_blocking.count()),
      granularity_(settings.granularity.count()),
      least_blocking_(blocking(settings.base_blocking, settings.granularity)),
      demand_(buckets + 1, 0),
      input_(buckets + 1, 0),
      blocker_(buckets + 1, 0),
      chunk_(buckets + 1, 0),
      chunk_count_(buckets + 1, 0),
      least_(buckets, no_deadline) {
  edge_.reserve(buckets + 1);
  supply_.reserve(buckets + 1);
  input_bound_.reserve(buckets);
  for (std::uint32_t k = 0; k <= buckets; ++k) {
    edge_.push_back(grid_.edge(k));
    supply_.push_back(settings.supply.available(Duration{edge_[k]}).count());
    if (k < buckets) input_bound_.push_back(settings.input_bound.in_bucket(grid_, k));
  }
}

void DemandSums::add(const Flow& flow) { account(flow, +1); }
void DemandSums::remove(const Flow& flow) { account(flow, -1); }

// Keeps every bucket's sums true, and its bound on the safe side. Counts are at most (t + J)/T + 1 and work <= T (a set
// is never loaded beyond 1): products are far from overflow.
void DemandSums::account(const Flow& flow, int sign) {
  const std::uint32_t first = grid_.bucket_of(flow.offset);
  if (first >= reach_) return;
  const std::int64_t work = sign * flow.work;
  GridCounter counter(grid_, flow.offset, flow.period, first);
  if (!flow.deadline) {
    for (std::uint32_t k = first; k < reach_; ++k, counter.advance()) input_[k] += counter.before() * work;
    input_[reach_] += counter.before() * work;
    return;
  }
  for (std::uint32_t k = first; k < reach_; ++k, counter.advance()) {
    const std::int64_t before = counter.before();
    const std::int64_t inside = counter.inside();
    if (sign > 0) {
      // Its own deadlines may fall anywhere in the bucket, and count there up to its end.
      if (inside > 0) least_[k] = std::min(least_[k], supply_[k] - demand_[k]);
      if (least_[k] != no_deadline) least_[k] -= (before + inside) * work;
    } else if (least_[k] != no_deadline) {  // what was there before the bucket is gone from all of it
      least_[k] -= before * work;
    }
    demand_[k] += before * work;
  }
  demand_[reach_] += counter.before() * work;
}

// The sums at edge `from` are there already.
void DemandSums::account_further(const Flow& flow, std::uint32_t from) {
  const std::uint32_t first = std::max(grid_.bucket_of(flow.offset), from);
  if (first >= reach_) return;
  GridCounter counter(grid_, flow.offset, flow.period, first);
  auto& sum = flow.deadline ? demand_ : input_;
  for (std::uint32_t k = first; k < reach_; ++k) {
    counter.advance();
    sum[k + 1] += counter.before() * flow.work;
  }
}

// --- blocking -----------------------------------------------------------------------------------------------------

void DemandSums::raise_blocker(std::uint32_t bucket, std::int64_t chunk) {
  if (chunk > chunk_[bucket]) {
    chunk_[bucket] = chunk;
    chunk_count_[bucket] = 0;
  }
  if (chunk == chunk_[bucket]) ++chunk_count_[bucket];
}

bool DemandSums::lower_blocker(std::uint32_t bucket, std::int64_t chunk) {
  if (chunk != chunk_[bucket] || --chunk_count_[bucket] > 0) return true;
  chunk_[bucket] = 0;
  return false;
}

void DemandSums::refresh_blockers(std::uint32_t from) {
  for (std::uint32_t k = from + 1; k-- > 0;) {
    const std::int64_t longest = std::max(chunk_[k], k < buckets ? blocker_[k + 1] : 0);
    if (blocker_[k] == longest && k < from) return;
    blocker_[k] = longest;
  }
}

bool DemandSums::same_sums(const DemandSums& other) const {
  return reach_ == other.reach_ && demand_ == other.demand_ && input_ == other.input_ && blocker_ == other.blocker_ && chunk_ == other.chunk_ &&
         chunk_count_ == other.chunk_count_;
}

}  // namespace rtchan::admission
