// One connected application, as control sees it: its socket, its arena and how far the handshake is.
//
//   connected --Hello--> mapping --all workers mapped--> welcomed --Mapped--> activating --all active--> ready --> closed
//
// Never blocks on the application: what it does not read waits in a bounded queue, and when that is full it is
// evicted. Its life ends with its socket or with its process, whichever ends first: a forked child that inherited the
// socket cannot prolong it (pidfd).
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "ipc/fd.hpp"
#include "ipc/packet_socket.hpp"
#include "ipc/requests.hpp"
#include "rtcd/arena.hpp"

namespace rtchan::rtcd {

class Application : public std::enable_shared_from_this<Application> {
 public:
  enum class State : std::uint8_t { connected, mapping, welcomed, activating, ready, closed };

  struct Peer {
    std::uint32_t uid{};
    std::uint32_t pid{};
    ipc::Fd pidfd{};     // none where the kernel does not tell
  };
  // Who is at the other end of a connected socket.
  static Peer peer_of(int socket);

  struct Listener {
    std::function<void(Application&)> readable;                 // it asks something: serve() when its turn has come
    std::function<void(Application&, ipc::Request)> requested;  // decoded; Hello and Mapped included
    std::function<void(Application&, std::string why)> ended;   // its end came, or it must be evicted
  };

  Application(boost::asio::io_context& io, SessionId id, ipc::Fd socket, Peer peer, Listener listener);
  void begin();
  // Takes its requests until `until`, a few at most, and waits for more.
  void serve(Instant until);
  // Takes nothing of it for a while; then calls `then`, once, and goes on.
  void rest(Duration length, std::function<void()> then);

  [[nodiscard]] SessionId id() const noexcept { return id_; }
  [[nodiscard]] std::uint32_t uid() const noexcept { return uid_; }
  [[nodiscard]] std::uint32_t pid() const noexcept { return pid_; }

  void send(const ipc::Reply& reply, std::span<const int> descriptors = {});
  // A long answer, page by page as the application reads. One at a time: not while answering().
  [[nodiscard]] bool answering() const noexcept { return text_.has_value(); }
  void send_text(std::uint32_t request, std::string json);
  // The end: reads and sends no more, no callbacks any more. The application is not told yet.
  void close();
  // Closes the connection: tells the application, which may wait for it, that all it had is free again.
  void hang_up();

  // Handshake, driven by control.
  State state = State::connected;
  std::uint32_t workers_answered = 0;
  std::uint32_t workers_mapped = 0;      // who must be told to forget it
  std::uint32_t workers_dropped = 0;
  bool known_to_node = false;
  ipc::Fd memfd;
  ArenaMap arena;
  std::vector<ipc::Fd> doorbells;        // the application's ends, until Welcome carries them away

 private:
  struct Outgoing {
    std::vector<std::byte> bytes;
    std::vector<ipc::Fd> descriptors;
  };
  void await_requests();
  bool take_one();
  void await_death();
  void flush();
  void next_page();
  void end(std::string why);

  SessionId id_;
  std::uint32_t uid_, pid_;
  Listener listener_;
  boost::asio::posix::stream_descriptor socket_;
  std::unique_ptr<boost::asio::posix::stream_descriptor> pidfd_;
  boost::asio::steady_timer handshake_, rest_;
  std::deque<Outgoing> outbox_;
  std::size_t outbox_bytes_ = 0;
  bool awaiting_room_ = false;
  struct Text {
    std::uint32_t request;
    std::string json;
    std::size_t sent = 0;
  };
  std::optional<Text> text_;
  bool resting_ = false;
  std::vector<std::byte> buffer_;
};

}  // namespace rtchan::rtcd
