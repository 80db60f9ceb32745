// Observers: they see what crosses the boundaries of nodes, workers and wires, keep books of their own with arithmetic of their
// own, and say what is not as it was promised. They share no code with what they judge, and touch nothing.
//
//   watch.cpp           faults that a promise excludes; answers: exactly one to every question
//   watch_promise.cpp   every message: in time, in order, once, undamaged, unless a fault on its way explains it
//   watch_packets.cpp   every packet is somewhere: under way, taken in, or dropped by a named cause; buffers within bounds
//   watch_books.cpp     neighbours hold the same paths, delays add up, links are not oversold; in the end nothing is left
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "clips/spec.hpp"
#include "node/node.hpp"
#include "sim/message.hpp"
#include "sim/signal_tally.hpp"
#include "sim/wire.hpp"

namespace rtchan::sim {

class World;
class Machine;
struct End;
struct Channel;
struct WayPoint;

// Kinds of fault, as bits.
enum Fault : std::uint32_t {
  fault_loss = 1, fault_corruption = 2, fault_duplication = 4, fault_holding = 8, fault_cut = 16, fault_crash = 32,
  fault_stall = 64, fault_drift = 128, fault_memory = 256, fault_void = 512, fault_kill = 1'024, fault_shut_down = 2'048,
  fault_misroute = 4'096,
};

class Watch {
 public:
  explicit Watch(World& world) : world_(world) {}

  void wrong(std::string what);
  [[nodiscard]] const std::vector<std::string>& wrongs() const noexcept { return wrongs_; }
  [[nodiscard]] std::uint32_t kinds() const noexcept { return kinds_; }
  [[nodiscard]] std::uint64_t digest() const noexcept { return digest_; }
  void note(std::uint64_t what) noexcept { digest_ = (digest_ ^ what) * 0x100000001b3ULL + (digest_ >> 47); }
  void note(std::span<const std::byte> bytes) noexcept;

  // --- faults
  void fault(std::uint32_t kind) noexcept { kinds_ |= kind; }
  void wire_is(std::uint32_t wire, const WireFaults& faults, bool cut);
  void host_stalled(std::uint32_t host, Instant until);
  void host_away(std::uint32_t host);
  void host_back(std::uint32_t host);

  // --- answers
  void answered(std::uint32_t channel);
  void every_answer();
  void every_probe();                // what was asked for when all was mended is there

  // --- messages
  void published(const MessageName& message, std::uint32_t length, Instant at);
  // Looked at `at`; a worker that nobody kept from running would have looked at `dated` (both by the machine's clock).
  void sighted(const Machine& machine, const MessageName& message, Instant dated, Instant at);
  void delivered(const Machine& machine, ClipSlot slot, const std::optional<MessageName>& message, std::uint32_t length,
                 std::uint64_t number, Duration told);
  void parted(std::uint32_t channel);
  void ended(std::uint32_t channel);
  void overdue();                    // whatever should have come by now

  // --- packets and clips
  void handed_over(const Machine& machine, std::uint32_t wire, std::span<const std::byte> packet);
  void taken_in(const Machine& machine, const Parcel& parcel);
  void decoded_alone(const Machine& machine, bool good);
  void opened(const Machine& machine, const node::OpenClip& open);
  void clip_over(const Machine& machine, const End& end, const clips::ClipCounters& counters);
  void connected(const Machine& machine, const End& end);
  void closed(const Machine& machine, ClipSlot slot);
  // Host by host, as clips were connected from this one on; empty: not known.
  [[nodiscard]] std::vector<WayPoint> way_of(std::uint32_t host, const End& from) const;
  void contract_violated(const Machine& machine, ClipSlot slot);
  void crashed(const Machine& machine);  // about to
  void every_packet();
  [[nodiscard]] const SignalTally& signals() const noexcept { return signals_; }

  // --- books
  void standing();                   // nothing is being set up or torn down
  void nothing_left();

 private:
  // Faults with what follows from them: [from, until).
  struct Disturbance {
    Instant from = never, until = never;
    bool loses = false, delays = false;
    bool ends = false;               // what was there before is over, whatever comes afterwards
  };
  struct Message {
    std::uint32_t index = 0;
    Instant published{};
    Instant logical = never;         // true time; never: not sighted
    bool exceeds = false;            // it may be refused
  };
  struct Flow {                      // of a channel's messages
    std::deque<Message> under_way;
    Instant last_logical = long_ago; // the source's time
    std::int64_t next = 0;           // no lower index may come any more
    std::uint64_t numbers = 0;       // next number of the receiving clip
    ClipSlot slot{UINT32_MAX};
    std::uint32_t generation = 0;
  };
  struct Hop {                       // packets at an incoming end
    std::uint64_t packets = 0;
    std::set<std::uint32_t> here;    // messages begun and not published
    std::uint32_t generation = 0;
    std::uint32_t most_here = 0;
    std::uint64_t queue_begin = 0, queue_end = 0;
    SessionId session{};
  };
  struct HostBooks {
    std::uint64_t taken_in = 0, damaged = 0, signals = 0, bad_alone = 0;
    std::map<std::uint32_t, Hop> hops;  // by slot of open clips
  };

  struct Stretch {                   // from one clip to the next: kept when the clips are gone, a crash does not undo it
    Instant opened{};
    bool last = false;               // at the receiver
    Endpoint next_hop{};             // once connected
    Label next{};
  };
  using ClipName = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;  // host, slot, generation

  [[nodiscard]] static bool disturbed(const std::vector<Disturbance>& all, Instant born, Instant from, Instant to, bool delays);
  [[nodiscard]] bool excused(const Channel& c, Instant from, Instant to, bool delays) const;
  [[nodiscard]] bool upset(const Channel& c, Instant from, Instant to) const;
  [[nodiscard]] bool anything(Instant from, Instant to, bool delays) const;
  [[nodiscard]] Instant deadline(const Channel& c, const Message& m) const;
  [[nodiscard]] Duration tolerance(const Channel& c) const;
  void missing(std::uint32_t channel, const Message& m, const char* when);
  [[nodiscard]] HostBooks& books(const Machine& machine);
  void settle_packets(const Machine& machine);
  void standing_paths();
  void standing_links();

  World& world_;
  std::vector<std::string> wrongs_;
  std::uint32_t kinds_ = 0;
  std::uint64_t digest_ = 0xcbf29ce484222325ULL;
  std::map<std::uint32_t, std::vector<Disturbance>> wires_, hosts_;
  std::vector<Flow> flows_;
  SignalTally signals_;
  std::map<std::uint32_t, HostBooks> books_;
  std::map<ClipName, Stretch> stretches_;
};

}  // namespace rtchan::sim
