#include "sim/applications.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "sim/world.hpp"

namespace rtchan::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::uint16_t first_port = 1'000;
constexpr std::uint16_t name_tag = 7;        // of the extension by which a channel is known at its other end
constexpr Duration socket = microseconds{20};

std::uint64_t key(SessionId session, ChannelId channel) { return std::uint64_t{session.value} << 32 | channel.value; }

}  // namespace

// --- what the script has them do --------------------------------------------------------------------------------

void Applications::start(const Deed& deed) {
  const std::uint32_t number = deed.index("app");
  const std::uint32_t host = deed.index("host");
  if (number >= apps_.size()) apps_.resize(number + 1);
  if (apps_[number].alive || !world_.machine(host).up()) return;
  App& app = apps_[number];
  app = {host, SessionId{++sessions_}, deed.index("mood"), true};
  of_session_[app.session.value] = number;
  world_.machine(host).tell(node::SessionOpened{app.session, deed.index("uid"), number + 1});
  world_.machine(host).tell(node::Requested{app.session, ipc::RegisterPort{UINT32_MAX, static_cast<std::uint16_t>(first_port + number)}});
}

void Applications::create(const Deed& deed) {
  for (std::uint32_t i = 0; i < deed.index("crowd"); ++i) create_one(deed, deed.index("channel") + i);
}

void Applications::create_one(const Deed& deed, std::uint32_t number) {
  const std::uint32_t from = deed.index("from"), to = deed.index("to");
  if (number >= channels_.size()) channels_.resize(number + 1);
  if (from >= apps_.size() || to >= apps_.size() || !apps_[from].alive) return;
  Channel& c = channels_[number];
  if (c.state != Channel::State::unknown) return;
  c.from = from;
  c.to = to;
  c.from_host = apps_[from].host;
  c.to_host = apps_[to].host;
  c.best_effort = deed["best_effort"] != 0;
  c.refuse = deed["refuse"] != 0;
  const double rate = 1e6 / static_cast<double>(deed["period_us"]);
  c.period = Duration{static_cast<std::int64_t>(1e9 / rate)};  // T = floor(1/R)
  c.delay = microseconds{deed["delay_us"]};
  c.patience = milliseconds{deed["patience_ms"]};
  c.every = microseconds{std::max<std::int64_t>(1, deed["every_us"])};
  c.burst = deed.index("burst");
  c.bytes = std::max(message_bytes_least, deed.index("bytes"));
  c.messages = deed.index("messages");
  c.at_once = std::max(1U, deed.index("at_once"));
  c.state = Channel::State::asked;
  c.asked_at = world_.now();
  c.asked_by = apps_[from].session;
  if (number < first_probe_) ++world_.totals().setups;

  Qos qos;
  qos.service = c.best_effort ? ServiceClass::best_effort : ServiceClass::guaranteed;
  qos.max_rate = rate;
  qos.max_burst = c.burst;
  qos.max_message_bytes = c.bytes;
  qos.max_delay = c.delay;
  Extension name;
  name.tag = name_tag;
  name.value.resize(sizeof number);
  std::memcpy(name.value.data(), &number, sizeof number);
  const std::uint32_t request = ++requests_;
  of_request_[request] = number;
  const Endpoint destination{address_of_host(c.to_host), static_cast<std::uint16_t>(first_port + to)};
  world_.machine(c.from_host).tell(node::Requested{
      apps_[from].session, ipc::CreateChannel{request, destination, qos, c.refuse, c.patience, {std::move(name)}}});
}

void Applications::destroy(const Deed& deed) {
  for (std::uint32_t i = 0; i < deed.index("crowd"); ++i) {
    const std::uint32_t number = deed.index("channel") + i;
    if (number < channels_.size()) leave(number, deed["receiver"] != 0);
  }
}

void Applications::leave(std::uint32_t number, bool receiver) {
  Channel& c = channels_[number];
  const App& app = apps_[receiver ? c.to : c.from];
  const SessionId session = receiver ? c.sink_session : c.source_session;
  bool& left = receiver ? c.sink_left : c.source_left;
  if (session.value == 0 || session != app.session || !app.alive || left) return;
  left = true;
  world_.machine(app.host).tell(node::Requested{session, ipc::DestroyChannel{++requests_, receiver ? c.at_sink : c.at_source}});
}

