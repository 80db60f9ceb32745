// The route of a channel has changed. Whoever holds its path and sees that the route leads elsewhere now ends the path with
// that reason. Both ends then keep the application's side (number, queue, quota) and give the rest back once what was under way
// has arrived, or can arrive no more; the source sets up another path, in whose set-up the channel is named by its first one,
// and the destination takes it for the channel that it knows, without asking the application again. Where none is admitted in
// time, both applications are told.
//
//   established --rerouted--> what is under way arrives, the clip is handed back --> outgoing: asks again and again
//        ^                                                                       | incoming: waits
//        +--------------- START: the same queues, new clips --------------------+---- in time? no: peer_gone
//
// One path ends before the next begins: so messages cannot overtake each other, and nobody has to hold twice what it may
// hold once. The price is a gap of about the channel's delay (docs/decisions/0014).
//
// A channel stays where it is as long as its way is among those that lead to its destination: a better one that comes up moves
// nobody, and one that is known no more without any other being known may still carry.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "node/state.hpp"

namespace rtchan::node {

namespace {

constexpr Duration look_again = std::chrono::seconds{1};          // at set-ups that were under way
constexpr Duration first_pause = std::chrono::milliseconds{5};
constexpr Duration longest_pause = std::chrono::milliseconds{500};

}  // namespace

// --- whoever sees it ----------------------------------------------------------------------------------------------

void Node::State::routes_changed() {
  std::map<IpAddress, std::vector<NextHop>> ways;  // the first alone where that will do: it costs less to ask for
  const auto leads = [&](const Channel& c) {
    const IpAddress& to = c.destination.address;
    const NextHop way{*c.place.out, c.next_hop};
    auto [known, fresh] = ways.try_emplace(to);
    if (fresh) {
      if (const auto first = router.next_hop(to)) known->second.push_back(*first);
      if (std::ranges::find(known->second, way) != known->second.end()) return true;
      const auto others = router.alternatives(to);
      known->second.insert(known->second.end(), others.begin(), others.end());
    }
    if (known->second.empty() || std::ranges::find(known->second, way) != known->second.end()) return true;
    if (known->second.size() > 1) return false;
    const auto others = router.alternatives(to);
    known->second.insert(known->second.end(), others.begin(), others.end());
    return std::ranges::find(known->second, way) != known->second.end();
  };
  std::vector<PathId> astray;
  bool unfinished = false;
  for (const auto& [path, c] : channels) {
    const rtcop::Path* known = c.signalled && c.place.out ? engine.find(path) : nullptr;
    if (known == nullptr || leads(c)) continue;
    const bool finished = known->state == rtcop::PathState::open || (known->state == rtcop::PathState::confirmed && c.role == clips::Role::forward);
    if (finished) astray.push_back(path);
    unfinished = unfinished || !finished;
  }
  if (unfinished) timers.emplace(now + look_again, Due::routes, PathId{});
  if (astray.empty()) return;
  std::ranges::sort(astray);
  emit(Log{Log::Level::info, fmt::format("routes have changed: {} channels are to take another", astray.size())});
  for (const PathId& path : astray) engine_step(rtcop::Close{path, wire::TeardownReason::rerouted});
}

// --- the ends -----------------------------------------------------------------------------------------------------

// The path of an established channel has ended for that reason.
void Node::State::begin_reroute(Channel& c, const IpAddress& hop) {
  if (c.origin.sequence == 0) c.origin = c.path;
  c.rerouting = true;
  c.why = fmt::format("{} ({}); no other was admitted since", wire::name(wire::TeardownReason::rerouted), hop.text());
  c.give_up = now + config.timing.lease;
  c.attempts = 1;
  c.fragment_bytes = 0;
  if (c.role == clips::Role::incoming) {
    awaited[c.origin] = c.path;
    c.give_up += config.timing.grace;  // the source decides first
    set_timer(c.give_up, Due::reroute, c.path);
  } else {
    c.setup = std::make_unique<wire::Setup>();
    c.setup->source = c.source;
    c.setup->source_uid = c.uid;
    c.setup->destination = c.destination;
    c.setup->qos = c.qos;
    c.setup->replaces = c.origin;
  }
  if (c.role == clips::Role::outgoing) return close_clip(c, clips::CloseMode::hand_back);
  // What has left is due within the promise.
  c.clip = ClipState::lingering;
  set_timer(now + c.linger, Due::linger, c.path);
}

// The path that should have taken the place of the first has come to nothing. False: no more time.
bool Node::State::go_on_rerouting(Channel& c, const rtcop::Gone& event) {
  if (!c.rerouting || c.left || c.destroying || closing) return false;
  if (c.role == clips::Role::outgoing) {
    if (event.refusal && event.refusal->code == Errc::peer_gone) return false;
    if (event.refusal && event.refusal->fragment_bytes != 0) c.fragment_bytes = event.refusal->fragment_bytes;
    if (event.refusal && less_may_do(c, *event.refusal)) ask_for_less(c, *event.refusal);
    const bool tells = event.refusal && event.refusal->code != Errc::timed_out;  // what the one before said tells more
    if (tells) c.why = fmt::format("the route has changed, and on the new one: {} at {}", event.refusal->text, event.refusal->hop.text());
  }
  if (now >= c.give_up) return false;
  if (c.clip != ClipState::none) {
    close_clip(c, clips::CloseMode::hand_back);
    return true;  // clip_gone() goes on
  }
  release_reservation(c);
  ask_again(c);
  return true;
}

void Node::State::ask_again(Channel& c) {
  if (c.role != clips::Role::outgoing) return;
  const Duration most = std::min(longest_pause, first_pause * (std::int64_t{1} << std::min(c.attempts, 16u)));
  // Before the other end has what was under way it would only refuse.
  const Duration pause = c.attempts == 1 ? c.linger + first_pause / 5 : Duration{static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(most.count())))};
  set_timer(now + pause, Due::retry, c.path);
}

