#include "rtcd/control.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <array>
#include <fstream>
#include <utility>

#include "ipc/daemon_view.hpp"
#include "rtcd/node_settings.hpp"

namespace rtchan::rtcd {
namespace {

using namespace std::chrono_literals;
using boost::asio::posix::stream_descriptor;
using boost::system::error_code;

constexpr auto link_interval = 100ms;
constexpr auto shutdown_patience = 2s;   // neighbours that do not answer learn it from their leases
constexpr auto worker_patience = 2s;

std::uint64_t random_number() {
  std::uint64_t number = 0;
  while (getrandom(&number, sizeof number, 0) != sizeof number || number == 0) {
  }
  return number;
}

// FNV-1a; stable from start to start.
HostId host_id(const Config& config, const std::vector<Link>& links) {
  std::string machine;
  std::ifstream{"/etc/machine-id"} >> machine;
  machine += '/' + config.daemon.name;
  for (const Link& link : links) machine += '/' + link.address.text();  // several daemons of one machine (namespaces)
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : machine) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return HostId{hash};
}

node::NodeConfig node_config(const Config& config, const std::vector<Link>& links,
                             const std::vector<std::unique_ptr<WorkerHandle>>& workers) {
  node::NodeConfig node;
  node.name = config.daemon.name;
  node.host = host_id(config, links);
  node.epoch = random_number();
  node.addresses = own_addresses(links);
  for (const auto& worker : workers) {
    node.workers.push_back(worker_settings(worker->setup().section, config.limits, config.admission,
                                           worker->block().facts.real_time));
  }
  for (std::size_t i = 0; i < links.size(); ++i) node.links.push_back(node_link(links[i], config, i));
  node.limits = node_limits(config.limits);
  node.timing.lease = config.daemon.lease;
  return node;
}

}  // namespace

// --- beginning and end --------------------------------------------------------------------------------------

std::expected<std::unique_ptr<Control>, std::string> Control::start(const Config& config) {
  auto socket = ControlSocket::open(config.daemon.socket, config.daemon.socket_mode);
  if (!socket) return std::unexpected(socket.error());
  auto links = prepare_links(config);
  if (!links) return std::unexpected(links.error());
  std::vector<std::unique_ptr<WorkerHandle>> workers;
  std::vector<int> not_for_workers{socket->get(), socket->lock()};
  for (std::size_t i = 0; i < config.workers.size(); ++i) {
    WorkerSetup setup;
    setup.number = static_cast<std::uint32_t>(i);
    setup.section = config.workers[i];
    setup.limits = config.limits;
    setup.costs = config.admission.costs;
    for (std::size_t l = 0; l < links->size(); ++l) {
      const Link& link = (*links)[l];
      if (link.worker == i) setup.links.push_back(worker_link(link, node_link(link, config, l)));
    }
    auto worker = WorkerHandle::start(std::move(setup), config.daemon.workers, not_for_workers);
    if (!worker) return std::unexpected(fmt::format("worker {} cannot start: {}", i, worker.error()));
    not_for_workers.push_back((*worker)->socket());
    workers.push_back(std::move(*worker));
  }
  return std::unique_ptr<Control>{new Control(config, std::move(*socket), std::move(*links), std::move(workers))};
}

Control::Control(const Config& config, ControlSocket socket, std::vector<Link> links,
                 std::vector<std::unique_ptr<WorkerHandle>> workers)
    : config_(config),
      socket_(std::move(socket)),
      links_(std::move(links)),
      workers_(std::move(workers)),
      link_watch_(links_),
      routes_(config_, links_),
      node_(node_config(config_, links_, workers_), routes_, random_number()),
      acceptor_(io_, fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0)),
      signals_(io_, SIGTERM, SIGINT),
      node_timer_(io_),
      guard_timer_(io_),
      pause_timer_(io_),
      descriptors_limit_(raise_descriptor_limit()),
      started_(RawClock::now()) {
  for (std::uint32_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->listen(io_, {.answered = [this, i](const Answer& answer) { worker_answered(i, answer); },
                              .reported = [this, i](const Report& report) { worker_reported(i, report); },
                              .died = [this, i](const std::string& why) { worker_died(i, why); }});
    const WorkerFacts& facts = workers_[i]->block().facts;
    if (facts.why[0] != '\0') spdlog::warn("worker {}: {}", i, facts.why.data());
  }
  for (const Link& link : links_) {
    spdlog::info("link {}: {} on {}, {} bit/s, promises hold {}", link.name, link.address.text(), link.interface,
                 link.guard->guarded_bits_per_second(), link.guard->condition());
    for (const std::string& shortcoming : workers_[link.worker]->block().facts.shortcomings(link.worker_link)) {
      spdlog::warn("link {}: {}", link.name, shortcoming);
    }
  }
}

