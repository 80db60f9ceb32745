// Events in, neighbours, packets. What happens to paths: paths.cpp; what the table's deeds do: deeds.cpp.
#include "rtcop/engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace rtchan::rtcop {

Engine::Engine(const EngineConfig& config, std::uint64_t seed) : config_(config), random_(seed) {
  assert(config.self.epoch != 0);
  cookie_key_ = random_.next();
}

Engine::~Engine() = default;

void Engine::step(Instant now, const Event& event, std::vector<Action>& out) {
  now_ = now;
  out_ = &out;
  const auto handle = [this]<class T>(const T& e) {
    Cause cause;
    if constexpr (std::is_same_v<T, Open>) {
      cause.setup = &e.setup;
      happen(e.setup.path, PathEvent::setup, cause);
    } else if constexpr (std::is_same_v<T, Reserved>) {
      cause.reserved = &e;
      happen(e.path, PathEvent::reserved, cause);
    } else if constexpr (std::is_same_v<T, Denied>) {
      cause.refuse = &e.why;
      happen(e.why.path, PathEvent::denied, cause);
    } else if constexpr (std::is_same_v<T, Agreed>) {
      happen(e.path, PathEvent::commit, cause);
    } else if constexpr (std::is_same_v<T, Rejected>) {
      cause.refuse = &e.why;
      happen(e.why.path, PathEvent::refuse, cause);
    } else if constexpr (std::is_same_v<T, Opened>) {
      cause.label = e.label;
      happen(e.path, PathEvent::opened, cause);
    } else if constexpr (std::is_same_v<T, OpenFailed>) {
      const wire::Refuse why{e.path, Errc::exhausted, Resource::memory, config_.address, {}, {}, 0, e.why, false, 0, 0, 0};
      cause.refuse = &why;
      cause.reason = wire::TeardownReason::failed;
      cause.hop = config_.address;
      happen(e.path, PathEvent::failed, cause);
    } else if constexpr (std::is_same_v<T, Close>) {
      cause.reason = e.reason;
      cause.hop = config_.address;
      happen(e.path, PathEvent::close, cause);
    } else if constexpr (std::is_same_v<T, Void>) {
      cause.why = e.why;
      cause.hop = config_.address;
      for (const PathId& path : e.paths) happen(path, PathEvent::voided, cause);
      tell_voided(e.why, config_.address);
    } else if constexpr (std::is_same_v<T, Received>) {
      receive(e);
    } else {
      static_assert(std::is_same_v<T, Tick>);
      expire_paths();
      if (now_ >= refresh_due_) refresh();
      if (now_ >= slice_due_) refresh_slice();
    }
  };
  std::visit(handle, event);
  settle_pending();
  out_ = nullptr;
}

// What an end, or a node without another route, says to itself.
void Engine::settle_pending() {
  while (!pending_denials_.empty()) {
    const wire::Refuse why = std::move(pending_denials_.front());
    pending_denials_.pop_front();
    Cause cause;
    cause.refuse = &why;
    happen(why.path, PathEvent::denied, cause);
  }
  while (!pending_.empty()) {
    const Pending next = pending_.front();
    pending_.pop_front();
    happen(next.path, next.event, Cause{});
  }
}

void Engine::flush(Instant now, std::vector<Action>& out) {
  now_ = now;
  out_ = &out;
  while (!due_.empty() && due_.begin()->first <= now) {
    touched_.push_back(due_.begin()->second);
    neighbours_[touched_.back()].due = never;
    due_.erase(due_.begin());
  }
  std::vector<Neighbour::Undelivered> failed;
  std::vector<std::vector<std::byte>> packets;
  // What expires may touch further neighbours: the list grows while it is walked.
  for (std::size_t i = 0; i < touched_.size(); ++i) {
    const NeighbourIndex index = touched_[i];
    if (neighbours_[index].neighbour == nullptr) continue;
    failed.clear();
    neighbours_[index].neighbour->expire(now, failed);
    for (const auto& message : failed) undelivered(index, message);
    if (neighbours_[index].neighbour->fell_silent(now)) silent(index);
  }
  settle_pending();
  for (std::size_t i = 0; i < touched_.size(); ++i) {
    Slot& slot = neighbours_[touched_[i]];
    if (slot.neighbour == nullptr) continue;
    packets.clear();
    slot.neighbour->flush(now, packets);
    for (auto& bytes : packets) {
      out.emplace_back(Transmit{slot.neighbour->link(), slot.neighbour->address(), std::move(bytes)});
    }
    if (slot.due != never) due_.erase({slot.due, touched_[i]});
    slot.due = slot.neighbour->due();
    if (slot.due != never) due_.emplace(slot.due, touched_[i]);
  }
  touched_.clear();
  out_ = nullptr;
}

