#include "librtc/session_core.hpp"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "ipc/daemon_view.hpp"
#include "ipc/packet_socket.hpp"
#include "librtc/agent_scope.hpp"
#include "librtc/channel_core.hpp"
#include "librtc/listener_core.hpp"

namespace rtchan::api {

namespace {

using Clock = std::chrono::steady_clock;

// The daemon keeps the time-out of a set-up; this much longer we wait for its word before we give up on it.
constexpr std::chrono::nanoseconds grace = std::chrono::seconds{1};
// How long the end of a session waits until the daemon has released what the session had. A daemon answers within
// milliseconds; a stopped one must not keep the application.
constexpr std::chrono::nanoseconds farewell = std::chrono::seconds{1};
constexpr std::size_t outbox_most = 65'536;  // control messages: more than every channel's end at once

std::unexpected<Error> fail(Errc code, std::string text) { return std::unexpected(make_error(code, std::move(text))); }

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};

// A thread that waits for one answer.
template <class T>
class Waiter {
 public:
  // False: the waiting thread has given up.
  bool give(std::expected<T, Error> result) {
    const std::scoped_lock lock(mutex_);
    if (gave_up_) return false;
    result_ = std::move(result);
    known_.notify_one();
    return true;
  }
  std::expected<T, Error> wait(std::chrono::nanoseconds timeout) {
    std::unique_lock lock(mutex_);
    const auto have = [this] { return result_.has_value(); };
    if (timeout == forever) {
      known_.wait(lock, have);
    } else if (!known_.wait_until(lock, deadline_after(timeout), have)) {
      gave_up_ = true;
      return fail(Errc::timed_out, "rtcd did not answer in time");
    }
    return std::move(*result_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable known_;
  std::optional<std::expected<T, Error>> result_;
  bool gave_up_ = false;
};

std::expected<void, Error> may_wait() {
  if (!inside_agent()) return {};
  return fail(Errc::would_deadlock, "the call would wait for the control thread, which runs this agent function");
}

// --- sessions that a fork must close -------------------------------------------------------------------------

struct Sessions {
  std::mutex mutex;
  std::set<SessionCore*> all;
};
Sessions& sessions() {
  static auto* const kept = new Sessions;  // outlives every static object of the application
  return *kept;
}
void before_fork() { sessions().mutex.lock(); }
void after_fork_in_parent() { sessions().mutex.unlock(); }
void after_fork_in_child_process() {
  for (SessionCore* session : sessions().all) session->after_fork_in_child();
  sessions().mutex.unlock();
}

}  // namespace

Error make_error(Errc code, std::string text) { return Error{code, std::move(text), {}}; }

Clock::time_point deadline_after(std::chrono::nanoseconds timeout) noexcept {
  const auto now = Clock::now();
  return timeout < Clock::time_point::max() - now ? now + std::max(timeout, no_wait) : Clock::time_point::max();
}

int& AgentScope::depth() noexcept {
  thread_local int nested = 0;
  return nested;
}
bool inside_agent() noexcept { return AgentScope::depth() > 0; }

// --- beginning and end ----------------------------------------------------------------------------------------

std::expected<std::shared_ptr<SessionCore>, Error> SessionCore::open(const SessionOptions& options) {
  static const int registered = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child_process);
  (void)registered;
  std::shared_ptr<SessionCore> core(new SessionCore);
  if (auto shaken = core->shake_hands(options); !shaken) return std::unexpected(std::move(shaken.error()));
  core->alive_.store(true, std::memory_order_release);
  {
    const std::scoped_lock lock(sessions().mutex);
    sessions().all.insert(core.get());
  }
  // The application's signals are for its own threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  core->thread_ = std::make_unique<std::thread>([core] { core->run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(core->thread_->native_handle(), "rtchan-control");
  return core;
}

SessionCore::~SessionCore() {
  {
    const std::scoped_lock lock(sessions().mutex);
    sessions().all.erase(this);
  }
  if (mapped() && !arena_.empty()) munmap(arena_.data(), arena_.size());
}

void SessionCore::linger() noexcept {
  if (inside_agent()) return;
  std::unique_lock lock(mutex_);
  none_ending_.wait_until(lock, deadline_after(linger_), [this] { return ending_ == 0 || !alive(); });
}

void SessionCore::stop() noexcept {
  if (!mapped()) return;
  linger();
  if (stopping_.exchange(true)) return;
  wake_control();
  if (thread_ && thread_->get_id() == std::this_thread::get_id()) {
    thread_->detach();  // an agent function destroys its own session: run() ends by itself
  } else if (thread_) {
    thread_->join();
  }
  end(Errc::closed, "the session was closed");
  shutdown(control_.get(), SHUT_WR);
  if (!inside_agent()) await_farewell();
  shutdown(control_.get(), SHUT_RD);
}

// The daemon closes its end when the session's ports, channels and memory are free again: who opens a session after
// this one gets them. No other thread reads the connection any more.
void SessionCore::await_farewell() noexcept {
  const auto deadline = deadline_after(farewell);
  std::array<std::byte, 64> unread;
  while (true) {
    // Replies to what nobody waits for are thrown away (and cut off: the kernel then closes descriptors in them).
    const ssize_t got = recv(control_.get(), unread.data(), unread.size(), MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) return;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return;
    if (got > 0) continue;
    pollfd waited{control_.get(), POLLIN, 0};
    poll(&waited, 1, static_cast<int>(left));
  }
}

// The child has no control thread and no mapping. It must not keep the connection open for a dead parent either.
void SessionCore::after_fork_in_child() noexcept {
  forked_.store(true);
  alive_.store(false);
  control_.reset();
  wake_.reset();
  for (ipc::Fd& bell : doorbells_) bell.reset();
  poller_.close_in_child();
  (void)thread_.release();  // names a thread that does not exist here: neither to be joined nor destroyed
}

void SessionCore::end(Errc code, const std::string& text) noexcept {
  std::map<std::uint32_t, Completion> pending;
  std::vector<std::shared_ptr<ChannelCore>> channels;
  std::map<std::uint16_t, std::shared_ptr<ListenerCore>> listeners;
  {
    const std::scoped_lock lock(mutex_);
    if (!alive_.load(std::memory_order_acquire)) return;
    end_code_.store(code, std::memory_order_release);
    alive_.store(false, std::memory_order_release);
    pending.swap(pending_);
    channels.swap(channels_);
    listeners.swap(listeners_);
    answered_.clear();
    outbox_.clear();
  }
  none_ending_.notify_all();
  block().daemon_alive.store(0, std::memory_order_seq_cst);
  if (code == Errc::daemon_gone) poller_.add({Notice::Kind::daemon_gone, 0, text});  // before anybody wakes and looks
  for (const auto& channel : channels) {
    if (channel) channel->end(code);
  }
  for (const auto& [port, listener] : listeners) listener->end(code);
  for (const auto& [number, completion] : pending) completion(std::unexpected(make_error(code, text)));
  for (const auto& channel : channels) {
    if (channel) channel->ended(false);
  }
  poller_.poke();
}

void SessionCore::wake_control() noexcept {
  const std::uint64_t one = 1;
  (void)!write(wake_.get(), &one, sizeof one);
}

// --- requests (any thread) ------------------------------------------------------------------------------------

std::expected<void, Error> SessionCore::post(const ipc::Request& request) {
  auto bytes = ipc::encode(request);
  bool queued = false;
  {
    const std::scoped_lock lock(mutex_);
    if (!alive()) return fail(mapped() ? end_code() : Errc::daemon_gone, "the session has ended");
    if (outbox_.empty() && ipc::send_packet(control_.get(), bytes) == ipc::Transfer::done) return {};
    // Not now (or the connection is broken, which the control thread will see): in order, when it can be sent.
    if (outbox_.size() >= outbox_most) return fail(Errc::exhausted, "rtcd does not read its requests");
    outbox_.push_back(std::move(bytes));
    queued = true;
  }
  if (queued) wake_control();
  return {};
}

std::expected<void, Error> SessionCore::begin(std::uint32_t number, const ipc::Request& request, Completion completion) {
  {
    const std::scoped_lock lock(mutex_);
    if (!alive()) return fail(mapped() ? end_code() : Errc::daemon_gone, "the session has ended");
    pending_.emplace(number, std::move(completion));
  }
  auto posted = post(request);
  if (!posted) {
    const std::scoped_lock lock(mutex_);
    pending_.erase(number);
  }
  return posted;
}

std::expected<ipc::Reply, Error> SessionCore::ask(std::uint32_t number, const ipc::Request& request,
                                                  std::chrono::nanoseconds timeout) {
  if (auto may = may_wait(); !may) return std::unexpected(std::move(may.error()));
  auto waiter = std::make_shared<Waiter<ipc::Reply>>();
  auto begun = begin(number, request, [waiter](Outcome outcome) { waiter->give(std::move(outcome)); });
  if (!begun) return std::unexpected(std::move(begun.error()));
  return waiter->wait(timeout);
}

std::expected<std::shared_ptr<ChannelCore>, Error> SessionCore::connect(const Endpoint& destination, const Qos& qos,
                                                                        const ConnectOptions& options) {
  if (auto may = may_wait(); !may) return std::unexpected(std::move(may.error()));
  if (const auto flaw = ipc::flaw_in(qos)) return fail(Errc::invalid_argument, *flaw);
  if (const auto flaw = ipc::flaw_in(options.extensions)) return fail(Errc::invalid_argument, *flaw);
  if (options.timeout <= no_wait) return fail(Errc::invalid_argument, "timeout is not within 1 ns ... 1 h");
  const auto timeout = std::min<std::chrono::nanoseconds>(options.timeout, std::chrono::hours{1});
  const std::uint32_t number = next_number();
  auto waiter = std::make_shared<Waiter<std::shared_ptr<ChannelCore>>>();
  auto self = shared_from_this();
  // Runs on the control thread: the channel is in the table before its first message or notice is looked at.
  auto completion = [self, waiter, destination, qos, policing = options.policing](Outcome outcome) {
    if (!outcome) {
      waiter->give(std::unexpected(std::move(outcome.error())));
      return;
    }
    const auto* created = std::get_if<ipc::Created>(&*outcome);
    if (created == nullptr) {
      waiter->give(fail(Errc::protocol_error, "rtcd answered something else than was asked"));
      return;
    }
    auto channel = std::make_shared<ChannelCore>(
        self, ChannelCore::Parts{created->channel, Direction::sending, created->worker, created->queue, qos,
                                 created->bound, destination, destination.port, policing});
    if (!self->enter(channel)) return;
    if (!waiter->give(channel)) channel->let_go();  // nobody waits for it any more
  };
  auto begun = begin(number, ipc::CreateChannel{number, destination, qos, options.policing == Policing::refuse, timeout, options.extensions},
                     std::move(completion));
  if (!begun) return std::unexpected(std::move(begun.error()));
  return waiter->wait(timeout + grace);
}

std::expected<std::shared_ptr<ListenerCore>, Error> SessionCore::listen(std::uint16_t port, Agent agent) {
  if (auto may = may_wait(); !may) return std::unexpected(std::move(may.error()));
  auto listener = std::make_shared<ListenerCore>(shared_from_this(), std::move(agent));
  if (listener->fd() < 0) return fail(Errc::exhausted, "no descriptor for the listener");
  const std::uint32_t number = next_number();
  auto waiter = std::make_shared<Waiter<std::shared_ptr<ListenerCore>>>();
  auto self = shared_from_this();
  auto completion = [self, waiter, listener](Outcome outcome) {
    if (!outcome) {
      waiter->give(std::unexpected(std::move(outcome.error())));
      return;
    }
    const auto* registered = std::get_if<ipc::Registered>(&*outcome);
    if (registered == nullptr) {
      waiter->give(fail(Errc::protocol_error, "rtcd answered something else than was asked"));
      return;
    }
    listener->set_port(registered->port);
    {
      const std::scoped_lock lock(self->mutex_);
      self->listeners_[registered->port] = listener;
    }
    if (!waiter->give(listener)) (void)self->unregister(listener, no_wait);
  };
  auto begun = begin(number, ipc::RegisterPort{number, port}, std::move(completion));
  if (!begun) return std::unexpected(std::move(begun.error()));
  return waiter->wait(std::chrono::seconds{5});
}

std::expected<void, Error> SessionCore::unregister(const std::shared_ptr<ListenerCore>& listener, std::chrono::nanoseconds timeout) {
  if (!mapped() || listener->over()) return {};
  listener->end(Errc::closed);
  {
    const std::scoped_lock lock(mutex_);
    listeners_.erase(listener->port());
  }
  const std::uint32_t number = next_number();
  const ipc::UnregisterPort request{number, listener->port()};
  if (timeout <= no_wait || inside_agent()) return begin(number, request, [](const Outcome&) {});
  auto done = ask(number, request, timeout);
  if (!done) return std::unexpected(std::move(done.error()));
  return {};
}

std::expected<std::string, Error> SessionCore::query(std::string_view what, std::chrono::nanoseconds timeout) {
  if (auto may = may_wait(); !may) return std::unexpected(std::move(may.error()));
  const std::uint32_t number = next_number();
  auto waiter = std::make_shared<Waiter<std::string>>();
  auto text = std::make_shared<std::string>();
  auto completion = [waiter, text](Outcome outcome) {
    if (!outcome) {
      waiter->give(std::unexpected(std::move(outcome.error())));
    } else if (const auto* page = std::get_if<ipc::Text>(&*outcome)) {
      *text += page->json;
      if (page->last) waiter->give(std::move(*text));
    } else {
      waiter->give(fail(Errc::protocol_error, "rtcd answered something else than was asked"));
    }
  };
  auto begun = begin(number, ipc::Query{number, std::string{what}}, std::move(completion));
  if (!begun) return std::unexpected(std::move(begun.error()));
  return waiter->wait(timeout);
}

void SessionCore::destroy(const std::shared_ptr<ChannelCore>& channel) noexcept {
  const std::uint32_t number = next_number();
  const ChannelId id = channel->parts().id;
  auto completion = [self = shared_from_this(), channel](const Outcome& outcome) {
    {
      const std::scoped_lock lock(self->mutex_);
      auto& table = self->channels_;
      const std::uint32_t at = channel->parts().id.value;
      if (at < table.size() && table[at] == channel) table[at].reset();
      --self->ending_;
    }
    self->none_ending_.notify_all();
    channel->ended(outcome.has_value());
  };
  {
    const std::scoped_lock lock(mutex_);
    ++ending_;
  }
  if (begin(number, ipc::DestroyChannel{number, id}, std::move(completion))) return;
  {
    const std::scoped_lock lock(mutex_);
    --ending_;
  }
  channel->ended(false);
}

std::shared_ptr<ChannelCore> SessionCore::find(std::uint32_t channel) const {
  const std::scoped_lock lock(mutex_);
  return channel < channels_.size() ? channels_[channel] : nullptr;
}

// --- polling ----------------------------------------------------------------------------------------------------

void SessionCore::look_at(std::uint32_t channel) noexcept {
  ipc::add(block().to_app, channel);
  poller_.poke();
}

int SessionCore::poll_fd() { return mapped() ? poller_.fd(block(), doorbells_) : -1; }

std::size_t SessionCore::ready(std::span<ReadyChannel> out) noexcept {
  if (!mapped()) return 0;
  return poller_.ready(block(), doorbells_, out, [this](std::uint32_t id) -> std::optional<ReadyChannel> {
    const auto channel = find(id);
    return channel ? channel->look() : std::nullopt;
  });
}

std::optional<Notice> SessionCore::next_notice() { return poller_.next_notice(); }

// --- control thread ---------------------------------------------------------------------------------------------

void SessionCore::run() noexcept {
  while (!stopping_.load(std::memory_order_acquire)) {
    const bool unsent = !flush_outbox();
    std::array<pollfd, 2> waited{pollfd{control_.get(), static_cast<short>(POLLIN | (unsent ? POLLOUT : 0)), 0},
                                 pollfd{wake_.get(), POLLIN, 0}};
    if (poll(waited.data(), waited.size(), -1) < 0) continue;  // EINTR
    if (waited[1].revents != 0) {
      std::uint64_t count = 0;
      (void)!read(wake_.get(), &count, sizeof count);
    }
    if ((waited[0].revents & ~POLLOUT) != 0 && !read_replies()) {
      end(Errc::daemon_gone, last_words_.empty() ? "rtcd closed the connection: every channel of this session has ended" : last_words_);
      return;
    }
  }
}

bool SessionCore::flush_outbox() {
  const std::scoped_lock lock(mutex_);
  while (!outbox_.empty()) {
    if (ipc::send_packet(control_.get(), outbox_.front()) == ipc::Transfer::would_block) return false;
    outbox_.pop_front();  // sent; or the connection is broken, which reading reports
  }
  return true;
}

// False: the daemon is gone, or sends what we do not understand.
bool SessionCore::read_replies() {
  std::vector<std::byte> bytes;
  std::vector<ipc::Fd> unexpected_descriptors;
  while (!stopping_.load(std::memory_order_acquire)) {
    const ipc::Transfer got = ipc::receive_packet(control_.get(), bytes, unexpected_descriptors);
    if (got == ipc::Transfer::would_block) return true;
    if (got != ipc::Transfer::done) return false;
    auto reply = ipc::decode_reply(bytes);
    if (!reply) return false;
    dispatch(std::move(*reply));
  }
  return true;
}

void SessionCore::dispatch(ipc::Reply reply) {
  std::visit(overloaded{[](ipc::Welcome&) {}, [](ipc::Ready&) {},
                        [this](ipc::Failed& m) {
                          const std::uint32_t number = m.request;
                          if (number == 0) last_words_ = m.error.text;  // its last words: the connection is closed next
                          complete(number, std::unexpected(std::move(m.error)));
                        },
                        [this](ipc::Asked& m) { on(m); }, [this](ipc::Aborted& m) { on(m); },
                        [this](ipc::Accepted& m) { on(m); }, [this](ipc::Notice& m) { on(m); },
                        [this](auto& m) {
                          const std::uint32_t number = m.request;
                          complete(number, ipc::Reply{std::move(m)});
                        }},
             reply);
}

void SessionCore::complete(std::uint32_t number, Outcome outcome) {
  Completion completion;
  {
    const auto* page = outcome ? std::get_if<ipc::Text>(&*outcome) : nullptr;
    const std::scoped_lock lock(mutex_);
    const auto found = pending_.find(number);
    if (found == pending_.end()) return;
    if (page != nullptr && !page->last) {
      completion = found->second;
    } else {
      completion = std::move(found->second);
      pending_.erase(found);
    }
  }
  completion(std::move(outcome));
}

bool SessionCore::enter(const std::shared_ptr<ChannelCore>& channel) {
  const std::uint32_t id = channel->parts().id.value;
  if (id >= limits::channels_per_session) return false;
  {
    const std::scoped_lock lock(mutex_);
    if (channels_.size() <= id) channels_.resize(id + 1);
    channels_[id] = channel;
  }
  // A message may have come, and its bit been taken, before the channel was known here.
  look_at(id);
  return true;
}

void SessionCore::on(ipc::Asked& asked) {
  std::shared_ptr<ListenerCore> listener;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = listeners_.find(asked.port);
    if (found != listeners_.end()) listener = found->second;
  }
  const AgentCall call{asked.teardown ? AgentCall::Kind::teardown : AgentCall::Kind::setup,
                       asked.question, asked.port, asked.channel.value, asked.source, asked.source_uid,
                       asked.qos, std::move(asked.extensions)};
  const bool accept = listener != nullptr && listener->ask(call);
  if (accept && !asked.teardown) {
    const std::scoped_lock lock(mutex_);
    answered_[asked.question] = {listener, call};
  }
  (void)post(ipc::Decision{asked.question, accept});
}

