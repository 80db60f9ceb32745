// What the deeds of the transition table do, in the order in which a successful path meets them.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "rtcop/engine.hpp"

namespace rtchan::rtcop {

void Engine::perform(Deed deed, const PathId& id, Path& path, const Cause& cause) {
  switch (deed) {
    case Deed::ignore:
    case Deed::disown:   // only of unknown paths: happen() has done it
    case Deed::reserve:  // only of unknown paths: start() has done it
      return;
    case Deed::pass_setup: return pass_setup(id, path, cause);
    case Deed::open_clip: return open_clip(id, path, cause);
    case Deed::pass_commit: return pass_commit(id, path, cause);
    case Deed::pass_confirm: return pass_confirm(id, path);
    case Deed::pass_start: return pass_start(id, path);
    case Deed::refuse_back: return refuse_back(id, path, *cause.refuse);
    case Deed::detour: return detour(path, *cause.refuse);
    case Deed::give_up: return give_up(id, path, cause);
    case Deed::end: return end(id, path, cause);
    case Deed::pass_void: return pass_void(id, path, cause);
  }
}

void Engine::pass_setup(const PathId& id, Path& path, const Cause& cause) {
  path.arrived = std::exchange(path.setup->promised, cause.reserved->promised);
  if (!cause.reserved->next) return ask(id, path);
  const NeighbourIndex next = neighbour(cause.reserved->next->link, cause.reserved->next->address);
  if (next == nobody || neighbours_[next].neighbour->full()) {
    return refuse_back(id, path, refusal(id, Errc::exhausted, "no room to signal to the next hop"));
  }
  if (next == path.up) {
    return refuse_back(id, path, refusal(id, Errc::no_route, "the next hop is where the request came from"));
  }
  if (!refreshable(next)) {
    auto why = refusal(id, Errc::refused, "signalling to the next hop cannot keep more leases alive");
    why.resource = Resource::link;
    return refuse_back(id, path, why);
  }
  path.down = next;
  join(next);
  ++path.setup->hops;
  path.told_down = true;
  path.setup_sent = send(next, id, *path.setup);
}

// The destination: is there slack, and does the agent agree?
void Engine::ask(const PathId& id, Path& path) {
  path.destination = true;
  const wire::Promised& promised = path.setup->promised;
  const Duration needed = promised.minima + promised.propagation;
  if (admitted(path.setup->qos.service) && needed > path.setup->qos.max_delay) {
    wire::Refuse why = refusal(id, Errc::refused, "the stages of the route need more time than max_delay");
    why.resource = Resource::delay;
    why.fitting_delay = needed;
    return refuse_back(id, path, why);
  }
  out_->emplace_back(Ask{id});
}

void Engine::open_clip(const PathId& id, Path& path, const Cause& cause) {
  const wire::Setup& setup = *path.setup;
  const bool timed = admitted(setup.qos.service);
  path.next_label = cause.label;
  if (path.destination) {
    path.terms = timed ? settle(setup.promised, setup.qos.max_delay) : wire::Terms{};
  } else {
    path.terms = cause.terms;
    const bool honest = !timed || (path.terms.minima >= setup.promised.minima &&
                                        path.terms.propagation >= setup.promised.propagation &&
                                        path.terms.total() <= setup.qos.max_delay);
    if (!honest) {
      Cause broken = cause;
      broken.from = nobody;
      broken.reason = wire::TeardownReason::failed;
      broken.hop = config_.address;
      const wire::Refuse why = refusal(id, Errc::protocol_error, "a commit promised more than was asked for");
      broken.refuse = &why;
      return give_up(id, path, broken);
    }
  }
  out_->emplace_back(OpenClip{id, path.terms, path.next_label});
}

void Engine::pass_commit(const PathId& id, Path& path, const Cause& cause) {
  path.label = cause.label;
  path.setup.reset();
  if (path.source) {
    pending_.push_back(Pending{id, PathEvent::confirm});
  } else {
    send(path.up, id, wire::Commit{id, path.label, path.terms, path.setup_taken});
  }
}

void Engine::pass_confirm(const PathId& id, Path& path) {
  const Instant until = now_ + config_.timing.kept();
  if (!path.source) {
    path.lease_up = until;
    set_expiry(id, path, never);
  }
  if (!path.destination) path.lease_down = until;
  if (refresh_due_ == never) refresh_due_ = now_ + config_.timing.refresh();
  if (path.destination) {
    out_->emplace_back(Establish{id, path.next_label});
    pending_.push_back(Pending{id, PathEvent::start});
  } else {
    send(path.down, id, wire::Confirm{id});
  }
}

void Engine::pass_start(const PathId& id, Path& path) {
  if (path.source) {
    set_expiry(id, path, never);
    out_->emplace_back(Establish{id, path.next_label});
  } else {
    send(path.up, id, wire::Start{id, path.setup_taken});
  }
}

// --- what was promised holds no more --------------------------------------------------------------------------------

void Engine::pass_void(const PathId& id, const Path& path, const Cause& cause) {
  if (cause.from != nobody) out_->emplace_back(Voided{id, std::string{cause.why}, cause.hop});
  for (const NeighbourIndex n : {path.up, path.down}) {
    if (n != nobody && n != cause.from) neighbours_[n].voided.push_back(id);
  }
}

// Many paths to a message: a link takes all of its channels with it.
void Engine::tell_voided(std::string_view why, const IpAddress& hop) {
  for (NeighbourIndex i = 0; i < neighbours_.size(); ++i) {
    auto paths = std::exchange(neighbours_[i].voided, {});
    std::ranges::sort(paths);
    for (std::span<const PathId> rest{paths}; !rest.empty();) {
      wire::Voided list{hop, std::string{why}, {}};
      rest = rest.subspan(wire::take_voided(rest, list));
      send(i, PathId{}, std::move(list));
    }
  }
}

// --- the ways out -----------------------------------------------------------------------------------------------

// Downstream has refused, so it holds nothing. Where that may be different by another route, the node is asked for one, with the
// set-up as it had come here; what it holds for the refused one it gives back first. The set-up carries how many such
// detours all nodes together may still take, and a refusal how many are left, so that they are not tried in every order.
void Engine::detour(Path& path, const wire::Refuse& why) {
  wire::Setup& setup = *path.setup;
  const bool may_differ = why.code == Errc::refused || why.code == Errc::exhausted || why.code == Errc::no_route;
  setup.detours = std::min(setup.detours, why.detours);
  if (path.destination || path.down == nobody || !may_differ || setup.detours == 0) {
    pending_denials_.push_back(why);
    return;
  }
  --setup.detours;
  setup.promised = path.arrived;
  --setup.hops;
  leave(std::exchange(path.down, nobody));
  path.told_down = false;
  path.setup_sent = 0;
  std::optional<Hop> from;
  if (!path.source) from = Hop{neighbours_[path.up].neighbour->link(), neighbours_[path.up].neighbour->address()};
  out_->emplace_back(Reserve{setup, from, why});
}

void Engine::refuse_back(const PathId& id, Path& path, const wire::Refuse& because) {
  wire::Refuse why = because;
  why.detours = path.setup != nullptr ? path.setup->detours : std::uint8_t{0};
  if (!path.source) turn_away(path.up, path.setup_taken, why);
  Cause cause;
  cause.reason = wire::TeardownReason::failed;
  cause.hop = why.hop;
  forget(id, path, cause, &why);
}

void Engine::give_up(const PathId& id, Path& path, const Cause& cause) {
  const wire::Refuse why =
      cause.refuse != nullptr ? *cause.refuse : refusal(id, Errc::timed_out, "the set-up was given up");
  if (!path.source && path.up != cause.from) turn_away(path.up, path.setup_taken, why);
  if (path.told_down && path.down != cause.from) tell_teardown(id, path.down, path, cause);
  forget(id, path, cause, &why);
}

void Engine::end(const PathId& id, Path& path, const Cause& cause) {
  if (!path.source && path.up != cause.from) tell_teardown(id, path.up, path, cause);
  if (path.told_down && path.down != cause.from) tell_teardown(id, path.down, path, cause);
  forget(id, path, cause, nullptr);
}

// A set-up that never left needs no teardown; one that may still be under way is cancelled by its number, so that it
// cannot bring the path back however late it arrives.
void Engine::tell_teardown(const PathId& id, NeighbourIndex to, const Path& path, const Cause& cause) {
  wire::Teardown teardown{id, cause.reason, cause.hop, 0, 0};
  if (to == path.down) {
    if (!neighbours_[to].neighbour->cancel(path.setup_sent)) return;
    teardown.cancels = path.setup_sent;
  } else {
    teardown.answers = path.setup_taken;
  }
  send(to, id, teardown);
}

// Nothing is held here of what was set up by that number or an earlier one.
void Engine::disown(const PathId& id, NeighbourIndex to, std::uint64_t answers) {
  ++counters_.disowned;
  send(to, id, wire::Teardown{id, wire::TeardownReason::unknown, config_.address, 0, answers});
}

void Engine::forget(const PathId& id, Path& path, const Cause& cause, const wire::Refuse* refusal) {
  Gone gone{id, path.state, std::nullopt, cause.reason, cause.hop};
  if (refusal != nullptr) gone.refusal = *refusal;
  set_expiry(id, path, never);
  if (path.state >= PathState::confirmed) count_live(path, -1);
  for (const NeighbourIndex n : {path.up, path.down}) {
    if (n == nobody) continue;
    neighbours_[n].neighbour->cancel_path(id);
    touch(n);
    leave(n);
  }
  paths_.erase(id);
  out_->emplace_back(std::move(gone));
}

}  // namespace rtchan::rtcop
