// What control and a worker say to each other: plain structs, copied whole.
//
//   control --orders (socket, with descriptors)--> housekeeper --handovers (ring)--> data thread
//   control <--answers (socket)------------------- housekeeper <--returns (ring)---- data thread
//   control --commands (ring)--------------------------------------------------> data thread
//   control <--reports (ring)--------------------------------------------------- data thread
//
// Whatever may take long (mapping, prefaulting, allocating, freeing) goes through the housekeeper; signalling and what
// only links or unlinks goes straight to the data thread. All of it is ours and trusted: one program, same build.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "admission/burst_bound.hpp"
#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/limits.hpp"
#include "base/ring.hpp"
#include "clips/domain.hpp"
#include "clips/spec.hpp"
#include "ipc/layout.hpp"
#include "link/driver.hpp"

namespace rtchan::rtcd {

// A signalling message inline: it crosses the ring without a pointer.
struct SignalBytes {
  std::uint32_t length{};
  std::array<std::byte, limits::signal_bytes> bytes{};
};

// control -> data thread
struct Command {
  enum class Kind : std::uint8_t { signal, connect, close, burst_bound, hold_link, release_link } kind{};
  clips::CloseMode mode{};
  std::uint32_t link{};      // index among the worker's links
  ClipSlot slot{};
  Endpoint to{};             // signal, connect
  Label label{};             // connect
  SignalBytes signal{};      // signal; burst_bound: the bound's bytes

  void set_bound(const admission::BurstBound& bound) noexcept {
    static_assert(sizeof bound <= sizeof signal.bytes);
    std::memcpy(signal.bytes.data(), &bound, sizeof bound);
  }
  [[nodiscard]] admission::BurstBound bound() const noexcept {
    admission::BurstBound bound;
    std::memcpy(&bound, signal.bytes.data(), sizeof bound);
    return bound;
  }
};
static_assert(std::is_trivially_copyable_v<Command>);

// data thread -> control
struct Report {
  enum class Kind : std::uint8_t { signal, client_violated, contract_violated } kind{};
  std::uint32_t link{};
  ClipSlot slot{};
  Endpoint from{};
  SignalBytes signal{};
};
static_assert(std::is_trivially_copyable_v<Report>);

// control -> housekeeper, one datagram each.
struct Order {
  enum class Kind : std::uint8_t {
    map_session,       // carries the arena and the worker's end of the doorbell; answered by `mapped` or `failed`
    activate_session,  // the arena is sealed: from now on its ready bits count; answered by `active` or `failed`
    drop_session,      // no ready bits any more; unmapped once its last clip is gone; answered by `dropped`
    open_clip,         // answered by `clip_ready` or `clip_failed`
    forget_clip,       // `before` was handed back, and nothing will take over its queue; not answered
    quit,              // answered by nothing: the worker ends
  } kind{};
  SessionId session{};
  ChannelId channel{};
  ipc::QueuePlace queue{};
  clips::ClipSpec spec{};
  Label before{};              // open_clip: takes over the queue of that clip, which was handed back. Generation 0: of none
};
static_assert(std::is_trivially_copyable_v<Order>);

// housekeeper -> control, one datagram each.
struct Answer {
  enum class Kind : std::uint8_t { started, start_failed, mapped, active, failed, dropped, clip_ready, clip_failed, clip_closed } kind{};
  SessionId session{};
  ClipSlot slot{};
  std::array<char, 400> text{};  // why it failed; zero-terminated
};
static_assert(std::is_trivially_copyable_v<Answer>);

// What a worker says of itself once it runs.
struct WorkerFacts {
  bool real_time = false;             // SCHED_FIFO
  bool pinned = false;
  bool memory_locked = false;
  std::int32_t core = -1;
  std::uint32_t priority = 0;
  std::array<char, 200> why{};        // why it is not real-time, pinned or locked, in words
  std::array<std::uint32_t, limits::links_per_worker> payload_bytes{};
  std::array<std::array<char, 1'000>, limits::links_per_worker> shortcoming_lines{};  // of drivers; zero-terminated

  // What a link's driver asked for and was not granted, one sentence each; cut to what fits.
  void set_shortcomings(std::size_t link, const std::vector<std::string>& sentences) {
    std::string lines;
    for (const std::string& sentence : sentences) lines += (lines.empty() ? "" : "\n") + sentence;
    auto& kept = shortcoming_lines[link];
    kept[lines.copy(kept.data(), kept.size() - 1)] = '\0';
  }
  [[nodiscard]] std::vector<std::string> shortcomings(std::size_t link) const {
    std::vector<std::string> sentences;
    std::istringstream lines{shortcoming_lines[link].data()};
    for (std::string line; std::getline(lines, line);) sentences.push_back(line);
    return sentences;
  }
};

// Counters of the data thread; written by it with relaxed stores, read from outside at any time.
struct alignas(64) WorkerCounters {
  std::uint64_t turns{};            // calls of Domain::turn
  std::uint64_t sleeps{};           // times it waited for events
  std::uint64_t busy_ns{};          // time awake
  std::uint64_t forced_pauses{};    // times the duty cap put it to sleep with work left
  std::uint64_t longest_awake_ns{}; // longest interval without sleeping
  std::uint64_t late_wakeups_ns{};  // worst lateness of a timed sleep
  std::uint64_t doorbells_in{};
  std::uint64_t doorbells_out{};
  std::uint64_t stray_ready_bits{}; // ready bits of channels that do not exist
  std::uint64_t signals_dropped{};  // from the network, because control was behind
  std::uint64_t signals_too_long{}; // from the network: longer than any that we understand
  std::uint64_t signals_refused{};  // from control, because the link's signalling queue was full
  std::uint64_t sessions{};
};

// The memory that control and one worker share: made before the fork, mapped by both at the same place.
struct WorkerBlock {
  static constexpr std::size_t commands_most = 1'024;
  static constexpr std::size_t reports_most = 1'024;

  Ring<Command, commands_most> commands;
  Ring<Report, reports_most> reports;
  alignas(64) std::atomic<std::uint32_t> worker_sleeping{0};   // control rings the worker's eventfd
  alignas(64) std::atomic<std::uint32_t> control_sleeping{1};  // the worker rings control's eventfd
  WorkerFacts facts{};                                         // before `started`
  WorkerCounters counters{};
  clips::DomainCounters domain{};                              // copied here now and then
  std::array<link::Driver::Counters, limits::links_per_worker> links{};
  // ClipCounters[clips] follow.
};

}  // namespace rtchan::rtcd
