// Everything that arrives at a port, from any number of senders at once, handled by one thread.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/time.hpp"
#include <rtchan/channel.hpp>

namespace rtchan::cli {

class Inbox {
 public:
  struct Handlers {
    std::function<void(std::uint64_t key, Channel& channel)> opened;
    std::function<void(std::uint64_t key, const ReceiveLoan& message)> message;
    // `why.code`: peer_closed when the sender ended in order.
    std::function<void(std::uint64_t key, const Error& why)> ended;
    std::function<void()> looked = [] {};  // at every turn: the session may have notices
  };

  // Both outlive the inbox. Keys count accepted channels from 0 and are not reused.
  Inbox(Session& session, Listener& listener, Handlers handlers)
      : session_(session), listener_(listener), handlers_(std::move(handlers)) {}

  // Handles what is there; if there is nothing, waits for it at most `timeout`.
  // Errors: those of the session or the listener as a whole (daemon_gone, closed).
  std::expected<void, Error> turn(Duration timeout);

  // Takes a channel out: its messages are the caller's business from now on. Not inside a handler of another channel.
  [[nodiscard]] Channel take(std::uint64_t key);
  [[nodiscard]] std::size_t open() const noexcept { return open_; }

 private:
  std::expected<bool, Error> accept_new();
  bool drain_ready();
  void drain(std::uint64_t key);
  Session& session_;
  Listener& listener_;
  Handlers handlers_;
  std::vector<std::optional<Channel>> channels_;
  std::size_t open_ = 0;
};

}  // namespace rtchan::cli
