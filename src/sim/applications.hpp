// The applications of a simulated network: they listen, ask for channels, answer, send, read at once, and give back. What they
// were told is kept for the observers.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <unordered_map>
#include <vector>

#include "node/node.hpp"
#include "sim/queues.hpp"
#include "sim/script.hpp"

namespace rtchan::sim {

class World;

struct WayPoint {
  std::uint32_t host = 0;
  Instant since{};                             // from then on it held what a crash takes away
};

struct Channel {
  enum class State : std::uint8_t { unknown, asked, created, failed, over };
  std::uint32_t from = 0, to = 0;              // applications
  std::uint32_t from_host = 0, to_host = 0;
  bool best_effort = false, refuse = false;
  Duration period{}, delay{}, patience{}, every{};
  std::uint32_t burst = 1, bytes = 0, messages = 0, at_once = 1;

  State state = State::unknown;
  Instant asked_at = never, created_at = never;
  SessionId asked_by{};
  std::vector<WayPoint> way;                   // of its data, as clips were connected; empty: not known
  std::uint32_t answers = 0;
  SessionId source_session{}, sink_session{};  // 0: it does not have its end
  ChannelId at_source{}, at_sink{};
  bool accepted = false;
  std::uint32_t handed_over = 0;               // messages
  bool source_left = false, sink_left = false; // given back, or its application is gone
  bool lost_end = false;                       // ended otherwise: refused late, expired, a host gone
};

struct Question {
  std::uint32_t channel = nothing;
  std::uint32_t app = 0;
  bool yes = false;
  std::uint32_t ends = 0;                      // accepted or aborted
};

struct App {
  std::uint32_t host = 0;
  SessionId session{};
  std::uint32_t mood = 0;
  bool alive = false;
};

class Applications {
 public:
  explicit Applications(World& world) : world_(world) {}

  void start(const Deed& deed);
  void create(const Deed& deed);
  void destroy(const Deed& deed);
  void kill(std::uint32_t app);
  void host_gone(std::uint32_t host);  // sessions end without a word
  void kill_all();
  // Channels from this number on are not the script's: they are counted nowhere.
  void probes_from(std::int64_t channel) noexcept { first_probe_ = static_cast<std::size_t>(channel); }
  [[nodiscard]] std::size_t first_probe() const noexcept { return first_probe_; }

  void hear(std::uint32_t host, node::ReplyTo& reply);
  void take_word(std::uint32_t number);
  void act(std::uint32_t number);
  void send(std::uint32_t channel);

  [[nodiscard]] const std::vector<Channel>& channels() const noexcept { return channels_; }
  [[nodiscard]] const std::vector<App>& apps() const noexcept { return apps_; }
  [[nodiscard]] const std::map<std::pair<std::uint32_t, std::uint64_t>, Question>& questions() const noexcept { return questions_; }

 private:
  struct Word {
    std::uint32_t host = 0;
    SessionId session{};
    ipc::Reply reply;
  };
  struct Act {
    std::uint32_t app = 0;
    SessionId session{};
    ipc::Request request;
  };
  void create_one(const Deed& deed, std::uint32_t number);
  void ask_soon(std::uint32_t app, ipc::Request request, Duration after);
  void leave(std::uint32_t channel, bool receiver);
  std::uint32_t app_of(SessionId session) const;
  void take(std::uint32_t app, const ipc::Created& r);
  void take(std::uint32_t app, const ipc::Failed& r);
  void take(std::uint32_t app, const ipc::Asked& r);
  void take(std::uint32_t app, const ipc::Accepted& r);
  void take(std::uint32_t app, const ipc::Aborted& r);
  void take(std::uint32_t app, const ipc::Notice& r);
  template <class Other>
  void take(std::uint32_t, const Other&) {}

  World& world_;
  std::vector<App> apps_;
  std::vector<Channel> channels_;
  std::unordered_map<std::uint32_t, std::uint32_t> of_request_;                  // request -> channel
  std::map<std::pair<std::uint32_t, std::uint64_t>, Question> questions_;        // application, question
  std::unordered_map<std::uint64_t, std::pair<std::uint32_t, bool>> of_end_;     // session, channel number -> channel, receiver
  std::unordered_map<std::uint32_t, std::uint32_t> of_session_;
  std::deque<Word> words_;
  std::deque<Act> acts_;
  std::vector<std::uint32_t> free_words_, free_acts_;
  std::uint32_t sessions_ = 0, requests_ = 0;
  std::size_t first_probe_ = SIZE_MAX;
};

}  // namespace rtchan::sim