Control::~Control() = default;

int Control::run() {
  signals_.async_wait([this](error_code error, int) {
    if (!error) shut_down();
  });
  if (auto listening = socket_.listen(); !listening) {
    spdlog::error("{}", listening.error());
    return 1;
  }
  await_application();
  check_links();
  set_timer();
  spdlog::info("{} serves {}", config_.daemon.name, config_.daemon.socket.string());
  io_.run();
  release_everything();
  return status_;
}

void Control::release_everything() {
  for (auto& [id, app] : applications_) {
    if (!app->arena.bytes().empty()) {
      reinterpret_cast<ipc::SessionBlock*>(app->arena.bytes().data())->daemon_alive.store(0, std::memory_order_seq_cst);
    }
    app->close();
  }
  applications_.clear();
  for (auto& worker : workers_) worker->stop(worker_patience);
  for (auto* timer : {&node_timer_, &guard_timer_, &pause_timer_}) timer->cancel();
  error_code ignored;
  acceptor_.close(ignored);
  signals_.cancel(ignored);
  io_.restart();
  io_.poll();  // what was waited for is called off, and lets go of what it held
}

void Control::stop(int status) {
  status_ = status;
  io_.stop();
}

void Control::shut_down() {
  spdlog::info("ending: {} applications, every channel is torn down", applications_.size());
  shutting_down_ = true;
  shutdown_deadline_ = RawClock::now() + shutdown_patience;
  error_code ignored;
  acceptor_.close(ignored);
  signals_.async_wait([this](error_code error, int) {  // again: at once
    if (!error) stop(0);
  });
  feed(node::ShutDown{});
  finish_when_quiet();
}

void Control::finish_when_quiet() {
  if (node_.quiet() || RawClock::now() >= shutdown_deadline_) return stop(0);
  pause_timer_.expires_after(5ms);
  pause_timer_.async_wait([this](error_code error) {
    if (!error) finish_when_quiet();
  });
}

void Control::worker_died(std::uint32_t worker, const std::string& why) {
  spdlog::error("worker {} {}: its channels are lost; rtcd ends, sessions are closed, neighbours notice the new epoch", worker, why);
  stop(1);
}

// Guards and interfaces: what a link's promises count on.
void Control::check_links() {
  // First: a channel that may take another route need not become void with a link.
  if (route_watch_.changed()) feed(node::RoutesChanged{});
  link_watch_.look(RawClock::now());
  for (std::uint32_t i = 0; i < links_.size(); ++i) {
    Link& link = links_[i];
    std::uint64_t our_bytes = 0;  // of all our links on that interface
    for (const Link& other : links_) {
      if (other.interface_index != link.interface_index) continue;
      const auto& c = workers_[other.worker]->block().links[other.worker_link];
      our_bytes += std::atomic_ref{const_cast<std::uint64_t&>(c.sent_bytes)}.load(std::memory_order_relaxed) +
                   std::atomic_ref{const_cast<std::uint64_t&>(c.sent)}.load(std::memory_order_relaxed) * other.header_bytes;
    }
    if (std::exchange(link.held, link_watch_.down(i)) != link.held) workers_[link.worker]->hold_link(link.worker_link, link.held);
    const auto broken = link.guard->check(RawClock::now(), our_bytes);  // always: it measures
    const std::string& unfit = link_watch_.why_void(i);
    const std::string why = !unfit.empty() ? unfit : broken.value_or(std::string{});
    if (!why.empty() && link.voided.empty()) {
      link.voided = why;
      spdlog::warn("link {}: promises are void: {}", link.name, why);
      feed(node::LinkVoided{i, why});
    } else if (why.empty() && !link.voided.empty()) {
      spdlog::info("link {}: the condition holds again; channels made from now on count on it", link.name);
      link.voided.clear();
      feed(node::LinkRestored{i});
    }
  }
  guard_timer_.expires_after(link_interval);
  guard_timer_.async_wait([this](error_code error) {
    if (!error) check_links();
  });
}

