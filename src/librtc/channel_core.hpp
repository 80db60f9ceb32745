// One end of a channel behind its handle: sending or receiving over the shared queue, with time-outs, loans and
// counts. A call or loan in progress is a *use*; when the handle has let go and the last use is over, rtcd is
// told, and only then may it give the memory to another channel.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <variant>

#include "ipc/app_view.hpp"
#include "librtc/session_core.hpp"
#include <rtchan/channel.hpp>

namespace rtchan::api {

class ChannelCore : public std::enable_shared_from_this<ChannelCore> {
 public:
  struct Parts {
    ChannelId id;
    Direction direction;
    std::uint32_t worker;
    ipc::QueuePlace queue;
    Qos qos;
    std::chrono::nanoseconds bound;
    Endpoint peer;
    std::uint16_t port;
    Policing policing;
  };
  ChannelCore(std::shared_ptr<SessionCore> session, const Parts& parts);

  [[nodiscard]] const Parts& parts() const noexcept { return parts_; }

  std::expected<void, Error> send(std::span<const std::byte> message, std::chrono::nanoseconds timeout) noexcept;
  std::expected<SendLoan, Error> loan(std::size_t bytes, std::chrono::nanoseconds timeout) noexcept;
  std::expected<void, Error> commit(std::uint32_t slot, std::size_t length) noexcept;
  void return_send_loan(std::uint32_t slot) noexcept;

  std::expected<std::size_t, Error> receive(std::span<std::byte> buffer, std::chrono::nanoseconds timeout) noexcept;
  std::expected<void, Error> receive(std::vector<std::byte>& buffer, std::chrono::nanoseconds timeout);
  std::expected<ReceiveLoan, Error> receive_loan(std::chrono::nanoseconds timeout) noexcept;
  void return_receive_loan(std::uint32_t slot) noexcept;

  [[nodiscard]] Statistics statistics() const noexcept;
  void set_tag(std::uint64_t tag) noexcept { tag_.store(tag, std::memory_order_relaxed); }
  void set_polled(bool polled) noexcept;
  // For ready(): nullopt when there is nothing to do.
  [[nodiscard]] std::optional<ReadyChannel> look() noexcept;

  // The handle lets go. `wait`: until rtcd has confirmed, unless a loan is held.
  std::expected<void, Error> close(std::chrono::nanoseconds timeout) noexcept;
  void let_go() noexcept;

  // From the control thread.
  void end(Errc code) noexcept;  // wakes every thread that waits
  void ended(bool confirmed) noexcept;  // by rtcd; or it will never be
  void contract_violated() noexcept { violations_.fetch_add(1, std::memory_order_relaxed); }

 private:
  // Keeps the queue's memory ours while a call or loan uses it.
  class Use {
   public:
    explicit Use(ChannelCore& channel) noexcept : channel_(channel.enter_use() ? &channel : nullptr) {}
    ~Use() {
      if (channel_ != nullptr) channel_->leave_use();
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    explicit operator bool() const noexcept { return channel_ != nullptr; }
    void keep() noexcept { channel_ = nullptr; }  // a loan goes on with it

   private:
    ChannelCore* channel_;
  };
  [[nodiscard]] bool enter_use() noexcept;
  void leave_use() noexcept;

  std::expected<std::uint32_t, Error> acquire(std::size_t bytes, std::chrono::nanoseconds timeout) noexcept;
  void publish(std::uint32_t slot, std::size_t length) noexcept;
  // Waits for a message; the caller then takes it (another thread may be faster).
  std::expected<void, Error> await_message(std::chrono::nanoseconds timeout,
                                           std::chrono::steady_clock::time_point& deadline) noexcept;
  void count(const ipc::ReceiveEnd::Message& message) noexcept;
  [[nodiscard]] std::optional<std::chrono::nanoseconds> delay_of(const ipc::ReceiveEnd::Message& m) const noexcept;
  [[nodiscard]] Error end_error() const noexcept;
  template <class Ready>
  bool spin_until(const Ready& ready) const noexcept;

  std::shared_ptr<SessionCore> session_;
  const Parts parts_;
  std::optional<ipc::SendEnd> send_;
  std::optional<ipc::ReceiveEnd> receive_;
  ipc::QueueEnd* end_;  // whichever of the two

  std::atomic<std::uint32_t> uses_{1};  // the handle's own
  std::atomic<std::uint32_t> loans_{0};
  std::atomic<bool> let_go_{false};
  std::mutex end_mutex_;
  std::condition_variable end_known_;
  bool ended_ = false;
  bool confirmed_ = false;

  std::atomic<std::uint64_t> tag_{0};
  std::atomic<bool> polled_{true};
  // A send that found no room, for ready(): it is told at least once, whoever takes the room meanwhile.
  enum class Wish : std::uint8_t {
    none,
    open,      // not told yet
    once,      // not told yet, but somebody has sent since: told once, in case it was somebody else
    reported,  // told again until somebody sends
  };
  void somebody_sent() noexcept;
  [[nodiscard]] bool room_is_due() noexcept;
  std::atomic<Wish> wish_{Wish::none};
  std::atomic<std::uint64_t> messages_{0}, bytes_{0}, late_{0}, would_block_{0}, violations_{0};
  std::atomic<std::uint64_t> next_number_{0};  // one above the highest message number seen
  std::atomic<std::int64_t> worst_delay_ns_{INT64_MIN};
};

}  // namespace rtchan::api