void Applications::kill(std::uint32_t number) {
  if (number >= apps_.size() || !apps_[number].alive) return;
  App& app = apps_[number];
  app.alive = false;
  for (Channel& c : channels_) {
    if (c.asked_by == app.session) c.source_left = c.lost_end = true;
    if (c.sink_session == app.session) c.sink_left = c.lost_end = true;
    if (c.to == number && c.state == Channel::State::asked) c.lost_end = true;  // it may not have heard that it has it
  }
  world_.machine(app.host).tell(node::SessionClosed{app.session, "killed"});
}

void Applications::host_gone(std::uint32_t host) {
  for (App& app : apps_) {
    if (app.host == host) app.alive = false;
  }
  for (Channel& c : channels_) {
    if (c.state == Channel::State::unknown) continue;
    if (c.from_host == host) c.source_left = c.lost_end = true;
    if (c.to_host == host) c.sink_left = c.lost_end = true;
  }
}

void Applications::kill_all() {
  for (std::uint32_t i = 0; i < apps_.size(); ++i) {
    if (!apps_[i].alive) continue;
    apps_[i].alive = false;
    world_.machine(apps_[i].host).tell(node::SessionClosed{apps_[i].session, "killed"});
  }
}

// --- sending ----------------------------------------------------------------------------------------------------

void Applications::send(std::uint32_t number) {
  Channel& c = channels_[number];
  if (c.state != Channel::State::created || c.source_left || c.handed_over >= c.messages) return;
  Machine& machine = world_.machine(c.from_host);
  // On every other channel the application is kept from running together with its host's worker.
  if (machine.stalled_until() > world_.now() && number % 2 == 0) {
    return world_.enter(machine.stalled_until(), What::send, number);
  }
  End* end = machine.end_of(c.source_session, c.at_source);
  if (end == nullptr || end->source == nullptr || end->closing) return;
  bool any = false;
  for (std::uint32_t i = 0; i < c.at_once && c.handed_over < c.messages; ++i) {
    if (!end->source->publish({number, c.handed_over}, c.bytes, world_.now())) break;
    ++c.handed_over;
    any = true;
  }
  if (any) machine.sight(end->spec.slot);
  world_.enter(world_.now() + c.every, What::send, number);
}

// --- what they are told -----------------------------------------------------------------------------------------

void Applications::hear(std::uint32_t host, node::ReplyTo& reply) {
  std::uint32_t number = static_cast<std::uint32_t>(words_.size());
  if (free_words_.empty()) {
    words_.push_back({host, reply.session, std::move(reply.reply)});
  } else {
    number = free_words_.back();
    free_words_.pop_back();
    words_[number] = {host, reply.session, std::move(reply.reply)};
  }
  world_.enter(world_.now() + socket, What::word, number);
}

void Applications::take_word(std::uint32_t number) {
  const Word word = std::move(words_[number]);
  free_words_.push_back(number);
  const auto found = of_session_.find(word.session.value);
  if (found == of_session_.end()) return world_.watch().wrong(fmt::format("host{} talks to nobody", word.host));
  const App& app = apps_[found->second];
  if (!app.alive || app.session != word.session) return;
  std::visit([&](const auto& r) { take(found->second, r); }, word.reply);
}

void Applications::ask_soon(std::uint32_t app, ipc::Request request, Duration after) {
  std::uint32_t number = static_cast<std::uint32_t>(acts_.size());
  if (free_acts_.empty()) {
    acts_.push_back({app, apps_[app].session, std::move(request)});
  } else {
    number = free_acts_.back();
    free_acts_.pop_back();
    acts_[number] = {app, apps_[app].session, std::move(request)};
  }
  world_.enter(world_.now() + after, What::act, number);
}

void Applications::act(std::uint32_t number) {
  const Act act = std::move(acts_[number]);
  free_acts_.push_back(number);
  const App& app = apps_[act.app];
  if (app.alive && app.session == act.session) world_.machine(app.host).tell(node::Requested{act.session, act.request});
}

