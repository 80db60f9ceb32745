#include "librtc/listener_core.hpp"

#include <sys/eventfd.h>

#include "librtc/agent_scope.hpp"
#include "librtc/channel_core.hpp"

namespace rtchan::api {

ListenerCore::ListenerCore(std::shared_ptr<SessionCore> session, Agent agent)
    : session_(std::move(session)), agent_(std::move(agent)), event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

bool ListenerCore::ask(const AgentCall& call) noexcept {
  if (!agent_) return true;
  const AgentScope scope;
  try {
    return agent_(call);
  } catch (...) {
    return false;
  }
}

bool ListenerCore::offer(std::shared_ptr<ChannelCore> channel) {
  {
    const std::scoped_lock lock(mutex_);
    if (over_ != Errc::ok) return false;
    waiting_.push_back(std::move(channel));
    if (waiting_.size() == 1) {
      const std::uint64_t one = 1;
      (void)!write(event_.get(), &one, sizeof one);
    }
  }
  changed_.notify_one();
  return true;
}

std::expected<std::shared_ptr<ChannelCore>, Error> ListenerCore::accept(std::chrono::nanoseconds timeout) {
  std::unique_lock lock(mutex_);
  const auto something = [this] { return !waiting_.empty() || over_ != Errc::ok; };
  if (!something() && timeout > no_wait) {
    if (inside_agent()) return std::unexpected(make_error(Errc::would_deadlock, "accept would wait inside an agent function"));
    if (timeout == forever) {
      changed_.wait(lock, something);
    } else {
      changed_.wait_until(lock, deadline_after(timeout), something);
    }
  }
  if (waiting_.empty() && over_ != Errc::ok) return std::unexpected(make_error(over_, "the listener has ended"));
  if (waiting_.empty()) {
    return std::unexpected(make_error(timeout > no_wait ? Errc::timed_out : Errc::would_block, "no channel waits"));
  }
  auto channel = std::move(waiting_.front());
  waiting_.pop_front();
  if (waiting_.empty() && over_ == Errc::ok) {
    std::uint64_t count = 0;
    (void)!read(event_.get(), &count, sizeof count);
  }
  return channel;
}

void ListenerCore::end(Errc code) noexcept {
  std::deque<std::shared_ptr<ChannelCore>> unaccepted;
  {
    const std::scoped_lock lock(mutex_);
    if (over_ == Errc::ok) over_ = code;
    unaccepted.swap(waiting_);
    const std::uint64_t one = 1;
    (void)!write(event_.get(), &one, sizeof one);
  }
  changed_.notify_all();
  for (const auto& channel : unaccepted) channel->let_go();
}

bool ListenerCore::over() const noexcept {
  const std::scoped_lock lock(mutex_);
  return over_ != Errc::ok;
}

}  // namespace rtchan::api
