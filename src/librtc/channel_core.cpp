#include "librtc/channel_core.hpp"

#include <sched.h>

#include <algorithm>
#include <cstring>

#include "ipc/daemon_view.hpp"
#include "ipc/doorbell.hpp"

namespace rtchan::api {

namespace {

using Clock = std::chrono::steady_clock;

// Texts of at most 15 characters do not allocate: these errors are part of the message path.
std::unexpected<Error> fail(Errc code, const char* text) { return std::unexpected(make_error(code, text)); }

const char* end_text(Errc code) noexcept {
  if (code == Errc::daemon_gone) return "rtcd is gone";
  return code == Errc::closed ? "closed here" : name(code);
}

template <class T>
void raise_to(std::atomic<T>& highest, T value) noexcept {
  T seen = highest.load(std::memory_order_relaxed);
  while (seen < value && !highest.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

ChannelCore::ChannelCore(std::shared_ptr<SessionCore> session, const Parts& parts)
    : session_(std::move(session)), parts_(parts) {
  if (parts.direction == Direction::sending) {
    end_ = &send_.emplace(session_->arena(), parts.queue);
  } else {
    end_ = &receive_.emplace(session_->arena(), parts.queue);
  }
}

// --- uses and the end ----------------------------------------------------------------------------------------

bool ChannelCore::enter_use() noexcept {
  if (!session_->mapped()) return false;
  std::uint32_t uses = uses_.load(std::memory_order_relaxed);
  while (uses != 0) {
    if (uses_.compare_exchange_weak(uses, uses + 1, std::memory_order_acquire, std::memory_order_relaxed)) return true;
  }
  return false;
}

void ChannelCore::leave_use() noexcept {
  if (uses_.fetch_sub(1, std::memory_order_acq_rel) == 1) session_->destroy(shared_from_this());
}

void ChannelCore::let_go() noexcept {
  if (let_go_.exchange(true, std::memory_order_acq_rel)) return;
  if (!session_->mapped()) return;
  end_->close(Errc::closed);
  leave_use();
}

std::expected<void, Error> ChannelCore::close(std::chrono::nanoseconds timeout) noexcept {
  let_go();
  if (inside_agent() || !session_->mapped()) return {};
  std::unique_lock lock(end_mutex_);
  const auto done = [this] { return ended_ || loans_.load(std::memory_order_acquire) > 0 || !session_->alive(); };
  if (timeout == forever) {
    end_known_.wait(lock, done);
  } else if (!end_known_.wait_until(lock, deadline_after(timeout), done)) {
    return fail(Errc::timed_out, "no answer yet");
  }
  if (!confirmed_ && session_->end_code() == Errc::daemon_gone) return fail(Errc::daemon_gone, "rtcd is gone");
  return {};
}

void ChannelCore::end(Errc code) noexcept { end_->close(code); }

void ChannelCore::ended(bool confirmed) noexcept {
  {
    const std::scoped_lock lock(end_mutex_);
    confirmed_ = confirmed_ || (confirmed && !ended_);
    ended_ = true;
  }
  end_known_.notify_all();
}

Error ChannelCore::end_error() const noexcept {
  if (let_go_.load(std::memory_order_acquire)) return make_error(Errc::closed, end_text(Errc::closed));
  if (!session_->mapped()) return make_error(Errc::daemon_gone, "forked child");
  const Errc code = end_->closed();
  return make_error(code == Errc::ok ? Errc::closed : code, end_text(code == Errc::ok ? Errc::closed : code));
}

// Looks again for a while before the caller sleeps, as SessionOptions::spin describes.
template <class Ready>
bool ChannelCore::spin_until(const Ready& ready) const noexcept {
  if (session_->spin() <= std::chrono::nanoseconds::zero()) return false;
  const auto until = Clock::now() + session_->spin();
  for (auto now = Clock::now(); now < until; now = Clock::now()) {
    if (ready()) return true;
    constexpr std::chrono::nanoseconds round = std::chrono::milliseconds{10};
    if (now.time_since_epoch() % round >= std::chrono::milliseconds{9}) return false;
    sched_yield();
  }
  return false;
}

// --- sending -------------------------------------------------------------------------------------------------

std::expected<std::uint32_t, Error> ChannelCore::acquire(std::size_t bytes, std::chrono::nanoseconds timeout) noexcept {
  if (!send_) return fail(Errc::invalid_argument, "this channel receives: it cannot send");
  if (bytes == 0) return fail(Errc::invalid_argument, "a message has at least 1 byte");
  if (bytes > parts_.queue.message_bytes) {
    return std::unexpected(make_error(Errc::message_too_long, "the contract allows " +
                                      std::to_string(parts_.queue.message_bytes) + " bytes a message"));
  }
  std::optional<Clock::time_point> deadline;
  bool counted = false;
  while (true) {
    if (send_->closed() != Errc::ok) return std::unexpected(end_error());
    if (const auto slot = send_->acquire()) {
      somebody_sent();
      return *slot;
    }
    if (!std::exchange(counted, true)) would_block_.fetch_add(1, std::memory_order_relaxed);
    if (timeout <= no_wait || parts_.policing == Policing::refuse) {
      wish_.store(Wish::open, std::memory_order_seq_cst);
      if (send_->want_room()) continue;
      if (parts_.policing == Policing::refuse) return fail(Errc::contract_exceeded, "above contract");
      return fail(Errc::would_block, "queue is full");
    }
    if (inside_agent()) return fail(Errc::would_deadlock, "agent function");
    if (!deadline) {
      deadline = deadline_after(timeout);
      if (spin_until([this] { return send_->has_room(); })) continue;
    }
    if (send_->wait_for_room(*deadline) == ipc::Woken::timed_out && !send_->has_room() && send_->closed() == Errc::ok) {
      return fail(Errc::timed_out, "queue is full");
    }
  }
}

void ChannelCore::publish(std::uint32_t slot, std::size_t length) noexcept {
  send_->publish(slot, static_cast<std::uint32_t>(length), RawClock::now());
  auto& worker = session_->block().to_worker[parts_.worker];
  ipc::add(worker.ready, parts_.id.value);
  ipc::ring_if_sleeping(worker.sleeping, session_->doorbell(parts_.worker));
  messages_.fetch_add(1, std::memory_order_relaxed);
  bytes_.fetch_add(length, std::memory_order_relaxed);
}

std::expected<void, Error> ChannelCore::send(std::span<const std::byte> message, std::chrono::nanoseconds timeout) noexcept {
  const Use use(*this);
  if (!use) return std::unexpected(end_error());
  const auto slot = acquire(message.size(), timeout);
  if (!slot) return std::unexpected(slot.error());
  std::memcpy(send_->bytes(*slot).data(), message.data(), message.size());
  publish(*slot, message.size());
  return {};
}

std::expected<SendLoan, Error> ChannelCore::loan(std::size_t bytes, std::chrono::nanoseconds timeout) noexcept {
  Use use(*this);
  if (!use) return std::unexpected(end_error());
  const auto slot = acquire(bytes, timeout);
  if (!slot) return std::unexpected(slot.error());
  loans_.fetch_add(1, std::memory_order_acq_rel);
  use.keep();
  return SendLoan{shared_from_this(), *slot, send_->bytes(*slot).first(bytes)};
}

std::expected<void, Error> ChannelCore::commit(std::uint32_t slot, std::size_t length) noexcept {
  if (!session_->mapped() || send_->closed() != Errc::ok) {
    Error error = end_error();
    return_send_loan(slot);
    return std::unexpected(std::move(error));
  }
  publish(slot, length);
  loans_.fetch_sub(1, std::memory_order_acq_rel);
  leave_use();
  return {};
}

void ChannelCore::return_send_loan(std::uint32_t slot) noexcept {
  if (!session_->mapped()) return;
  send_->give_back(slot);
  loans_.fetch_sub(1, std::memory_order_acq_rel);
  leave_use();
}

// --- receiving -----------------------------------------------------------------------------------------------

std::expected<void, Error> ChannelCore::await_message(std::chrono::nanoseconds timeout,
                                                      Clock::time_point& deadline) noexcept {
  if (!receive_) return fail(Errc::invalid_argument, "this channel sends: it cannot receive");
  while (true) {
    // Closed is read before the look: what was published before the end is delivered first.
    const bool over = receive_->closed() != Errc::ok;
    if (!let_go_.load(std::memory_order_acquire) && receive_->has_message()) return {};
    if (over) return std::unexpected(end_error());
    if (timeout <= no_wait) return fail(Errc::would_block, "no message yet");
    if (inside_agent()) return fail(Errc::would_deadlock, "agent function");
    if (deadline == Clock::time_point{}) {
      deadline = deadline_after(timeout);
      if (spin_until([this] { return receive_->has_message(); })) return {};
    }
    if (receive_->wait_for_message(deadline) == ipc::Woken::timed_out && !receive_->has_message() &&
        receive_->closed() == Errc::ok) {
      return fail(Errc::timed_out, "no message yet");
    }
  }
}

std::optional<std::chrono::nanoseconds> ChannelCore::delay_of(const ipc::ReceiveEnd::Message& m) const noexcept {
  if (m.delay.count() == INT64_MIN) return std::nullopt;
  return m.delay;
}

void ChannelCore::count(const ipc::ReceiveEnd::Message& message) noexcept {
  messages_.fetch_add(1, std::memory_order_relaxed);
  bytes_.fetch_add(message.length, std::memory_order_relaxed);
  raise_to(next_number_, message.number + 1);
  if (const auto delay = delay_of(message)) {
    raise_to<std::int64_t>(worst_delay_ns_, delay->count());
    if (*delay > parts_.bound) late_.fetch_add(1, std::memory_order_relaxed);
  }
}

std::expected<std::size_t, Error> ChannelCore::receive(std::span<std::byte> buffer, std::chrono::nanoseconds timeout) noexcept {
  const Use use(*this);
  if (!use) return std::unexpected(end_error());
  Clock::time_point deadline{};
  while (true) {
    if (auto waited = await_message(timeout, deadline); !waited) return std::unexpected(std::move(waited.error()));
    if (const auto message = receive_->take_fitting(buffer.size())) {
      std::memcpy(buffer.data(), receive_->bytes(message->slot).data(), message->length);
      receive_->give_back(message->slot);
      count(*message);
      return message->length;
    }
    if (const auto length = receive_->next_length(); length && *length > buffer.size()) {
      return std::unexpected(make_error(Errc::message_too_long, "the next message has " + std::to_string(*length) + " bytes"));
    }
  }
}

std::expected<void, Error> ChannelCore::receive(std::vector<std::byte>& buffer, std::chrono::nanoseconds timeout) {
  auto message = receive_loan(timeout);
  if (!message) return std::unexpected(std::move(message.error()));
  buffer.assign(message->bytes().begin(), message->bytes().end());
  return {};
}

std::expected<ReceiveLoan, Error> ChannelCore::receive_loan(std::chrono::nanoseconds timeout) noexcept {
  Use use(*this);
  if (!use) return std::unexpected(end_error());
  Clock::time_point deadline{};
  while (true) {
    if (auto waited = await_message(timeout, deadline); !waited) return std::unexpected(std::move(waited.error()));
    const auto message = receive_->take();
    if (!message) continue;
    count(*message);
    loans_.fetch_add(1, std::memory_order_acq_rel);
    use.keep();
    ReceiveLoan loan;
    loan.channel_ = shared_from_this();
    loan.slot_ = message->slot;
    loan.bytes_ = receive_->bytes(message->slot).first(message->length);
    loan.number_ = message->number;
    loan.readable_ = message->readable.time_since_epoch();
    loan.delay_ = delay_of(*message);
    return loan;
  }
}

void ChannelCore::return_receive_loan(std::uint32_t slot) noexcept {
  if (!session_->mapped()) return;
  receive_->give_back(slot);
  loans_.fetch_sub(1, std::memory_order_acq_rel);
  leave_use();
}

// --- what is asked about a channel -----------------------------------------------------------------------------

Statistics ChannelCore::statistics() const noexcept {
  Statistics s;
  s.messages = messages_.load(std::memory_order_relaxed);
  s.bytes = bytes_.load(std::memory_order_relaxed);
  s.late = late_.load(std::memory_order_relaxed);
  s.would_block = would_block_.load(std::memory_order_relaxed);
  s.contract_violations = violations_.load(std::memory_order_relaxed);
  s.bound = parts_.bound;
  const std::uint64_t seen = next_number_.load(std::memory_order_relaxed);
  if (receive_ && seen > s.messages) s.lost = seen - s.messages;
  const std::int64_t worst = worst_delay_ns_.load(std::memory_order_relaxed);
  if (worst != INT64_MIN) s.worst_delay = std::chrono::nanoseconds{worst};
  Use use(const_cast<ChannelCore&>(*this));
  if (use) {
    s.voided = end_->voided();
    if (send_) s.queued = const_cast<ipc::SendEnd&>(*send_).with_daemon();
  }
  return s;
}

void ChannelCore::set_polled(bool polled) noexcept {
  polled_.store(polled, std::memory_order_seq_cst);
  if (polled && session_->mapped()) session_->look_at(parts_.id.value);
}

void ChannelCore::somebody_sent() noexcept {
  Wish wish = wish_.load(std::memory_order_relaxed);
  if (wish == Wish::open) wish_.compare_exchange_strong(wish, Wish::once, std::memory_order_relaxed);
  if (wish == Wish::reported) wish_.compare_exchange_strong(wish, Wish::none, std::memory_order_relaxed);
}

// No room any more: somebody else took it, or the daemon's word came late from an earlier wait. Asks anew.
bool ChannelCore::room_is_due() noexcept {
  Wish wish = wish_.load(std::memory_order_seq_cst);
  if (wish == Wish::none || !(send_->has_room() || send_->want_room())) return false;
  if (wish == Wish::open) wish_.compare_exchange_strong(wish, Wish::reported, std::memory_order_relaxed);
  if (wish == Wish::once) wish_.compare_exchange_strong(wish, Wish::none, std::memory_order_relaxed);
  return true;
}

std::optional<ReadyChannel> ChannelCore::look() noexcept {
  const Use use(*this);
  if (!use || let_go_.load(std::memory_order_acquire) || !polled_.load(std::memory_order_seq_cst)) return std::nullopt;
  const bool due = end_->closed() != Errc::ok || (receive_ && receive_->has_message()) || room_is_due();
  if (!due) return std::nullopt;
  return ReadyChannel{parts_.id.value, tag_.load(std::memory_order_relaxed)};
}

}  // namespace rtchan::api
