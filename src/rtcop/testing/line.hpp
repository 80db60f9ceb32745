// Engines in a line, in virtual time: node 0 - node 1 - ... - node n-1, each pair over a cable that can lose, repeat
// and delay. The "nodes" around them are the simplest that can answer: they count what they set aside, by path.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "rtcop/engine.hpp"

namespace rtchan::rtcop::testing {

inline Duration ms(std::int64_t n) { return std::chrono::milliseconds{n}; }
inline Duration us(std::int64_t n) { return std::chrono::microseconds{n}; }

inline IpAddress address_of(std::size_t node) {
  return *IpAddress::parse("10.0.0." + std::to_string(node + 1));
}

// What one node holds and has been told.
struct Holdings {
  std::set<PathId> reserved;     // Reserve answered yes, not yet Gone
  std::set<PathId> clips;        // opened, not yet Gone
  std::set<PathId> established;  // told its application so
  std::map<PathId, Gone> gone;
  std::map<PathId, Duration> delay;  // this node's share
  std::vector<std::string> remarks;
  int detours = 0;               // times it was asked for another route
  std::map<PathId, std::string> voided;  // and who said so
};

class Line {
 public:
  struct Cable {
    unsigned loss_percent = 0;
    unsigned copies = 1;
    Duration delay = us(100);
    Duration jitter{};
    bool cut[2] = {false, false};       // 0: toward higher numbers
    std::function<bool(const wire::SignalPacket&)> lose;  // picks packets to lose
  };

  explicit Line(std::size_t nodes, std::uint64_t seed = 1, Timing timing = {})
      : cables(nodes - 1), holdings(nodes), random_(seed), timing_(timing) {
    for (std::size_t i = 0; i < nodes; ++i) boot(i);
  }

  // (Re)starts a node: everything it knew is gone.
  void boot(std::size_t node) {
    EngineConfig config;
    config.self = Identity{HostId{100 + node}, ++epochs_};
    config.address = address_of(node);
    config.timing = timing_;
    engines_.resize(std::max(engines_.size(), node + 1));
    engines_[node] = std::make_unique<Engine>(config, random_.next());
    holdings[node] = Holdings{};
  }

  Engine& engine(std::size_t node) { return *engines_[node]; }
  [[nodiscard]] std::size_t size() const { return engines_.size(); }

