// A session behind its handles: the control connection to rtcd, the shared arena, and one control thread that
// reads replies, runs agent functions and, when the daemon goes away, wakes everybody. Messages do not pass here.
//
// Who owns what: the Session handle stops the control thread; the core (and with it the mapping) lives as long
// as the session, a channel or a loan is held. The table of channels keeps a channel until rtcd has confirmed
// its end. Locks: mutex_ guards the tables, is never held while an agent runs or a completion is called.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "ipc/fd.hpp"
#include "ipc/layout.hpp"
#include "ipc/requests.hpp"
#include "librtc/poller.hpp"
#include <rtchan/channel.hpp>

namespace rtchan::api {

class ChannelCore;
class ListenerCore;

[[nodiscard]] Error make_error(Errc code, std::string text);
// CLOCK_MONOTONIC; `forever` stays for ever.
[[nodiscard]] std::chrono::steady_clock::time_point deadline_after(std::chrono::nanoseconds timeout) noexcept;
// True on a control thread while it runs a user's agent function: nothing may wait there.
[[nodiscard]] bool inside_agent() noexcept;

class SessionCore : public std::enable_shared_from_this<SessionCore> {
 public:
  static std::expected<std::shared_ptr<SessionCore>, Error> open(const SessionOptions& options);
  ~SessionCore();
  SessionCore(const SessionCore&) = delete;
  SessionCore& operator=(const SessionCore&) = delete;

  std::expected<std::shared_ptr<ChannelCore>, Error> connect(const Endpoint& destination, const Qos& qos,
                                                             const ConnectOptions& options);
  std::expected<std::shared_ptr<ListenerCore>, Error> listen(std::uint16_t port, Agent agent);
  std::expected<void, Error> unregister(const std::shared_ptr<ListenerCore>& listener, std::chrono::nanoseconds timeout);
  std::expected<std::string, Error> query(std::string_view what, std::chrono::nanoseconds timeout);
  // The last use of the channel is over: tells rtcd. ChannelCore::ended() is called when it has confirmed.
  void destroy(const std::shared_ptr<ChannelCore>& channel) noexcept;
  void stop() noexcept;  // ends the control thread and everything of the session; idempotent

  // False in a forked child: the arena is not mapped there and the descriptors are closed.
  [[nodiscard]] bool mapped() const noexcept { return !forked_.load(std::memory_order_relaxed); }
  // False: the daemon is gone, the session was closed, or this is a forked child.
  [[nodiscard]] bool alive() const noexcept { return alive_.load(std::memory_order_acquire); }
  [[nodiscard]] Errc end_code() const noexcept { return end_code_.load(std::memory_order_acquire); }
  [[nodiscard]] std::span<std::byte> arena() const noexcept { return arena_; }
  [[nodiscard]] ipc::SessionBlock& block() const noexcept { return *reinterpret_cast<ipc::SessionBlock*>(arena_.data()); }
  [[nodiscard]] int doorbell(std::uint32_t worker) const noexcept { return doorbells_[worker].get(); }
  [[nodiscard]] std::chrono::nanoseconds spin() const noexcept { return spin_; }
  [[nodiscard]] std::shared_ptr<ChannelCore> find(std::uint32_t channel) const;

  void look_at(std::uint32_t channel) noexcept;  // ready() is to look at it: it may have something to do
  [[nodiscard]] int poll_fd();
  [[nodiscard]] std::size_t ready(std::span<ReadyChannel> out) noexcept;
  [[nodiscard]] std::optional<Notice> next_notice();

  void after_fork_in_child() noexcept;

 private:
  void linger() noexcept;
  void await_farewell() noexcept;
  using Outcome = std::expected<ipc::Reply, Error>;
  using Completion = std::function<void(Outcome)>;
  struct Answered {  // a question that the agent answered with yes
    std::shared_ptr<ListenerCore> listener;
    AgentCall call;
  };

  SessionCore() = default;
  std::expected<void, Error> shake_hands(const SessionOptions& options);
  std::expected<void, Error> map_arena(int memfd, std::uint64_t bytes);

  // Control messages (any thread).
  std::expected<void, Error> post(const ipc::Request& request);
  std::expected<void, Error> begin(std::uint32_t number, const ipc::Request& request, Completion completion);
  std::expected<ipc::Reply, Error> ask(std::uint32_t number, const ipc::Request& request, std::chrono::nanoseconds timeout);
  std::uint32_t next_number() noexcept { return next_number_.fetch_add(1, std::memory_order_relaxed); }

  // Control thread.
  void run() noexcept;
  bool flush_outbox();
  bool read_replies();
  void dispatch(ipc::Reply reply);
  void complete(std::uint32_t number, Outcome outcome);
  void on(ipc::Asked& asked);
  void on(ipc::Aborted& aborted);
  void on(ipc::Accepted& accepted);
  void on(ipc::Notice& notice);
  bool enter(const std::shared_ptr<ChannelCore>& channel);  // into the table; false: the id is taken
  void end(Errc code, const std::string& text) noexcept;    // the session is over, for whatever reason
  void wake_control() noexcept;

  // Constant after open.
  ipc::Fd control_;
  ipc::Fd wake_;
  std::span<std::byte> arena_;
  std::vector<ipc::Fd> doorbells_;
  std::chrono::nanoseconds spin_{};
  std::chrono::nanoseconds linger_{};
  std::unique_ptr<std::thread> thread_;

  std::atomic<bool> alive_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> forked_{false};
  std::atomic<Errc> end_code_{Errc::ok};
  std::atomic<std::uint32_t> next_number_{1};

  mutable std::mutex mutex_;
  std::map<std::uint32_t, Completion> pending_;
  std::vector<std::shared_ptr<ChannelCore>> channels_;  // by id, grows as needed
  std::map<std::uint16_t, std::shared_ptr<ListenerCore>> listeners_;
  std::map<std::uint64_t, Answered> answered_;
  std::deque<std::vector<std::byte>> outbox_;
  std::string last_words_;    // of rtcd, before it ended this session; control thread
  std::uint32_t ending_ = 0;  // channels whose end rtcd has been asked for and not confirmed
  std::condition_variable none_ending_;

  Poller poller_;
};

}  // namespace rtchan::api
