// What work costs on this host, in plain integers: fixed + per packet + per byte. Until a measured profile
// exists, these deliberately high defaults serve, and `measured` says so.
//
// Nothing here is measured at run time; run-time costs are compared with these figures elsewhere.
#pragma once

#include <cstdint>

#include "admission/supply.hpp"
#include "base/time.hpp"

namespace rtchan::admission {

// One direction of a handler's work on a message of N packets and M bytes:
// fixed + first_packet + (N-1) * other_packet + M * picoseconds_per_byte / 1000.
struct HandlerCost {
  Duration fixed{};         // take a message from its queue / publish it and wake the reader
  Duration first_packet{};  // caches are cold
  Duration other_packet{};
  std::int64_t picoseconds_per_byte{};  // copies and checksum
};

struct CostModel {
  bool measured = false;

  using D = Duration;
  HandlerCost send{D{3'000}, D{5'000}, D{3'500}, 1'200};
  HandlerCost receive{D{4'000}, D{5'000}, D{3'500}, 1'200};
  Duration handler_switch{1'000};  // from one handler to another, per step
  Duration turn{3'000};  // a worker's turn: doorbells, timers, completions, dispatch; charged per step
  Duration input_packet{5'000};  // take a packet, look it up, check its tag: at arrival, before any deadline
  // J: from the instant a timer or a packet is due to the first instruction.
  Duration wakeup_latency{150'000};
  // Handing one packet to the driver.
  Duration transmit_packet{2'000};
  std::uint32_t packets_per_step = 8;  // P: a handler yields after so many packets

  // Best-effort input: a polling server of N packets per T_in.
  std::uint32_t best_effort_packets = 48;
  Duration best_effort_period{5'000'000};
  // ... served by this deadline: never shorter than the time in which the packets of all channels, arriving at once, can
  // be taken in, since those come first. Longer than the period (best_effort_input_delay, stages.hpp).
  Duration best_effort_delay{1'000'000'000};

  // Supply of a worker's core, softirq for arriving packets included (as loss).
  Supply core{D{1}, D{1}, D{100'000}, 100'000};
  // Duty cap: a FIFO thread that uses more of the core is throttled by the kernel.
  std::uint32_t core_limit_ppm = 850'000;
};

}  // namespace rtchan::admission
