// Every fixed bound of the system, with its reason. A bound that is reached is refused or counted, never
// silently exceeded. Sizes in bytes unless the name says otherwise.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace rtchan::limits {

// --- contracts (include/rtchan/qos.hpp repeats the ranges for users) ---
inline constexpr std::uint32_t message_bytes = 16u << 20;   // 16 MiB: a 4K raw frame; keeps offsets far from 32-bit wrap
inline constexpr std::uint32_t burst_messages = 65'536;     // descriptor rings stay below 1 MiB
inline constexpr double rate_min = 0.001;                   // one message in 1,000 s: T fits 2^40 ns
inline constexpr double rate_max = 10'000'000;              // above what one core can hand over
inline constexpr std::chrono::nanoseconds delay_min = std::chrono::microseconds{1};
inline constexpr std::chrono::nanoseconds delay_max = std::chrono::seconds{30};   // with horizon_max below what `rem` can say in a data packet (34 s)
inline constexpr std::chrono::nanoseconds horizon_max = std::chrono::seconds{1};  // a packet leaves at most this early

// --- a session (one application process) ---
inline constexpr std::uint32_t channels_per_session = 16'384;       // two-level ready bitmap: 4 x 64 x 64
inline constexpr std::size_t arena_bytes = std::size_t{16} << 30;   // sparse address space; pages exist only where channels are open
inline constexpr std::uint32_t listeners_per_session = 1'024;
inline constexpr std::uint32_t pending_setups_per_session = 4'096;  // unanswered creations; the API sees `exhausted` beyond

inline constexpr std::size_t session_outbox_bytes = 4u << 20;       // replies that an application has not read: a notice for each of its channels fits

inline constexpr std::uint32_t extensions_per_channel = 8;          // 8 x (64 + 4) bytes leave half of a signalling packet
inline constexpr std::uint32_t extension_bytes = 64;
inline constexpr std::uint32_t control_text_bytes = 4'096;          // a sentence, with room for a long host name

// --- a worker ---
inline constexpr std::uint32_t clips_per_worker = 65'536;           // label slots; 16 bits of them would do, 32 travel
inline constexpr std::uint32_t sessions_per_worker = 1'024;         // one doorbell descriptor each, default fd limit 1,024
inline constexpr std::uint32_t workers = 8;
inline constexpr std::uint32_t links_per_worker = 16;

// --- one turn of a worker: what bounds the time until urgent work is looked at again ---
inline constexpr std::uint32_t input_packets_per_turn = 64;
inline constexpr std::uint32_t best_effort_packets_per_turn = 16;
inline constexpr std::uint32_t commands_per_turn = 8;
inline constexpr std::uint32_t handler_steps_per_turn = 16;
inline constexpr std::uint32_t handler_packets_per_turn = 16;       // about 10 us of copying before input is looked at again

// --- a link of a worker ---
inline constexpr std::uint32_t burst_packets = 64;                  // handed over in one go: one GSO send takes no more
inline constexpr std::uint32_t outstanding_packets = 1'024;         // handed over and not reported complete
inline constexpr std::uint32_t signal_queue_packets = 256;           // signalling waiting for a link; retransmission covers the rest
inline constexpr std::uint32_t signals_in_burst = 256;              // signals taken in at once; beyond, one per period below
inline constexpr std::chrono::nanoseconds signal_in_period = std::chrono::microseconds{100};
inline constexpr std::chrono::nanoseconds device_retry = std::chrono::microseconds{50};          // after "device full"
inline constexpr std::chrono::nanoseconds completion_patience = std::chrono::milliseconds{100};  // a driver that forgot a completion must not stop a link

// --- packets ---
inline constexpr std::uint32_t mtu_bytes_min = 1'280;   // as IPv6 (RFC 8200); a signalling packet must fit, so narrower IPv4 links are refused
inline constexpr std::uint32_t mtu_bytes_max = 9'216;   // jumbo frames
inline constexpr std::uint32_t fragment_bytes_min = 256;  // fragments of one message are equally long but the last; the smallest MTU carries more
inline constexpr std::uint32_t signal_bytes = 1'200;    // one signalling packet, without UDP and IP headers
static_assert(signal_bytes + 8 + 40 <= mtu_bytes_min, "a signalling packet fits every link, IPv6 headers included");
inline constexpr std::uint32_t detours = 4;             // other routes that one set-up may try at all nodes together
inline constexpr std::uint32_t alternatives = 8;        // routes to one destination that are looked at in a node
inline constexpr std::uint32_t hops = 16;               // hop limit of a set-up (loops end here)

// --- absences of the host, and clocks that differ ---
// A pause of a worker or of its machine up to this long loses no message of a source that keeps its contract: buffers on
// both sides hold what piles up. Virtual machines are taken away for 1 ... 35 ms (cyclictest).
inline constexpr std::chrono::nanoseconds host_pause = std::chrono::milliseconds{50};
// While applications send, a worker looks at least so often (a doorbell wakes it sooner); a turn and a wake-up may take the
// patience longer, and what is later than that counts as a pause.
inline constexpr std::chrono::nanoseconds look_interval = std::chrono::milliseconds{1};
inline constexpr std::chrono::nanoseconds look_patience = std::chrono::microseconds{300};
// So much later than another may one message be seen: a source is not blamed for that.
inline constexpr std::chrono::nanoseconds sight_jitter = look_interval + look_patience;
inline constexpr std::uint32_t host_pause_packets = 128;            // but no more memory than this per channel for it
// Downstream, a period is shorter by this part: what was held up there catches up (10 ms in 1.3 s), and clocks that
// differ by far more than any quartz never make logical arrivals recede.
inline constexpr std::int64_t downstream_part = 128;

// --- admission ---
inline constexpr std::uint64_t admission_steps = 500'000;  // per question: some 50 ms at worst, then refused as too complex
inline constexpr std::uint64_t admission_work = 20'000'000;  // the same of D_order: summands of all response times of a question
inline constexpr std::uint64_t admit_steps = 50'000'000;     // `rtc admit`: nobody else waits; some seconds at worst

// --- a plan of a network (rtc plan) ---
inline constexpr std::uint32_t plan_hosts = 1'000;      // routes are a table of hosts x hosts
inline constexpr std::uint32_t plan_links = 10'000;     // two bytes of an address number them
inline constexpr std::uint32_t plan_channels = 50'000;  // each is established; some minutes at most
inline constexpr std::uint32_t plan_cores = 1'024;      // of a host that is not this one

// --- the UDP driver ---
inline constexpr std::size_t udp_segments = 64;            // UDP_MAX_SEGMENTS of kernels before 6.2
inline constexpr std::size_t udp_batch_bytes = 65'000;     // one GSO datagram stays below the largest IP packet
inline constexpr std::size_t udp_batches_per_call = 64;    // one sendmmsg; what is left takes another
inline constexpr std::size_t udp_packets_per_call = 512;   // of all batches of a call: 8 KiB of io vectors
inline constexpr std::size_t udp_datagram_bytes = 65'536;  // what GRO may join

}  // namespace rtchan::limits
