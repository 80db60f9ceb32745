// The communication half of RTCOP, toward one neighbour: who it is (epochs and host ids, checked with fresh nonces),
// and messages that arrive exactly once or are reported undelivered. It does not know what the messages mean.
//
//     cold --HELLO with our nonce echoed--> up --HELLO of another epoch, echoed--> up (restarted)
//
// * Nothing but HELLO is believed before the neighbour has echoed a nonce that we drew for this purpose, so neither an
//   old packet nor a spoofed source can create state or look like a restart.
// * Every other message has a number and is sent again until acknowledged (capped exponential back-off), at most
//   `window` at a time; the receiver suppresses duplicates by number alone.
// * A message that will not arrive within one lease is reported undelivered.
// * All that is due in one step leaves together, several messages to a packet. Beyond a burst, packets are no more
//   frequent than the link's signalling channel takes them: what comes meanwhile shares the next one. (Else a crowd of
//   set-ups fills the channel with packets of one acknowledgement each, and leases are lost behind them.)
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "rtcop/random.hpp"
#include "rtcop/timing.hpp"
#include "wire/signal.hpp"

namespace rtchan::rtcop {

struct Identity {
  HostId host{};
  std::uint64_t epoch{};
};

struct NeighbourCounters {
  std::uint64_t packets_in{}, packets_out{}, messages_in{}, messages_out{}, retransmitted{}, duplicates{},
      other_epoch{}, undelivered{}, hellos_in{}, hellos_out{}, restarts{}, collisions{}, heartbeats_out{}, silences{};
};

// Message numbers received, for ever: exact within the last `reach`, "seen" before that. A sender never has
// messages under way that are further apart.
class NumberWindow {
 public:
  static constexpr std::uint64_t reach = 2'048;
  // False: it was seen before.
  bool take(std::uint64_t number) noexcept;
  void reset() noexcept;

 private:
  static constexpr std::size_t words = reach / 64;
  std::uint64_t highest_ = 0;
  std::array<std::uint64_t, words> seen_{};
};

class Neighbour {
 public:
  static constexpr std::size_t window = 64;             // messages under way: 13 KB, far below any socket buffer
  static constexpr std::uint64_t reach = NumberWindow::reach / 2;  // between oldest and newest under way
  static constexpr std::size_t queue_bound = 65'536;    // waiting messages; beyond it set-ups are refused
  // Messages about many paths (refresh, voided) are numbered apart, with this bit: no crowd of set-ups that waits for its
  // turn keeps leases from being renewed.
  static constexpr std::uint64_t standing = std::uint64_t{1} << 63;
  static constexpr std::size_t standing_window = 16;
  static constexpr int packet_burst = 8;                // a set-up alone is never held back

  Neighbour(std::uint32_t link, const Endpoint& address, const Identity& self, const Timing& timing,
            std::uint64_t seed, Duration packet_period = {});

  // --- sending ---
  // Queues; returns the message's number.
  std::uint64_t send(Instant now, const PathId& path, const wire::SignalBody& body);
  [[nodiscard]] bool full() const noexcept { return paths_.waiting.size() >= queue_bound; }
  // The message is not needed any more. False: it was never transmitted, so the neighbour cannot know of it.
  bool cancel(std::uint64_t number);
  // Forgets what is not acknowledged of this path's COMMIT, CONFIRM, START and SETUP: it is over here, and nobody is to hear
  // of it when it is set up anew.
  void cancel_path(const PathId& path);
  // Forgets refreshes: newer ones follow.
  void cancel_refreshes();

  // Of the messages about one path each, the last one queued.
  [[nodiscard]] std::uint64_t last_number() const noexcept { return paths_.last_number; }

  // --- receiving ---
  enum class Greeting : std::uint8_t { nothing, came_up, restarted, collided };
  // A cookie was sent to this address before the neighbour was kept: its echo is as good as a nonce's.
  void expect(Instant now, std::uint64_t nonce) noexcept {
    nonce_ = nonce;
    hello_since_ = hello_due_ = now;
  }
  // The HELLO part of a packet; call for each HELLO in it before the rest.
  Greeting greet(Instant now, std::uint64_t sender_epoch, const wire::Hello& hello);
  // The rest may be believed. Otherwise the two will be re-introduced.
  bool believed(Instant now, std::uint64_t sender_epoch, std::uint64_t receiver_epoch);
  // A numbered message: queues the acknowledgement; false: a duplicate.
  bool take(std::uint64_t number, std::uint8_t attempt);
  // What it says of its own. It counts from the next packet on.
  void heartbeat(const wire::Heartbeat& beat) noexcept { within_ = std::chrono::milliseconds{beat.within_ms}; }
  void mark_seen(std::uint64_t number) { (void)lane(number).received.take(number & ~standing); }
  void acknowledged(Instant now, const wire::Ack& ack);

