// What applications ask for. Whatever they ask, the answer is bounded: sessions hold a fixed number of channels,
// listeners and unanswered questions, users a quota of channels and memory.
#include <fmt/format.h>

#include <algorithm>

#include "base/limits.hpp"
#include "node/state.hpp"

namespace rtchan::node {

namespace {

constexpr std::uint16_t first_free_port = 49'152;  // RFC 6335: dynamic ports
constexpr Duration shortest_patience = std::chrono::milliseconds{1};

bool is_loopback(const IpAddress& a) {
  static const IpAddress v6 = *IpAddress::parse("::1");
  return a == v6 || (a.is_v4() && a.bytes[12] == 127);
}

Error error(Errc code, std::string text) { return Error{code, std::move(text), {}}; }

}  // namespace

// --- sessions ---------------------------------------------------------------------------------------------------

void Node::State::open_session(const SessionOpened& event) {
  const std::uint64_t end = config.limits.arena_bytes == 0 ? limits::arena_bytes : config.limits.arena_bytes;
  auto s = std::make_unique<Session>(
      Session{event.session, event.uid, ArenaSpace{ipc::queues_offset, end}, {}, {}, {}, 0, 0, {}});
  sessions.insert_or_assign(event.session, std::move(s));
}

// The application is gone: everything of it is released at both ends at once.
void Node::State::close_session(const SessionClosed& event) {
  const auto found = sessions.find(event.session);
  if (found == sessions.end()) return;
  const std::unique_ptr<Session> s = std::move(found->second);
  sessions.erase(found);  // first: nothing is said to it any more
  for (const std::uint16_t port : s->ports) ports.erase(port);
  for (const PathId& path : s->paths) {
    Channel* c = channel(path);
    if (c == nullptr) continue;
    leave_application(*c);
    close_clip(*c, clips::CloseMode::abandon);
    if (c->question != 0 && questions.erase(c->question) > 0) {
      engine_step(rtcop::Rejected{refusal(path, Errc::no_listener, "the receiving application is gone")});
    } else {
      end_path(*c, wire::TeardownReason::gone);
    }
    forget_if_done(path);
  }
}

void Node::State::fail(SessionId to, std::uint32_t request, Error what) {
  reply(to, ipc::Failed{request, std::move(what)});
}

std::optional<ChannelId> Node::State::take_number(Session& s, const PathId& path) {
  ChannelId id{};
  if (s.next_channel < limits::channels_per_session) {
    id = ChannelId{s.next_channel++};
  } else if (!s.free_channels.empty()) {
    id = s.free_channels.back();
    s.free_channels.pop_back();
  } else {
    return std::nullopt;
  }
  s.channels.emplace(id, path);
  s.paths.insert(path);
  return id;
}

std::optional<Error> Node::State::over_quota(const Session& s, std::uint64_t more_bytes) const {
  const auto found = users.find(s.uid);
  const User user = found == users.end() ? User{} : found->second;
  Error e{Errc::permission_denied, {}, {}};
  e.refusal.resource = Resource::quota;
  e.refusal.hop = own_address().text();
  if (more_bytes == 0 && user.channels >= config.limits.channels_per_uid) {
    e.text = fmt::format("user {} has {} channels, all that it may", s.uid, user.channels);
    return e;
  }
  if (user.memory_bytes + more_bytes > config.limits.memory_per_uid_bytes) {
    e.text = fmt::format("user {} would hold {} bytes of message buffers; it may hold {}", s.uid,
                         user.memory_bytes + more_bytes, config.limits.memory_per_uid_bytes);
    return e;
  }
  return std::nullopt;
}

// --- ports ------------------------------------------------------------------------------------------------------

void Node::State::request(Session& s, const ipc::RegisterPort& r) {
  if (s.ports.size() >= limits::listeners_per_session) {
    return fail(s.id, r.request, error(Errc::exhausted, fmt::format("a session may listen on {} ports", limits::listeners_per_session)));
  }
  std::uint32_t port = r.port;
  if (port == 0) {
    for (port = first_free_port; port <= UINT16_MAX && ports.contains(static_cast<std::uint16_t>(port));) ++port;
    if (port > UINT16_MAX) return fail(s.id, r.request, error(Errc::exhausted, "no free port is left"));
  }
  const auto chosen = static_cast<std::uint16_t>(port);
  if (!ports.emplace(chosen, s.id).second) {
    return fail(s.id, r.request, error(Errc::port_in_use, fmt::format("port {} is registered already", chosen)));
  }
  s.ports.insert(chosen);
  reply(s.id, ipc::Registered{r.request, chosen});
}

void Node::State::request(Session& s, const ipc::UnregisterPort& r) {
  if (s.ports.erase(r.port) == 0) {
    return fail(s.id, r.request, error(Errc::invalid_argument, fmt::format("port {} is not registered by this session", r.port)));
  }
  ports.erase(r.port);
  // Who waits for an answer of this listener will not get one.
  std::vector<PathId> asked;
  for (const auto& [question, path] : questions) {
    const Channel* c = channel(path);
    if (c != nullptr && c->session == s.id && c->destination.port == r.port) asked.push_back(path);
  }
  std::ranges::sort(asked);
  for (const PathId& path : asked) {
    questions.erase(channel(path)->question);
    engine_step(rtcop::Rejected{refusal(path, Errc::no_listener, "the port was closed")});
  }
  reply(s.id, ipc::Done{r.request});
}

// --- channels ---------------------------------------------------------------------------------------------------

void Node::State::request(Session& s, const ipc::CreateChannel& r) {
  if (closing) return fail(s.id, r.request, error(Errc::daemon_gone, "rtcd is shutting down"));
  if (const auto flaw = ipc::flaw_in(r.qos)) return fail(s.id, r.request, error(Errc::invalid_argument, *flaw));
  if (const auto flaw = ipc::flaw_in(r.extensions)) return fail(s.id, r.request, error(Errc::invalid_argument, *flaw));
  if (s.pending_setups >= limits::pending_setups_per_session) {
    return fail(s.id, r.request, error(Errc::exhausted, fmt::format("{} creations are unanswered", s.pending_setups)));
  }
  if (auto over = over_quota(s, 0)) return fail(s.id, r.request, *std::move(over));
  const auto hop = router.next_hop(r.destination.address);
  const bool reached = hop && hop->link < config.links.size();
  if (is_own(r.destination.address) || (!reached && is_loopback(r.destination.address))) {
    return fail(s.id, r.request,
                error(Errc::no_route, fmt::format("{} is this host; channels go to other hosts", r.destination.text())));
  }
  if (!reached) {
    return fail(s.id, r.request, error(Errc::no_route, fmt::format("no route to {}", r.destination.address.text())));
  }
  const PathId path{config.host, next_sequence++};
  const auto number = take_number(s, path);
  if (!number) {
    return fail(s.id, r.request, error(Errc::exhausted, fmt::format("a session may hold {} channels", limits::channels_per_session)));
  }
  Channel& c = channels[path];
  c.path = path;
  c.role = clips::Role::outgoing;
  c.source = Endpoint{config.links[hop->link].address.address,
                      static_cast<std::uint16_t>(first_free_port + path.sequence % (UINT16_MAX - first_free_port))};
  c.destination = r.destination;
  c.source_uid = c.uid = s.uid;
  c.qos = to_signal(r.qos);
  c.refuse_excess = r.refuse_excess;
  c.session = s.id;
  c.id = *number;
  c.request = r.request;
  c.counted = true;
  ++users[s.uid].channels;
  ++s.pending_setups;

  c.give_up = now + std::clamp<Duration>(r.timeout, shortest_patience, config.timing.setup_longest);
  c.setup = std::make_unique<wire::Setup>();
  c.setup->source = c.source;
  c.setup->source_uid = s.uid;
  c.setup->destination = r.destination;
  c.setup->qos = c.qos;
  c.setup->extensions = r.extensions;
  open_path(path);
}

void Node::State::request(Session& s, const ipc::Decision& r) {
  if ((r.question & teardown_question) != 0) return;  // consent to a teardown: it proceeds either way
  const auto found = questions.find(r.question);
  Channel* c = found == questions.end() ? nullptr : channel(found->second);
  if (c == nullptr || c->session != s.id) {  // too late: whatever the application set aside, it may free
    if (r.accept) reply(s.id, ipc::Aborted{r.question});
    return;
  }
  const PathId path = found->second;
  questions.erase(found);
  c->agreed = r.accept;
  if (r.accept) {
    engine_step(rtcop::Agreed{path});
  } else {
    engine_step(rtcop::Rejected{refusal(path, Errc::rejected_by_agent, "the receiving application declined")});
  }
}

void Node::State::request(Session& s, const ipc::DestroyChannel& r) {
  const auto found = s.channels.find(r.channel);
  Channel* c = found == s.channels.end() ? nullptr : channel(found->second);
  if (c == nullptr || !c->established) {
    return fail(s.id, r.request, error(Errc::invalid_argument, fmt::format("this session has no channel {}", r.channel.value)));
  }
  if (c->destroying) {
    return fail(s.id, r.request, error(Errc::closed, fmt::format("channel {} is being destroyed already", r.channel.value)));
  }
  c->destroying = true;
  c->destroy_request = r.request;
  destroy(*c);
}

void Node::State::request(Session& s, const ipc::Query& r) {
  if (r.what == "status") {
    reply(s.id, ipc::Text{r.request, true, to_json(status())});
  } else {
    fail(s.id, r.request, error(Errc::invalid_argument, fmt::format("nothing is known of \"{}\"; ask for status", r.what)));
  }
}

}  // namespace rtchan::node