  // An application of node `from` asks for a channel to the node `to`.
  PathId open(std::size_t from, std::size_t to, Duration patience = std::chrono::seconds{10},
              Duration max_delay = ms(10)) {
    wire::Setup setup;
    setup.path = PathId{HostId{100 + from}, ++sequence_};
    setup.source = Endpoint{address_of(from), 1};
    setup.destination = Endpoint{address_of(to), 7};
    setup.qos = wire::SignalQos{ServiceClass::guaranteed, ms(2), 500'000'000'000, 1, 1000, max_delay};
    setup.detours = detours;
    setup.patience_ms = static_cast<std::uint32_t>(patience / ms(1));
    give(from, Open{setup});
    return setup.path;
  }
  void close(std::size_t node, const PathId& path) { give(node, Close{path, wire::TeardownReason::closed}); }

  void give(std::size_t node, const Event& event) {
    std::vector<Action> actions;
    engines_[node]->step(now, event, actions);
    for (std::size_t i = 0; i < actions.size(); ++i) act(node, Action{actions[i]}, actions);
    actions.clear();
    engines_[node]->flush(now, actions);
    for (std::size_t i = 0; i < actions.size(); ++i) act(node, Action{actions[i]}, actions);
  }

  // Runs until nothing happens any more within `span`.
  void run(Duration span) {
    const Instant end = now + span;
    for (;;) {
      Instant next = flying_.empty() ? never : flying_.begin()->first;
      std::size_t waking = size();
      for (std::size_t i = 0; i < size(); ++i) {
        const Instant wake = std::max(engines_[i]->next_wake(), now);
        if (wake < next) {
          next = wake;
          waking = i;
        }
      }
      if (next > end) break;
      now = next;
      if (waking < size()) {
        give(waking, Tick{});
        continue;
      }
      const Packet packet = std::move(flying_.begin()->second);
      flying_.erase(flying_.begin());
      ++packets;
      give(packet.to, Received{packet.link, packet.from, packet.bytes});
    }
    now = end;
  }

  // Nothing is held anywhere, and every engine's books are right.
  [[nodiscard]] bool clean() const {
    for (std::size_t i = 0; i < size(); ++i) {
      if (!holdings[i].reserved.empty() || !holdings[i].clips.empty()) return false;
      if (engines_[i]->paths() != 0 || !engines_[i]->reconciles()) return false;
    }
    return true;
  }
  // All nodes hold the same paths, every one is open, and what each puts on its packets is what the next knows them by.
  [[nodiscard]] bool whole() const {
    for (std::size_t i = 0; i < size(); ++i) {
      if (holdings[i].clips != holdings[0].clips || holdings[i].reserved != holdings[0].clips) return false;
      for (const PathId& path : holdings[0].clips) {
        const Path* p = engines_[i]->find(path);
        if (p == nullptr || p->state != PathState::open) return false;
        const Path* next = i + 1 < size() ? engines_[i + 1]->find(path) : nullptr;
        if (next != nullptr && p->next_label != next->label) return false;
      }
      if (engines_[i]->paths() != holdings[0].clips.size()) return false;
    }
    return true;
  }
  [[nodiscard]] bool established(const PathId& path, std::size_t from, std::size_t to) const {
    return holdings[from].established.contains(path) && holdings[to].established.contains(path);
  }

  Instant now{std::chrono::seconds{1}};
  std::vector<Cable> cables;
  std::vector<Holdings> holdings;
  std::uint64_t packets = 0;
  std::uint8_t detours = 0;                                       // that a set-up may take
  Duration minimum = us(500);                                     // r of every node
  std::function<bool(std::size_t node, const wire::Setup&)> has_room;  // default: always
  std::function<bool(std::size_t node, const PathId&)> opens;          // default: always
  std::function<std::optional<bool>(const PathId&)> agent;             // default: yes; nullopt: no answer

 private:
  struct Packet {
    std::size_t to;
    std::uint32_t link;
    Endpoint from;
    std::vector<std::byte> bytes;
  };

  // Link 0 leads to the lower neighbour, link 1 to the higher one.
  static Endpoint endpoint(std::size_t node, std::uint32_t link) {
    return Endpoint{address_of(node), static_cast<std::uint16_t>(7000 + link)};
  }

  void act(std::size_t node, const Action& action, std::vector<Action>& out) {
    Holdings& mine = holdings[node];
    const auto answer = [&](const Event& event) { engines_[node]->step(now, event, out); };
    if (const auto* t = std::get_if<Transmit>(&action)) {
      fly(node, *t);
    } else if (const auto* r = std::get_if<Reserve>(&action); r != nullptr && r->refused) {
      mine.reserved.erase(r->setup.path);
      ++mine.detours;
      answer(Denied{*r->refused});  // in a line there is no other way
    } else if (r != nullptr) {
      reserve(node, r->setup, answer);
    } else if (const auto* a = std::get_if<Ask>(&action)) {
      const std::optional<bool> yes = agent ? agent(a->path) : std::optional{true};
      if (yes == std::optional{true}) answer(Agreed{a->path});
      if (yes == std::optional{false}) answer(Rejected{wire::Refuse{a->path, Errc::rejected_by_agent, {}, {}, {}, {}, 0, {}, false, 0, 0, 0}});
    } else if (const auto* o = std::get_if<OpenClip>(&action)) {
      if (opens && !opens(node, o->path)) {
        answer(OpenFailed{o->path, "no memory"});
      } else {
        mine.clips.insert(o->path);
        mine.delay[o->path] = share(o->terms, before_[{node, o->path}], minimum);
        answer(Opened{o->path, Label{static_cast<std::uint32_t>(node), ++labels_}});
      }
    } else if (const auto* e = std::get_if<Establish>(&action)) {
      mine.established.insert(e->path);
    } else if (const auto* g = std::get_if<Gone>(&action)) {
      mine.reserved.erase(g->path);
      mine.clips.erase(g->path);
      mine.gone.insert_or_assign(g->path, *g);
    } else if (const auto* v = std::get_if<Voided>(&action)) {
      mine.voided[v->path] = v->why + " at " + v->hop.text();
    } else if (const auto* m = std::get_if<Remark>(&action)) {
      mine.remarks.push_back(m->text);
    }
  }

  template <class Answer>
  void reserve(std::size_t node, const wire::Setup& setup, const Answer& answer) {
    if (has_room && !has_room(node, setup)) {
      wire::Refuse why{setup.path, Errc::refused, Resource::link, address_of(node), ms(3), ms(20), 250'000'000'000, "full", false, 0, 0, 0};
      answer(Denied{why});
      return;
    }
    holdings[node].reserved.insert(setup.path);
    before_[{node, setup.path}] = setup.promised.minima;
    wire::Promised promised = setup.promised;
    promised.minima += minimum;
    std::optional<Hop> next;
    const std::size_t to = setup.destination.address.bytes[15] - 1U;
    if (to != node) {
      const bool higher = to > node;
      promised.propagation += us(100);
      next = Hop{higher ? 1U : 0U, endpoint(higher ? node + 1 : node - 1, higher ? 0U : 1U)};
    }
    answer(Reserved{setup.path, next, promised});
  }

  void fly(std::size_t node, const Transmit& t) {
    const bool higher = t.link == 1;
    const std::size_t to = higher ? node + 1 : node - 1;
    Cable& cable = cables[higher ? node : node - 1];
    if (cable.cut[higher ? 0 : 1]) return;
    if (cable.lose) {
      const auto packet = wire::decode_signal(t.bytes);
      if (!packet || cable.lose(*packet)) return;
    }
    for (unsigned copy = 0; copy < cable.copies; ++copy) {
      if (random_.below(100) < cable.loss_percent) continue;
      Duration delay = cable.delay;
      if (cable.jitter > Duration{0}) delay += Duration{static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(cable.jitter.count())))};
      flying_.emplace(now + delay, Packet{to, higher ? 0U : 1U, endpoint(node, t.link), t.bytes});
    }
  }

  std::vector<std::unique_ptr<Engine>> engines_;
  std::multimap<Instant, Packet> flying_;
  std::map<std::pair<std::size_t, PathId>, Duration> before_;
  std::uint64_t sequence_ = 0;
  std::uint64_t epochs_ = 0;
  std::uint32_t labels_ = 0;
  Random random_;
  Timing timing_;
};

}  // namespace rtchan::rtcop::testing
