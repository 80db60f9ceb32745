// RTCOP at one node (paper 4.2): all its neighbours and all its paths, as one pure state machine. Events go in, actions
// come out; no I/O, no clock, no threads, randomness only from the seed. What resources are and how routes are found
// is the node's business: the engine asks (Reserve, Ask, OpenClip) and is answered by events, at once or later.
//
// A path's state changes in one place (step() -> happen() -> transition()), deeds.cpp does what the table says, and
// neighbour.hpp sees that messages arrive exactly once. Committed paths are leases: each neighbour lists what lives
// with it in REFRESH messages, many paths to a packet; what is not listed within a lease is released.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "rtcop/neighbour.hpp"
#include "rtcop/path.hpp"
#include "rtcop/share.hpp"
#include "rtcop/timing.hpp"

namespace rtchan::rtcop {

// --- events -----------------------------------------------------------------------------------------------------
struct Hop {                     // a neighbour, or (nullopt where optional) this node itself
  std::uint32_t link = 0;
  Endpoint address{};
};
struct Open { wire::Setup setup; };                  // a local application asks; path.source is this host, never used before
struct Reserved {                                    // answers Reserve
  PathId path{};
  std::optional<Hop> next;                           // nullopt: the destination is here
  wire::Promised promised{};                         // this node's stages included
};
struct Denied { wire::Refuse why; };                 // answers Reserve
struct Agreed { PathId path{}; };                    // answers Ask
struct Rejected { wire::Refuse why; };               // answers Ask
struct Opened { PathId path{}; Label label{}; };     // answers OpenClip; label: what upstream puts on packets
struct OpenFailed { PathId path{}; std::string why; };  // answers OpenClip
struct Close { PathId path{}; wire::TeardownReason reason = wire::TeardownReason::closed; };
struct Void { std::vector<PathId> paths; std::string why; };  // what this node promised to them holds no more
struct Received { std::uint32_t link = 0; Endpoint from{}; std::span<const std::byte> bytes; };
struct Tick {};                                      // next_wake() has come
using Event = std::variant<Open, Reserved, Denied, Agreed, Rejected, Opened, OpenFailed, Close, Void, Received, Tick>;

// --- actions ----------------------------------------------------------------------------------------------------
struct Transmit { std::uint32_t link; Endpoint to; std::vector<std::byte> bytes; };
struct Reserve {
  wire::Setup setup;
  std::optional<Hop> from;                           // nullopt at the source
  // Set: the path is held here already, and the route that it took was refused so. Give back what is held, take another
  // route, or deny with this.
  std::optional<wire::Refuse> refused{};
};
struct Ask { PathId path; };                         // the destination's agent
struct OpenClip { PathId path; wire::Terms terms; Label next_label; };
struct Establish { PathId path; Label next_label; };  // an end: tell the application that it has its channel
struct Gone {                                        // the engine has forgotten the path: free everything
  PathId path;
  PathState was;
  std::optional<wire::Refuse> refusal;               // set: the set-up was refused
  wire::TeardownReason reason;                       // otherwise
  IpAddress hop;                                     // who began it
};
struct Voided { PathId path; std::string why; IpAddress hop; };  // somebody else on the route: tell the application
struct Remark { std::string text; };                 // for the log
using Action = std::variant<Transmit, Reserve, Ask, OpenClip, Establish, Gone, Voided, Remark>;

struct EngineCounters {
  std::array<std::uint64_t, wire::signal_drops> dropped{};  // packets, by reason
  std::uint64_t strangers{};           // packets of unknown senders that were not answered
  std::uint64_t stranger_hellos{};     // answered with a cookie, without keeping anything
  std::uint64_t misdirected{};         // messages about a path from somebody who is not its neighbour there
  std::uint64_t stale{};               // messages about an earlier set-up of a path that was set up anew
  std::uint64_t loops{};               // set-ups that came back
  std::uint64_t disowned{};            // messages about unknown paths
  std::uint64_t lease_expiries{}, setup_expiries{}, lost_paths{};
  std::array<std::array<std::uint64_t, path_events>, path_states> transitions{};  // how often each cell was taken
};

struct EngineConfig {
  Identity self{};
  IpAddress address{};                 // this node's name in refusals
  Timing timing{};
  std::size_t neighbours = 1'024;      // table size: a hub of a thousand leaves; others get silence
  std::size_t paths = 1'000'000;       // table size
  // By link: bytes of refreshes that its signalling channel can carry in one Timing::refresh(). Beyond, paths are
  // refused. Links that are not listed: no bound.
  std::vector<std::size_t> refresh_bytes;
  std::vector<Duration> packet_period;  // by link: of its signalling channel
};

class Engine {
 public:
  Engine(const EngineConfig& config, std::uint64_t seed);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Appends actions in order. `now` never goes back. Messages to neighbours are gathered until flush().
  void step(Instant now, const Event& event, std::vector<Action>& out);
  // Puts what is due into packets; call once after the steps that belong together.
  void flush(Instant now, std::vector<Action>& out);
  // Deliver a Tick then, and flush(); `never`: nothing is due.
  [[nodiscard]] Instant next_wake() const;

