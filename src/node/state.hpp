// The inside of a Node: sessions with their ports and questions, channels with what each holds, and the signalling
// engine and the books between them. Split by what happens: requests.cpp (applications ask), establish.cpp (a path
// comes into being), release.cpp (it goes), node.cpp (dispatch and timers), status.cpp (looking in).
//
// A channel here may hold three things, each given up in its own time: its path (signalling), its clip (with slot,
// buffers and admitted capacity: until the worker says ClipClosed), and its place with the application (channel number and
// queue memory: until the application has destroyed it or is gone). When all three are gone, so is the channel.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "node/arena_space.hpp"
#include "node/books.hpp"
#include "node/node.hpp"
#include "node/plan.hpp"
#include "rtcop/engine.hpp"

namespace rtchan::node {

enum class ClipState : std::uint8_t {
  none,
  opening,   // OpenClip was sent
  ready,
  lingering, // the path is gone in peace: packets that are still due arrive
  closing,   // CloseClip was sent
};

struct Channel {
  PathId path{};
  clips::Role role = clips::Role::outgoing;
  bool signalled = false;              // the engine knows the path
  bool agreed = false;                 // incoming: the agent said yes

  // the request
  Endpoint source{}, destination{};
  std::uint32_t source_uid = 0;
  wire::SignalQos qos{};
  std::vector<Extension> extensions;   // incoming, until the agent has been asked
  bool refuse_excess = false;

  // the application's end (outgoing, incoming)
  std::optional<SessionId> session;    // none: forward, or the channel number was given back
  ChannelId id{};
  std::uint32_t uid = 0;
  std::uint32_t request = 0;           // outgoing: the CreateChannel to answer,
  std::unique_ptr<wire::Setup> setup;  // what it asks for, until established,
  Instant give_up = never;             // and how long the application waits
  std::uint32_t attempts = 0;
  std::uint32_t fragment_bytes = 0;    // outgoing: a link further on carries no more in a packet; 0: our own link decides
  std::uint64_t question = 0;          // incoming: what the agent was asked
  bool established = false;            // the application has its channel
  bool left = false;                   // the application is done with it (or gone)
  bool destroying = false;             // the application wants an end; `destroy_request` is answered then
  std::uint32_t destroy_request = 0;
  std::optional<std::uint64_t> queue_offset;  // in the session's arena
  ipc::QueuePlace queue{};
  std::uint64_t queue_bytes = 0;       // counted for the uid,
  std::uint32_t packet_buffers = 0;    // these, too, while reserved
  bool counted = false;                // as one of the uid's channels
  std::string why;                     // void, or ended: why
  bool voided = false;
  std::optional<ipc::Notice::Kind> farewell;  // to be told when the clip is closed
  // Its route has changed (reroute.cpp): a path is asked for (outgoing) or waited for (incoming), until `give_up`.
  bool rerouting = false;
  PathId origin{};                     // its first path, by which both ends name it then; sequence 0: none but `path`
  Label handed_back{};                 // the clip whose queue the next one takes over; generation 0: none
  std::uint32_t reroutes = 0;
  std::uint32_t home = 0;              // the worker that the application rings

  // resources
  bool reserved = false;               // in the books
  Books::Place place{};
  std::uint32_t in_link = 0;           // incoming, forward
  Endpoint next_hop{};
  std::vector<NextHop> refused_ways;   // until committed
  std::unique_ptr<Plan> plan;          // until committed
  Minima minima{};
  Delays delays{};
  ClipState clip = ClipState::none;
  clips::CloseMode closing_mode = clips::CloseMode::drain;
  std::optional<ClipSlot> slot;
  std::uint32_t generation = 0;
  Duration linger{};                   // how long packets may still be due after a peaceful end
};

struct Session {
  SessionId id{};
  std::uint32_t uid = 0;
  ArenaSpace arena;
  std::set<std::uint16_t> ports;
  std::unordered_map<ChannelId, PathId> channels;
  std::vector<ChannelId> free_channels;
  std::uint32_t next_channel = 0;
  std::uint32_t pending_setups = 0;
  std::set<PathId> paths;              // of all its channels
};

struct User {
  std::uint32_t channels = 0;
  std::uint32_t packet_buffers = 0;
  std::uint64_t memory_bytes = 0;
};

struct Node::State {
  State(const NodeConfig& c, const Router& r, std::uint64_t seed);

  // node.cpp
  void handle(const Event& event);
  void settle();
  void run_timers();
  void engine_step(const rtcop::Event& event);
  void act(const rtcop::Action& action);
  template <class A>
  void emit(A action) { out->emplace_back(std::move(action)); }
  void reply(SessionId session, ipc::Reply what);
  enum class Due : std::uint8_t { agent, linger, retry, reroute, routes };
  void set_timer(Instant when, Due what, const PathId& path) { timers.emplace(when, what, path); }
  void shut_down();
  void void_link(std::uint32_t link, const std::string& why);
  void mark_void(Channel& c, const std::string& why);
  void tell_void(const Channel& c);

