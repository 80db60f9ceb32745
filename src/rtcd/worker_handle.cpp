#include "rtcd/worker_handle.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "rtcd/eventfd.hpp"

namespace rtchan::rtcd {
namespace {

using namespace std::chrono_literals;
using boost::asio::posix::stream_descriptor;
using boost::system::error_code;

constexpr auto start_patience = 20s;     // opening sockets, prefaulting and locking memory on a slow machine
constexpr int reports_per_wake = 256;    // then other events get their turn
constexpr int answers_per_wake = 256;

std::string words(const char* call) { return fmt::format("{}: {}", call, std::strerror(errno)); }

// Asio closes what it watches: it gets a descriptor of its own.
std::unique_ptr<stream_descriptor> watched(boost::asio::io_context& io, int fd) {
  return std::make_unique<stream_descriptor>(io, fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

}  // namespace

// --- beginning and end --------------------------------------------------------------------------------------

std::expected<std::unique_ptr<WorkerHandle>, std::string> WorkerHandle::start(WorkerSetup setup, WorkerKind kind,
                                                                              std::span<const int> not_for_workers) {
  std::unique_ptr<WorkerHandle> handle{new WorkerHandle(std::move(setup))};
  if (auto launched = handle->launch(kind, not_for_workers); !launched) return std::unexpected(launched.error());
  if (auto started = handle->wait_started(); !started) return std::unexpected(started.error());
  return handle;
}

std::expected<void, std::string> WorkerHandle::launch(WorkerKind kind, std::span<const int> not_for_workers) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return std::unexpected(words("socketpair"));
  socket_.reset(pair[0]);
  worker_socket_.reset(pair[1]);
  wake_.reset(make_eventfd());
  control_wake_.reset(make_eventfd());
  setup_.shared = std::make_shared<SharedBlock>(setup_.limits.clips_per_worker);
  setup_.socket = worker_socket_.get();
  setup_.wake_fd = wake_.get();
  setup_.control_fd = control_wake_.get();
  setup_.own_process = kind == WorkerKind::processes;
  if (kind == WorkerKind::threads) {
    thread_ = std::thread{[setup = setup_] { run_worker(setup); }};
    return {};
  }
  std::vector<int> close_in_child{not_for_workers.begin(), not_for_workers.end()};
  close_in_child.push_back(socket_.get());
  pid_ = fork_worker(setup_, close_in_child);
  if (pid_ < 0) return std::unexpected(words("fork of a worker"));
  pidfd_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  worker_socket_.reset();  // so that its death ends the connection
  return {};
}

std::expected<void, std::string> WorkerHandle::wait_started() {
  pollfd fd{socket_.get(), POLLIN, 0};
  const int patience = static_cast<int>(std::chrono::milliseconds{start_patience}.count());
  std::vector<ipc::Fd> none;
  Answer answer;
  if (poll(&fd, 1, patience) <= 0) return std::unexpected(std::string{"it did not start in time"});
  if (ipc::receive_packet(socket_.get(), buffer_, none) != ipc::Transfer::done || buffer_.size() < sizeof answer) {
    return std::unexpected(std::string{"it ended while starting"});
  }
  std::memcpy(&answer, buffer_.data(), sizeof answer);
  if (answer.kind != Answer::Kind::started) return std::unexpected(std::string{answer.text.data()});
  return {};
}

WorkerHandle::~WorkerHandle() { stop(1s); }

void WorkerHandle::stop(Duration patience) {
  stopping_ = true;
  socket_watch_.reset();
  report_watch_.reset();
  death_watch_.reset();
  retry_.reset();
  const Order quit{.kind = Order::Kind::quit};
  ipc::send_packet(socket_.get(), std::as_bytes(std::span{&quit, 1})) == ipc::Transfer::done ||
      shutdown(socket_.get(), SHUT_RDWR) == 0;  // full: the end of the connection says the same
  if (thread_.joinable()) thread_.join();
  if (pid_ <= 0) return;
  pollfd fd{pidfd_.get(), POLLIN, 0};
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(patience).count();
  if (poll(&fd, 1, static_cast<int>(ms)) <= 0) kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void WorkerHandle::listen(boost::asio::io_context& io, Listener listener) {
  io_ = &io;
  listener_ = std::move(listener);
  socket_watch_ = watched(io, socket_.get());
  report_watch_ = watched(io, control_wake_.get());
  retry_ = std::make_unique<boost::asio::steady_timer>(io);
  await_answers();
  await_reports();
  if (pidfd_) {
    death_watch_ = watched(io, pidfd_.get());
    await_death();
  }
}

void WorkerHandle::await_death() {
  death_watch_->async_wait(stream_descriptor::wait_read, [this](error_code error) {
    if (error || stopping_) return;
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    listener_.died(WIFSIGNALED(status) ? fmt::format("killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)))
                                       : fmt::format("ended with status {}", WEXITSTATUS(status)));
  });
}

// --- orders to the housekeeper ------------------------------------------------------------------------------

void WorkerHandle::map_session(SessionId session, int arena, int doorbell) {
  std::vector<ipc::Fd> descriptors;  // copies: the order may have to wait
  descriptors.emplace_back(fcntl(arena, F_DUPFD_CLOEXEC, 0));
  descriptors.emplace_back(fcntl(doorbell, F_DUPFD_CLOEXEC, 0));
  if (!descriptors[0] || !descriptors[1]) descriptors.clear();  // answered as out of descriptors
  order({.kind = Order::Kind::map_session, .session = session}, std::move(descriptors));
}

void WorkerHandle::open_clip(SessionId session, ChannelId channel, const ipc::QueuePlace& queue, const clips::ClipSpec& spec,
                             Label before) {
  opening_[spec.slot] = {};
  order({.kind = Order::Kind::open_clip, .session = session, .channel = channel, .queue = queue, .spec = spec, .before = before});
}

void WorkerHandle::forget_clip(SessionId session, Label before) {
  order({.kind = Order::Kind::forget_clip, .session = session, .before = before});
}

void WorkerHandle::order(const Order& order, std::vector<ipc::Fd> descriptors) {
  orders_.push_back({order, std::move(descriptors)});
  if (orders_.size() == 1) flush_orders();
}

void WorkerHandle::flush_orders() {
  while (!orders_.empty()) {
    const Pending& next = orders_.front();
    int fds[2] = {-1, -1};
    for (std::size_t i = 0; i < next.descriptors.size(); ++i) fds[i] = next.descriptors[i].get();
    const auto sent =
        ipc::send_packet(socket_.get(), std::as_bytes(std::span{&next.order, 1}), std::span{fds, next.descriptors.size()});
    if (sent == ipc::Transfer::would_block) break;
    orders_.pop_front();  // or the worker is gone, which await_death() reports
  }
  if (orders_.empty() || awaiting_room_ || !socket_watch_) return;
  awaiting_room_ = true;
  socket_watch_->async_wait(stream_descriptor::wait_write, [this](error_code error) {
    awaiting_room_ = false;
    if (!error && !stopping_) flush_orders();
  });
}

// --- commands to the data thread ----------------------------------------------------------------------------

void WorkerHandle::close_clip(ClipSlot slot, clips::CloseMode mode) {
  if (const auto found = opening_.find(slot); found != opening_.end()) {
    found->second = {true, mode};
    return;
  }
  command({.kind = Command::Kind::close, .mode = mode, .link = 0, .slot = slot, .to = {}, .label = {}});
}

void WorkerHandle::connect_clip(ClipSlot slot, const Endpoint& next_hop, Label label) {
  command({.kind = Command::Kind::connect, .mode = {}, .link = 0, .slot = slot, .to = next_hop, .label = label});
}

void WorkerHandle::set_burst_bound(std::uint32_t link, const admission::BurstBound& bound) {
  Command c{.kind = Command::Kind::burst_bound, .mode = {}, .link = link, .slot = {}, .to = {}, .label = {}};
  c.set_bound(bound);
  command(c);
}

void WorkerHandle::hold_link(std::uint32_t link, bool held) {
  const auto kind = held ? Command::Kind::hold_link : Command::Kind::release_link;
  command({.kind = kind, .mode = {}, .link = link, .slot = {}, .to = {}, .label = {}});
}

bool WorkerHandle::send_signal(std::uint32_t link, const Endpoint& to, std::span<const std::byte> bytes) {
  Command c{.kind = Command::Kind::signal, .mode = {}, .link = link, .slot = {}, .to = to, .label = {}};
  if (bytes.size() > c.signal.bytes.size() || !commands_.empty()) {
    ++signals_dropped_;
    return false;
  }
  c.signal.length = static_cast<std::uint32_t>(bytes.size());
  std::memcpy(c.signal.bytes.data(), bytes.data(), bytes.size());
  if (push(c)) return true;
  ++signals_dropped_;
  return false;
}

bool WorkerHandle::push(const Command& command) {
  const bool pushed = block().commands.push(command);
  wake_if_sleeping(block().worker_sleeping, wake_.get());
  return pushed;
}

// These must not be lost, nor overtake each other.
void WorkerHandle::command(const Command& command) {
  if (commands_.empty() && push(command)) return;
  commands_.push_back(command);
  flush_commands();
}

void WorkerHandle::flush_commands() {
  while (!commands_.empty() && push(commands_.front())) commands_.pop_front();
  if (commands_.empty() || retrying_ || !retry_) return;
  retrying_ = true;
  retry_->expires_after(1ms);
  retry_->async_wait([this](error_code error) {
    retrying_ = false;
    if (!error && !stopping_) flush_commands();
  });
}

// --- what comes back ----------------------------------------------------------------------------------------

void WorkerHandle::await_answers() {
  socket_watch_->async_wait(stream_descriptor::wait_read, [this](error_code error) {
    if (error || stopping_) return;
    take_answers();
  });
}

void WorkerHandle::take_answers() {
  std::vector<ipc::Fd> none;
  for (int i = 0; i < answers_per_wake; ++i) {
    const ipc::Transfer got = ipc::receive_packet(socket_.get(), buffer_, none);
    if (got == ipc::Transfer::would_block) break;
    if (got != ipc::Transfer::done || buffer_.size() < sizeof(Answer)) return;  // gone: await_death() reports
    Answer answer;
    std::memcpy(&answer, buffer_.data(), sizeof answer);
    answer.text.back() = '\0';
    note(answer);
    listener_.answered(answer);
  }
  await_answers();
}

void WorkerHandle::note(const Answer& answer) {
  if (answer.kind != Answer::Kind::clip_ready && answer.kind != Answer::Kind::clip_failed) return;
  const auto found = opening_.find(answer.slot);
  if (found == opening_.end()) return;
  const Opening opening = found->second;
  opening_.erase(found);
  if (answer.kind == Answer::Kind::clip_ready && opening.close_wanted) close_clip(answer.slot, opening.mode);
}

void WorkerHandle::await_reports() {
  report_watch_->async_wait(stream_descriptor::wait_read, [this](error_code error) {
    if (error || stopping_) return;
    drain_eventfd(control_wake_.get());
    take_reports();
    await_reports();
  });
}

void WorkerHandle::take_reports() {
  Report report;
  for (int i = 0; i < reports_per_wake; ++i) {
    if (block().reports.pop(report)) {
      listener_.reported(report);
      continue;
    }
    block().control_sleeping.exchange(1, std::memory_order_seq_cst);
    if (block().reports.empty()) return;
    block().control_sleeping.exchange(0, std::memory_order_seq_cst);
  }
  wake(control_wake_.get());  // the rest in a later event
}

}  // namespace rtchan::rtcd