  [[nodiscard]] std::size_t paths() const noexcept { return paths_.size(); }
  [[nodiscard]] const Path* find(const PathId& path) const;
  [[nodiscard]] const EngineCounters& counters() const noexcept { return counters_; }
  void each_neighbour(const std::function<void(const Neighbour&, std::size_t paths)>& visit) const;
  // No message waits to be acknowledged.
  [[nodiscard]] bool quiet() const;
  // Paths, neighbours and timers refer to each other properly: false is a bug of ours.
  [[nodiscard]] bool reconciles() const;

 private:
  // What came with an event; only the fields that the event has are set.
  struct Cause {
    NeighbourIndex from = nobody;
    const wire::Setup* setup = nullptr;
    const Reserved* reserved = nullptr;
    const wire::Refuse* refuse = nullptr;
    wire::Terms terms{};
    Label label{};
    wire::TeardownReason reason = wire::TeardownReason::expired;
    IpAddress hop{};
    std::uint64_t number = 0;     // of the message,
    std::uint64_t answers = 0;    // and of the SETUP that it answers
    std::string_view why{};    // voided
  };

  void settle_pending();

  // paths.cpp
  void happen(const PathId& id, PathEvent event, const Cause& cause);
  void happen_to(const PathId& id, Path& path, PathEvent event, const Cause& cause);
  void happen_to_nothing(const PathId& id, PathEvent event, const Cause& cause);
  [[nodiscard]] bool entitled(const Path& path, PathEvent event, NeighbourIndex from) const;
  [[nodiscard]] static bool stale(const Path& path, PathEvent event, const Cause& cause);
  void supersede(const PathId& id, Path& path, NeighbourIndex up);
  void start(const PathId& id, const Cause& cause);
  [[nodiscard]] std::optional<wire::Refuse> unfit(const wire::Setup& setup, NeighbourIndex from) const;
  void turn_away(NeighbourIndex from, std::uint64_t setup, const wire::Refuse& why);
  void set_expiry(const PathId& id, Path& path, Instant when);
  void expire_paths();
  void expire_path(const PathId& id, NeighbourIndex from, wire::TeardownReason reason, std::string_view why);
  void expire_unanswered(const PathId& id, NeighbourIndex by, wire::TeardownReason reason);
  enum class Loss : std::uint8_t { restarted, refused };
  void lose(NeighbourIndex neighbour, Loss loss);
  void silent(NeighbourIndex neighbour);

  // leases.cpp
  void refresh();
  void refresh_slice();
  [[nodiscard]] std::size_t refresh_bytes(NeighbourIndex neighbour) const;
  [[nodiscard]] bool refreshable(NeighbourIndex neighbour) const;
  void take_refresh(NeighbourIndex from, const wire::Refresh& refresh);

