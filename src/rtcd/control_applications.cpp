// Control's dealings with applications: who may connect, the handshake that shares memory, requests, and the end.
#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>

#include "rtcd/control.hpp"

namespace rtchan::rtcd {
namespace {

using namespace std::chrono_literals;
using boost::asio::posix::stream_descriptor;
using boost::system::error_code;

constexpr int applications_per_wake = 16;
constexpr std::size_t descriptors_per_application = 3;  // socket, pidfd, and in the worker a doorbell
constexpr std::size_t descriptors_reserve = 64;         // our own, and those of handshakes under way
// One application's turn. Signalling, timers and workers' reports come between turns, however many ask however much.
constexpr Duration application_turn = 1ms;
// Long answers take at most this part of control's time for each user; whoever asks more often waits.
constexpr int answers_rest = 9;                         // times what the last one took

// Sessions that only root and rtcd's own user may take, so that a host full of applications can still be asked for its
// status. A host configured for few keeps fewer.
constexpr std::size_t sessions_reserve = 4;

bool is_administrator(std::uint32_t uid) noexcept { return uid == 0 || uid == geteuid(); }

}  // namespace

void Control::await_application() {
  acceptor_.async_wait(stream_descriptor::wait_read, [this](error_code error) {
    if (!error) take_applications();
  });
}

void Control::take_applications() {
  for (int i = 0; i < applications_per_wake; ++i) {
    ipc::Fd socket{accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (socket) {
      admit(std::move(socket));
      continue;
    }
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) break;
    // Out of descriptors although sessions are counted: others of this machine took them. Later.
    spdlog::warn("an application cannot be accepted: {}", std::strerror(errno));
    pause_timer_.expires_after(100ms);
    pause_timer_.async_wait([this](error_code error) {
      if (!error) await_application();
    });
    return;
  }
  await_application();
}

std::string Control::objection(const Application::Peer& peer) const {
  if (shutting_down_) return "rtcd is ending";
  const std::size_t fit = (descriptors_limit_ - std::min(descriptors_limit_, descriptors_reserve)) / descriptors_per_application;
  const std::size_t most = std::min<std::size_t>(config_.limits.sessions, fit);
  const std::size_t reserved = is_administrator(peer.uid) ? 0 : std::min(sessions_reserve, most / 8);
  if (applications_.size() + reserved >= most) {
    return fmt::format("rtcd serves {} applications already: limits.sessions is {}, and {} file descriptors (RLIMIT_NOFILE) serve {}; "
                       "{} are kept for the administrator",
                       applications_.size(), config_.limits.sessions, descriptors_limit_, fit, reserved);
  }
  const auto of_user = std::ranges::count_if(applications_, [&](const auto& entry) { return entry.second->uid() == peer.uid; });
  if (of_user >= static_cast<std::ptrdiff_t>(config_.limits.sessions_per_uid)) {
    return fmt::format("user {} has {} sessions already: limits.sessions_per_uid", peer.uid, of_user);
  }
  return {};
}

void Control::admit(ipc::Fd socket) {
  Application::Peer peer = Application::peer_of(socket.get());
  if (std::string why = objection(peer); !why.empty()) {  // said at once, so nothing is kept of it
    spdlog::debug("an application (pid {}, uid {}) is turned away: {}", peer.pid, peer.uid, why);
    (void)ipc::send_packet(socket.get(), ipc::encode(ipc::Reply{ipc::Failed{0, Error{Errc::exhausted, std::move(why), {}}}}));
    return;
  }
  while (applications_.contains(SessionId{next_session_}) || next_session_ == 0) ++next_session_;
  const SessionId id{next_session_++};
  auto app = std::make_shared<Application>(
      io_, id, std::move(socket), std::move(peer),
      Application::Listener{
          .readable =
              [this](Application& a) {
                asking_.push_back(a.id());
                if (asking_.size() == 1) boost::asio::post(io_, [this] { serve_next(); });
              },
          .requested = [this](Application& a, ipc::Request request) { requested(a, std::move(request)); },
          .ended = [this](Application& a, const std::string& why) { end_application(a, why); }});
  applications_.emplace(id, app);
  app->begin();
}

// One turn; the next is posted, behind whatever has become due meanwhile.
void Control::serve_next() {
  if (Application* app = find(asking_.front())) {
    const auto keep = app->shared_from_this();
    keep->serve(RawClock::now() + application_turn);
  }
  asking_.pop_front();
  if (!asking_.empty()) boost::asio::post(io_, [this] { serve_next(); });
}

Application* Control::find(SessionId id) {
  const auto found = applications_.find(id);
  if (found == applications_.end() || found->second->state == Application::State::closed) return nullptr;
  return found->second.get();
}

// --- the handshake ------------------------------------------------------------------------------------------

void Control::requested(Application& app, ipc::Request request) {
  using State = Application::State;
  if (const auto* hello_request = std::get_if<ipc::Hello>(&request)) {
    if (app.state == State::connected) return hello(app, *hello_request);
  } else if (std::holds_alternative<ipc::Mapped>(request)) {
    if (app.state == State::welcomed) return mapped_by(app);
  } else if (app.state == State::ready) {
    if (const auto* query = std::get_if<ipc::Query>(&request)) return answer_query(app, *query);
    return feed(node::Requested{app.id(), std::move(request)});
  }
  end_application(app, "it broke the order of the handshake");
}

// The workers map the arena before the application sees it, so that it cannot keep them from doing so.
void Control::hello(Application& app, const ipc::Hello& hello) {
  if (hello.version != ipc::protocol_version) {
    app.send(ipc::Failed{0, Error{Errc::version_mismatch,
                                  fmt::format("this rtcd speaks version {} of the control protocol, the application version {}",
                                              ipc::protocol_version, hello.version), {}}});
    return end_application(app, "its version does not fit");
  }
  const auto fail = [&](const std::string& why) {  // `app` ends: return at once
    app.send(ipc::Failed{0, Error{Errc::exhausted, why, {}}});
    end_application(app, why);
  };
  auto memfd = create_arena();
  if (!memfd) return fail(memfd.error());
  auto arena = ArenaMap::map(memfd->get());
  if (!arena) return fail(arena.error());
  if (auto present = arena->populate(0, ipc::queues_offset); !present) return fail(present.error());
  app.memfd = std::move(*memfd);
  app.arena = std::move(*arena);
  auto* block = new (app.arena.bytes().data()) ipc::SessionBlock;
  block->version = ipc::layout_version;
  block->workers = static_cast<std::uint32_t>(workers_.size());
  block->daemon_alive.store(1, std::memory_order_seq_cst);
  app.state = Application::State::mapping;
  for (auto& worker : workers_) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
      return fail(fmt::format("no descriptors for another session: {}", std::strerror(errno)));
    }
    app.doorbells.emplace_back(pair[0]);
    const ipc::Fd workers_end{pair[1]};
    worker->map_session(app.id(), app.memfd.get(), workers_end.get());
    ++app.workers_mapped;
  }
}