Instant Engine::next_wake() const {
  Instant wake = std::min(refresh_due_, slice_due_);
  if (!touched_.empty()) return long_ago;
  if (!due_.empty()) wake = std::min(wake, due_.begin()->first);
  if (!expiries_.empty()) wake = std::min(wake, expiries_.begin()->first);
  return wake;
}

// --- packets ----------------------------------------------------------------------------------------------------

void Engine::receive(const Received& event) {
  const auto packet = wire::decode_signal(event.bytes);
  if (!packet) {
    ++counters_.dropped[static_cast<std::size_t>(packet.error())];
    return;
  }
  const auto known = by_address_.find({event.link, event.from});
  NeighbourIndex index = known == by_address_.end() ? nobody : known->second;
  if (index == nobody) index = meet_stranger(event, *packet);
  if (index == nobody) return;
  touch(index);
  bool others = false;
  for (const auto& message : packet->messages) {
    if (const auto* hello = std::get_if<wire::Hello>(&message.body)) {
      greeted(index, neighbours_[index].neighbour->greet(now_, packet->sender_epoch, *hello));
    } else {
      others = true;
    }
  }
  if (!others || !neighbours_[index].neighbour->believed(now_, packet->sender_epoch, packet->receiver_epoch)) return;
  for (const auto& message : packet->messages) {
    receive_message(index, message);
    settle_pending();  // it belongs to the path as it is now: the next message may set it up anew
  }
}

void Engine::receive_message(NeighbourIndex from, const wire::SignalMessage& message) {
  Neighbour& sender = *neighbours_[from].neighbour;
  const auto handle = [&]<class T>(const T& m) {
    Cause cause;
    cause.from = from;
    cause.number = message.number;
    if constexpr (requires { m.answers; }) cause.answers = m.answers;
    if constexpr (std::is_same_v<T, wire::Hello>) {
      // taken before the rest
    } else if constexpr (std::is_same_v<T, wire::Ack>) {
      sender.acknowledged(now_, m);
    } else if constexpr (std::is_same_v<T, wire::Heartbeat>) {
      sender.heartbeat(m);
    } else if (!sender.take(message.number, message.attempt)) {
      // a duplicate: acknowledged again, that is all
    } else if constexpr (std::is_same_v<T, wire::Setup>) {
      cause.setup = &m;
      happen(m.path, PathEvent::setup, cause);
    } else if constexpr (std::is_same_v<T, wire::Commit>) {
      cause.terms = m.terms;
      cause.label = m.label;
      happen(m.path, PathEvent::commit, cause);
    } else if constexpr (std::is_same_v<T, wire::Confirm>) {
      happen(m.path, PathEvent::confirm, cause);
    } else if constexpr (std::is_same_v<T, wire::Start>) {
      happen(m.path, PathEvent::start, cause);
    } else if constexpr (std::is_same_v<T, wire::Refuse>) {
      cause.refuse = &m;
      happen(m.path, PathEvent::refuse, cause);
    } else if constexpr (std::is_same_v<T, wire::Teardown>) {
      if (m.cancels != 0) sender.mark_seen(m.cancels);
      cause.reason = m.reason;
      cause.hop = m.hop;
      happen(m.path, PathEvent::teardown, cause);
    } else if constexpr (std::is_same_v<T, wire::Voided>) {
      cause.why = m.text;
      cause.hop = m.hop;
      for (const PathId& path : m.paths) happen(path, PathEvent::voided, cause);
      tell_voided(m.text, m.hop);
    } else {
      static_assert(std::is_same_v<T, wire::Refresh>);
      take_refresh(from, m);
    }
  };
  std::visit(handle, message.body);
}

std::uint64_t Engine::send(NeighbourIndex to, const PathId& path, const wire::SignalBody& body) {
  touch(to);
  return neighbours_[to].neighbour->send(now_, path, body);
}