  // deeds.cpp
  void perform(Deed deed, const PathId& id, Path& path, const Cause& cause);
  void pass_setup(const PathId& id, Path& path, const Cause& cause);
  void ask(const PathId& id, Path& path);
  void open_clip(const PathId& id, Path& path, const Cause& cause);
  void pass_commit(const PathId& id, Path& path, const Cause& cause);
  void pass_confirm(const PathId& id, Path& path);
  void pass_start(const PathId& id, Path& path);
  void refuse_back(const PathId& id, Path& path, const wire::Refuse& why);
  void detour(Path& path, const wire::Refuse& why);
  void give_up(const PathId& id, Path& path, const Cause& cause);
  void end(const PathId& id, Path& path, const Cause& cause);
  void pass_void(const PathId& id, const Path& path, const Cause& cause);
  void tell_voided(std::string_view why, const IpAddress& hop);
  void tell_teardown(const PathId& id, NeighbourIndex to, const Path& path, const Cause& cause);
  void disown(const PathId& id, NeighbourIndex to, std::uint64_t answers);
  void forget(const PathId& id, Path& path, const Cause& cause, const wire::Refuse* refusal);

  // engine.cpp
  void receive(const Received& event);
  void receive_message(NeighbourIndex from, const wire::SignalMessage& message);
  NeighbourIndex meet_stranger(const Received& event, const wire::SignalPacket& packet);
  void greeted(NeighbourIndex index, Neighbour::Greeting greeting);
  [[nodiscard]] bool host_taken(NeighbourIndex index) const;
  void undelivered(NeighbourIndex from, const Neighbour::Undelivered& message);
  std::uint64_t send(NeighbourIndex to, const PathId& path, const wire::SignalBody& body);
  [[nodiscard]] wire::Refuse refusal(const PathId& path, Errc code, std::string text) const;
  [[nodiscard]] std::uint64_t cookie(std::uint32_t link, const Endpoint& from) const;
  NeighbourIndex neighbour(std::uint32_t link, const Endpoint& address);
  void reclaim_neighbours();
  void touch(NeighbourIndex index);
  void join(NeighbourIndex index);
  void leave(NeighbourIndex index);
  void count_live(const Path& path, int change);
  void pace_heartbeats(NeighbourIndex index);

  struct Slot {
    std::unique_ptr<Neighbour> neighbour;
    std::size_t paths = 0;     // that name it up or down
    std::size_t live = 0;      // of these: confirmed, or open
    Instant due = never;       // as in due_
    std::vector<PathId> living;       // to be listed in this interval, sorted,
    std::size_t listed = 0;           // so many of them have been;
    std::size_t listed_bytes = 0;     // what all of them take
    std::vector<PathId> voided;       // to be told, once the event has been dealt with
  };
  struct Pending {             // an end turned a message around
    PathId path;
    PathEvent event;
  };

  EngineConfig config_;
  Random random_;
  std::uint64_t cookie_key_;
  Instant now_ = long_ago;
  std::vector<Action>* out_ = nullptr;

  std::vector<Slot> neighbours_;
  std::map<std::pair<std::uint32_t, Endpoint>, NeighbourIndex> by_address_;
  std::set<std::pair<Instant, NeighbourIndex>> due_;
  std::vector<NeighbourIndex> touched_;

  std::vector<std::size_t> busy_;  // by link: neighbours that share a path with us

  std::unordered_map<PathId, Path> paths_;
  std::set<std::pair<Instant, PathId>> expiries_;
  Instant refresh_due_ = never;
  Instant slice_due_ = never;
  unsigned slice_ = 0;
  std::deque<Pending> pending_;
  std::deque<wire::Refuse> pending_denials_;  // refusals that no other route answers
  EngineCounters counters_{};
};

}  // namespace rtchan::rtcop
