// The control process: accepts applications, drives the node (events in, actions out, one timer), and passes what it
// decides to the workers. One thread, no real-time class, no network socket; nothing here waits for anybody.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <expected>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "node/node.hpp"
#include "rtcd/application.hpp"
#include "rtcd/config.hpp"
#include "rtcd/control_socket.hpp"
#include "rtcd/link_watch.hpp"
#include "rtcd/links.hpp"
#include "rtcd/report.hpp"
#include "rtcd/worker_handle.hpp"

namespace rtchan::rtcd {

class Control {
 public:
  // Installs guards, starts the workers, opens the control socket. Error: one sentence. Call before any thread exists.
  static std::expected<std::unique_ptr<Control>, std::string> start(const Config& config);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // Until SIGTERM or SIGINT (all channels are then torn down, in bounded time; returns 0) or a worker's death (1).
  int run();

 private:
  Control(const Config& config, ControlSocket socket, std::vector<Link> links,
          std::vector<std::unique_ptr<WorkerHandle>> workers);

  // --- applications ---
  void await_application();
  void take_applications();
  void admit(ipc::Fd socket);
  [[nodiscard]] std::string objection(const Application::Peer& peer) const;
  void release_everything();
  void serve_next();
  void requested(Application& app, ipc::Request request);
  void hello(Application& app, const ipc::Hello& hello);
  void mapped_by(Application& app);
  void worker_answered(std::uint32_t worker, const Answer& answer);
  void session_advanced(Application& app, Answer::Kind kind);
  void answer_query(Application& app, const ipc::Query& query);
  void end_application(Application& app, const std::string& why);
  void forget_if_dropped(Application& app);
  [[nodiscard]] Application* find(SessionId id);

  // --- the node ---
  void feed(node::Event event);
  void drain();
  void act(node::Action& action);
  void act(node::ReplyTo& reply);
  void act(const node::EvictSession& evict);
  void act(const node::SendSignal& signal);
  void act(const node::OpenClip& open);
  void act(const node::ConnectClip& connect);
  void act(const node::CloseClip& close);
  void act(const node::ForgetClip& forget);
  void act(const node::MarkQueue& mark);
  void act(const node::SetBurstBound& bound);
  void act(const node::Log& log);
  void worker_reported(std::uint32_t worker, const Report& report);
  void set_timer();

  // --- the rest ---
  void check_links();
  void shut_down();
  void finish_when_quiet();
  void worker_died(std::uint32_t worker, const std::string& why);
  void stop(int status);
  [[nodiscard]] Surroundings surroundings() const;

  boost::asio::io_context io_{1};  // first: whatever waits in it must be destroyed before it
  const Config config_;
  ControlSocket socket_;
  std::vector<Link> links_;
  std::vector<std::unique_ptr<WorkerHandle>> workers_;
  LinkWatch link_watch_;
  route::Watch route_watch_;
  Routes routes_;
  node::Node node_;

  boost::asio::posix::stream_descriptor acceptor_;
  boost::asio::signal_set signals_;
  boost::asio::steady_timer node_timer_, guard_timer_, pause_timer_;
  std::map<SessionId, std::shared_ptr<Application>> applications_;
  std::deque<SessionId> asking_;        // applications that have asked something, in the order of their turns
  std::map<std::uint32_t, Instant> queries_from_;  // by uid: long answers again from then on
  std::uint32_t next_session_ = 1;
  std::size_t descriptors_limit_ = 0;

  std::vector<node::Action> actions_;   // of the step in progress
  std::deque<node::Event> events_;      // that acting has caused; after the step
  bool stepping_ = false;
  Instant timer_set_for_ = never;
  bool shutting_down_ = false;
  Instant shutdown_deadline_ = never;
  Instant started_;
  int status_ = 0;
};

}  // namespace rtchan::rtcd
