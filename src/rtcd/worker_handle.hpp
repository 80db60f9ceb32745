// A worker as control sees it: starts it, sends orders and commands without ever blocking, and passes on what comes back.
// Everything runs on control's one thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "ipc/packet_socket.hpp"
#include "rtcd/worker.hpp"
#include "rtcd/worker_messages.hpp"

namespace rtchan::rtcd {

class WorkerHandle {
 public:
  struct Listener {
    std::function<void(const Answer&)> answered;
    std::function<void(const Report&)> reported;
    std::function<void(const std::string& why)> died;
  };

  // Forks the worker (or starts its thread) and waits until it runs. Error: why it does not, in words. Call before any
  // thread exists when workers are processes. `setup`'s descriptors are filled in here; those of
  // `not_for_workers` are closed in its process.
  static std::expected<std::unique_ptr<WorkerHandle>, std::string> start(WorkerSetup setup, WorkerKind kind,
                                                                         std::span<const int> not_for_workers = {});
  ~WorkerHandle();
  WorkerHandle(const WorkerHandle&) = delete;
  WorkerHandle& operator=(const WorkerHandle&) = delete;

  // Begins to listen. `listener` is called from the io_context.
  void listen(boost::asio::io_context& io, Listener listener);

  void map_session(SessionId session, int arena, int doorbell);
  void activate_session(SessionId session) { order({.kind = Order::Kind::activate_session, .session = session}); }
  void drop_session(SessionId session) { order({.kind = Order::Kind::drop_session, .session = session}); }
  void open_clip(SessionId session, ChannelId channel, const ipc::QueuePlace& queue, const clips::ClipSpec& spec,
                 Label before = {});
  void forget_clip(SessionId session, Label before);
  // A clip that is still being opened is closed once it is open.
  void close_clip(ClipSlot slot, clips::CloseMode mode);
  void connect_clip(ClipSlot slot, const Endpoint& next_hop, Label label);
  // False: the worker is behind; the signal is dropped and counted (signalling is retransmitted).
  bool send_signal(std::uint32_t link, const Endpoint& to, std::span<const std::byte> bytes);
  void set_burst_bound(std::uint32_t link, const admission::BurstBound& bound);
  // Nothing is handed to the device of a held link.
  void hold_link(std::uint32_t link, bool held);

  // Bounded: asks it to end, waits up to `patience`, then kills it.
  void stop(Duration patience);

  [[nodiscard]] const WorkerSetup& setup() const noexcept { return setup_; }
  [[nodiscard]] WorkerBlock& block() const noexcept { return setup_.shared->block(); }
  [[nodiscard]] std::span<const clips::ClipCounters> clip_counters() const noexcept { return setup_.shared->clip_counters(); }
  [[nodiscard]] int socket() const noexcept { return socket_.get(); }
  [[nodiscard]] int pid() const noexcept { return pid_; }
  [[nodiscard]] std::uint64_t signals_dropped() const noexcept { return signals_dropped_; }

 private:
  struct Pending {
    Order order;
    std::vector<ipc::Fd> descriptors;
  };
  explicit WorkerHandle(WorkerSetup setup) : setup_(std::move(setup)) {}
  std::expected<void, std::string> launch(WorkerKind kind, std::span<const int> not_for_workers);
  std::expected<void, std::string> wait_started();
  void order(const Order& order, std::vector<ipc::Fd> descriptors = {});
  void command(const Command& command);
  bool push(const Command& command);
  void flush_orders();
  void flush_commands();
  void await_answers();
  void await_reports();
  void await_death();
  void take_answers();
  void take_reports();
  void note(const Answer& answer);

  WorkerSetup setup_;
  ipc::Fd socket_, worker_socket_, wake_, control_wake_;
  int pid_ = -1;
  ipc::Fd pidfd_;
  std::thread thread_;
  bool stopping_ = false;

  Listener listener_;
  boost::asio::io_context* io_ = nullptr;
  std::unique_ptr<boost::asio::posix::stream_descriptor> socket_watch_, report_watch_, death_watch_;
  std::unique_ptr<boost::asio::steady_timer> retry_;
  bool awaiting_room_ = false;
  bool retrying_ = false;
  std::deque<Pending> orders_;
  std::deque<Command> commands_;
  struct Opening {
    bool close_wanted = false;
    clips::CloseMode mode{};
  };
  std::map<ClipSlot, Opening> opening_;
  std::vector<std::byte> buffer_;
  std::uint64_t signals_dropped_ = 0;
};

}  // namespace rtchan::rtcd
