// What neighbours say to each other (RTCOP): the body of a data packet of type `signal`. A signalling packet
// carries one or more messages; each message fits one packet. Encoding and strict decoding only: no state, no I/O.
//
//   packet                                              message
//    0                   1                   2           0       1       2
//   +--------+--------+-----------------+               +------+-------+----------------+
//   | version| 0      | length (packet) |  4            | type |attempt|length (message)|  4
//   +--------+--------+-----------------+               +------+-------+----------------+
//   |                0                  |  8            | number (0: not acknowledged)  | 12
//   +-----------------------------------+               +-------------------------------+
//   |      sender's epoch               | 16            | fields of the type            |
//   +-----------------------------------+               +-------------------------------+
//   |      receiver's epoch (0: unknown)| 24            | TLVs: {u16 tag, u16 length,   |
//   +-----------------------------------+               |        value} ...             |
//   |      messages ...                 |               +-------------------------------+
//   +-----------------------------------+
//
// All integers big-endian. Durations are nanoseconds. Fields are never removed or moved within a version; what is
// new travels as TLV: an unknown tag below 0x8000 is skipped, above it the message is not understood and the packet
// is refused. docs/protocol/rtcop.md draws the fields of each type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/limits.hpp"
#include "base/time.hpp"
#include "wire/data_packet.hpp"
#include <rtchan/error.hpp>
#include <rtchan/qos.hpp>