Surroundings Control::surroundings() const {
  return {config_, links_, workers_, applications_.size(), descriptors_limit_, RawClock::now() - started_};
}

// --- the node -----------------------------------------------------------------------------------------------

// An event from outside, or one that acting on the node's decisions has caused: one after the other.
void Control::feed(node::Event event) {
  events_.push_back(std::move(event));
  if (!stepping_) drain();
}

void Control::drain() {
  stepping_ = true;
  while (!events_.empty()) {
    const node::Event event = std::move(events_.front());
    events_.pop_front();
    actions_.clear();
    node_.step(RawClock::now(), event, actions_);
    for (node::Action& action : actions_) act(action);
  }
  stepping_ = false;
  set_timer();
}

void Control::set_timer() {
  const Instant due = node_.next_wake();
  if (due == timer_set_for_) return;
  timer_set_for_ = due;
  if (due == never) {
    node_timer_.cancel();
    return;
  }
  node_timer_.expires_after(std::max(due - RawClock::now(), Duration{0}));
  node_timer_.async_wait([this](error_code error) {
    if (error) return;
    timer_set_for_ = never;
    feed(node::Timer{});
  });
}

void Control::act(node::Action& action) {
  std::visit([this](auto& a) { act(a); }, action);
}

void Control::act(node::ReplyTo& reply) {
  if (Application* app = find(reply.session)) app->send(reply.reply);
}

void Control::act(const node::EvictSession& evict) {
  if (Application* app = find(evict.session)) end_application(*app, evict.why);
}

void Control::act(const node::SendSignal& signal) {
  const Link& link = links_[signal.link];
  workers_[link.worker]->send_signal(link.worker_link, signal.to, signal.bytes);
}

void Control::act(const node::OpenClip& open) { workers_[open.worker]->open_clip(open.session, open.channel, open.queue, open.spec, open.before); }

void Control::act(const node::ConnectClip& connect) {
  workers_[connect.worker]->connect_clip(connect.slot, connect.next_hop, connect.next_label);
}

void Control::act(const node::CloseClip& close) { workers_[close.worker]->close_clip(close.slot, close.mode); }

void Control::act(const node::ForgetClip& forget) { workers_[forget.worker]->forget_clip(forget.session, forget.before); }

void Control::act(const node::MarkQueue& mark) {
  const auto found = applications_.find(mark.session);
  if (found == applications_.end() || found->second->arena.bytes().empty()) return;
  const auto arena = found->second->arena.bytes();
  if (mark.voided) ipc::mark_void(arena, mark.queue);
  if (mark.closed != 0) ipc::close_queue(arena, mark.queue, mark.closed);
}

void Control::act(const node::SetBurstBound& bound) {
  const Link& link = links_[bound.link];
  workers_[link.worker]->set_burst_bound(link.worker_link, bound.bound);
}

void Control::act(const node::Log& log) {
  log.level == node::Log::Level::warn ? spdlog::warn("{}", log.text) : spdlog::info("{}", log.text);
}

void Control::worker_reported(std::uint32_t worker, const Report& report) {
  switch (report.kind) {
    case Report::Kind::signal:
      for (std::uint32_t i = 0; i < links_.size(); ++i) {
        if (links_[i].worker != worker || links_[i].worker_link != report.link) continue;
        feed(node::SignalReceived{i, report.from, std::span{report.signal.bytes}.first(report.signal.length)});
      }
      return;
    case Report::Kind::client_violated: return feed(node::ClientViolated{worker, report.slot});
    case Report::Kind::contract_violated: return feed(node::ContractViolated{worker, report.slot});
  }
}

}  // namespace rtchan::rtcd
