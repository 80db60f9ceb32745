// What happens to paths: the one place where a state changes, and the two clocks that end paths (set-ups that take too
// long, leases that nobody renews).
#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "rtcop/engine.hpp"

namespace rtchan::rtcop {

void Engine::happen(const PathId& id, PathEvent event, const Cause& cause) {
  const auto found = paths_.find(id);
  if (found == paths_.end()) return happen_to_nothing(id, event, cause);
  Path& path = found->second;
  if (!entitled(path, event, cause.from)) {
    if (event == PathEvent::setup && cause.from != nobody) {  // the same path by another way: it went in a circle
      ++counters_.loops;
      turn_away(cause.from, cause.number, refusal(id, Errc::no_route, "the route to the destination is a loop"));
    } else {
      ++counters_.misdirected;
    }
    return;
  }
  if (stale(path, event, cause)) {
    ++counters_.stale;
    return;
  }
  if (event != PathEvent::setup || cause.from == nobody) return happen_to(id, path, event, cause);
  supersede(id, path, cause.from);
  happen_to_nothing(id, event, cause);
}

void Engine::happen_to_nothing(const PathId& id, PathEvent event, const Cause& cause) {
  const Transition step = transition(PathState::none, event);
  ++counters_.transitions[0][static_cast<std::size_t>(event)];
  if (step.deed == Deed::reserve) start(id, cause);
  if (step.deed == Deed::disown && cause.from != nobody) disown(id, cause.from, cause.number);
}

void Engine::happen_to(const PathId& id, Path& path, PathEvent event, const Cause& cause) {
  const Transition step = transition(path.state, event);
  ++counters_.transitions[static_cast<std::size_t>(path.state)][static_cast<std::size_t>(event)];
  if (step.next != PathState::none) {  // a path that ends keeps its last state until forget()
    const bool lives = path.state < PathState::confirmed && step.next >= PathState::confirmed;
    path.state = step.next;
    if (lives) count_live(path, 1);
  }
  if (step.deed != Deed::give_up || event != PathEvent::voided) return perform(step.deed, id, path, cause);
  // A set-up is not finished on a promise that nobody can keep. Who said so holds the path still.
  wire::Refuse why = refusal(id, Errc::refused, std::string{cause.why});
  why.resource = Resource::link;
  why.hop = cause.hop;
  Cause over;
  over.refuse = &why;
  over.reason = wire::TeardownReason::failed;
  over.hop = cause.hop;
  perform(step.deed, id, path, over);
}

// Who may say so: upstream and downstream of this very path, or the node itself.
bool Engine::entitled(const Path& path, PathEvent event, NeighbourIndex from) const {
  switch (event) {
    case PathEvent::setup:
    case PathEvent::confirm: return from == (path.source ? nobody : path.up);
    case PathEvent::commit:
    case PathEvent::start: return path.destination ? from == nobody : from == path.down && from != nobody;
    case PathEvent::refuse: return path.destination ? from == nobody : from == path.down && from != nobody;
    case PathEvent::teardown: return from != nobody && (from == path.up || from == path.down);
    case PathEvent::voided: return from == nobody || from == path.up || from == path.down;
    case PathEvent::reserved:
    case PathEvent::denied:
    case PathEvent::opened:
    case PathEvent::failed:
    case PathEvent::close: return from == nobody;
    case PathEvent::expire: return true;
  }
  return false;
}

// A path that ended and was set up anew has the same name: what was said of its earlier life, and comes only now, is not
// about this one. Upstream has one order of numbers for its SETUP and all that it says of the path afterwards; downstream
// names the SETUP that it answers. (VOIDED names none: at worst a path is called void that is not.)
bool Engine::stale(const Path& path, PathEvent event, const Cause& cause) {
  if (cause.from == nobody) return false;
  switch (event) {
    case PathEvent::setup:
    case PathEvent::confirm: return cause.number <= path.setup_taken;
    case PathEvent::commit:
    case PathEvent::start:
    case PathEvent::refuse: return cause.answers != path.setup_sent;
    case PathEvent::teardown:
      return cause.from == path.up ? cause.number < path.setup_taken : cause.answers < path.setup_sent;
    case PathEvent::reserved:
    case PathEvent::denied:
    case PathEvent::opened:
    case PathEvent::failed:
    case PathEvent::close:
    case PathEvent::expire:
    case PathEvent::voided: return false;
  }
  return false;
}

// Upstream has set the path up anew; its TEARDOWN of the earlier one is late or lost.
void Engine::supersede(const PathId& id, Path& path, NeighbourIndex up) {
  Cause over;
  over.from = up;
  over.hop = neighbours_[up].neighbour->address().address;
  happen_to(id, path, PathEvent::teardown, over);
}

// --- the beginning ----------------------------------------------------------------------------------------------

std::optional<wire::Refuse> Engine::unfit(const wire::Setup& setup, NeighbourIndex from) const {
  if (from != nobody && setup.path.source == config_.self.host) {
    return refusal(setup.path, Errc::no_route, "the route to the destination leads back to the source");
  }
  if (setup.hops >= setup.hop_limit) {
    return refusal(setup.path, Errc::no_route, fmt::format("the route has more than {} hops, the most that a channel may take", setup.hop_limit));
  }
  if (from != nobody && !refreshable(from)) {
    auto why = refusal(setup.path, Errc::refused, "signalling to the previous hop cannot keep more leases alive");
    why.resource = Resource::link;
    return why;
  }
  if (paths_.size() >= config_.paths) return refusal(setup.path, Errc::exhausted, "the table of paths is full");
  return std::nullopt;
}

void Engine::start(const PathId& id, const Cause& cause) {
  if (const auto why = unfit(*cause.setup, cause.from)) {
    if (cause.from == nobody) {
      out_->emplace_back(Gone{id, PathState::none, *why, wire::TeardownReason::failed, config_.address});
    } else {
      wire::Refuse said = *why;
      said.detours = cause.setup->detours;
      turn_away(cause.from, cause.number, said);
    }
    return;
  }
  Path& path = paths_[id];
  path.state = transition(PathState::none, PathEvent::setup).next;
  path.up = cause.from;
  path.source = cause.from == nobody;
  path.setup_taken = cause.number;
  path.setup = std::make_unique<wire::Setup>(*cause.setup);
  Duration patience = std::chrono::milliseconds{path.setup->patience_ms};
  patience = std::min(patience, config_.timing.setup_longest);
  std::optional<Hop> from;
  if (!path.source) {
    patience += config_.timing.grace;
    join(cause.from);
    from = Hop{neighbours_[cause.from].neighbour->link(), neighbours_[cause.from].neighbour->address()};
  }
  set_expiry(id, path, now_ + patience);
  out_->emplace_back(Reserve{*path.setup, from, std::nullopt});
}

void Engine::turn_away(NeighbourIndex from, std::uint64_t setup, const wire::Refuse& why) {
  wire::Refuse said = why;
  said.answers = setup;
  send(from, why.path, said);
}

wire::Refuse Engine::refusal(const PathId& path, Errc code, std::string text) const {
  return wire::Refuse{path, code, Resource::none, config_.address, {}, {}, 0, std::move(text), false, 0, 0, 0};
}

// --- the clocks -------------------------------------------------------------------------------------------------

void Engine::set_expiry(const PathId& id, Path& path, Instant when) {
  if (path.expires != never) expiries_.erase({path.expires, id});
  path.expires = when;
  if (when != never) expiries_.emplace(when, id);
}

void Engine::expire_path(const PathId& id, NeighbourIndex from, wire::TeardownReason reason, std::string_view why) {
  const wire::Refuse refuse = refusal(id, Errc::timed_out, std::string{why});
  Cause cause;
  cause.from = from;
  cause.refuse = &refuse;
  cause.reason = reason;
  cause.hop = config_.address;
  happen(id, PathEvent::expire, cause);
}

void Engine::expire_paths() {
  while (!expiries_.empty() && expiries_.begin()->first <= now_) {
    ++counters_.setup_expiries;
    const PathId id = expiries_.begin()->second;
    const NeighbourIndex down = paths_.at(id).down;
    if (down != nobody && !neighbours_[down].neighbour->up()) {
      expire_unanswered(id, down, wire::TeardownReason::expired);
    } else {
      expire_path(id, nobody, wire::TeardownReason::expired, "the set-up was not completed in time");
    }
  }
}

// The hop that it failed at is the neighbour, not this node.
void Engine::expire_unanswered(const PathId& id, NeighbourIndex by, wire::TeardownReason reason) {
  const Neighbour& neighbour = *neighbours_[by].neighbour;
  const std::string us = config_.address.text();
  wire::Refuse refuse = refusal(id, Errc::timed_out,
                                neighbour.collided() ? us + " is refused, since its host id is claimed by another host too," : "no rtcd answers " + us);
  refuse.hop = neighbour.address().address;
  Cause cause;
  cause.refuse = &refuse;
  cause.reason = reason;
  cause.hop = config_.address;
  happen(id, PathEvent::expire, cause);
}

// A neighbour restarted or is refused: it holds nothing of ours any more, so it need not be told. A set-up that waits for
// what is beyond a restarted one is no older than it: it is sent anew, as often as its asker has patience.
void Engine::lose(NeighbourIndex neighbour, Loss loss) {
  std::vector<PathId> lost;
  for (auto& [id, path] : paths_) {
    if (path.up == neighbour || path.down == neighbour) lost.push_back(id);
  }
  std::ranges::sort(lost);
  const std::string why = fmt::format("neighbour {} was lost", neighbours_[neighbour].neighbour->address().text());
  for (const PathId& id : lost) {
    Path& path = paths_.at(id);
    if (loss == Loss::restarted && path.down == neighbour && path.state == PathState::tentative) {
      path.setup_sent = send(neighbour, id, *path.setup);
      continue;
    }
    ++counters_.lost_paths;
    expire_path(id, neighbour, wire::TeardownReason::lost, why);
  }
}

// Nothing was heard of a neighbour for too long. What lives ends, and it is told too: it may hear us still. Set-ups go on as
// long as their askers have patience.
void Engine::silent(NeighbourIndex neighbour) {
  std::vector<PathId> lost;
  for (const auto& [id, path] : paths_) {
    const bool with_it = path.up == neighbour || path.down == neighbour;
    if (with_it && path.state >= PathState::confirmed) lost.push_back(id);
  }
  std::ranges::sort(lost);
  const std::string why = fmt::format("neighbour {} is silent", neighbours_[neighbour].neighbour->address().text());
  out_->emplace_back(Remark{fmt::format("{}: {} paths end", why, lost.size())});
  for (const PathId& id : lost) {
    ++counters_.lost_paths;
    expire_path(id, nobody, wire::TeardownReason::lost, why);
  }
}

}  // namespace rtchan::rtcop
