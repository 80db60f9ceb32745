#include "admission/ledger.hpp"

#include <algorithm>
#include <cassert>

namespace rtchan::admission {

const char* name(PathState state) noexcept {
  switch (state) {
    case PathState::none:
      return "none";
    case PathState::tentative:
      return "tentative";
    case PathState::committed:
      return "committed";
    case PathState::draining:
      return "draining";
  }
  return "unknown";
}

StageId Ledger::add_stage(std::string name, Resource kind, std::unique_ptr<AdmissionPolicy> policy,
                          std::optional<StageId> above) {
  assert(policy != nullptr);
  const StageId id{static_cast<std::uint32_t>(stages_.size())};
  stages_.push_back({std::move(name), kind, std::move(policy), {}, {}, 0});
  if (above) stages_[above->value].below = id;
  return id;
}

std::expected<Duration, LedgerRefusal> Ledger::test(const StageRequest& request) const {
  const Stage& stage = stages_[request.stage.value];
  const auto minimum = stage.policy->test(request.candidate, request.enough);
  if (!minimum) return std::unexpected(refuse_stage(request, minimum.error(), 0));
  if (!stage.below) return *minimum;
  // What the class below was promised is not taken from it.
  const Stage& below = stages_[stage.below->value];
  const Reason why = below.policy->bears(request.candidate);
  if (why == Reason::none) return *minimum;
  LedgerRefusal refusal = refuse_stage(request, {.reason = why}, 0);
  refusal.where = below.name;
  return std::unexpected(std::move(refusal));
}

PoolId Ledger::add_pool(std::string name, std::int64_t bytes) {
  pools_.push_back({std::move(name), bytes, 0});
  return PoolId{static_cast<std::uint32_t>(pools_.size() - 1)};
}

LedgerRefusal Ledger::refuse_stage(const StageRequest& request, StageRefusal refusal,
                                   std::size_t index) const {
  const Stage& stage = stages_[request.stage.value];
  refusal.resource = refusal.reason == Reason::blocking ? Resource::blocking : stage.kind;
  return {refusal, index, stage.name};
}

std::expected<Reservation, LedgerRefusal> Ledger::reserve(const PathId& id,
                                                          std::span<const StageRequest> stages,
                                                          std::span<const MemoryRequest> memory,
                                                          Instant expires) {
  if (const auto known = paths_.find(id); known != paths_.end()) {
    Path& path = known->second;
    if (path.state == PathState::draining)  // the id's last life is not over yet
      return std::unexpected(
          LedgerRefusal{{.resource = Resource::quota, .reason = Reason::invalid}, 0, "path"});
    if (path.state == PathState::tentative) {
      expiries_.erase({path.expires, id});
      path.expires = expires;
      expiries_.emplace(std::pair{expires, id}, 0);
    }
    Reservation again;
    for (const Hold& hold : path.holds) again.minima.push_back(hold.minimum);
    return again;
  }
  for (std::size_t i = 0; i < memory.size();
       ++i) {  // one pool may be named twice: counted one after the other below
    const Pool& pool = pools_[memory[i].pool.value];
    std::int64_t wanted = 0;
    for (std::size_t j = 0; j <= i; ++j) {
      if (memory[j].bytes < 0 || memory[j].bytes > pool.bytes) wanted = pool.bytes + 1;
      if (memory[j].pool == memory[i].pool && wanted <= pool.bytes) wanted += memory[j].bytes;
    }
    if (wanted > pool.bytes - pool.used)
      return std::unexpected(LedgerRefusal{
          {.resource = Resource::memory, .reason = Reason::memory, .available_bytes = pool.bytes - pool.used},
          stages.size() + i,
          pool.name});
  }

  // Stage after stage: each test must count what this path has just taken on the stages before.
  Path path{.state = PathState::tentative,
            .expires = expires,
            .holds = {},
            .memory = {memory.begin(), memory.end()}};
  Reservation reservation;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    AdmissionPolicy& policy = *stages_[stages[i].stage.value].policy;
    auto minimum = test(stages[i]);
    if (!minimum) {
      for (const Hold& hold : path.holds) stages_[hold.stage.value].policy->release(hold.entry);
      minimum.error().request = i;
      return std::unexpected(std::move(minimum.error()));
    }
    const Duration promised = std::clamp(stages[i].enough, *minimum, duration_limit);
    path.holds.push_back({stages[i].stage, policy.reserve(stages[i].candidate, promised), promised, true});
    reservation.minima.push_back(promised);
  }
  for (const Hold& hold : path.holds) ++stages_[hold.stage.value].tentative;
  for (const MemoryRequest& m : memory) pools_[m.pool.value].used += m.bytes;
  expiries_.emplace(std::pair{expires, id}, 0);
  paths_.emplace(id, std::move(path));
  return reservation;
}

CommitResult Ledger::commit(const PathId& id, std::span<const Duration> delays,
                            std::span<const std::int64_t> memory_bytes) {
  const auto found = paths_.find(id);
  if (found == paths_.end() || found->second.state == PathState::draining) return CommitResult::unknown;
  Path& path = found->second;
  if (path.state == PathState::committed) return CommitResult::already;
  if (delays.size() != path.holds.size()) return CommitResult::below_minimum;
  for (std::size_t i = 0; i < delays.size(); ++i)
    if (delays[i] < path.holds[i].minimum) return CommitResult::below_minimum;

  for (std::size_t i = 0; i < delays.size(); ++i) {
    Stage& stage = stages_[path.holds[i].stage.value];
    stage.policy->commit(path.holds[i].entry, delays[i]);
    --stage.tentative;
  }
  for (std::size_t i = 0; i < std::min(memory_bytes.size(), path.memory.size()); ++i) {
    const std::int64_t less = std::clamp<std::int64_t>(memory_bytes[i], 0, path.memory[i].bytes);
    pools_[path.memory[i].pool.value].used -= path.memory[i].bytes - less;
    path.memory[i].bytes = less;
  }
  expiries_.erase({path.expires, id});
  path.expires = never;
  path.state = PathState::committed;
  return CommitResult::committed;
}