void Engine::undelivered(NeighbourIndex from, const Neighbour::Undelivered& message) {
  const auto found = paths_.find(message.path);
  if (found == paths_.end()) return;
  const bool downward = message.type == wire::SignalType::setup || message.type == wire::SignalType::confirm;
  const bool upward = message.type == wire::SignalType::commit || message.type == wire::SignalType::start;
  const Path& path = found->second;
  if (!(downward && path.down == from) && !(upward && path.up == from)) return;
  expire_unanswered(message.path, from, wire::TeardownReason::lost);
}

// --- neighbours -------------------------------------------------------------------------------------------------

// Return routability: what a sender must echo before anything is kept about it. Keyed with a secret of this run;
// authenticity is not its business.
std::uint64_t Engine::cookie(std::uint32_t link, const Endpoint& from) const {
  std::uint64_t value = mix(cookie_key_ ^ link);
  for (const std::uint8_t byte : from.address.bytes) value = mix(value ^ byte);
  value = mix(value ^ from.port);
  return value == 0 ? 1 : value;
}

// A packet of somebody we do not know: keep nothing until he has proved that he receives what is sent there. The
// answer is no larger than the question.
NeighbourIndex Engine::meet_stranger(const Received& event, const wire::SignalPacket& packet) {
  const wire::Hello* hello = nullptr;
  for (const auto& message : packet.messages) {
    if (const auto* h = std::get_if<wire::Hello>(&message.body)) hello = h;
  }
  if (hello == nullptr) {
    ++counters_.strangers;
    return nobody;
  }
  const std::uint64_t proof = cookie(event.link, event.from);
  if (hello->echo == proof) {
    const NeighbourIndex index = neighbour(event.link, event.from);
    if (index == nobody) {
      ++counters_.strangers;
      return nobody;
    }
    neighbours_[index].neighbour->expect(now_, proof);
    return index;
  }
  if (hello->nonce == 0) return nobody;
  ++counters_.stranger_hellos;
  auto bytes = wire::encode_head(config_.self.epoch, packet.sender_epoch);
  const wire::Hello answer{config_.self.host, proof, hello->nonce, false};
  (void)wire::append_message(bytes, wire::encode_message(0, answer));
  if (bytes.size() <= event.bytes.size()) out_->emplace_back(Transmit{event.link, event.from, std::move(bytes)});
  return nobody;
}

NeighbourIndex Engine::neighbour(std::uint32_t link, const Endpoint& address) {
  const auto found = by_address_.find({link, address});
  if (found != by_address_.end()) return found->second;
  if (by_address_.size() >= config_.neighbours) reclaim_neighbours();
  if (by_address_.size() >= config_.neighbours) return nobody;
  NeighbourIndex index = 0;
  while (index < neighbours_.size() && neighbours_[index].neighbour != nullptr) ++index;
  if (index == neighbours_.size()) neighbours_.emplace_back();
  neighbours_[index].neighbour =
      std::make_unique<Neighbour>(link, address, config_.self, config_.timing, random_.next(),
                                  link < config_.packet_period.size() ? config_.packet_period[link] : Duration{0});
  by_address_.emplace(std::pair{link, address}, index);
  return index;
}

// Makes room: whoever has no path, no message under way and was not heard for a lease.
void Engine::reclaim_neighbours() {
  for (NeighbourIndex i = 0; i < neighbours_.size(); ++i) {
    Slot& slot = neighbours_[i];
    if (slot.neighbour == nullptr || slot.paths > 0 || !slot.neighbour->idle()) continue;
    if (now_ - slot.neighbour->heard() < config_.timing.lease) continue;
    if (slot.due != never) due_.erase({slot.due, i});
    by_address_.erase({slot.neighbour->link(), slot.neighbour->address()});
    slot = Slot{};
  }
}

// One host may be a neighbour over several links (same id, same epoch); two hosts with one id may not.
bool Engine::host_taken(NeighbourIndex index) const {
  const Neighbour& it = *neighbours_[index].neighbour;
  if (it.host() == config_.self.host) return true;
  for (NeighbourIndex i = 0; i < neighbours_.size(); ++i) {
    const Neighbour* other = neighbours_[i].neighbour.get();
    if (other == nullptr || i == index || !other->up() || other->host() != it.host()) continue;
    if (other->epoch() != it.epoch() && now_ - other->heard() < config_.timing.lease) return true;
  }
  return false;
}

