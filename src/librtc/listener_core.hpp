// A registered port behind its handle: the agent function and the channels that wait to be accepted.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <expected>
#include <memory>
#include <mutex>

#include "ipc/fd.hpp"
#include "librtc/session_core.hpp"
#include <rtchan/channel.hpp>

namespace rtchan::api {

class ListenerCore {
 public:
  ListenerCore(std::shared_ptr<SessionCore> session, Agent agent);

  [[nodiscard]] std::uint16_t port() const noexcept { return port_.load(std::memory_order_acquire); }
  void set_port(std::uint16_t port) noexcept { port_.store(port, std::memory_order_release); }
  [[nodiscard]] int fd() const noexcept { return event_.get(); }
  [[nodiscard]] const std::shared_ptr<SessionCore>& session() const noexcept { return session_; }

  // Control thread: the user's agent function. An exception counts as a no.
  [[nodiscard]] bool ask(const AgentCall& call) noexcept;
  // Control thread: a channel to be accepted. False: the listener has ended.
  [[nodiscard]] bool offer(std::shared_ptr<ChannelCore> channel);

  std::expected<std::shared_ptr<ChannelCore>, Error> accept(std::chrono::nanoseconds timeout);
  // Wakes every waiting accept; lets go of channels that nobody accepted. The first code stays.
  void end(Errc code) noexcept;
  [[nodiscard]] bool over() const noexcept;

 private:
  const std::shared_ptr<SessionCore> session_;
  const Agent agent_;
  std::atomic<std::uint16_t> port_{0};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<ChannelCore>> waiting_;
  Errc over_ = Errc::ok;
  ipc::Fd event_;  // readable while something waits, or after the end
};

}  // namespace rtchan::api