void SessionCore::on(ipc::Aborted& aborted) {
  Answered answered;
  {
    const std::scoped_lock lock(mutex_);
    auto node = answered_.extract(aborted.question);
    if (node.empty()) return;
    answered = std::move(node.mapped());
  }
  answered.call.kind = AgentCall::Kind::aborted;
  (void)answered.listener->ask(answered.call);
}

void SessionCore::on(ipc::Accepted& accepted) {
  std::shared_ptr<ListenerCore> listener;
  {
    const std::scoped_lock lock(mutex_);
    auto node = answered_.extract(accepted.question);
    if (!node.empty()) listener = std::move(node.mapped().listener);
  }
  const auto bound = accepted.qos.service == ServiceClass::guaranteed ? accepted.qos.max_delay : no_wait;
  auto channel = std::make_shared<ChannelCore>(
      shared_from_this(), ChannelCore::Parts{accepted.channel, Direction::receiving, accepted.worker, accepted.queue,
                                             accepted.qos, bound, accepted.source, accepted.port, Policing::shape});
  if (!enter(channel)) return;
  if (listener == nullptr || !listener->offer(channel)) channel->let_go();
}

void SessionCore::on(ipc::Notice& notice) {
  if (notice.kind == ipc::Notice::Kind::contract_violated) {
    if (const auto channel = find(notice.channel.value)) channel->contract_violated();
  }
  poller_.add({static_cast<Notice::Kind>(notice.kind), notice.channel.value, std::move(notice.text)});
  // The queue may have been closed: ready() is to look at it.
  look_at(notice.channel.value);
}

}  // namespace rtchan::api
