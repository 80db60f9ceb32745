// A channel comes into being at this node: reserve, ask the agent, open the clip, tell the application. In the
// order in which a set-up that succeeds meets them.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "base/limits.hpp"
#include "node/hints.hpp"
#include "node/state.hpp"

namespace rtchan::node {

wire::Refuse Node::State::refusal(const PathId& path, Errc code, std::string text) const {
  return wire::Refuse{path, code, Resource::none, own_address(), {}, {}, 0, std::move(text), false, 0, 0, 0};
}

// --- ask --------------------------------------------------------------------------------------------------------

// The source asks, for the first time or again: each attempt is a path of its own, so that nothing late of one can
// be taken for the other.
void Node::State::open_path(const PathId& last) {
  const bool again = channel(last)->attempts++ > 0;
  const PathId path = again ? PathId{config.host, next_sequence++} : last;
  if (again) rekey(*channel(last), path);
  Channel& c = *channel(path);
  c.signalled = true;
  wire::Setup setup = *c.setup;
  setup.path = c.path;
  setup.detours = limits::detours;
  c.refused_ways.clear();
  setup.patience_ms = static_cast<std::uint32_t>(std::max<Duration>(Duration{0}, c.give_up - now) / std::chrono::milliseconds{1});
  engine_step(rtcop::Open{std::move(setup)});
}

// --- reserve ----------------------------------------------------------------------------------------------------

void Node::State::reserve(const rtcop::Reserve& ask) {
  const PathId path = ask.setup.path;
  if (ask.from && !ask.refused && channels.contains(path)) {
    // Signalling has forgotten it (a neighbour was restarted, what it had sent before comes again), but what it held here is
    // not given back yet. The next attempt is another path.
    auto why = refusal(path, Errc::refused, "the path's end is not over yet");
    why.again = true;
    return engine_step(rtcop::Denied{std::move(why)});
  }
  const bool returns = ask.from && !ask.refused && ask.setup.replaces.sequence != 0 && is_own(ask.setup.destination.address);
  if (returns) {
    if (auto why = take_over(ask.setup)) return engine_step(rtcop::Denied{*std::move(why)});
  }
  Channel& c = channels[path];
  c.path = path;
  c.signalled = true;
  if (returns) c.in_link = ask.from->link;
  if (ask.from && !ask.refused && !returns) {  // somebody else's: not known here before
    c.source = ask.setup.source;
    c.destination = ask.setup.destination;
    c.source_uid = ask.setup.source_uid;
    c.qos = ask.setup.qos;
    c.in_link = ask.from->link;
    c.role = is_own(c.destination.address) ? clips::Role::incoming : clips::Role::forward;
    if (c.role == clips::Role::incoming) c.extensions = ask.setup.extensions;
  }
  auto reserved = try_ways(c, ask);
  if (reserved) {
    engine_step(*std::move(reserved));
  } else {
    engine_step(rtcop::Denied{std::move(reserved.error())});
  }
}

// One way after the other, as long as another may make a difference.
std::expected<rtcop::Reserved, wire::Refuse> Node::State::try_ways(Channel& c, const rtcop::Reserve& ask) {
  std::optional<wire::Refuse> refused = ask.refused;
  for (;;) {
    if (refused) {
      give_up_way(c);
      if (c.role == clips::Role::incoming || !next_way(c, ask)) return std::unexpected(*std::move(refused));
    }
    auto answer = try_reserve(c, ask);
    if (answer) return answer;
    const bool of_the_link = answer.error().resource == Resource::link || answer.error().code == Errc::no_route;
    if (!of_the_link || !c.place.out) return answer;
    refused = std::move(answer.error());
  }
}

// What is held for a way that was refused, here or further on.
void Node::State::give_up_way(Channel& c) {
  if (c.place.out) c.refused_ways.push_back({*c.place.out, c.next_hop});
  if (!c.rerouting) give_queue_back(c);
  release_reservation(c);
  c.place = {};
}

// Not back to where the set-up comes from, nor where it was refused before.
std::optional<NextHop> Node::State::next_way(const Channel& c, const rtcop::Reserve& ask) const {
  if (c.refused_ways.empty()) return router.next_hop(c.destination.address);
  for (const NextHop& way : router.alternatives(c.destination.address)) {
    const bool back = ask.from && ask.from->link == way.link && ask.from->address == way.neighbour;
    if (!back && std::ranges::find(c.refused_ways, way) == c.refused_ways.end()) return way;
  }
  return std::nullopt;
}

std::expected<rtcop::Reserved, wire::Refuse> Node::State::try_reserve(Channel& c, const rtcop::Reserve& ask) {
  if (closing) return std::unexpected(refusal(c.path, Errc::daemon_gone, "this host is shutting down"));
  if (!activity_of(ask.setup.extensions)) return std::unexpected(refusal(c.path, Errc::invalid_argument, "the activity is not understood"));
  if (auto why = place_channel(c, ask)) return std::unexpected(*std::move(why));
  if (c.role == clips::Role::incoming && !c.rerouting) {
    if (auto why = find_listener(c)) return std::unexpected(*std::move(why));
  }
  const auto model = [this](std::uint32_t link) { return &config.links[link].model; };
  wire::Setup setup = ask.setup;
  if (auto why = cut_packets(c, setup.promised)) return std::unexpected(*std::move(why));
  const auto plan = [&](const wire::Setup& asked) {
    Plan made = make_plan(asked, c.role, config.workers[c.place.worker].costs,
                     c.role == clips::Role::outgoing ? nullptr : model(c.in_link), c.place.out ? model(*c.place.out) : nullptr);
    if (c.rerouting) made.slots_most = c.queue.slots;
    return made;
  };
  c.plan = std::make_unique<Plan>();
  auto held = reserve_here(c, setup, plan);
  if (!held) {
    held.error().hop = own_address();
    held.error().fitting_rate_nano =
        fitting_rate_nano(setup, [&](const wire::Setup& less) { return books.would_fit(plan(less), c.place); });
    return std::unexpected(std::move(held.error()));
  }
  c.reserved = true;
  c.minima = held->minima;
  if (auto why = take_memory(c, held->reach.sizes)) return std::unexpected(*std::move(why));
  c.slot = books.slots()[c.place.worker].take();
  if (!c.slot) {
    return std::unexpected(refusal(c.path, Errc::exhausted, fmt::format("worker {} has no free clip", c.place.worker)));
  }
  clips[c.place.worker][c.slot->value] = c.path;
  c.generation = std::max(1u, static_cast<std::uint32_t>(random.next()));

  rtcop::Reserved answer{c.path, std::nullopt, setup.promised};
  wire::Promised& p = answer.promised;
  p.minima += c.minima.cpu + c.minima.link;
  p.stretch = std::min(p.stretch, held->reach.stretch);
  p.last_minimum = c.minima.cpu;
  p.last_horizon = p.last_propagation = Duration{0};
  if (c.place.out) {
    const LinkSettings& link = config.links[*c.place.out];
    // Without a fixed horizon a packet leaves as early as the handler may have made it: to whom it arrives, this node's
    // CPU and link are one stage. What is below guaranteed is never held back.
    const bool fixed = link.horizon && !in_the_middle(c.qos.service);
    p.last_minimum = fixed ? c.minima.link : c.minima.cpu + c.minima.link;
    p.last_horizon = fixed ? *link.horizon : Duration{0};
    p.last_propagation = link.propagation;
    p.propagation += link.propagation;
    answer.next = rtcop::Hop{*c.place.out, c.next_hop};
  }
  return answer;
}

// What may take longer on its way to us may bunch more here, which costs input at arrival and buffers. Where that is in the way,
// the stages before are held to less: by the stretch that goes on with the set-up, within which the destination shares out the
// slack. What they were told by theirs stays true, since none is given more than that.
std::expected<Books::Held, wire::Refuse> Node::State::reserve_here(Channel& c, wire::Setup& setup,
                                                                   const std::function<Plan(const wire::Setup&)>& plan) {
  *c.plan = plan(setup);
  auto held = books.reserve(c.path, *c.plan, c.place);
  if (!c.plan->admitted) return held;
  const Duration propagation = c.place.out ? config.links[*c.place.out].propagation : Duration{0};
  const wire::Promised& before = setup.promised;
  if (held && before.minima + before.propagation + propagation + held->minima.cpu + held->minima.link <= setup.qos.max_delay) return held;
  if (held) books.release(c.path, now);  // or it would stand in its own way
  const std::uint64_t less = narrowed(setup, c.role, [&](std::uint64_t stretch) {
    wire::Setup narrower = setup;
    narrower.promised.stretch = stretch;
    return books.least_delay(plan(narrower), c.place);
  });
  if (!held && less == before.stretch) return held;
  setup.promised.stretch = less;
  *c.plan = plan(setup);
  return books.reserve(c.path, *c.plan, c.place);
}

// Which links and which worker.
std::optional<wire::Refuse> Node::State::place_channel(Channel& c, const rtcop::Reserve& ask) {
  std::optional<std::uint32_t> unpromised;
  const auto check = [&](std::uint32_t link) {
    if (!link_void[link].empty() && promised(c.qos.service)) unpromised = link;
  };
  if (c.role == clips::Role::incoming) {
    c.place.worker = config.links[c.in_link].worker;
    check(c.in_link);
  } else {
    const auto hop = next_way(c, ask);
    if (!hop || hop->link >= config.links.size()) {
      return refusal(c.path, Errc::no_route, fmt::format("no route to {}", c.destination.address.text()));
    }
    c.place.out = hop->link;
    c.place.worker = config.links[hop->link].worker;
    c.next_hop = hop->neighbour;
    check(hop->link);
    if (ask.from) {
      check(c.in_link);
      if (config.links[c.in_link].worker != c.place.worker) {
        return refusal(c.path, Errc::no_route, "the two links of this route belong to different workers here");
      }
    }
  }
  if (c.rerouting && c.place.worker != c.home) {
    return refusal(c.path, Errc::no_route, "that link belongs to another worker than the application's queue");
  }
  if (!unpromised) return std::nullopt;
  auto why = refusal(c.path, Errc::refused,
                     fmt::format("{}: {}", config.links[*unpromised].name, link_void[*unpromised]));
  why.resource = Resource::link;
  return why;
}

// The source cuts messages to packets that fit its link; whoever cannot carry them on says what would fit, and the source
// tries again with that. So the packets of a channel fit every link of its route, and each node knows how many they are.
std::optional<wire::Refuse> Node::State::cut_packets(const Channel& c, wire::Promised& promised) const {
  if (!c.place.out) return std::nullopt;
  const LinkSettings& link = config.links[*c.place.out];
  const std::uint32_t fits = link.model.format.payload_per_packet_bytes;
  if (c.role == clips::Role::outgoing) {
    promised.fragment_bytes = c.fragment_bytes == 0 ? fits : std::min(fits, c.fragment_bytes);
  }
  if (promised.fragment_bytes != 0 && promised.fragment_bytes <= fits) return std::nullopt;
  auto why = refusal(c.path, Errc::refused, fmt::format("{}: packets carry at most {} bytes of a message", link.name, fits));
  why.resource = Resource::link;
  why.fragment_bytes = fits;
  return why;
}

std::optional<wire::Refuse> Node::State::find_listener(Channel& c) {
  const auto found = ports.find(c.destination.port);
  Session* s = found == ports.end() ? nullptr : session(found->second);
  if (s == nullptr) {
    return refusal(c.path, Errc::no_listener, fmt::format("nobody listens on port {}", c.destination.port));
  }
  if (auto over = over_quota(*s, 0)) {
    auto why = refusal(c.path, Errc::refused, "at the receiver: " + over->text);
    why.resource = Resource::quota;
    return why;
  }
  const auto number = take_number(*s, c.path);
  if (!number) return refusal(c.path, Errc::exhausted, "the receiving application holds all channels that it may");
  c.session = s->id;
  c.uid = s->uid;
  c.id = *number;
  c.counted = true;
  ++users[s->uid].channels;
  return std::nullopt;
}

// The largest that queue and buffers may become; the rest is given back with the commit. What is forwarded belongs to no
// user here.
std::optional<wire::Refuse> Node::State::take_memory(Channel& c, const Sizes& sizes) {
  if (c.role == clips::Role::forward) return std::nullopt;
  Session& s = *session(*c.session);
  User& user = users[c.uid];
  if (sizes.packet_buffers > config.limits.packet_buffers_per_uid - std::min(user.packet_buffers, config.limits.packet_buffers_per_uid)) {
    auto why = refusal(c.path, Errc::refused,
                       fmt::format("user {} would hold {} packet buffers; it may hold {}", c.uid, user.packet_buffers + sizes.packet_buffers,
                                   config.limits.packet_buffers_per_uid));
    why.resource = Resource::quota;
    return why;
  }
  c.packet_buffers = sizes.packet_buffers;
  user.packet_buffers += c.packet_buffers;
  if (c.rerouting) {  // it has its queue
    if (sizes.slots <= c.queue.slots) return std::nullopt;
    auto why = refusal(c.path, Errc::refused, fmt::format("this route needs a queue of {} messages; the channel's has {}", sizes.slots, c.queue.slots));
    why.resource = Resource::memory;
    return why;
  }
  auto over = over_quota(s, sizes.queue_bytes);
  if (!over) {
    c.queue_offset = s.arena.take(sizes.queue_bytes);
    if (!c.queue_offset) over = Error{Errc::refused, "the session's shared memory is full", {}};
  }
  if (over) {
    auto why = refusal(c.path, over->code, over->text);
    why.resource = over->code == Errc::refused ? Resource::memory : Resource::quota;
    return why;
  }
  c.queue_bytes = sizes.queue_bytes;
  users[c.uid].memory_bytes += c.queue_bytes;
  return std::nullopt;
}

// --- the agent --------------------------------------------------------------------------------------------------

void Node::State::ask_agent(const PathId& path) {
  Channel& c = *channel(path);
  if (c.rerouting) return engine_step(rtcop::Agreed{path});  // it has agreed to this channel
  c.question = next_question++;
  questions.emplace(c.question, path);
  set_timer(now + config.agent_timeout, Due::agent, path);
  reply(*c.session, ipc::Asked{c.question, c.destination.port, false, ChannelId{}, c.source, c.source_uid,
                               from_signal(c.qos), std::move(c.extensions)});
  c.extensions.clear();
}

// --- commit -----------------------------------------------------------------------------------------------------

void Node::State::open_clip(const rtcop::OpenClip& open) {
  Channel& c = *channel(open.path);
  c.delays = final_delays(*c.plan, c.minima, open.terms);
  const Sizes final = sizes(*c.plan, c.delays);
  const bool bunches_more = c.plan->admitted && c.role != clips::Role::outgoing && c.delays.previous > largest_previous(*c.plan);
  if (bunches_more || !books.commit(c.path, *c.plan, c.place, c.delays, final)) {
    engine_step(rtcop::OpenFailed{c.path, "the reservation does not cover what was committed"});
    return;
  }
  if (c.packet_buffers > 0) {
    users[c.uid].packet_buffers -= c.packet_buffers - final.packet_buffers;
    c.packet_buffers = final.packet_buffers;
  }
  if (c.queue_offset && !c.rerouting && c.session && session(*c.session) != nullptr) {
    Session& s = *session(*c.session);
    s.arena.shrink(*c.queue_offset, c.queue_bytes, final.queue_bytes);
    users[c.uid].memory_bytes -= c.queue_bytes - final.queue_bytes;
    c.queue_bytes = final.queue_bytes;
    c.queue = queue_place(*c.plan, final, *c.queue_offset);
  }
  c.linger = c.plan->admitted ? open.terms.total() : Duration{std::chrono::milliseconds{200}};
  c.clip = ClipState::opening;
  clips::ClipSpec spec = clip_spec(c, final, open.terms);
  spec.next_label = open.next_label;
  c.plan.reset();
  c.refused_ways = {};
  emit(OpenClip{c.place.worker, spec, c.session.value_or(SessionId{}), c.id, c.queue, c.handed_back});
}

clips::ClipSpec Node::State::clip_spec(const Channel& c, const Sizes& final, const wire::Terms& terms) const {
  clips::ClipSpec spec;
  spec.slot = *c.slot;
  spec.generation = c.generation;
  spec.role = c.role;
  spec.service = c.qos.service;
  spec.contract = {c.plan->contract.period, c.plan->contract.burst, c.plan->contract.message_bytes};
  spec.policing = c.refuse_excess ? clips::Policing::refuse : clips::Policing::shape;
  spec.cpu_delay = c.delays.cpu;
  spec.link_delay = c.delays.link;
  spec.packets_per_step = config.workers[c.place.worker].costs.packets_per_step;
  spec.packet_buffers = final.packet_buffers;
  if (c.plan->admitted) spec.packets_per_message = c.plan->packets;
  if (c.role == clips::Role::outgoing) {
    spec.packet_bytes = c.plan->before.fragment_bytes + static_cast<std::uint32_t>(wire::fragment_overhead_bytes);
  }
  if (c.place.out) {
    const LinkSettings& link = config.links[*c.place.out];
    spec.horizon = in_the_middle(c.qos.service) ? c.delays.cpu : link.horizon.value_or(c.delays.cpu);
    spec.link = link.worker_link;
    spec.next_hop = c.next_hop;
  }
  if (c.role != clips::Role::outgoing) {
    spec.upstream_rem = c.delays.previous + c.plan->before.last_horizon;
    spec.upstream_propagation = c.plan->before.last_propagation;
  }
  spec.end_to_end = terms.total();
  return spec;
}

void Node::State::clip_ready(const ClipReady& event) {
  Channel* c = channel_at(event.worker, event.slot);
  if (c == nullptr || c->clip != ClipState::opening) return;  // it is being closed: ClipClosed follows
  c->clip = ClipState::ready;
  const rtcop::Path* path = engine.find(c->path);
  if (c->role == clips::Role::forward && path != nullptr) {  // ready for what upstream may send after its own commit
    emit(ConnectClip{event.worker, event.slot, c->next_hop, path->next_label});
  }
  engine_step(rtcop::Opened{c->path, Label{c->slot->value, c->generation}});
}

void Node::State::clip_failed(const ClipFailed& event) {
  Channel* c = channel_at(event.worker, event.slot);
  if (c == nullptr) return;
  if (c->clip == ClipState::opening && c->signalled) {
    c->clip = ClipState::none;
    engine_step(rtcop::OpenFailed{c->path, event.why});
  } else if (c->clip == ClipState::opening || c->clip == ClipState::closing) {
    clip_gone(*c);
  }
}

// --- the application has its channel ------------------------------------------------------------------------------

// What undoes the path again may be waiting among the deeds already: the engine need not know it any more.
void Node::State::establish(const rtcop::Establish& deed) {
  Channel& c = *channel(deed.path);
  if (c.rerouting) return rerouted(c, deed.next_label);
  c.established = true;
  c.home = c.place.worker;
  c.setup.reset();
  Session* application = c.session ? session(*c.session) : nullptr;
  if (application == nullptr) return;
  Session& s = *application;
  if (c.role == clips::Role::outgoing) {
    --s.pending_setups;
    emit(ConnectClip{c.place.worker, *c.slot, c.next_hop, deed.next_label});
    reply(s.id, ipc::Created{c.request, c.id, c.place.worker, c.queue, c.qos.service == ServiceClass::guaranteed ? c.qos.max_delay : Duration{0}});
  } else {
    reply(s.id, ipc::Accepted{c.question, c.id, c.destination.port, c.place.worker, c.source, from_signal(c.qos), c.queue});
    c.question = 0;
  }
  if (c.voided) tell_void(c);  // while the news of the set-up was under way
}

}  // namespace rtchan::node
