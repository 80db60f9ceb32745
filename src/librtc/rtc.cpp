// The paper's routines over the C++ API: one session per process, channels and ports by number, errors as codes.
#include <rtchan/rtc.h>

#include <rtchan/channel.hpp>

#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <type_traits>

namespace {

using std::chrono::nanoseconds;

static_assert(RTC_EPEERGONE == -static_cast<int>(rtchan::last_errc), "codes of both interfaces correspond");
static_assert(RTC_EWOULDBLOCK == -static_cast<int>(rtchan::Errc::would_block));
static_assert(RTC_DAEMON_GONE == static_cast<int>(rtchan::Notice::Kind::daemon_gone));
static_assert(RTC_ABORTED == static_cast<int>(rtchan::AgentCall::Kind::aborted));

// Everything is shared: a thread that waits in a call keeps what it uses while another destroys it.
struct Process {
  std::shared_mutex mutex;
  std::shared_ptr<rtchan::Session> session;
  std::map<std::uint16_t, std::shared_ptr<rtchan::Listener>> listeners;
  std::vector<std::shared_ptr<rtchan::Channel>> channels;  // by id
};
// Threads of the application may outlive static objects. A fork waits until no other thread is inside; the child's mutex is
// a new one, since the old one knows the parent's threads. Nobody takes another lock while holding it.
Process& process() {
  static Process* const kept = [] {
    static Process* const made = new Process;
    pthread_atfork([] { made->mutex.lock(); }, [] { made->mutex.unlock(); }, [] { new (&made->mutex) std::shared_mutex; });
    return made;
  }();
  return *kept;
}

template <std::size_t N>
void copy_text(char (&to)[N], std::string_view from) {
  const std::size_t size = std::min(from.size(), N - 1);
  from.copy(to, size);
  to[size] = '\0';
}

rtcError& last_error() {
  thread_local rtcError error{};
  return error;
}
int fail(const rtchan::Error& from) {
  rtcError& error = last_error();
  error = {};
  error.code = -static_cast<int>(from.code);
  copy_text(error.text, from.text);
  copy_text(error.hop, from.refusal.hop);
  copy_text(error.resource, from.refusal.resource == rtchan::Resource::none ? "" : name(from.refusal.resource));
  error.binding_time_ns = from.refusal.binding_time.count();
  error.fitting_delay_ns = from.refusal.fitting_delay.count();
  error.fitting_rate = from.refusal.fitting_rate;
  return error.code;
}
int fail(rtchan::Errc code, const char* text) { return fail(rtchan::Error{code, text, {}}); }

// Nothing may be thrown into C: running out of memory at set-up is an error like any other.
template <class F>
int guarded(const F& body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return fail(rtchan::Errc::exhausted, "out of memory");
  } catch (...) {
    return fail(rtchan::Errc::system, "exception");
  }
}

std::shared_ptr<rtchan::Session> session() {
  const std::shared_lock lock(process().mutex);
  return process().session;
}
int no_session() { return fail(rtchan::Errc::invalid_argument, "rtcInit has not been called"); }

std::shared_ptr<rtchan::Channel> channel(int id) {
  const std::shared_lock lock(process().mutex);
  const auto& all = process().channels;
  return id >= 0 && static_cast<std::size_t>(id) < all.size() ? all[static_cast<std::size_t>(id)] : nullptr;
}
int no_channel() { return fail(rtchan::Errc::invalid_argument, "no such channel"); }

std::shared_ptr<rtchan::Listener> listener(std::uint16_t port) {
  const std::shared_lock lock(process().mutex);
  const auto found = process().listeners.find(port);
  return found != process().listeners.end() ? found->second : nullptr;
}
int no_port() { return fail(rtchan::Errc::invalid_argument, "port is not registered"); }

int keep(rtchan::Channel&& made) {
  const auto id = made.id();
  auto kept = std::make_shared<rtchan::Channel>(std::move(made));
  const std::unique_lock lock(process().mutex);
  auto& all = process().channels;
  if (all.size() <= id) all.resize(id + 1);
  all[id] = std::move(kept);
  return static_cast<int>(id);
}

rtchan::Qos from_c(const rtcQos& q) {
  return {.service = static_cast<rtchan::ServiceClass>(q.service),
          .max_rate = q.max_rate,
          .max_burst = q.max_burst,
          .max_message_bytes = q.max_message_bytes,
          .max_delay = nanoseconds{q.max_delay_ns}};
}
rtcQos to_c(const rtchan::Qos& q) {
  return {static_cast<rtcService>(q.service), q.max_rate, q.max_burst,
          q.max_message_bytes, q.max_delay.count()};
}
rtcRemote to_c(const rtchan::Endpoint& e) {
  rtcRemote remote{};
  copy_text(remote.host, e.address.text());
  remote.port = e.port;
  return remote;
}

