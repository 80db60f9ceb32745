// Both ends' message queues as a worker sees them: what an application has handed over, and what it can read. All that a
// clip does with them is seen here, so here is where observers look and where work takes its time.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "clips/domain.hpp"
#include "sim/message.hpp"

namespace rtchan::sim {

class Machine;
inline constexpr std::uint32_t nothing = UINT32_MAX;

class Source final : public clips::MessageSource {
 public:
  Source(Machine& machine, std::uint32_t slots) : machine_(machine), slots_(slots) {}

  // The application's side. False: full.
  bool publish(const MessageName& message, std::uint32_t length, Instant at);
  [[nodiscard]] std::uint32_t room() const noexcept { return slots_ - held_; }

  std::uint32_t waiting() noexcept override;
  [[nodiscard]] std::uint32_t capacity() const noexcept override { return slots_; }
  bool take(clips::MessageRef& out) noexcept override;
  void read(const clips::MessageRef& m, std::uint32_t offset, std::span<std::byte> out) const noexcept override;
  void release(const clips::MessageRef& m) noexcept override;
  [[nodiscard]] bool violated() const noexcept override { return false; }

 private:
  struct Waiting {
    MessageName name{};
    std::uint32_t length = 0;
  };
  Machine& machine_;
  std::uint32_t slots_;
  std::uint32_t held_ = 0;          // published, and their slots not given back
  std::deque<Waiting> waiting_;
  std::size_t sighted_ = 0;         // of those that wait
  Instant began_ = never;           // the worker's first look
  MessageName taken_{};             // one at a time is in work
  std::uint32_t next_slot_ = 0;
};

class Sink final : public clips::MessageSink {
 public:
  Sink(Machine& machine, std::uint32_t end, std::uint32_t slots, std::uint32_t slot_bytes)
      : machine_(machine), end_(end), slot_bytes_(slot_bytes), slots_(slots) {
    for (std::uint32_t i = slots; i > 0; --i) free_.push_back(i - 1);
  }
  bool reserve(std::uint32_t length, std::uint32_t& slot) noexcept override;
  void write(std::uint32_t slot, std::uint32_t offset, std::span<const std::byte> bytes) noexcept override;
  void publish(std::uint32_t slot, std::uint32_t length, std::uint64_t number, Instant readable,
               Duration delay) noexcept override;
  void abandon(std::uint32_t slot) noexcept override { free_.push_back(slot); }
  [[nodiscard]] bool violated() const noexcept override { return false; }

 private:
  Machine& machine_;
  std::uint32_t end_;               // of its machine
  std::uint32_t slot_bytes_;
  std::vector<std::vector<std::byte>> slots_;
  std::vector<std::uint32_t> free_;
};

}  // namespace rtchan::sim
