// Message queues within one process: what the library's users, the simulator and the tests connect clips to.
// One thread, or a caller's lock: they are plain memory. All of it is taken by the constructor.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/fifo.hpp"
#include "clips/domain.hpp"

namespace rtchan::clips {

// Slots of equal size; a slot belongs to whoever took it until it is given back.
class Slots {
 public:
  Slots(std::uint32_t slots, std::uint32_t slot_bytes) : slot_bytes_(slot_bytes), bytes_(std::size_t{slots} * slot_bytes) {
    free_.reserve(slots);
    for (std::uint32_t i = slots; i > 0; --i) free_.push_back(i - 1);
  }
  bool take(std::uint32_t& slot) noexcept {
    if (free_.empty()) return false;
    slot = free_.back();
    free_.pop_back();
    return true;
  }
  void give(std::uint32_t slot) noexcept { free_.push_back(slot); }
  [[nodiscard]] std::span<std::byte> bytes(std::uint32_t slot) noexcept {
    return std::span(bytes_).subspan(std::size_t{slot} * slot_bytes_, slot_bytes_);
  }
  [[nodiscard]] std::span<const std::byte> bytes(std::uint32_t slot) const noexcept {
    return std::span(bytes_).subspan(std::size_t{slot} * slot_bytes_, slot_bytes_);
  }
  [[nodiscard]] std::uint32_t available() const noexcept { return static_cast<std::uint32_t>(free_.size()); }

 private:
  std::uint32_t slot_bytes_;
  std::vector<std::byte> bytes_;
  std::vector<std::uint32_t> free_;
};

// Messages that wait to be sent. Destroyed with its clip: keep a LocalQueue and give the clip a LocalSource of it.
class LocalQueue {
 public:
  LocalQueue(std::uint32_t messages, std::uint32_t message_bytes)
      : message_bytes_(message_bytes), slots_(messages, message_bytes), queue_(messages) {}

  // False: full (wait until the clip has sent something), empty or too long. Tell the domain: sighted().
  bool send(std::span<const std::byte> message, Instant stamp = Instant{}) noexcept {
    std::uint32_t slot{};
    if (message.empty() || message.size() > message_bytes_ || !slots_.take(slot)) return false;
    std::copy(message.begin(), message.end(), slots_.bytes(slot).begin());
    return queue_.push({slot, static_cast<std::uint32_t>(message.size()), stamp});
  }
  [[nodiscard]] std::uint32_t room() const noexcept { return slots_.available(); }

 private:
  friend class LocalSource;
  std::uint32_t message_bytes_;
  Slots slots_;
  Fifo<MessageRef> queue_;
};

class LocalSource final : public MessageSource {
 public:
  explicit LocalSource(LocalQueue& queue) : queue_(queue) {}
  std::uint32_t waiting() noexcept override { return static_cast<std::uint32_t>(queue_.queue_.size()); }
  std::uint32_t capacity() const noexcept override { return static_cast<std::uint32_t>(queue_.queue_.capacity()); }
  bool take(MessageRef& out) noexcept override {
    if (queue_.queue_.empty()) return false;
    out = queue_.queue_.pop();
    return true;
  }
  void read(const MessageRef& m, std::uint32_t offset, std::span<std::byte> out) const noexcept override {
    const auto bytes = queue_.slots_.bytes(m.slot).subspan(offset, out.size());
    std::copy(bytes.begin(), bytes.end(), out.begin());
  }
  void release(const MessageRef& m) noexcept override { queue_.slots_.give(m.slot); }
  bool violated() const noexcept override { return false; }

 private:
  LocalQueue& queue_;
};

// Messages that have arrived.
class LocalMailbox {
 public:
  struct Message {
    std::uint32_t slot{};
    std::uint32_t length{};
    std::uint64_t number{};
    Instant readable{};
    Duration delay{};  // from logical arrival; Duration::min(): best effort
  };

  LocalMailbox(std::uint32_t messages, std::uint32_t message_bytes)
      : slots_(messages, message_bytes), ready_(messages) {}

  [[nodiscard]] bool empty() const noexcept { return ready_.empty(); }
  // !empty(). The bytes are the caller's until release().
  Message receive() noexcept { return ready_.pop(); }
  [[nodiscard]] std::span<const std::byte> bytes(const Message& m) const noexcept {
    return slots_.bytes(m.slot).first(m.length);
  }
  void release(const Message& m) noexcept { slots_.give(m.slot); }

 private:
  friend class LocalSink;
  Slots slots_;
  Fifo<Message> ready_;
};

class LocalSink final : public MessageSink {
 public:
  explicit LocalSink(LocalMailbox& mailbox) : mailbox_(mailbox) {}
  bool reserve(std::uint32_t, std::uint32_t& slot) noexcept override { return mailbox_.slots_.take(slot); }
  void write(std::uint32_t slot, std::uint32_t offset, std::span<const std::byte> bytes) noexcept override {
    std::copy(bytes.begin(), bytes.end(), mailbox_.slots_.bytes(slot).begin() + offset);
  }
  void publish(std::uint32_t slot, std::uint32_t length, std::uint64_t number, Instant readable,
               Duration delay) noexcept override {
    [[maybe_unused]] const bool pushed = mailbox_.ready_.push({slot, length, number, readable, delay});
    assert(pushed);
  }
  void abandon(std::uint32_t slot) noexcept override { mailbox_.slots_.give(slot); }
  bool violated() const noexcept override { return false; }

 private:
  LocalMailbox& mailbox_;
};

}  // namespace rtchan::clips
