#include "sim/queues.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "sim/machine.hpp"
#include "sim/world.hpp"

namespace rtchan::sim {
namespace {

Duration copying(const admission::HandlerCost& cost, std::size_t bytes) {
  return Duration{cost.picoseconds_per_byte * static_cast<std::int64_t>(bytes) / 1'000};
}

}  // namespace

bool Source::publish(const MessageName& message, std::uint32_t length, Instant at) {
  if (room() == 0) return false;
  ++held_;
  waiting_.push_back({message, length});
  machine_.world().watch().published(message, length, at);
  return true;
}

std::uint32_t Source::waiting() noexcept {
  const auto [since, at] = machine_.look();
  began_ = std::min(began_, at);  // no message is dated before its channel began
  const Instant dated = std::max({since, began_, at - limits::host_pause});
  for (; sighted_ < waiting_.size(); ++sighted_) {
    machine_.world().watch().sighted(machine_, waiting_[sighted_].name, dated, at);
  }
  return static_cast<std::uint32_t>(waiting_.size());
}

bool Source::take(clips::MessageRef& out) noexcept {
  if (waiting_.empty()) return false;
  taken_ = waiting_.front().name;
  out = {next_slot_++ % slots_, waiting_.front().length, Instant{}};
  waiting_.pop_front();
  if (sighted_ > 0) --sighted_;
  const auto& cost = machine_.costs().send;
  machine_.work(cost.fixed + cost.first_packet - cost.other_packet);
  return true;
}

void Source::read(const clips::MessageRef&, std::uint32_t offset, std::span<std::byte> out) const noexcept {
  write_message(taken_, offset, out);
  const auto& cost = machine_.costs().send;
  machine_.work(cost.other_packet + copying(cost, out.size()));
}

void Source::release(const clips::MessageRef&) noexcept { --held_; }

bool Sink::reserve(std::uint32_t length, std::uint32_t& slot) noexcept {
  if (free_.empty() || length > slot_bytes_) return false;
  slot = free_.back();
  free_.pop_back();
  slots_[slot].resize(length);
  const auto& cost = machine_.costs().receive;
  machine_.work(cost.first_packet - cost.other_packet);
  return true;
}

void Sink::write(std::uint32_t slot, std::uint32_t offset, std::span<const std::byte> bytes) noexcept {
  std::ranges::copy(bytes, slots_[slot].begin() + offset);
  const auto& cost = machine_.costs().receive;
  machine_.work(cost.other_packet + copying(cost, bytes.size()));
}

// The application reads it at once.
void Sink::publish(std::uint32_t slot, std::uint32_t length, std::uint64_t number, Instant, Duration delay) noexcept {
  machine_.work(machine_.costs().receive.fixed);
  const auto bytes = std::span<const std::byte>(slots_[slot]).first(length);
  machine_.world().watch().delivered(machine_, ClipSlot{end_}, read_message(bytes), length, number, delay);
  free_.push_back(slot);
}

}  // namespace rtchan::sim
