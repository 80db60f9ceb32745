// The promises of one node: which path holds what on which of its resources. CPUs of workers and links are
// stages with an admission policy each; message and packet buffers are pools of bytes.
//
//   none --reserve--> tentative (at d = r, expires) --commit--> committed (d >= r)
//        <--expire / release (it has carried nothing)--'            | release
//   none <--each stage: next real-time idle instant-- draining <----'
//
// A torn-down channel's last messages are still due, so its capacity may be given out only after the stage's
// next real-time idle instant: (5,100,10) twice, closed and replaced by a third at once, is 15 units due
// in 10. Every call is idempotent by path. One thread; the order of calls is the order of admission. No
// clock.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "admission/policy.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"

namespace rtchan::admission {

using StageId = Id<struct AdmissionStageTag, std::uint32_t>;
using PoolId = Id<struct AdmissionPoolTag, std::uint32_t>;

// One stage of a path through this node. A path may name the same stage twice (both ends on one worker).
struct StageRequest {
  StageId stage{};
  Candidate candidate{};
  // A local delay that the path is content with. Where the stage can promise less, it still reserves this
  // much and names it as its minimum: a channel at its true minimum leaves no slack, so that while it is
  // tentative nothing that brings input of its own could be admitted beside it. 0: the true minimum.
  Duration enough{};
};
struct MemoryRequest {
  PoolId pool{};
  std::int64_t bytes{};  // for the largest delay that the path may be given here
};

// The answer of reserve(): what each stage promised, in the order of the request.
struct Reservation {
  std::vector<Duration> minima;
};
struct LedgerRefusal {
  StageRefusal refusal{};
  std::size_t request = 0;  // index of the stage (or, past them, of the memory request) that said no
  std::string where;        // that resource's name
};

enum class PathState : std::uint8_t { none, tentative, committed, draining };
[[nodiscard]] const char* name(PathState state) noexcept;

enum class CommitResult : std::uint8_t {
  committed,
  already,        // committed before: nothing changed
  unknown,        // expired, released or never reserved: reserve again, or release both ways
  below_minimum,  // a delay is smaller than what was reserved, or their number differs: nothing changed
};

class Ledger {
 public:
  // --- set up once ---
  // `above`: the stage whose resource this is too, for a class that is served below that one's. What this class holds
  // is kept when the class above grows. At most one class below each.
  StageId add_stage(std::string name, Resource kind, std::unique_ptr<AdmissionPolicy> policy,
                    std::optional<StageId> above = {});
  PoolId add_pool(std::string name, std::int64_t bytes);

  // --- a path's life ---
  // All or nothing: every stage at its minimum (or `enough`, if larger), every pool. Repeated for a path that
  // holds a tentative or committed reservation, it answers the same and (if tentative) moves the expiry.
  std::expected<Reservation, LedgerRefusal> reserve(const PathId& path, std::span<const StageRequest> stages,
                                                    std::span<const MemoryRequest> memory, Instant expires);
  // Final delays, one per stage of the reservation, each >= its minimum. `memory_bytes`: final sizes, one per
  // memory request (smaller than reserved gives the rest back; larger is ignored); empty leaves them.
  CommitResult commit(const PathId& path, std::span<const Duration> delays,
                      std::span<const std::int64_t> memory_bytes = {});
  // Tentative: gone at once. Committed: draining, until idle() on each of its stages. Returns the new state.
  PathState release(const PathId& path);
  // The stage has no real-time work left: what was draining there is given back.
  void idle(StageId stage);
  // Drops tentative reservations whose time has come; returns them.
  std::vector<PathId> expire(Instant now);
  [[nodiscard]] Instant next_expiry() const noexcept;  // `never` if nothing is tentative

  // --- looking in ---
  [[nodiscard]] PathState state(const PathId& path) const noexcept;
  [[nodiscard]] bool draining(StageId stage) const noexcept;  // somebody waits for idle(stage)
  [[nodiscard]] BurstBound burst_bound(StageId stage) const;
  [[nodiscard]] const AdmissionPolicy& policy(StageId stage) const noexcept;
  // What reserve() would ask of this stage, and the stage's answer. Changes nothing.
  [[nodiscard]] std::expected<Duration, LedgerRefusal> test(const StageRequest& request) const;
  // Hints for a refusal: the nearest contracts that this stage would take (costs about 40 tests).
  [[nodiscard]] StageRefusal explain(const StageRequest& request, Duration wanted) const;

  struct StageView {
    std::string_view name;
    Resource kind;
    std::string_view policy;
    std::uint64_t utilisation_ppm;
    std::size_t entries, tentative, draining;
  };
  [[nodiscard]] StageView view(StageId stage) const;
  struct PoolView {
    std::string_view name;
    std::int64_t bytes, used;
  };
  [[nodiscard]] PoolView view(PoolId pool) const;
  [[nodiscard]] std::size_t stages() const noexcept { return stages_.size(); }
  [[nodiscard]] std::size_t pools() const noexcept { return pools_.size(); }
  [[nodiscard]] std::size_t paths() const noexcept { return paths_.size(); }

  // Recomputes every sum from the paths: false is a bug of ours.
  [[nodiscard]] bool reconciles() const;

 private:
  struct Stage {
    std::string name;
    Resource kind;
    std::unique_ptr<AdmissionPolicy> policy;
    std::optional<StageId> below;
    std::vector<PathId> draining;
    std::size_t tentative = 0;
  };
  struct Pool {
    std::string name;
    std::int64_t bytes;
    std::int64_t used = 0;
  };
  struct Hold {  // on one stage
    StageId stage{};
    EntryId entry{};
    Duration minimum{};
    bool held = true;
  };
  struct Path {
    PathState state = PathState::none;
    Instant expires = never;
    std::vector<Hold> holds;
    std::vector<MemoryRequest> memory;
  };
  void drop(std::map<PathId, Path>::iterator path);
  [[nodiscard]] LedgerRefusal refuse_stage(const StageRequest& request, StageRefusal refusal,
                                           std::size_t index) const;

  std::vector<Stage> stages_;
  std::vector<Pool> pools_;
  std::map<PathId, Path> paths_;
  std::map<std::pair<Instant, PathId>, int> expiries_;
};

}  // namespace rtchan::admission
