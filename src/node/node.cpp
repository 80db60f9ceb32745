// Dispatch: events to those who know what to do, the engine's deeds back to the node, timers.
#include "node/node.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <tuple>

#include "node/state.hpp"

namespace rtchan::node {

namespace {

// A quarter of what the link's signalling channel carries between two refreshes is for them; the rest is for set-ups,
// acknowledgements, and what is lost.
std::size_t refresh_bytes(const LinkSettings& link, const rtcop::Timing& timing) {
  const auto packets = static_cast<std::size_t>(timing.refresh() / std::max(Duration{1}, link.signal_period)) / 4;
  return std::max<std::size_t>(packets, 1) * wire::refresh_list_bytes;
}

rtcop::EngineConfig engine_config(const NodeConfig& config) {
  rtcop::EngineConfig engine;
  engine.self = {config.host, config.epoch};
  if (!config.links.empty()) engine.address = config.links.front().address.address;
  if (config.links.empty() && !config.addresses.empty()) engine.address = config.addresses.front();
  engine.timing = config.timing;
  for (const LinkSettings& link : config.links) {
    engine.refresh_bytes.push_back(refresh_bytes(link, config.timing));
    engine.packet_period.push_back(link.signal_period);
  }
  return engine;
}

}  // namespace

Node::State::State(const NodeConfig& c, const Router& r, std::uint64_t seed)
    : config(c), router(r), random(seed), engine(engine_config(c), random.next()), books(config) {
  assert(config.epoch != 0 && !config.workers.empty());
  for (const LinkSettings& link : config.links) {
    assert(link.worker < config.workers.size());
    config.addresses.push_back(link.address.address);
  }
  for (const WorkerSettings& worker : config.workers) clips.emplace_back(worker.clips);
  link_void.resize(config.links.size());
  next_sequence = (rtcop::mix(config.epoch) << 32) + 1;
}

Node::Node(const NodeConfig& config, const Router& router, std::uint64_t seed)
    : state_(std::make_unique<State>(config, router, seed)) {}
Node::~Node() = default;

void Node::step(Instant now, const Event& event, std::vector<Action>& out) {
  State& s = *state_;
  s.now = now;
  s.out = &out;
  if (!s.greeted) {
    s.greeted = true;
    for (const std::string& flaw : s.books.flaws()) s.emit(Log{Log::Level::warn, flaw});
  }
  s.handle(event);
  s.settle();
  s.out = nullptr;
}

Instant Node::next_wake() const {
  Instant wake = std::min(state_->engine.next_wake(), state_->books.wake());
  if (!state_->timers.empty()) wake = std::min(wake, std::get<Instant>(*state_->timers.begin()));
  return wake;
}

bool Node::quiet() const {
  return state_->engine.quiet() &&
         std::ranges::none_of(state_->channels, [](const auto& c) { return c.second.clip != ClipState::none; });
}

Status Node::status() const { return state_->status(); }

std::vector<ChannelStatus> Node::channels() const {
  std::vector<ChannelStatus> all;
  all.reserve(state_->channels.size());
  for (const auto& [path, c] : state_->channels) all.push_back(state_->status_of(c));
  std::ranges::sort(all, {}, &ChannelStatus::path);
  return all;
}

const admission::Ledger& Node::ledger() const { return state_->books.ledger(); }

const rtcop::EngineCounters& Node::signalling() const { return state_->engine.counters(); }

bool Node::reconciles() const { return state_->reconciles(); }

// --- dispatch ---------------------------------------------------------------------------------------------------

void Node::State::handle(const Event& event) {
  const auto dispatch = [this]<class T>(const T& e) {
    if constexpr (std::is_same_v<T, SessionOpened>) {
      open_session(e);
    } else if constexpr (std::is_same_v<T, SessionClosed>) {
      close_session(e);
    } else if constexpr (std::is_same_v<T, Requested>) {
      Session* s = session(e.session);
      if (s == nullptr) return;
      std::visit(
          [&]<class R>(const R& r) {
            if constexpr (!std::is_same_v<R, ipc::Hello> && !std::is_same_v<R, ipc::Mapped>) request(*s, r);
          },
          e.request);
    } else if constexpr (std::is_same_v<T, SignalReceived>) {
      if (e.link < config.links.size()) engine_step(rtcop::Received{e.link, e.from, e.bytes});
    } else if constexpr (std::is_same_v<T, ClipReady>) {
      clip_ready(e);
    } else if constexpr (std::is_same_v<T, ClipFailed>) {
      clip_failed(e);
    } else if constexpr (std::is_same_v<T, ClipClosed>) {
      clip_closed(e.worker, e.slot);
    } else if constexpr (std::is_same_v<T, ClientViolated>) {
      const Channel* c = channel_at(e.worker, e.slot);
      if (c != nullptr && c->session) emit(EvictSession{*c->session, "it broke the rules of the shared memory"});
    } else if constexpr (std::is_same_v<T, ContractViolated>) {
      const Channel* c = channel_at(e.worker, e.slot);
      if (c == nullptr || !c->session || !c->established) return;
      reply(*c->session, ipc::Notice{ipc::Notice::Kind::contract_violated, c->id,
                                     c->refuse_excess ? "messages beyond the contract are refused"
                                                      : "messages beyond the contract are held back until they conform"});
    } else if constexpr (std::is_same_v<T, LinkVoided>) {
      if (e.link < config.links.size()) void_link(e.link, e.why);
    } else if constexpr (std::is_same_v<T, LinkRestored>) {
      if (e.link < config.links.size()) link_void[e.link].clear();
    } else if constexpr (std::is_same_v<T, RoutesChanged>) {
      routes_changed();
    } else if constexpr (std::is_same_v<T, ShutDown>) {
      shut_down();
    } else {
      static_assert(std::is_same_v<T, Timer>);
      run_timers();
    }
  };
  std::visit(dispatch, event);
}

// What the event has set in motion: packets, and what links must know before new channels may send.
void Node::State::settle() {
  engine.flush(now, deeds);
  for (std::size_t i = 0; i < deeds.size(); ++i) {
    const rtcop::Action deed = std::move(deeds[i]);
    act(deed);
  }
  deeds.clear();
  // Acting may have queued further messages.
  engine.flush(now, deeds);
  for (std::size_t i = 0; i < deeds.size(); ++i) {
    const rtcop::Action deed = std::move(deeds[i]);
    act(deed);
  }
  deeds.clear();
  std::vector<Books::Bound> bounds;
  books.publish(now, bounds);
  for (const auto& b : bounds) emit(SetBurstBound{b.link, b.bound});
}

// One event for the engine and all that follows from it, in order. Called from inside an action it only queues.
void Node::State::engine_step(const rtcop::Event& event) {
  const bool outermost = deeds.empty();
  engine.step(now, event, deeds);
  if (!outermost) return;
  for (std::size_t i = 0; i < deeds.size(); ++i) {
    const rtcop::Action deed = std::move(deeds[i]);
    act(deed);
  }
  deeds.clear();
}

void Node::State::act(const rtcop::Action& action) {
  const auto perform = [this]<class T>(const T& a) {
    if constexpr (std::is_same_v<T, rtcop::Transmit>) {
      emit(SendSignal{a.link, a.to, a.bytes});
    } else if constexpr (std::is_same_v<T, rtcop::Reserve>) {
      reserve(a);
    } else if constexpr (std::is_same_v<T, rtcop::Ask>) {
      ask_agent(a.path);
    } else if constexpr (std::is_same_v<T, rtcop::OpenClip>) {
      open_clip(a);
    } else if constexpr (std::is_same_v<T, rtcop::Establish>) {
      establish(a);
    } else if constexpr (std::is_same_v<T, rtcop::Gone>) {
      gone(a);
    } else if constexpr (std::is_same_v<T, rtcop::Voided>) {
      if (Channel* c = channel(a.path)) mark_void(*c, fmt::format("{} (said by {})", a.why, a.hop.text()));
    } else {
      static_assert(std::is_same_v<T, rtcop::Remark>);
      emit(Log{Log::Level::warn, a.text});
    }
  };
  std::visit(perform, action);
}

void Node::State::run_timers() {
  books.tick(now);
  if (now >= engine.next_wake()) engine_step(rtcop::Tick{});
  while (!timers.empty() && std::get<Instant>(*timers.begin()) <= now) {
    const auto [when, what, path] = *timers.begin();
    timers.erase(timers.begin());
    if (what == Due::routes) routes_changed();
    Channel* c = channel(path);
    if (c == nullptr) continue;
    switch (what) {
      case Due::agent:
        if (c->question == 0 || questions.erase(c->question) == 0) break;
        engine_step(rtcop::Rejected{refusal(path, Errc::timed_out, "the receiving application did not answer")});
        break;
      case Due::retry:
        if (!c->signalled && c->setup != nullptr && !c->left) open_path(path);
        break;
      case Due::reroute:
        if (c->rerouting && now >= c->give_up) {
          give_up_reroute(*c);
          end_path(*c, wire::TeardownReason::failed);
          forget_if_done(path);
        }
        break;
      case Due::routes: break;
      case Due::linger:
        if (c->clip != ClipState::lingering) break;
        close_clip(*c, c->rerouting ? clips::CloseMode::hand_back : clips::CloseMode::drain);
        break;
    }
  }
}

// Nothing is said to a session that is gone.
void Node::State::reply(SessionId to, ipc::Reply what) {
  if (sessions.contains(to)) emit(ReplyTo{to, std::move(what)});
}

void Node::State::shut_down() {
  closing = true;
  std::vector<PathId> all;
  for (const auto& [path, c] : channels) all.push_back(path);
  std::ranges::sort(all);
  for (const PathId& path : all) {
    if (Channel* c = channel(path)) end_path(*c, wire::TeardownReason::shut_down);
  }
}

void Node::State::void_link(std::uint32_t link, const std::string& why) {
  link_void[link] = why;
  std::vector<PathId> all;
  for (const auto& [path, c] : channels) {
    if (c.rerouting && !c.signalled) continue;  // it is leaving what it had
    const bool uses = c.place.out == link || (c.role != clips::Role::outgoing && c.in_link == link);
    if (uses && promised(c.qos.service) && !c.voided) all.push_back(path);
  }
  std::ranges::sort(all);
  const std::string text = fmt::format("{}: {}", config.links[link].name, why);
  for (const PathId& path : all) mark_void(channels.at(path), text);
  engine_step(rtcop::Void{std::move(all), text});  // the other end, too
}

// For good: what was sent meanwhile may have been late. A new channel can be promised something again.
void Node::State::mark_void(Channel& c, const std::string& why) {
  if (c.voided) return;
  c.voided = true;
  c.why = why;
  if (c.established) tell_void(c);
}

void Node::State::tell_void(const Channel& c) {
  if (!c.session || c.left) return;
  emit(MarkQueue{*c.session, c.queue, 0, true});
  reply(*c.session, ipc::Notice{ipc::Notice::Kind::voided, c.id, c.why});
}

// --- finding ----------------------------------------------------------------------------------------------------

Channel* Node::State::channel(const PathId& path) {
  const auto found = channels.find(path);
  return found == channels.end() ? nullptr : &found->second;
}

Channel* Node::State::channel_at(std::uint32_t worker, ClipSlot slot) {
  if (worker >= clips.size() || slot.value >= clips[worker].size()) return nullptr;
  return channel(clips[worker][slot.value]);
}

Session* Node::State::session(SessionId id) {
  const auto found = sessions.find(id);
  return found == sessions.end() ? nullptr : found->second.get();
}

IpAddress Node::State::own_address() const {
  return config.links.empty() ? IpAddress{} : config.links.front().address.address;
}

bool Node::State::is_own(const IpAddress& address) const {
  return std::ranges::find(config.addresses, address) != config.addresses.end();
}

}  // namespace rtchan::node
