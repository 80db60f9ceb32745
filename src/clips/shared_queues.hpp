// Message queues of clips over the memory that an application shares: ipc's daemon views, plus who must be
// woken. Nothing here blocks: a waiting thread is woken by futex, an application that sleeps on its doorbell
// is put on a list, and the worker's shell rings each such doorbell once after the turn.
//
// One thread, the worker's data thread, uses queues, bells and the list. Everything outlives the clips that use it.
#pragma once

#include <span>
#include <utility>

#include "base/ids.hpp"
#include "clips/domain.hpp"
#include "ipc/daemon_view.hpp"

namespace rtchan::clips {

// One session's application, as something to be woken. `to_app` lies in the session's arena.
class SessionBell {
 public:
  SessionBell(SessionId session, ipc::ReadySet& to_app) : session_(session), to_app_(&to_app) {}
  [[nodiscard]] SessionId session() const noexcept { return session_; }

 private:
  friend class BellList;
  SessionId session_;
  ipc::ReadySet* to_app_;
  SessionBell* next_ = nullptr;
  bool listed_ = false;
};

// The sessions whose applications have something new since the list was last emptied.
class BellList {
 public:
  // The channel has something for its application: marks it ready, lists the session.
  void want(SessionBell& bell, ChannelId channel) noexcept {
    ipc::add(*bell.to_app_, channel.value);
    if (std::exchange(bell.listed_, true)) return;
    bell.next_ = std::exchange(first_, &bell);
  }
  // Calls ring(bell) for each listed session and empties the list. `ring` looks at the session's `app_sleeping`
  // and rings only then (ipc::ring_if_sleeping).
  template <class F>
  void take(F&& ring) {
    while (first_ != nullptr) {
      SessionBell& bell = *std::exchange(first_, first_->next_);
      bell.listed_ = false;
      ring(bell);
    }
  }
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }

 private:
  SessionBell* first_ = nullptr;
};

class SharedSource final : public MessageSource {
 public:
  SharedSource(std::span<std::byte> arena, const ipc::QueuePlace& place, ChannelId channel, SessionBell& bell,
               BellList& bells)
      : queue_(arena, place), slots_(place.slots), channel_(channel), bell_(bell), bells_(bells) {}

  std::uint32_t waiting() noexcept override { return queue_.waiting(); }
  std::uint32_t capacity() const noexcept override { return slots_; }
  bool take(MessageRef& out) noexcept override {
    const auto message = queue_.take();
    if (!message) return false;
    out = MessageRef{message->slot, message->length, message->app_stamp};
    return true;
  }
  void read(const MessageRef& m, std::uint32_t offset, std::span<std::byte> out) const noexcept override {
    queue_.read({m.slot, m.length, m.app_stamp}, offset, out);
  }
  void release(const MessageRef& m) noexcept override {
    if (!queue_.release({m.slot, m.length, m.app_stamp})) return;
    queue_.wake_producer();
    bells_.want(bell_, channel_);
  }
  bool violated() const noexcept override { return queue_.violation() != ipc::Violation::none; }

 private:
  ipc::SendQueue queue_;
  std::uint32_t slots_;
  ChannelId channel_;
  SessionBell& bell_;
  BellList& bells_;
};

class SharedSink final : public MessageSink {
 public:
  SharedSink(std::span<std::byte> arena, const ipc::QueuePlace& place, ChannelId channel, SessionBell& bell,
             BellList& bells)
      : queue_(arena, place), channel_(channel), bell_(bell), bells_(bells) {}

  bool reserve(std::uint32_t /*length*/, std::uint32_t& slot) noexcept override {
    const auto free = queue_.reserve();
    if (!free) return false;
    slot = *free;
    return true;
  }
  void write(std::uint32_t slot, std::uint32_t offset, std::span<const std::byte> bytes) noexcept override {
    queue_.write(slot, offset, bytes);
  }
  void publish(std::uint32_t slot, std::uint32_t length, std::uint64_t number, Instant readable,
               Duration delay) noexcept override {
    if (queue_.publish(slot, length, number, readable, delay)) queue_.wake_consumer();
    bells_.want(bell_, channel_);
  }
  void abandon(std::uint32_t slot) noexcept override { queue_.abandon(slot); }
  bool violated() const noexcept override { return queue_.violation() != ipc::Violation::none; }

 private:
  ipc::ReceiveQueue queue_;
  ChannelId channel_;
  SessionBell& bell_;
  BellList& bells_;
};

}  // namespace rtchan::clips