rtchan::ConnectOptions from_c(const rtcOptions& o) {
  rtchan::ConnectOptions options{.timeout = nanoseconds{o.timeout_ns},
                                 .policing = o.policing == RTC_REFUSE ? rtchan::Policing::refuse : rtchan::Policing::shape};
  for (std::size_t i = 0; i < o.extension_count; ++i) {
    const auto* bytes = static_cast<const std::byte*>(o.extensions[i].value);
    options.extensions.push_back({o.extensions[i].tag, {bytes, bytes + o.extensions[i].length}});
  }
  return options;
}

bool call_agent(rtcAgent agent, void* context, const rtchan::AgentCall& call) {
  std::vector<rtcExtension> extensions;
  for (const auto& e : call.extensions) {
    extensions.push_back({e.tag, static_cast<std::uint16_t>(e.value.size()), e.value.data()});
  }
  const bool teardown = call.kind == rtchan::AgentCall::Kind::teardown;
  const rtcAgentCall asked{static_cast<rtcAgentKind>(call.kind),
                           call.question,
                           call.port,
                           teardown ? static_cast<int>(call.channel) : -1,
                           to_c(call.source),
                           call.source_uid,
                           to_c(call.qos),
                           extensions.data(),
                           extensions.size()};
  return agent(&asked, context) != 0;
}

std::int64_t clamped(std::uint64_t value) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(value, INT64_MAX));
}

}  // namespace

// --- utility -------------------------------------------------------------------------------------------------------

const rtcError* rtcLastError(void) { return &last_error(); }

const char* rtcErrorName(int code) {
  return code <= 0 && code >= RTC_EPEERGONE ? rtchan::name(static_cast<rtchan::Errc>(-code)) : "unknown error";
}

int rtcInit(const char* socket) {
  return guarded([=] {
    constexpr const char* twice = "a session is open already";
    if (session()) return fail(rtchan::Errc::invalid_argument, twice);
    auto opened = rtchan::Session::open({.socket = socket != nullptr ? socket : ""});
    if (!opened) return fail(opened.error());
    auto made = std::make_shared<rtchan::Session>(std::move(*opened));
    const std::unique_lock lock(process().mutex);
    if (process().session) return fail(rtchan::Errc::invalid_argument, twice);
    process().session = std::move(made);
    return RTC_OK + 0;
  });
}

void rtcFinish(void) {
  std::shared_ptr<rtchan::Session> ended;
  std::map<std::uint16_t, std::shared_ptr<rtchan::Listener>> listeners;
  std::vector<std::shared_ptr<rtchan::Channel>> channels;
  {
    const std::unique_lock lock(process().mutex);
    ended.swap(process().session);
    listeners.swap(process().listeners);
    channels.swap(process().channels);
  }
  // Threads that wait in calls hold what they use; they are woken, and the last one lets go. Channels end before their
  // session, so that what they were given still leaves (SessionOptions::linger).
  channels.clear();
  if (ended) ended->close();
}

int rtcGetParameter(int id, rtcParameter parameter, int64_t* value) {
  const auto c = channel(id);
  if (!c) return no_channel();
  if (value == nullptr) return fail(rtchan::Errc::invalid_argument, "value is NULL");
  const auto s = c->statistics();
  switch (parameter) {
    case RTC_MAX_RATE: *value = std::llround(c->qos().max_rate * 1e6); return RTC_OK;
    case RTC_MAX_BURST: *value = c->qos().max_burst; return RTC_OK;
    case RTC_MAX_MESSAGE_BYTES: *value = c->qos().max_message_bytes; return RTC_OK;
    case RTC_MAX_DELAY: *value = c->qos().max_delay.count(); return RTC_OK;
    case RTC_BOUND: *value = s.bound.count(); return RTC_OK;
    case RTC_WORST_DELAY: *value = s.worst_delay ? s.worst_delay->count() : -1; return RTC_OK;
    case RTC_MESSAGES: *value = clamped(s.messages); return RTC_OK;
    case RTC_BYTES: *value = clamped(s.bytes); return RTC_OK;
    case RTC_QUEUED: *value = clamped(s.queued); return RTC_OK;
    case RTC_LATE: *value = clamped(s.late); return RTC_OK;
    case RTC_LOST: *value = clamped(s.lost); return RTC_OK;
    case RTC_CONTRACT_VIOLATIONS: *value = clamped(s.contract_violations); return RTC_OK;
    case RTC_VOID: *value = s.voided ? 1 : 0; return RTC_OK;
  }
  return fail(rtchan::Errc::invalid_argument, "no such parameter");
}

// --- signalling ----------------------------------------------------------------------------------------------------

int rtcRegisterPort(uint16_t port, rtcAgent agent, void* context) {
  return guarded([=] {
    const auto s = session();
    if (!s) return no_session();
    rtchan::Agent function;
    if (agent != nullptr) {
      function = [agent, context](const rtchan::AgentCall& call) { return call_agent(agent, context, call); };
    }
    auto made = s->listen(port, std::move(function));
    if (!made) return fail(made.error());
    const std::uint16_t registered = made->port();
    auto kept = std::make_shared<rtchan::Listener>(std::move(*made));
    const std::unique_lock lock(process().mutex);
    process().listeners[registered] = std::move(kept);
    return static_cast<int>(registered);
  });
}

