// Everything that a node can promise and has promised: stages (the CPU of each worker, each link), buffer memory, packet
// buffers, clip slots. Sets up the ledger from the configuration, with what is always there (signalling on each
// link, best-effort input on each worker) entered as channels like any other.
#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "admission/burst_bound.hpp"
#include "admission/ledger.hpp"
#include "node/config.hpp"
#include "node/plan.hpp"
#include "rtcop/random.hpp"
#include "wire/signal.hpp"

namespace rtchan::node {

// Slots of one worker's clip table, each given out again as late as possible, with a generation that a stale
// packet does not guess.
class SlotTable {
 public:
  explicit SlotTable(std::uint32_t size) : size_(size) {}
  std::optional<ClipSlot> take();
  void give(ClipSlot slot) { free_.push_back(slot); }
  [[nodiscard]] std::size_t used() const noexcept { return next_ - free_.size(); }

 private:
  std::uint32_t size_;
  std::uint32_t next_ = 0;
  std::deque<ClipSlot> free_;
};

struct Pool {
  std::string name;
  std::uint64_t size = 0;
  std::uint64_t used = 0;
};

class Books {
 public:
  explicit Books(const NodeConfig& config);

  // Tentatively, at the minimum delays. `in`, `out`: links of the channel here; the worker is the outgoing one's.
  // The refusal is ready to be sent but for its hop and what would fit instead (hints.hpp).
  struct Place {
    std::uint32_t worker = 0;
    std::optional<std::uint32_t> out;
  };
  struct Held {
    Minima minima{};
    Reach reach{};
  };
  std::expected<Held, wire::Refuse> reserve(const PathId& path, const Plan& plan, const Place& place);
  // The delay from the source to the end of this node that a tight attempt would be promised; nullopt: reserve() would refuse.
  // Changes nothing.
  [[nodiscard]] std::optional<Duration> least_delay(const Plan& plan, const Place& place) const;
  // Whether reserve() would succeed and leave the rest of the route no less than no time. Changes nothing.
  [[nodiscard]] bool would_fit(const Plan& plan, const Place& place) const;
  // Final delays and sizes, at most what was reserved.
  bool commit(const PathId& path, const Plan& plan, const Place& place, const Delays& delays, const Sizes& sizes);
  // The channel's clip is closed (or was never opened). Committed capacity comes back after the next instant at which
  // every stage concerned must have been idle; see wake().
  void release(const PathId& path, Instant now);

  // Capacity that waits for an idle instant.
  [[nodiscard]] Instant wake() const noexcept;
  void tick(Instant now);

  // Links whose burst bound must be set anew, and their bounds. A change is published before the step ends; while
  // a crowd of channels comes and goes, as the most cautious bound at once and the exact one when it is over.
  struct Bound {
    std::uint32_t link;
    admission::BurstBound bound;
  };
  void publish(Instant now, std::vector<Bound>& out);

  [[nodiscard]] std::vector<SlotTable>& slots() noexcept { return slots_; }
  [[nodiscard]] const std::vector<SlotTable>& slots() const noexcept { return slots_; }
  [[nodiscard]] const admission::Ledger& ledger() const noexcept { return ledger_; }
  // Paths of channels (what is always there does not count), draining ones included.
  [[nodiscard]] std::size_t paths() const noexcept { return entries_.size(); }
  [[nodiscard]] admission::StageId cpu_stage(std::uint32_t worker) const { return cpus_[worker].id; }
  [[nodiscard]] admission::StageId link_stage(std::uint32_t link) const { return links_[link].id; }
  [[nodiscard]] std::vector<Pool> pools() const;
  // What of the always-present entries did not fit: the configuration is too small for them.
  [[nodiscard]] const std::vector<std::string>& flaws() const noexcept { return flaws_; }
  [[nodiscard]] bool reconciles() const;

 private:
  struct Stage {
    admission::StageId id{};
    admission::StageSettings settings{};
    std::optional<admission::StageId> below{};  // the class below guaranteed, where there is one
    Duration work{};            // sum over channels (of all classes) of what a simultaneous start brings at once
  };
  struct Entry {                // a path's part of all this
    std::uint32_t worker = 0;
    std::optional<std::uint32_t> out;
    Duration cpu_work{}, link_work{};
    std::uint64_t memory_bytes = 0;
    std::uint64_t packet_buffers = 0;
  };
  struct LinkState {
    bool dirty = true;
    bool cautious = true;       // the most cautious bound is in force (a worker starts with it)
    Instant exact_due = never;
  };
  void enter_permanent(Stage& stage, const admission::Candidate& candidate, Duration delay);
  void add_below(Stage& stage, const std::string& name, Resource kind, const BelowSettings& below, std::uint32_t input_ppm);
  [[nodiscard]] std::optional<admission::StageId> stage_of(const Stage& stage, ServiceClass service) const;
  [[nodiscard]] std::optional<wire::Refuse> unserved(const PathId& path, const Plan& plan, const Place& place) const;
  [[nodiscard]] std::vector<admission::StageRequest> stage_requests(const Plan& plan, const Place& place) const;
  [[nodiscard]] std::optional<wire::Refuse> set_aside(const PathId& path, const Place& place, const Sizes& sizes);
  void give_back(Entry& entry);
  [[nodiscard]] wire::Refuse explain(const PathId& path, std::span<const admission::StageRequest> requests,
                                     const admission::LedgerRefusal& why) const;
  [[nodiscard]] Duration idle_within(const Stage& stage) const;
  void start_batch(Instant now);

  const NodeConfig& config_;
  admission::Ledger ledger_;
  std::vector<Stage> cpus_;     // by worker
  std::vector<Stage> links_;
  Pool memory_;
  std::vector<Pool> packets_;   // by worker
  std::vector<SlotTable> slots_;
  std::vector<LinkState> link_states_;
  std::unordered_map<PathId, Entry> entries_;
  std::size_t permanent_ = 0;
  std::vector<std::string> flaws_;

  std::vector<PathId> waiting_;   // released, for the next batch
  std::vector<PathId> batch_;     // draining in the ledger
  Instant batch_until_ = never;
};

}  // namespace rtchan::node