  // --- liveness ---
  // From now on (again) something is sent to it at least so often; 0: no more, we share no path.
  void beat_every(Instant now, Duration interval) noexcept;
  [[nodiscard]] Duration beats() const noexcept { return interval_; }
  // Paths live with it (or no longer): it must be heard.
  void watch(Instant now, bool wanted) noexcept;
  // It is watched and was not heard for too long. True once, until it is heard again.
  [[nodiscard]] bool fell_silent(Instant now) noexcept;

  // --- time ---
  struct Undelivered {
    PathId path{};
    wire::SignalType type{};
  };
  // Appends what has been tried for too long.
  void expire(Instant now, std::vector<Undelivered>& out);
  // Appends packets with everything that is due.
  void flush(Instant now, std::vector<std::vector<std::byte>>& packets);
  // When to call expire() and flush() again; `never`: nothing is under way.
  [[nodiscard]] Instant due() const noexcept;

  [[nodiscard]] std::uint32_t link() const noexcept { return link_; }
  [[nodiscard]] const Endpoint& address() const noexcept { return address_; }
  [[nodiscard]] HostId host() const noexcept { return host_; }
  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }
  [[nodiscard]] bool up() const noexcept { return up_; }
  // It claims a host id that is taken: refuse it by name, and believe nothing of it until it has another.
  void collide() noexcept;
  // One of the two claims a host id that is taken.
  [[nodiscard]] bool collided() const noexcept { return collided_ || accused_; }
  [[nodiscard]] Instant heard() const noexcept { return heard_; }
  [[nodiscard]] bool idle() const noexcept { return unacknowledged() == 0 && acks_.empty(); }
  [[nodiscard]] std::size_t unacknowledged() const noexcept { return paths_.size() + standing_.size(); }
  [[nodiscard]] Duration round_trip() const noexcept { return srtt_; }
  [[nodiscard]] const NeighbourCounters& counters() const noexcept { return counters_; }

 private:
  struct Message {
    PathId path{};
    wire::SignalType type{};
    std::vector<std::byte> bytes;
    Instant queued{};
    Instant first_sent{};
    Instant last_sent{};
    Instant due{};
    std::uint8_t attempts = 0;
  };
  // Messages that are numbered together, on their way out and in.
  struct Lane {
    std::size_t window;
    std::uint64_t last_number = 0;
    std::map<std::uint64_t, Message> under_way;
    std::map<std::uint64_t, Message> waiting;
    std::set<std::pair<PathId, std::uint64_t>> waiting_of;  // the same by path: there may be tens of thousands
    NumberWindow received;
    [[nodiscard]] std::size_t size() const noexcept { return under_way.size() + waiting.size(); }
    [[nodiscard]] bool room() const noexcept {  // for the first that waits
      return under_way.size() < window &&
             (under_way.empty() || waiting.begin()->first - under_way.begin()->first < reach);
    }
  };
  [[nodiscard]] Lane& lane(std::uint64_t number) noexcept { return (number & standing) != 0 ? standing_ : paths_; }
  void ask(Instant now);  // (again) for an echo of a nonce
  void stop_asking() noexcept;
  Greeting adopt(Instant now, std::uint64_t sender_epoch, HostId host);
  void admit_waiting(Instant now, Lane& lane);
  void transmit(Instant now, Message& message);
  [[nodiscard]] Duration timeout(std::uint8_t attempts);
  [[nodiscard]] std::vector<std::byte> hello_bytes(Instant now);
  void heard_now(Instant now) noexcept;
  [[nodiscard]] Duration patience() const noexcept;
  [[nodiscard]] bool hello_due(Instant now) const noexcept { return hello_wanted_ || (nonce_ != 0 && now >= hello_due_); }

  std::uint32_t link_;
  Endpoint address_;
  Identity self_;
  const Timing& timing_;
  Random random_;

  HostId host_{};
  std::uint64_t epoch_ = 0;       // theirs; 0: never met
  bool up_ = false;
  bool collided_ = false;         // we refuse them
  bool accused_ = false;          // they refuse us
  Instant heard_ = long_ago;      // last believed packet

  std::uint64_t nonce_ = 0;       // drawn, not echoed yet
  std::uint64_t owed_echo_ = 0;   // theirs, to be echoed with the next packet
  bool hello_wanted_ = false;     // in the next packet
  Instant hello_due_ = never;     // ask again
  Instant hello_since_ = never;   // asking since
  std::uint8_t hello_attempts_ = 0;

  Duration interval_{};           // of our heartbeats; 0: none
  Instant beaten_ = long_ago;     // last packet to it
  bool watched_ = false;
  Duration within_{};             // what it has said of its own heartbeats
  Instant silent_at_ = never;     // when it will have been silent too long

  Lane paths_{.window = window, .under_way = {}, .waiting = {}, .waiting_of = {}, .received = {}};
  Lane standing_{.window = standing_window, .under_way = {}, .waiting = {}, .waiting_of = {}, .received = {}};
  std::vector<wire::Ack> acks_;

  Duration packet_period_;
  Instant packet_free_ = long_ago;  // when the next packet beyond the burst may leave
  Duration srtt_{}, deviation_{};
  NeighbourCounters counters_;
};

}  // namespace rtchan::rtcop