void Applications::take(std::uint32_t app, const ipc::Created& r) {
  const auto found = of_request_.find(r.request);
  if (found == of_request_.end()) return world_.watch().wrong("an application has a channel that it did not ask for");
  Channel& c = channels_[found->second];
  ++c.answers;
  world_.watch().answered(found->second);
  c.state = Channel::State::created;
  c.created_at = world_.now();
  c.source_session = apps_[app].session;
  c.at_source = r.channel;
  of_end_[key(c.source_session, c.at_source)] = {found->second, false};
  if (found->second < first_probe_) ++world_.totals().created;
  if (End* end = world_.machine(c.from_host).end_of(c.source_session, c.at_source)) {
    end->said = found->second;
    c.way = world_.watch().way_of(c.from_host, *end);
  }
  if (c.messages > 0) world_.enter(world_.now() + microseconds{100}, What::send, found->second);
}

void Applications::take(std::uint32_t, const ipc::Failed& r) {
  const auto found = of_request_.find(r.request);
  if (found == of_request_.end()) return;  // of something else
  Channel& c = channels_[found->second];
  ++c.answers;
  world_.watch().answered(found->second);
  c.state = Channel::State::failed;
  if (found->second < first_probe_) ++world_.totals().refused;
  if (world_.tracing()) world_.trace(fmt::format("channel {} is refused: {}", found->second, r.error.text));
}

void Applications::take(std::uint32_t app, const ipc::Asked& r) {
  if (r.teardown) return;
  Question& q = questions_[{app, r.question}];
  q.app = app;
  if (r.extensions.size() == 1 && r.extensions[0].tag == name_tag && r.extensions[0].value.size() == 4) {
    std::memcpy(&q.channel, r.extensions[0].value.data(), 4);
  } else {
    world_.watch().wrong("an agent is asked without the extension that was sent along");
  }
  if (apps_[app].mood >= 2) return;
  q.yes = apps_[app].mood == 0;
  ask_soon(app, ipc::Decision{r.question, q.yes}, socket + microseconds{r.question % 7 * 50});
}

void Applications::take(std::uint32_t app, const ipc::Accepted& r) {
  const auto found = questions_.find({app, r.question});
  if (found == questions_.end()) return world_.watch().wrong("an application has a channel that it was not asked about");
  Question& q = found->second;
  ++q.ends;
  if (q.channel >= channels_.size()) return;
  Channel& c = channels_[q.channel];
  if (c.accepted && c.sink_session == apps_[app].session && !c.sink_left) {
    world_.watch().wrong(fmt::format("channel {} is accepted twice", q.channel));
  }
  c.accepted = true;
  c.sink_session = apps_[app].session;
  c.at_sink = r.channel;
  of_end_[key(c.sink_session, c.at_sink)] = {q.channel, true};
  if (End* end = world_.machine(c.to_host).end_of(c.sink_session, c.at_sink)) end->said = q.channel;
}

void Applications::take(std::uint32_t app, const ipc::Aborted& r) {
  const auto found = questions_.find({app, r.question});
  if (found == questions_.end()) return;
  ++found->second.ends;
}

void Applications::take(std::uint32_t app, const ipc::Notice& r) {
  const bool over = r.kind == ipc::Notice::Kind::peer_closed || r.kind == ipc::Notice::Kind::peer_gone ||
                    r.kind == ipc::Notice::Kind::torn_down;
  const auto found = of_end_.find(key(apps_[app].session, r.channel));
  if (!over || found == of_end_.end()) return;
  const auto [number, receiver] = found->second;
  Channel& c = channels_[number];
  world_.watch().ended(number);
  if (r.kind != ipc::Notice::Kind::peer_closed) c.lost_end = true;
  bool& left = receiver ? c.sink_left : c.source_left;
  if (std::exchange(left, true)) return;
  // Every third keeps its end until it dies.
  if (number % 3 != 0) ask_soon(app, ipc::DestroyChannel{++requests_, r.channel}, milliseconds{1 + number % 5});
}

}  // namespace rtchan::sim
