// The handler of an incoming clip: packets of its path become messages in the application's slots.
//
// Each packet must be handled by its logical arrival + d (packet_arrivals.hpp), whoever sends it how fast.
//
// One message is assembled at a time, its fragments in any order. A message of which a packet is missing is
// counted lost when a later one begins; it is never published in part, damaged, or twice.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "clips/domain.hpp"
#include "clips/edf_queue.hpp"
#include "clips/packet_arrivals.hpp"
#include "clips/packet_store.hpp"
#include "clips/spec.hpp"
#include "wire/data_packet.hpp"

namespace rtchan::clips {

class Incoming {
 public:
  Incoming(const ClipSpec& spec, std::unique_ptr<MessageSink> sink, ProtocolStack* stack);

  // At input, before any deadline is known: copies the packet into a frame of the path's queue, or drops and counts
  // it. False: it is not what the contract allows (a message above M).
  bool accept(const wire::DataPacket& packet, Instant arrival, PacketStore& store, ClipCounters& counters) noexcept;

  [[nodiscard]] std::optional<Urgency> urgency(PacketStore& store) const noexcept;
  // One step: up to P packets. Returns how many were taken.
  std::uint32_t step(Instant now, PacketStore& store, ClipCounters& counters) noexcept;

  // Gives all frames back; an unfinished message counts as lost.
  void abandon(PacketStore& store, ClipCounters& counters) noexcept;
  [[nodiscard]] bool idle() const noexcept { return packets_.empty(); }
  [[nodiscard]] bool violated() const noexcept { return sink_->violated(); }
  // For the clip that takes its place, after abandon(). Nothing else may be called afterwards.
  [[nodiscard]] std::unique_ptr<MessageSink> hand_over() noexcept { return std::move(sink_); }
  [[nodiscard]] std::uint64_t next_message() const noexcept { return next_message_; }
  FrameBudget& frames() noexcept { return frames_; }

 private:
  // The message being assembled.
  struct Assembly {
    enum class State : std::uint8_t { none, building, over };
    State state = State::none;           // over: published or given up; whatever else comes of it is stale
    std::uint64_t number{};
    std::uint32_t slot{};
    std::uint32_t length{};
    std::uint32_t fragment_bytes{};      // of all but the last; 0: not known yet
    std::uint32_t last_offset{};         // of the last fragment, once it is here
    std::uint32_t last_bytes{};          // 0: the last fragment is not here
    std::uint32_t full_fragments{};      // how many others are here
    std::uint32_t highest{};             // largest index among them
    Instant deadline{};                  // of this stage, by lambda
    Instant promised{};                  // what D comes to, by the sender's account
  };

  [[nodiscard]] bool stale(std::int64_t message) const noexcept;
  void take(const Packet& packet, std::span<std::byte> body, Instant now, ClipCounters& counters) noexcept;
  void take_records(const Packet& packet, std::span<std::byte> body, Instant now, ClipCounters& counters) noexcept;
  bool begin(const Packet& packet, std::uint64_t number, std::uint32_t length, ClipCounters& counters) noexcept;
  enum class Fit : std::uint8_t { added, here_already, misfit, rejected };
  Fit add_fragment(const Packet& packet, std::span<std::byte> body) noexcept;
  [[nodiscard]] Fit fit(const Packet& packet, std::uint32_t bytes) noexcept;
  Fit add_full(std::uint32_t offset, std::uint32_t bytes) noexcept;
  [[nodiscard]] bool complete() const noexcept;
  void publish(Instant now, ClipCounters& counters) noexcept;
  void give_up(ClipCounters& counters) noexcept;

  ClipSpec spec_;
  std::unique_ptr<MessageSink> sink_;
  ProtocolStack* stack_;
  PacketArrivals arrivals_;
  PacketQueue packets_;
  FrameBudget frames_;

  // handler
  std::uint64_t next_message_;          // all below have been begun or counted lost
  Assembly assembly_;
  std::vector<std::uint64_t> here_;     // bit i: full fragment i has been written
};

}  // namespace rtchan::clips