PathState Ledger::release(const PathId& id) {
  const auto found = paths_.find(id);
  if (found == paths_.end()) return PathState::none;
  Path& path = found->second;
  switch (path.state) {
    case PathState::none:
    case PathState::tentative:
      drop(found);
      return PathState::none;
    case PathState::committed:
      path.state = PathState::draining;
      for (std::size_t i = 0; i < path.holds.size(); ++i) {
        auto& waiting = stages_[path.holds[i].stage.value].draining;
        if (waiting.empty() || waiting.back() != id) waiting.push_back(id);
      }
      if (path.holds.empty()) {
        drop(found);
        return PathState::none;
      }
      return PathState::draining;
    case PathState::draining:
      return PathState::draining;
  }
  return PathState::none;
}

void Ledger::idle(StageId id) {
  std::vector<PathId> waiting;
  waiting.swap(stages_[id.value].draining);
  for (const PathId& which : waiting) {
    const auto found = paths_.find(which);
    if (found == paths_.end()) continue;
    bool held = false;
    for (Hold& hold : found->second.holds) {
      if (hold.stage == id && hold.held) {
        stages_[id.value].policy->release(hold.entry);
        hold.held = false;
      }
      held = held || hold.held;
    }
    if (!held) drop(found);
  }
}

// Gives back whatever the path still holds.
void Ledger::drop(std::map<PathId, Path>::iterator found) {
  Path& path = found->second;
  for (const Hold& hold : path.holds) {
    Stage& stage = stages_[hold.stage.value];
    if (hold.held) stage.policy->release(hold.entry);
    if (path.state == PathState::tentative) --stage.tentative;
  }
  for (const MemoryRequest& m : path.memory) pools_[m.pool.value].used -= m.bytes;
  expiries_.erase({path.expires, found->first});
  paths_.erase(found);
}

std::vector<PathId> Ledger::expire(Instant now) {
  std::vector<PathId> gone;
  while (!expiries_.empty() && expiries_.begin()->first.first <= now) {
    gone.push_back(expiries_.begin()->first.second);
    drop(paths_.find(gone.back()));
  }
  return gone;
}

Instant Ledger::next_expiry() const noexcept {
  return expiries_.empty() ? never : expiries_.begin()->first.first;
}

PathState Ledger::state(const PathId& id) const noexcept {
  const auto found = paths_.find(id);
  return found == paths_.end() ? PathState::none : found->second.state;
}

bool Ledger::draining(StageId stage) const noexcept {
  return !stages_[stage.value].draining.empty();
}

BurstBound Ledger::burst_bound(StageId stage) const {
  return stages_[stage.value].policy->burst_bound();
}

const AdmissionPolicy& Ledger::policy(StageId stage) const noexcept {
  return *stages_[stage.value].policy;
}

StageRefusal Ledger::explain(const StageRequest& request, Duration wanted) const {
  return refuse_stage(request, admission::explain(policy(request.stage), request.candidate, wanted), 0)
      .refusal;
}

Ledger::StageView Ledger::view(StageId id) const {
  const Stage& s = stages_[id.value];
  return {s.name,           s.kind,      s.policy->name(), s.policy->utilisation_ppm(),
          s.policy->size(), s.tentative, s.draining.size()};
}

Ledger::PoolView Ledger::view(PoolId id) const {
  const Pool& p = pools_[id.value];
  return {p.name, p.bytes, p.used};
}

bool Ledger::reconciles() const {
  std::vector<std::size_t> entries(stages_.size()), tentative(stages_.size()), draining(stages_.size());
  std::vector<std::int64_t> used(pools_.size());
  std::size_t expiring = 0;
  for (const auto& [id, path] : paths_) {
    for (const MemoryRequest& m : path.memory) used[m.pool.value] += m.bytes;
    for (const Hold& hold : path.holds) {
      if (!hold.held) continue;
      ++entries[hold.stage.value];
      tentative[hold.stage.value] += path.state == PathState::tentative;
      const Task task = stages_[hold.stage.value].policy->task(hold.entry);
      if (task.delay < hold.minimum) return false;
    }
    const bool expires = path.state == PathState::tentative;
    if (expires != expiries_.contains({path.expires, id})) return false;
    expiring += expires;
    for (std::size_t s = 0; path.state == PathState::draining && s < stages_.size(); ++s)
      draining[s] +=
          std::ranges::any_of(path.holds, [s](const Hold& h) { return h.stage.value == s && h.held; });
  }
  if (expiring != expiries_.size()) return false;
  for (std::size_t s = 0; s < stages_.size(); ++s) {
    if (stages_[s].policy->size() != entries[s] || stages_[s].tentative != tentative[s] ||
        stages_[s].draining.size() != draining[s] || !stages_[s].policy->reconciles())
      return false;
  }
  for (std::size_t p = 0; p < pools_.size(); ++p)
    if (pools_[p].used != used[p] || used[p] < 0 || used[p] > pools_[p].bytes) return false;
  return true;
}

}  // namespace rtchan::admission
