#include "admission/demand_sums.hpp"

#include "admission/arithmetic.hpp"

namespace rtchan::admission {

DemandSums::DemandSums(const StageSettings& settings, const TimeGrid& grid)
    : grid_(grid),
      base_blocking_(settings.base_blocking.count()),
      granularity_(settings.granularity.count()),
      least_blocking_(blocking(settings.base_blocking, settings.granularity)),
      blocker_(buckets + 1, 0),
      work_(buckets, 0),
      input_(buckets, 0),
      dip_(buckets, no_deadline),
      witness_(buckets),
      groups_(buckets / group),
      chunk_(buckets + 1, 0),
      chunk_count_(buckets + 1, 0) {
  static_assert(128 % group == 0);
  edge_.reserve(buckets + 1);
  supply_.reserve(buckets + 1);
  input_bound_.reserve(buckets);
  for (std::uint32_t k = 0; k <= buckets; ++k) {
    edge_.push_back(grid_.edge(k));
    supply_.push_back(settings.supply.available(Duration{edge_[k]}).count());
    if (k < buckets) input_bound_.push_back(settings.input_bound.in_bucket(grid_, k));
  }
}

// Counts are at most (t + J)/T + 1 and work <= T (a set is never loaded beyond 1): products are far from overflow.
void DemandSums::come(std::uint32_t k, const Flow& flow, std::int64_t at, std::int64_t count) {
  const std::int64_t work = count * flow.work;
  groups_[k / group].stale = true;
  if (!flow.deadline) {
    input_[k] += work;
    return;
  }
  work_[k] += work;
  witness_[k].dip -= seen(k, flow, at, count) * flow.work;
  // Its deadlines may fall anywhere in the bucket, before any other, and count there up to its end.
  dip_[k] = std::max(std::min<std::int64_t>(dip_[k], 0) - work, -work_[k]);
}

// What was due in the bucket leaves its dip too low, which is safe, until somebody looks or nothing is due there.
void DemandSums::go(std::uint32_t k, const Flow& flow, std::int64_t at, std::int64_t count) {
  const std::int64_t work = count * flow.work;
  groups_[k / group].stale = true;
  if (!flow.deadline) {
    input_[k] -= work;
    return;
  }
  work_[k] -= work;
  witness_[k].dip += seen(k, flow, at, count) * flow.work;
  dip_[k] = work_[k] == 0 ? no_deadline : std::max(dip_[k], -work_[k]);
}

void DemandSums::gather(const Flow& flow, std::int64_t times) {
  gathered_ += times * flow.work * events_before(0, flow.offset, flow.period);
}

void DemandSums::refresh(Group& g, std::uint32_t first) const noexcept {
  g = Group{};
  for (std::uint32_t k = first; k < first + group; ++k) {
    if (work_[k] > 0) g.dip = std::min(g.dip, supply_[k] - supply_[first] - g.work + dip_[k]);
    g.work += work_[k];
    g.input += input_[k];
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
  return reach_ == other.reach_ && gathered_ == other.gathered_ && work_ == other.work_ && input_ == other.input_ &&
         blocker_ == other.blocker_ && chunk_ == other.chunk_ && chunk_count_ == other.chunk_count_;
}

}  // namespace rtchan::admission
