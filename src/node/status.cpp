#include "node/status.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "node/state.hpp"

namespace rtchan::node {

namespace {

const char* role_name(clips::Role role) {
  switch (role) {
    case clips::Role::outgoing: return "sending";
    case clips::Role::incoming: return "receiving";
    case clips::Role::forward: return "forwarding";
  }
  return "?";
}

void count_signalling(const rtcop::EngineCounters& c, Status& s) {
  for (std::size_t i = 0; i < c.dropped.size(); ++i) {
    s.counters.emplace_back(fmt::format("signals dropped: {}", wire::name(static_cast<wire::SignalDrop>(i))), c.dropped[i]);
  }
  s.counters.emplace_back("signals of strangers left unanswered", c.strangers);
  s.counters.emplace_back("strangers answered with a cookie", c.stranger_hellos);
  s.counters.emplace_back("signals about a path from somebody who is not its neighbour", c.misdirected);
  s.counters.emplace_back("signals about an earlier set-up of a path", c.stale);
  s.counters.emplace_back("set-ups that came back by another way", c.loops);
  s.counters.emplace_back("signals about unknown paths", c.disowned);
  s.counters.emplace_back("paths released because their lease ran out", c.lease_expiries);
  s.counters.emplace_back("set-ups that ran out of time", c.setup_expiries);
  s.counters.emplace_back("paths lost with a neighbour", c.lost_paths);
}

}  // namespace

Status Node::State::status() const {
  Status s;
  s.name = config.name;
  s.host = config.host.value;
  s.epoch = config.epoch;
  s.sessions = sessions.size();
  s.listeners = ports.size();
  s.channels = channels.size();
  s.paths = engine.paths();
  s.questions = questions.size();
  for (std::uint32_t i = 0; i < books.ledger().stages(); ++i) {
    const auto v = books.ledger().view(admission::StageId{i});
    s.stages.push_back({std::string{v.name}, name(v.kind), std::string{v.policy}, v.utilisation_ppm, v.entries,
                        v.tentative, v.draining});
  }
  for (const Pool& p : books.pools()) {
    s.pools.push_back({p.name, static_cast<std::int64_t>(p.size), static_cast<std::int64_t>(p.used)});
  }
  rtcop::NeighbourCounters sum;
  engine.each_neighbour([&](const rtcop::Neighbour& n, std::size_t paths) {
    s.neighbours.push_back({n.address().text(), n.link(), n.host().value, n.up(), paths, n.unacknowledged(), n.round_trip()});
    sum.packets_in += n.counters().packets_in;
    sum.packets_out += n.counters().packets_out;
    sum.messages_out += n.counters().messages_out;
    sum.retransmitted += n.counters().retransmitted;
    sum.duplicates += n.counters().duplicates;
    sum.undelivered += n.counters().undelivered;
    sum.other_epoch += n.counters().other_epoch;
    sum.restarts += n.counters().restarts;
    sum.heartbeats_out += n.counters().heartbeats_out;
    sum.silences += n.counters().silences;
    sum.collisions += n.counters().collisions;
  });
  s.counters = {{"signal packets received", sum.packets_in},
                {"signal packets sent", sum.packets_out},
                {"signals sent", sum.messages_out},
                {"signals sent again", sum.retransmitted},
                {"signals received again", sum.duplicates},
                {"signals given up", sum.undelivered},
                {"signals of another epoch", sum.other_epoch},
                {"neighbours restarted", sum.restarts},
                {"heartbeats sent", sum.heartbeats_out},
                {"neighbours that fell silent", sum.silences},
                {"host ids claimed twice", sum.collisions}};
  count_signalling(engine.counters(), s);
  return s;
}

ChannelStatus Node::State::status_of(const Channel& c) const {
  ChannelStatus s;
  s.path = fmt::format("{:016x}/{:016x}", c.path.source.value, c.path.sequence);
  s.role = role_name(c.role);
  const rtcop::Path* path = c.signalled ? engine.find(c.path) : nullptr;
  s.state = path != nullptr ? rtcop::name(path->state) : c.clip != ClipState::none ? "draining" : "closed";
  if (path != nullptr && c.clip == ClipState::closing) s.state = "draining";
  s.session = c.session.value_or(SessionId{}).value;
  s.channel = c.id.value;
  s.uid = c.uid;
  s.worker = c.place.worker;
  s.has_clip = c.clip != ClipState::none;
  if (c.slot) s.slot = c.slot->value;
  s.has_link = c.place.out.has_value();
  s.link = c.place.out.value_or(c.in_link);
  s.source = c.source.text();
  s.destination = c.destination.text();
  s.qos = from_signal(c.qos);
  s.cpu_delay = c.delays.cpu;
  s.link_delay = c.delays.link;
  s.cpu_minimum = c.minima.cpu;
  s.link_minimum = c.minima.link;
  s.memory_bytes = c.queue_bytes;
  s.voided = c.voided;
  s.reroutes = c.reroutes;
  if (c.rerouting) s.state = "rerouting";
  s.why = c.why;
  return s;
}

// Every table against every other.
bool Node::State::reconciles() const {
  if (!engine.reconciles() || !books.reconciles()) return false;
  std::map<std::uint32_t, User> counted;
  std::vector<std::size_t> slots(clips.size());
  std::size_t reserved = 0, signalled = 0;
  for (const auto& [path, c] : channels) {
    if (c.counted) {
      ++counted[c.uid].channels;
      counted[c.uid].memory_bytes += c.queue_bytes;
    }
    if (c.packet_buffers > 0) counted[c.uid].packet_buffers += c.packet_buffers;
    signalled += c.signalled ? 1 : 0;
    if (c.signalled && engine.find(path) == nullptr) return false;
    reserved += c.reserved ? 1 : 0;
    if (!c.slot) continue;
    ++slots[c.place.worker];
    if (clips[c.place.worker][c.slot->value] != path) return false;
  }
  if (signalled != engine.paths()) return false;
  for (std::size_t w = 0; w < slots.size(); ++w) {
    if (books.slots()[w].used() != slots[w]) return false;
  }
  for (const auto& [uid, user] : users) {
    const User& mine = counted[uid];
    if (mine.channels != user.channels || mine.memory_bytes != user.memory_bytes ||
        mine.packet_buffers != user.packet_buffers) {
      return false;
    }
  }
  for (const auto& [question, path] : questions) {
    const auto c = channels.find(path);
    if (c == channels.end() || c->second.question != question) return false;
  }
  return reserved <= books.paths();
}

// --- JSON -------------------------------------------------------------------------------------------------------

std::string to_json(const Status& s) {
  using nlohmann::json;
  json stages = json::array(), pools = json::array(), neighbours = json::array(), counters = json::object();
  for (const auto& x : s.stages) {
    stages.push_back({{"name", x.name}, {"kind", x.kind}, {"policy", x.policy}, {"utilisation_ppm", x.utilisation_ppm},
                      {"entries", x.entries}, {"tentative", x.tentative}, {"draining", x.draining}});
  }
  for (const auto& x : s.pools) pools.push_back({{"name", x.name}, {"size", x.bytes}, {"used", x.used}});
  for (const auto& x : s.neighbours) {
    neighbours.push_back({{"address", x.address}, {"link", x.link}, {"host", fmt::format("{:016x}", x.host)}, {"up", x.up},
                          {"paths", x.paths}, {"unacknowledged", x.unacknowledged}, {"round_trip_ns", x.round_trip.count()}});
  }
  for (const auto& [what, count] : s.counters) counters[what] = count;
  return json{{"name", s.name}, {"host", fmt::format("{:016x}", s.host)}, {"epoch", fmt::format("{:016x}", s.epoch)},
              {"sessions", s.sessions}, {"listeners", s.listeners}, {"channels", s.channels}, {"paths", s.paths},
              {"questions", s.questions}, {"stages", stages}, {"pools", pools}, {"neighbours", neighbours},
              {"counters", counters}}
      .dump();
}

std::string to_json(const std::vector<ChannelStatus>& channels) {
  using nlohmann::json;
  json all = json::array();
  for (const auto& c : channels) {
    all.push_back({{"path", c.path}, {"role", c.role}, {"state", c.state}, {"session", c.session}, {"channel", c.channel},
                   {"uid", c.uid}, {"source", c.source}, {"destination", c.destination},
                   {"guaranteed", c.qos.service == ServiceClass::guaranteed}, {"max_rate", c.qos.max_rate},
                   {"max_burst", c.qos.max_burst}, {"max_message_bytes", c.qos.max_message_bytes},
                   {"max_delay_ns", c.qos.max_delay.count()}, {"cpu_delay_ns", c.cpu_delay.count()},
                   {"link_delay_ns", c.link_delay.count()}, {"cpu_minimum_ns", c.cpu_minimum.count()},
                   {"link_minimum_ns", c.link_minimum.count()}, {"memory_bytes", c.memory_bytes}, {"voided", c.voided},
                   {"reroutes", c.reroutes},
                   {"why", c.why}});
  }
  return all.dump();
}

}  // namespace rtchan::node