// Nobody will take it over any more.
void Node::State::give_up_reroute(Channel& c) {
  c.rerouting = false;
  c.setup.reset();
  awaited.erase(c.origin);
  if (c.clip == ClipState::none) {
    bid_farewell(c, ipc::Notice::Kind::peer_gone);
    release_reservation(c);
  } else {
    c.farewell = ipc::Notice::Kind::peer_gone;
    close_clip(c, clips::CloseMode::abandon);
  }
}

// A set-up comes for a channel that waits here: from now on it is known by the new path.
std::optional<wire::Refuse> Node::State::take_over(const wire::Setup& setup) {
  const auto found = awaited.find(setup.replaces);
  Channel* c = found == awaited.end() ? nullptr : channel(found->second);
  const bool the_same = c != nullptr && c->rerouting && !c->left && !c->destroying && c->session && session(*c->session) != nullptr &&
                        setup.replaces.source == setup.path.source && c->qos == setup.qos && c->destination == setup.destination;
  if (!the_same) return refusal(setup.path, Errc::peer_gone, "the channel that is to take another route is not here any more");
  if (c->signalled || c->clip != ClipState::none) {
    auto why = refusal(setup.path, Errc::refused, "the channel still holds its path of before");
    why.again = true;
    return why;
  }
  rekey(*c, setup.path);
  found->second = setup.path;
  set_timer(channel(setup.path)->give_up, Due::reroute, setup.path);
  return std::nullopt;
}

// The same channel under another path. References to it do not outlive this.
void Node::State::rekey(Channel& c, const PathId& path) {
  auto moved = channels.extract(c.path);
  Channel& same = moved.mapped();
  if (Session* s = same.session ? session(*same.session) : nullptr) {
    s->paths.erase(same.path);
    s->paths.insert(path);
    s->channels.insert_or_assign(same.id, path);
  }
  same.path = moved.key() = path;
  channels.insert(std::move(moved));
}

// START: the application's queue has a clip again.
void Node::State::rerouted(Channel& c, const Label& next_label) {
  c.rerouting = false;
  c.setup.reset();
  c.handed_back = Label{};
  c.why = c.voided ? "void since before its route changed" : "";
  ++c.reroutes;
  awaited.erase(c.origin);
  if (c.role == clips::Role::outgoing) emit(ConnectClip{c.place.worker, *c.slot, c.next_hop, next_label});
}

}  // namespace rtchan::node