namespace rtchan::wire {

inline constexpr std::uint8_t signal_version = 1;
inline constexpr std::size_t signal_header_bytes = 24;
inline constexpr std::size_t signal_message_header_bytes = 12;
// The whole data packet around it stays within limits::signal_bytes.
inline constexpr std::size_t signal_packet_bytes = limits::signal_bytes - header_bytes - trailer_bytes;
inline constexpr std::size_t signal_message_bytes = signal_packet_bytes - signal_header_bytes;
inline constexpr std::size_t signal_extension_bytes = limits::extensions_per_channel * (limits::extension_bytes + 6);  // all extensions of one set-up, with their heads
inline constexpr std::size_t signal_text_bytes = 200;       // longest explanation
inline constexpr std::size_t signal_path_ids = signal_message_bytes;  // of one refresh: at least a byte each

enum class SignalType : std::uint8_t {
  hello = 1, ack = 2, setup = 3, commit = 4, confirm = 5, start = 6, refuse = 7, teardown = 8, refresh = 9,
  voided = 10, heartbeat = 11,
};

// Who I am and that I live: epochs are exchanged with a fresh nonce before anything else is believed.
struct Hello {
  HostId host{};
  std::uint64_t nonce{};      // to be echoed; 0: no answer is asked for
  std::uint64_t echo{};       // the other's nonce; 0: none
  bool collision{};           // you claim a host id that is taken: nothing of yours will be accepted
};

// This message number (and this attempt of it, for the round-trip time) was received.
struct Ack {
  std::uint64_t number{};
  std::uint8_t attempt{};
};

// Traffic contract and delay bound, in integers (rtchan/qos.hpp).
struct SignalQos {
  ServiceClass service = ServiceClass::guaranteed;
  Duration period{};                // T = floor(1/R): what is admitted and enforced; 0: none (best effort)
  std::uint64_t rate_nano{};        // R in messages per 10^9 s, as the application said it (shown, not relied on)
  std::uint32_t burst = 1;
  std::uint32_t message_bytes{};
  Duration max_delay{};             // D
  friend bool operator==(const SignalQos&, const SignalQos&) = default;
};

// What the stages so far have promised, as the set-up passes them.
struct Promised {
  Duration minima{};        // sum of minimum local delays r
  Duration propagation{};   // sum of pi
  std::uint64_t stretch = UINT64_MAX;  // largest (d - r)/r that every stage has buffers for, in 1/1024
  Duration last_minimum{};      // of the last stage (the link toward the receiver of this message): r,
  Duration last_horizon{};      // H
  Duration last_propagation{};  // and pi, from which the receiver knows d_prev + H_prev after the commit
  // Message bytes in a full packet, as the source cuts them: routers pass packets on as they are. 0: the source has not said.
  std::uint32_t fragment_bytes = 0;
  friend bool operator==(const Promised&, const Promised&) = default;
};

// Toward the destination: reserve tentatively and pass on.
struct Setup {
  PathId path{};
  Endpoint source{};
  std::uint32_t source_uid{};
  Endpoint destination{};
  SignalQos qos{};
  std::uint8_t hops{};              // nodes passed
  std::uint8_t hop_limit = limits::hops;
  bool tight{};                     // every stage at its exact minimum (slower, and in others' way); else with some room
  std::uint8_t detours = 0;         // how often nodes may still try another route when one was refused
  std::uint32_t patience_ms{};      // how much longer the asker waits
  Promised promised{};
  std::vector<Extension> extensions;
  PathId replaces{};                // the channel's first path: it exists, and its route has changed. Sequence 0: a new channel
  friend bool operator==(const Setup&, const Setup&) = default;
};

// What the destination shares out: every stage takes d = r + the part of `slack` that is its part of `minima`
// (rtcop/share.hpp), so that the sum is exact.
struct Terms {
  Duration minima{};                // sum of r over all stages
  Duration propagation{};           // sum of pi
  Duration slack{};
  friend bool operator==(const Terms&, const Terms&) = default;
  [[nodiscard]] Duration total() const noexcept { return minima + propagation + slack; }
};

// Toward the source: downstream of here everything is in place.
struct Commit {
  PathId path{};
  Label label{};                    // put this on data packets toward the sender of this message
  Terms terms{};
  std::uint64_t answers{};          // number of the SETUP: a path may have been set up anew meanwhile
};

struct Confirm { PathId path{}; };  // toward the destination: all nodes have committed
struct Start {                      // toward the source: the receiving application has its channel
  PathId path{};
  std::uint64_t answers{};          // number of the SETUP
};

// Toward the source: no, and what would fit.
struct Refuse {
  PathId path{};
  Errc code = Errc::refused;
  Resource resource = Resource::none;
  IpAddress hop{};
  Duration binding_time{};
  Duration fitting_delay{};         // end to end, as far as the refusing hop can see
  std::uint64_t fitting_rate_nano{};
  std::string text;                 // printable ASCII
  bool again{};                     // others are being set up or torn down there right now: it may fit in a moment
  std::uint8_t detours = 0;         // that are left
  std::uint32_t fragment_bytes{};   // packets may carry no more there: cut messages smaller, and it may fit. 0: not the reason
  std::uint64_t answers{};          // number of the SETUP
};

enum class TeardownReason : std::uint8_t {
  closed = 1,      // an application destroyed the channel; its last messages are still due
  gone = 2,        // an application died
  expired = 3,     // lease or set-up ran out
  lost = 4,        // a neighbour was lost or restarted
  failed = 5,      // a node could not open its part
  unknown = 6,     // the sender holds no such path
  shut_down = 7,   // a daemon ends
  rerouted = 8,    // the route to the destination leads elsewhere now: the source sets up another path for the channel
};
[[nodiscard]] const char* name(TeardownReason reason) noexcept;

// Either way: the path is gone.
struct Teardown {
  PathId path{};
  TeardownReason reason = TeardownReason::closed;
  IpAddress hop{};                  // who began it
  std::uint64_t cancels{};          // number of a set-up that may still be under way: do not accept it any more; 0: none
  std::uint64_t answers{};          // toward the source: it ends what was set up by this number or an earlier one
};

// All these paths live here; sorted, unique.
struct Refresh {
  std::uint64_t upto{};             // number of the last message about one path that its sender had queued then
  std::vector<PathId> paths;
};

// What was promised to these paths holds no more (a link lost its guard, changed its speed); they live on. Toward both
// ends. Sorted, unique.
struct Voided {
  IpAddress hop{};                  // who says so,
  std::string text;                 // and why: printable ASCII
  std::vector<PathId> paths;
};

// I live. Sent where nothing else was for a while, not acknowledged: whatever comes from a neighbour says that it lives.
struct Heartbeat {
  std::uint32_t within_ms{};        // something comes from here at least so often, as long as we share a path
};

using SignalBody =
    std::variant<Hello, Ack, Setup, Commit, Confirm, Start, Refuse, Teardown, Refresh, Voided, Heartbeat>;
[[nodiscard]] SignalType type_of(const SignalBody& body) noexcept;
[[nodiscard]] const char* name(SignalType type) noexcept;

struct SignalMessage {
  std::uint64_t number{};
  std::uint8_t attempt{};
  SignalBody body;
};

struct SignalPacket {
  std::uint64_t sender_epoch{};
  std::uint64_t receiver_epoch{};
  std::vector<SignalMessage> messages;
};

enum class SignalDrop : std::uint8_t {  // why a packet was refused whole; each has a counter
  short_packet,
  bad_version,
  bad_length,     // packet or message length does not match
  bad_type,
  bad_field,      // a value is outside its range
  bad_tlv,        // runs past the end, twice, or critical and unknown
};
inline constexpr std::size_t signal_drops = 6;
[[nodiscard]] const char* name(SignalDrop reason) noexcept;

// Validates everything; never reads outside `bytes`. All or nothing.
[[nodiscard]] std::expected<SignalPacket, SignalDrop> decode_signal(std::span<const std::byte> bytes);

// One message's bytes: header, fields, TLVs. Text is cut to what is allowed. Extensions must fit
// signal_extension_bytes and a refresh must have been filled by refreshes() (asserted).
[[nodiscard]] std::vector<std::byte> encode_message(std::uint64_t number, const SignalBody& body);
// Rewrites the attempt of an encoded message.
void set_attempt(std::span<std::byte> message, std::uint8_t attempt) noexcept;
// The packet's head around encoded messages of `body_bytes` in total.
[[nodiscard]] std::vector<std::byte> encode_head(std::uint64_t sender_epoch, std::uint64_t receiver_epoch);
// Appends; false: would exceed signal_packet_bytes, nothing changed.
bool append_message(std::vector<std::byte>& packet, std::span<const std::byte> message);

// Takes as many of `paths` (sorted, unique, not empty) as one message holds; returns how many.
[[nodiscard]] std::size_t take_refresh(std::span<const PathId> paths, Refresh& out);
// The same; `out` has its hop and text already.
[[nodiscard]] std::size_t take_voided(std::span<const PathId> paths, Voided& out);
// What a refresh of these (sorted, unique) occupies beside its message heads; of one whose neighbour in the list has
// the same source: at most path_gap_bytes unless more than 2^28 lie between.
[[nodiscard]] std::size_t path_list_bytes(std::span<const PathId> paths) noexcept;
inline constexpr std::size_t path_gap_bytes = 4;
inline constexpr std::size_t path_first_bytes = 20;  // at most: host, count and a varint
inline constexpr std::size_t path_list_room = signal_message_bytes - signal_message_header_bytes;
inline constexpr std::size_t refresh_list_bytes = path_list_room - 8;  // upto
// What extensions occupy in a set-up.
[[nodiscard]] std::size_t extension_bytes(std::span<const Extension> extensions) noexcept;

}  // namespace rtchan::wire