  // requests.cpp
  void open_session(const SessionOpened& event);
  void close_session(const SessionClosed& event);
  void request(Session& session, const ipc::RegisterPort& r);
  void request(Session& session, const ipc::UnregisterPort& r);
  void request(Session& session, const ipc::CreateChannel& r);
  void request(Session& session, const ipc::Decision& r);
  void request(Session& session, const ipc::DestroyChannel& r);
  void request(Session& session, const ipc::Query& r);
  void fail(SessionId session, std::uint32_t request, Error error);
  [[nodiscard]] std::optional<Error> over_quota(const Session& session, std::uint64_t more_bytes) const;
  std::optional<ChannelId> take_number(Session& session, const PathId& path);

  // establish.cpp
  void open_path(const PathId& path);
  void reserve(const rtcop::Reserve& ask);
  [[nodiscard]] std::expected<rtcop::Reserved, wire::Refuse> try_ways(Channel& c, const rtcop::Reserve& ask);
  [[nodiscard]] std::expected<rtcop::Reserved, wire::Refuse> try_reserve(Channel& c, const rtcop::Reserve& ask);
  [[nodiscard]] std::optional<NextHop> next_way(const Channel& c, const rtcop::Reserve& ask) const;
  void give_up_way(Channel& c);
  [[nodiscard]] std::expected<Books::Held, wire::Refuse> reserve_here(Channel& c, wire::Setup& setup,
                                                                      const std::function<Plan(const wire::Setup&)>& plan);
  [[nodiscard]] std::optional<wire::Refuse> place_channel(Channel& c, const rtcop::Reserve& ask);
  [[nodiscard]] std::optional<wire::Refuse> cut_packets(const Channel& c, wire::Promised& promised) const;
  [[nodiscard]] std::optional<wire::Refuse> find_listener(Channel& c);
  [[nodiscard]] std::optional<wire::Refuse> take_memory(Channel& c, const Sizes& sizes);
  void ask_agent(const PathId& path);
  void open_clip(const rtcop::OpenClip& open);
  [[nodiscard]] clips::ClipSpec clip_spec(const Channel& c, const Sizes& sizes, const wire::Terms& terms) const;
  void clip_ready(const ClipReady& event);
  void clip_failed(const ClipFailed& event);
  void establish(const rtcop::Establish& deed);
  [[nodiscard]] wire::Refuse refusal(const PathId& path, Errc code, std::string text) const;

  // reroute.cpp
  void routes_changed();
  void begin_reroute(Channel& c, const IpAddress& hop);
  bool go_on_rerouting(Channel& c, const rtcop::Gone& event);
  void ask_again(Channel& c);
  void give_up_reroute(Channel& c);
  [[nodiscard]] std::optional<wire::Refuse> take_over(const wire::Setup& setup);
  void rekey(Channel& c, const PathId& path);
  void rerouted(Channel& c, const Label& next_label);

  // release.cpp
  void gone(const rtcop::Gone& event);
  void gone_outgoing(Channel& c, const rtcop::Gone& event);
  bool try_again(Channel& c, const rtcop::Gone& event);
  [[nodiscard]] bool less_may_do(const Channel& c, const wire::Refuse& why) const;
  void ask_for_less(Channel& c, const wire::Refuse& why);
  void gone_incoming(Channel& c, const rtcop::Gone& event);
  void close_clip(Channel& c, clips::CloseMode mode);
  void clip_closed(std::uint32_t worker, ClipSlot slot);
  void clip_gone(Channel& c);
  void bid_farewell(Channel& c, ipc::Notice::Kind kind);
  void end_path(Channel& c, wire::TeardownReason reason);
  void destroy(Channel& c);
  void leave_application(Channel& c);
  void give_number_back(Channel& c);
  void give_queue_back(Channel& c);
  void release_reservation(Channel& c);
  void forget_if_done(const PathId& path);

  // status.cpp
  [[nodiscard]] Status status() const;
  [[nodiscard]] ChannelStatus status_of(const Channel& c) const;
  [[nodiscard]] bool reconciles() const;

  [[nodiscard]] Channel* channel(const PathId& path);
  [[nodiscard]] Channel* channel_at(std::uint32_t worker, ClipSlot slot);
  [[nodiscard]] Session* session(SessionId id);
  [[nodiscard]] IpAddress own_address() const;
  [[nodiscard]] bool is_own(const IpAddress& address) const;

  NodeConfig config;
  const Router& router;
  rtcop::Random random;
  rtcop::Engine engine;
  Books books;

  std::map<SessionId, std::unique_ptr<Session>> sessions;
  std::map<std::uint16_t, SessionId> ports;
  std::map<std::uint32_t, User> users;
  std::unordered_map<PathId, Channel> channels;
  std::map<PathId, PathId> awaited;                 // channels whose route has changed: where they are, by their first path
  std::vector<std::vector<PathId>> clips;           // by worker and slot; sequence 0: free
  std::unordered_map<std::uint64_t, PathId> questions;  // not answered yet
  std::vector<std::string> link_void;               // why nothing can be promised there; empty: it can
  std::set<std::tuple<Instant, Due, PathId>> timers;
  std::uint64_t next_sequence = 1;               // upper half from the epoch: never used before a restart
  std::uint64_t next_question = 1;
  bool closing = false;
  bool greeted = false;                             // first step: say what is wrong with the configuration

  Instant now = long_ago;
  std::vector<Action>* out = nullptr;
  std::vector<rtcop::Action> deeds;                 // of the engine, not acted upon yet
};

// Teardown questions are told from the others by this bit: their answer is recorded nowhere.
inline constexpr std::uint64_t teardown_question = std::uint64_t{1} << 63;

}  // namespace rtchan::node