void Control::mapped_by(Application& app) {
  if (auto sealed = seal_arena(app.memfd.get()); !sealed) return end_application(app, sealed.error());
  app.memfd.reset();
  app.state = Application::State::activating;
  for (auto& worker : workers_) worker->activate_session(app.id());
}

void Control::session_advanced(Application& app, Answer::Kind kind) {
  if (++app.workers_answered < workers_.size()) return;
  app.workers_answered = 0;
  if (kind == Answer::Kind::mapped) {
    app.state = Application::State::welcomed;
    std::vector<int> descriptors{app.memfd.get()};
    for (const ipc::Fd& bell : app.doorbells) descriptors.push_back(bell.get());
    app.send(ipc::Welcome{ipc::protocol_version, static_cast<std::uint32_t>(workers_.size()), limits::arena_bytes, app.id()}, descriptors);
    app.doorbells.clear();
    return;
  }
  app.state = Application::State::ready;
  app.known_to_node = true;
  feed(node::SessionOpened{app.id(), app.uid(), app.pid()});
  app.send(ipc::Ready{});
}

void Control::worker_answered(std::uint32_t worker, const Answer& answer) {
  const auto found = applications_.find(answer.session);
  switch (answer.kind) {
    case Answer::Kind::started:
    case Answer::Kind::start_failed: return;
    case Answer::Kind::mapped:
    case Answer::Kind::active:
      if (Application* app = find(answer.session)) session_advanced(*app, answer.kind);
      return;
    case Answer::Kind::failed:
      if (Application* app = find(answer.session)) {
        app->send(ipc::Failed{0, Error{Errc::exhausted, answer.text.data(), {}}});
        end_application(*app, answer.text.data());
      }
      return;
    case Answer::Kind::dropped:
      if (found == applications_.end()) return;
      ++found->second->workers_dropped;
      return forget_if_dropped(*found->second);
    case Answer::Kind::clip_ready: return feed(node::ClipReady{worker, answer.slot});
    case Answer::Kind::clip_failed: return feed(node::ClipFailed{worker, answer.slot, answer.text.data()});
    case Answer::Kind::clip_closed: return feed(node::ClipClosed{worker, answer.slot});
  }
}

// --- questions and the end ----------------------------------------------------------------------------------

void Control::answer_query(Application& app, const ipc::Query& query) {
  if (app.answering()) {
    return app.send(ipc::Failed{query.request, Error{Errc::exhausted, "an answer to this session is still under way", {}}});
  }
  const Instant began = RawClock::now();
  Instant& from = queries_from_[app.uid()];
  if (from > began) {
    return app.rest(from - began, [this, query, session = app.id()] {
      if (Application* again = find(session)) answer_query(*again, query);
    });
  }
  std::string json;
  if (query.what == "status") {
    json = status_json(node_, surroundings());
  } else if (query.what == "channels") {
    json = channels_json(node_, surroundings());
  } else if (query.what == "workers") {
    json = workers_json(surroundings());
  } else {
    return app.send(ipc::Failed{query.request, Error{Errc::invalid_argument,
                                                     fmt::format("\"{}\" is no question: \"status\", \"channels\", \"workers\"", query.what), {}}});
  }
  app.send_text(query.request, std::move(json));
  const Instant now = RawClock::now();
  std::erase_if(queries_from_, [&](const auto& user) { return user.second <= now && user.first != app.uid(); });
  from = now + answers_rest * (now - began);
}

void Control::end_application(Application& app, const std::string& why) {
  if (app.state == Application::State::closed) return;
  spdlog::debug("session {} (pid {}, uid {}) ends: {}", app.id().value, app.pid(), app.uid(), why);
  const auto keep = app.shared_from_this();
  app.send(ipc::Failed{0, Error{Errc::protocol_error, "rtcd ended this session: " + why, {}}});  // as far as it still reads
  app.close();
  for (std::uint32_t i = 0; i < app.workers_mapped; ++i) workers_[i]->drop_session(app.id());
  if (app.known_to_node) feed(node::SessionClosed{app.id(), why});
  forget_if_dropped(app);
}

// Its number, its place among its user's sessions, and the clips' memory are free once no worker knows it any more. Only
// then it sees the connection closed: whoever waits for that and comes again finds its ports and places free.
void Control::forget_if_dropped(Application& app) {
  if (app.state != Application::State::closed || app.workers_dropped != app.workers_mapped) return;
  app.hang_up();
  applications_.erase(app.id());
}

}  // namespace rtchan::rtcd
