// Leases: what lives with a neighbour is listed to it again and again, and what it does not list in time is released.
// The lists of one interval leave over its first half, a few packets at a time, so that they neither crowd each other
// out of a link's signalling channel nor wait behind a crowd of set-ups; and no more paths are taken than can be listed.
#include <algorithm>

#include "rtcop/engine.hpp"

namespace rtchan::rtcop {

namespace {

constexpr unsigned slices = 8;

}  // namespace

// Looks at all leases, and notes for each neighbour what lives with it.
void Engine::refresh() {
  std::vector<PathId> tired;
  for (Slot& slot : neighbours_) slot.living.clear();
  for (const auto& [id, path] : paths_) {
    if (path.lease_up <= now_ || path.lease_down <= now_) {
      tired.push_back(id);
    } else if (path.state >= PathState::committed) {
      if (path.up != nobody) neighbours_[path.up].living.push_back(id);
      if (path.down != nobody) neighbours_[path.down].living.push_back(id);
    }
  }
  for (NeighbourIndex i = 0; i < neighbours_.size(); ++i) {
    if (neighbours_[i].neighbour != nullptr) pace_heartbeats(i);  // as many as share its link by now
  }
  for (Slot& slot : neighbours_) {
    std::ranges::sort(slot.living);
    slot.listed = 0;
    slot.listed_bytes = wire::path_list_bytes(slot.living);
    if (!slot.living.empty()) slot.neighbour->cancel_refreshes();  // an older list says less
  }
  std::ranges::sort(tired);
  for (const PathId& id : tired) {
    ++counters_.lease_expiries;
    expire_path(id, nobody, wire::TeardownReason::expired, "the lease was not renewed");
  }
  const auto eighth = static_cast<std::uint64_t>(config_.timing.refresh().count() / 8);
  const Duration jitter{static_cast<std::int64_t>(random_.below(eighth + 1))};
  refresh_due_ = paths_.empty() ? never : now_ + config_.timing.refresh() - jitter;
  slice_due_ = now_;
  slice_ = 0;
}

// The next part of each neighbour's lists: full packets, until this slice's share has left.
void Engine::refresh_slice() {
  ++slice_;
  bool more = false;
  for (NeighbourIndex i = 0; i < neighbours_.size(); ++i) {
    const std::size_t share = neighbours_[i].living.size() * std::min(slice_, slices) / slices;
    while (neighbours_[i].listed < neighbours_[i].living.size() && neighbours_[i].listed <= share) {
      const auto rest = std::span<const PathId>{neighbours_[i].living}.subspan(neighbours_[i].listed);
      wire::Refresh list{neighbours_[i].neighbour->last_number(), {}};
      neighbours_[i].listed += wire::take_refresh(rest, list);
      std::erase_if(list.paths, [&](const PathId& id) {  // gone since, or set up anew: it may not know of that yet
        const auto found = paths_.find(id);
        return found == paths_.end() || found->second.state < PathState::committed ||
               (found->second.up != i && found->second.down != i);
      });
      if (!list.paths.empty()) send(i, PathId{}, std::move(list));
    }
    more = more || neighbours_[i].listed < neighbours_[i].living.size();
  }
  slice_due_ = more ? now_ + config_.timing.refresh() / (2 * slices) : never;
}

// What listing all paths with this neighbour takes in an interval: as counted at the last, and what has come since.
std::size_t Engine::refresh_bytes(NeighbourIndex neighbour) const {
  const Slot& slot = neighbours_[neighbour];
  const std::size_t more = slot.paths > slot.living.size() ? slot.paths - slot.living.size() : 0;
  return slot.listed_bytes + more * wire::path_gap_bytes + (slot.paths > 0 ? wire::path_first_bytes : 0);
}

// Can one more path be kept alive?
bool Engine::refreshable(NeighbourIndex neighbour) const {
  const std::uint32_t link = neighbours_[neighbour].neighbour->link();
  if (link >= config_.refresh_bytes.size()) return true;
  std::size_t bytes = wire::path_first_bytes;
  for (NeighbourIndex i = 0; i < neighbours_.size(); ++i) {
    if (neighbours_[i].neighbour != nullptr && neighbours_[i].neighbour->link() == link) bytes += refresh_bytes(i);
  }
  return bytes <= config_.refresh_bytes[link];
}

void Engine::take_refresh(NeighbourIndex from, const wire::Refresh& refresh) {
  const Instant until = now_ + config_.timing.kept();
  for (const PathId& id : refresh.paths) {
    const auto found = paths_.find(id);
    Path* path = found == paths_.end() ? nullptr : &found->second;
    if (path != nullptr && path->up == from && !path->source) {
      if (path->lease_up != never) path->lease_up = until;
    } else if (path != nullptr && path->down == from && !path->destination) {
      if (path->lease_down != never) path->lease_down = until;
    } else {
      disown(id, from, refresh.upto);
    }
  }
}

}  // namespace rtchan::rtcop
