#include "rtcd/application.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/limits.hpp"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77  // Linux 6.5
#endif

namespace rtchan::rtcd {
namespace {

using namespace std::chrono_literals;
using boost::asio::posix::stream_descriptor;
using boost::system::error_code;

constexpr int requests_per_turn = 16;           // then other sessions get their turn
constexpr auto handshake_patience = 5s;         // a half-open session holds descriptors and an arena
constexpr std::size_t page_bytes = 48 * 1024;   // below request_bytes_max with its head

}  // namespace

Application::Peer Application::peer_of(int socket) {
  ucred who{};
  socklen_t length = sizeof who;
  getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &length);
  Peer peer{.uid = who.uid, .pid = static_cast<std::uint32_t>(who.pid)};
  int pidfd = -1;
  length = sizeof pidfd;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) != 0) {
    // An older kernel, or a process of another PID namespace (pid 0).
    pidfd = who.pid > 0 ? static_cast<int>(syscall(SYS_pidfd_open, who.pid, 0)) : -1;
  }
  peer.pidfd.reset(pidfd);
  return peer;
}

Application::Application(boost::asio::io_context& io, SessionId id, ipc::Fd socket, Peer peer, Listener listener)
    : id_(id), uid_(peer.uid), pid_(peer.pid), listener_(std::move(listener)), socket_(io), handshake_(io), rest_(io) {
  socket_.assign(fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
  if (peer.pidfd) pidfd_ = std::make_unique<stream_descriptor>(io, fcntl(peer.pidfd.get(), F_DUPFD_CLOEXEC, 0));
}

void Application::begin() {
  await_requests();
  if (pidfd_) await_death();
  handshake_.expires_after(handshake_patience);
  handshake_.async_wait([self = shared_from_this()](error_code error) {
    if (!error && self->state < State::ready) self->end("it did not finish the handshake in time");
  });
}

void Application::close() {
  if (std::exchange(state, State::closed) == State::closed) return;
  error_code ignored;
  socket_.cancel(ignored);
  if (pidfd_) pidfd_->close(ignored);
  handshake_.cancel();
  rest_.cancel();
  outbox_.clear();
  text_.reset();
  memfd.reset();
  doorbells.clear();
}

void Application::hang_up() {
  error_code ignored;
  socket_.close(ignored);
}

void Application::end(std::string why) {
  if (state != State::closed) listener_.ended(*this, std::move(why));
}

// --- in -----------------------------------------------------------------------------------------------------

void Application::await_requests() {
  socket_.async_wait(stream_descriptor::wait_read, [self = shared_from_this()](error_code error) {
    if (!error && self->state != State::closed) self->listener_.readable(*self);
  });
}

void Application::serve(Instant until) {
  for (int i = 0; i < requests_per_turn && state != State::closed && !resting_; ++i) {
    if (!take_one() || RawClock::now() >= until) break;
  }
  if (state != State::closed && !resting_) await_requests();
}

void Application::rest(Duration length, std::function<void()> then) {
  resting_ = true;
  rest_.expires_after(length);
  rest_.async_wait([self = shared_from_this(), then = std::move(then)](error_code error) {
    if (error || self->state == State::closed) return;
    self->resting_ = false;
    then();
    if (!self->resting_ && self->state != State::closed) self->await_requests();
  });
}

bool Application::take_one() {
  std::vector<ipc::Fd> unwanted;  // closed at once
  switch (ipc::receive_packet(socket_.native_handle(), buffer_, unwanted)) {
    case ipc::Transfer::would_block: return false;
    case ipc::Transfer::closed: end("it closed the connection"); return false;
    case ipc::Transfer::failed: end(fmt::format("its request could not be received: {}", std::strerror(errno))); return false;
    case ipc::Transfer::done: break;
  }
  auto request = ipc::decode_request(buffer_);
  if (!request) {
    end("its request is malformed: " + request.error());
    return false;
  }
  listener_.requested(*this, std::move(*request));
  return true;
}

void Application::await_death() {
  pidfd_->async_wait(stream_descriptor::wait_read, [self = shared_from_this()](error_code error) {
    if (!error) self->end("its process ended");
  });
}

// --- out ----------------------------------------------------------------------------------------------------

void Application::send(const ipc::Reply& reply, std::span<const int> descriptors) {
  if (state == State::closed) return;
  Outgoing out{ipc::encode(reply), {}};
  for (const int fd : descriptors) out.descriptors.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  outbox_bytes_ += out.bytes.size();
  outbox_.push_back(std::move(out));
  if (!awaiting_room_) flush();
  if (outbox_bytes_ > limits::session_outbox_bytes) {
    // Not from inside a caller that still uses us.
    boost::asio::post(socket_.get_executor(), [self = shared_from_this()] { self->end("it does not read its socket"); });
  }
}

void Application::send_text(std::uint32_t request, std::string json) {
  assert(!text_);
  text_ = Text{request, std::move(json)};
  if (!awaiting_room_) flush();
}

void Application::next_page() {
  const std::size_t length = std::min(page_bytes, text_->json.size() - text_->sent);
  ipc::Text page{text_->request, text_->sent + length == text_->json.size(), text_->json.substr(text_->sent, length)};
  text_->sent += length;
  Outgoing out{ipc::encode(ipc::Reply{std::move(page)}), {}};
  if (text_->sent == text_->json.size()) text_.reset();
  outbox_bytes_ += out.bytes.size();
  outbox_.push_back(std::move(out));
}

void Application::flush() {
  for (;;) {
    if (outbox_.empty()) {
      if (!text_) return;
      next_page();
    }
    const Outgoing& next = outbox_.front();
    std::vector<int> fds;
    for (const ipc::Fd& fd : next.descriptors) fds.push_back(fd.get());
    const ipc::Transfer sent = ipc::send_packet(socket_.native_handle(), next.bytes, fds);
    if (sent == ipc::Transfer::would_block) break;
    outbox_bytes_ -= next.bytes.size();
    outbox_.pop_front();  // or the connection is broken, which the next read says
  }
  awaiting_room_ = true;
  socket_.async_wait(stream_descriptor::wait_write, [self = shared_from_this()](error_code error) {
    self->awaiting_room_ = false;
    if (!error && self->state != State::closed) self->flush();
  });
}

}  // namespace rtchan::rtcd