void Engine::greeted(NeighbourIndex index, Neighbour::Greeting greeting) {
  Neighbour& it = *neighbours_[index].neighbour;
  switch (greeting) {
    case Neighbour::Greeting::nothing: return;
    case Neighbour::Greeting::collided:
      out_->emplace_back(Remark{fmt::format("neighbour {} refuses this host: its host id {:016x} is taken",
                                            it.address().text(), config_.self.host.value)});
      lose(index, Loss::refused);
      return;
    case Neighbour::Greeting::restarted:
      out_->emplace_back(Remark{fmt::format("neighbour {} was restarted", it.address().text())});
      lose(index, Loss::restarted);
      break;
    case Neighbour::Greeting::came_up: break;
  }
  if (!host_taken(index)) return;
  out_->emplace_back(Remark{fmt::format("neighbour {} refused: its host id {:016x} is taken; give one of the hosts another",
                                        it.address().text(), it.host().value)});
  it.collide();
  lose(index, Loss::refused);
}

// A path with the neighbour begins or ends: as long as there is one it hears of us.
void Engine::join(NeighbourIndex index) {
  if (neighbours_[index].paths++ > 0) return;
  const std::uint32_t link = neighbours_[index].neighbour->link();
  if (link >= busy_.size()) busy_.resize(link + 1);
  ++busy_[link];
  pace_heartbeats(index);
}

void Engine::leave(NeighbourIndex index) {
  if (--neighbours_[index].paths > 0) return;
  --busy_[neighbours_[index].neighbour->link()];
  pace_heartbeats(index);
}

// Once a path is confirmed on both sides, either neighbour must be heard.
void Engine::count_live(const Path& path, int change) {
  for (const NeighbourIndex n : {path.up, path.down}) {
    if (n == nobody) continue;
    neighbours_[n].live += static_cast<std::size_t>(change);
    neighbours_[n].neighbour->watch(now_, neighbours_[n].live > 0);
    touch(n);
  }
}

// Heartbeats of all neighbours of a link take at most a quarter of its signalling channel.
void Engine::pace_heartbeats(NeighbourIndex index) {
  Slot& slot = neighbours_[index];
  const std::uint32_t link = slot.neighbour->link();
  const Duration period = link < config_.packet_period.size() ? config_.packet_period[link] : Duration{0};
  const Duration crowded = 4 * period * static_cast<std::int64_t>(link < busy_.size() ? busy_[link] : 0);
  slot.neighbour->beat_every(now_, slot.paths > 0 ? std::max(config_.timing.heartbeat, crowded) : Duration{0});
  touch(index);
}

void Engine::touch(NeighbourIndex index) {
  if (touched_.empty() || touched_.back() != index) touched_.push_back(index);
}

// --- looking in -------------------------------------------------------------------------------------------------

const Path* Engine::find(const PathId& path) const {
  const auto found = paths_.find(path);
  return found == paths_.end() ? nullptr : &found->second;
}

void Engine::each_neighbour(const std::function<void(const Neighbour&, std::size_t)>& visit) const {
  for (const Slot& slot : neighbours_) {
    if (slot.neighbour != nullptr) visit(*slot.neighbour, slot.paths);
  }
}

bool Engine::quiet() const {
  return std::ranges::all_of(neighbours_, [](const Slot& s) { return s.neighbour == nullptr || s.neighbour->idle(); });
}

bool Engine::reconciles() const {
  std::vector<std::size_t> counted(neighbours_.size()), live(neighbours_.size());
  std::size_t timed = 0;
  for (const auto& [id, path] : paths_) {
    if (path.state == PathState::none) return false;
    for (const NeighbourIndex n : {path.up, path.down}) {
      if (n == nobody) continue;
      if (n >= neighbours_.size() || neighbours_[n].neighbour == nullptr) return false;
      ++counted[n];
      if (path.state >= PathState::confirmed) ++live[n];
    }
    if (path.expires == never) continue;
    ++timed;
    if (!expiries_.contains({path.expires, id})) return false;
  }
  for (std::size_t i = 0; i < neighbours_.size(); ++i) {
    if (neighbours_[i].paths != counted[i] || neighbours_[i].live != live[i]) return false;
  }
  return timed == expiries_.size() && pending_.empty();
}

}  // namespace rtchan::rtcop