int rtcUnRegisterPort(uint16_t port) {
  return guarded([=] {
    std::shared_ptr<rtchan::Listener> ended;
    {
      const std::unique_lock lock(process().mutex);
      auto node = process().listeners.extract(port);
      if (!node.empty()) ended = std::move(node.mapped());
    }
    if (!ended) return no_port();
    const auto closed = ended->close();
    return closed ? RTC_OK + 0 : fail(closed.error());
  });
}

int rtcCreateConnection(const char* host, uint16_t port, const rtcQos* qos, const rtcOptions* options) {
  return guarded([=] {
    const auto s = session();
    if (!s) return no_session();
    if (host == nullptr || qos == nullptr) return fail(rtchan::Errc::invalid_argument, "host or qos is NULL");
    const std::string_view name = host;
    const bool bare_v6 = name.find(':') != name.npos && !name.starts_with('[');
    std::string destination = bare_v6 ? "[" + std::string{name} + "]" : std::string{name};
    destination += ":" + std::to_string(port);
    auto made = s->connect(destination, from_c(*qos), options != nullptr ? from_c(*options) : rtchan::ConnectOptions{});
    return made ? keep(std::move(*made)) : fail(made.error());
  });
}

int rtcAcceptConnection(uint16_t port, rtcRemote* remote) { return rtcAcceptConnectionTimed(port, remote, RTC_FOREVER); }

int rtcAcceptConnectionTimed(uint16_t port, rtcRemote* remote, int64_t timeout_ns) {
  return guarded([=] {
    const auto l = listener(port);
    if (!l) return no_port();
    auto made = l->accept(nanoseconds{timeout_ns});
    if (!made) return fail(made.error());
    if (remote != nullptr) *remote = to_c(made->peer());
    return keep(std::move(*made));
  });
}

int rtcDestroyConnection(int id) {
  return guarded([=] {
    std::shared_ptr<rtchan::Channel> ended;
    {
      const std::unique_lock lock(process().mutex);
      auto& all = process().channels;
      if (id >= 0 && static_cast<std::size_t>(id) < all.size()) ended.swap(all[static_cast<std::size_t>(id)]);
    }
    if (!ended) return no_channel();
    const auto closed = ended->close();
    return closed ? RTC_OK + 0 : fail(closed.error());
  });
}

// --- data transfer -------------------------------------------------------------------------------------------------

int rtcSendMessage(int id, const void* message, size_t length) {
  return rtcSendMessageTimed(id, message, length, RTC_FOREVER);
}
int rtcSendMessageTimed(int id, const void* message, size_t length, int64_t timeout_ns) {
  const auto c = channel(id);
  if (!c) return no_channel();
  const auto sent = c->send(std::span{static_cast<const std::byte*>(message), length}, nanoseconds{timeout_ns});
  return sent ? RTC_OK : fail(sent.error());
}

int rtcRecvMessage(int id, void* buffer, size_t size) { return rtcRecvMessageTimed(id, buffer, size, RTC_FOREVER); }
int rtcRecvMessageTimed(int id, void* buffer, size_t size, int64_t timeout_ns) {
  const auto c = channel(id);
  if (!c) return no_channel();
  const auto got = c->receive(std::span{static_cast<std::byte*>(buffer), size}, nanoseconds{timeout_ns});
  return got ? static_cast<int>(*got) : fail(got.error());  // at most 16 MiB
}

// --- polling -------------------------------------------------------------------------------------------------------

int rtcSessionFd(void) {
  const auto s = session();
  if (!s) return no_session();
  const int fd = s->fd();
  return fd >= 0 ? fd : fail(rtchan::Errc::exhausted, "no descriptor");
}
int rtcPortFd(uint16_t port) {
  const auto l = listener(port);
  return l ? l->fd() : no_port();
}
int rtcReady(int* channels, size_t most) {
  return guarded([=] {
    const auto s = session();
    if (!s) return no_session();
    std::vector<rtchan::ReadyChannel> found(std::min<std::size_t>(most, 4'096));
    found.resize(s->ready(std::span{found}));
    std::ranges::transform(found, channels, [](const auto& event) { return static_cast<int>(event.channel); });
    return static_cast<int>(found.size());
  });
}
int rtcNextNotice(rtcNotice* notice) {
  return guarded([=] {
    const auto s = session();
    if (!s) return no_session();
    const auto next = s->next_notice();
    if (!next) return 0;
    notice->kind = static_cast<rtcNoticeKind>(next->kind);
    notice->channel = next->kind == rtchan::Notice::Kind::daemon_gone ? -1 : static_cast<int>(next->channel);
    copy_text(notice->text, next->text);
    return 1;
  });
}
