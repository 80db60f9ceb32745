// Hosts in a line, in virtual time: a Node each, a worker that opens and closes clips after a while, applications that
// are scripted by the test, and cables that lose, repeat, delay and fall silent. Everything that happens is a
// function of the seed.
//
//     host 0 -- cable 0 -- host 1 -- cable 1 -- host 2 ...     link 0 of a host leads to the lower, the last to the higher
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "node/node.hpp"
#include "rtcop/random.hpp"

namespace rtchan::node::testing {

inline Duration ms(std::int64_t n) { return std::chrono::milliseconds{n}; }
inline Duration us(std::int64_t n) { return std::chrono::microseconds{n}; }

inline IpAddress address_of(std::size_t host) { return *IpAddress::parse("10.0.0." + std::to_string(host + 1)); }

inline Qos guaranteed(double rate, std::uint32_t bytes, Duration delay, std::uint32_t burst = 1) {
  Qos qos;
  qos.max_rate = rate;
  qos.max_burst = burst;
  qos.max_message_bytes = bytes;
  qos.max_delay = delay;
  return qos;
}

// An application: what it was told, in order.
struct App {
  std::size_t host = 0;
  SessionId session{};
  std::uint32_t uid = 1000;
  bool alive = true;
  std::function<std::optional<bool>(const ipc::Asked&)> agent;  // default: yes; nullopt: no answer
  std::vector<ipc::Created> created;
  std::vector<ipc::Accepted> accepted;
  std::vector<ipc::Failed> failed;
  std::vector<ipc::Asked> asked;
  std::vector<ipc::Aborted> aborted;
  std::vector<ipc::Notice> notices;
  std::vector<ipc::Done> done;
  std::vector<ipc::Registered> registered;
  std::map<std::uint64_t, std::uint32_t> marks;                 // queue offset -> closed
};

struct Clip {
  clips::ClipSpec spec;
  SessionId session;
  ipc::QueuePlace queue{};
  Label before{};
  bool ready = false, connected = false, closing = false;
};

struct Cable {
  unsigned loss_percent = 0;
  unsigned copies = 1;
  Duration delay = us(100);
  Duration jitter{};
  Duration period{};             // a link's signalling channel: one packet in so long, up to 256 wait, the rest is lost
  Instant free[2] = {long_ago, long_ago};
  std::uint64_t overflown = 0;
  bool cut[2] = {false, false};  // 0: toward higher numbers
};

class World {
 public:
  // Other ways than along the line, (host, destination) -> next hosts, best first: a link reaches everybody on its side.
  using Ways = std::map<std::pair<std::size_t, std::size_t>, std::vector<std::size_t>>;
  explicit World(std::size_t hosts, std::uint64_t seed = 1, std::function<void(NodeConfig&)> adjust = {})
      : cables(hosts - 1), random_(seed), adjust_(std::move(adjust)) {
    for (std::size_t i = 0; i < hosts; ++i) {
      hosts_.push_back(std::make_unique<Host>());
      boot(i);
    }
  }

  // (Re)starts a daemon: its applications lose their sessions, its clips are gone.
  void boot(std::size_t host) {
    Host& h = *hosts_[host];
    NodeConfig config;
    config.name = "host" + std::to_string(host);
    config.host = HostId{100 + host};
    config.epoch = ++epochs_;
    config.workers.emplace_back();
    config.workers[0].clips = 32'768;
    config.workers[0].packet_buffers = 1 << 20;
    config.workers[0].costs.core = {};
    for (const bool higher : {false, true}) {
      if (higher ? host + 1 == cables.size() + 1 : host == 0) continue;
      LinkSettings link;
      link.name = higher ? "up" : "down";
      link.worker_link = static_cast<std::uint32_t>(config.links.size());
      link.address = endpoint(host, higher);
      link.model = {1'000'000'000, {1400, 130}, {}};
      link.propagation = us(200);
      link.horizon = ms(1);
      config.links.push_back(link);
    }
    if (adjust_) adjust_(config);
    h.router.host = host;
    h.router.others = &ways;
    h.router.two_links = config.links.size() == 2;
    h.clips.clear();
    h.handed_back.clear();
    ++h.incarnation;
    h.node = std::make_unique<Node>(config, h.router, random_.next());
    for (auto& app : apps_) {
      if (app->host == host) app->alive = false;
    }
  }

  Node& node(std::size_t host) { return *hosts_[host]->node; }
  std::map<std::uint32_t, Clip>& clips(std::size_t host) { return hosts_[host]->clips; }
  [[nodiscard]] std::size_t size() const { return hosts_.size(); }

  // --- applications ---
  App& start(std::size_t host, std::uint32_t uid = 1000) {
    auto& app = *apps_.emplace_back(std::make_unique<App>());
    app.host = host;
    app.uid = uid;
    app.session = SessionId{++sessions_};
    give(host, SessionOpened{app.session, uid, 1});
    return app;
  }
  App& listen(std::size_t host, std::uint16_t port, std::uint32_t uid = 1000) {
    App& app = start(host, uid);
    ask(app, ipc::RegisterPort{1, port});
    return app;
  }
  void ask(App& app, ipc::Request request) {
    if (app.alive) give(app.host, Requested{app.session, std::move(request)});
  }
  std::uint32_t create(App& app, std::size_t to, std::uint16_t port, const Qos& qos,
                       Duration timeout = std::chrono::seconds{10}, std::vector<Extension> extensions = {}) {
    const std::uint32_t request = ++requests_;
    ask(app, ipc::CreateChannel{request, Endpoint{address_of(to), port}, qos, false, timeout, std::move(extensions)});
    return request;
  }
  void destroy(App& app, ChannelId channel) { ask(app, ipc::DestroyChannel{++requests_, channel}); }
  void kill(App& app) {
    if (!app.alive) return;
    app.alive = false;
    std::erase_if(hosts_[app.host]->handed_back, [&](const auto& kept) { return kept.second == app.session; });
    give(app.host, SessionClosed{app.session, "killed"});
  }

  // --- time ---
  void give(std::size_t host, const Event& event) {
    std::vector<Action> out;
    hosts_[host]->node->step(now, event, out);
    for (Action& action : out) act(host, action);
  }
  void later(Duration delay, std::function<void()> what) { agenda_.emplace(now + delay, std::move(what)); }

  void run(Duration span) {
    const Instant end = now + span;
    for (;;) {
      Instant next = agenda_.empty() ? never : agenda_.begin()->first;
      std::size_t waking = size();
      for (std::size_t i = 0; i < size(); ++i) {
        const Instant wake = std::max(hosts_[i]->node->next_wake(), now);
        if (wake < next) {
          next = wake;
          waking = i;
        }
      }
      if (next > end) break;
      now = next;
      if (waking < size()) {
        give(waking, Timer{});
      } else {
        const auto what = std::move(agenda_.begin()->second);
        agenda_.erase(agenda_.begin());
        what();
      }
    }
    now = end;
  }

  // --- independent observers ---
  // Nothing is held anywhere: no clip, no channel, no capacity, no buffer.
  [[nodiscard]] std::string leftovers() const {
    std::string all;
    for (std::size_t i = 0; i < size(); ++i) {
      const Host& h = *hosts_[i];
      const std::string who = " host" + std::to_string(i) + ":";
      if (!h.handed_back.empty()) all += who + std::to_string(h.handed_back.size()) + " queues of clips that are gone";
      if (!h.clips.empty()) all += who + std::to_string(h.clips.size()) + " clips";
      const Status s = h.node->status();
      if (s.channels != 0) all += who + std::to_string(s.channels) + " channels";
      if (s.paths != 0) all += who + std::to_string(s.paths) + " paths";
      if (s.questions != 0) all += who + "questions";
      std::uint64_t permanent = 0;
      for (const StageStatus& stage : s.stages) {
        permanent = stage.kind == "cpu" ? 1 + (s.stages.size() - 1) : 1;
        if (stage.entries != permanent) all += who + stage.name + " has " + std::to_string(stage.entries) + " entries";
      }
      for (const PoolStatus& pool : s.pools) {
        if (pool.used != 0) all += who + pool.name;
      }
      if (!h.node->reconciles()) all += who + " does not reconcile";
    }
    return all;
  }
  [[nodiscard]] bool reconciles() const {
    return std::ranges::all_of(hosts_, [](const auto& h) { return h->node->reconciles(); });
  }

  Instant now{std::chrono::seconds{1}};
  std::vector<Cable> cables;
  Ways ways;
  Duration open_time = us(50);      // how long a worker takes to open a clip,
  Duration close_time = us(50);     // and to drain and close it
  std::function<bool(std::size_t host, const clips::ClipSpec&)> opens;  // false: no memory
  std::uint64_t packets = 0;
  std::uint64_t burst_bounds = 0;
  std::vector<std::string> log;
  std::vector<std::string> violations;  // rules of the interface that were broken

 private:
  struct LineRouter final : Router {
    std::size_t host = 0;
    bool two_links = false;
    const Ways* others = nullptr;
    [[nodiscard]] std::optional<NextHop> next_hop(const IpAddress& destination) const override {
      const auto ways = alternatives(destination);
      return ways.empty() ? std::nullopt : std::optional{ways.front()};
    }
    [[nodiscard]] std::vector<NextHop> alternatives(const IpAddress& destination) const override {
      const std::size_t to = destination.bytes[15] - 1U;
      if (destination.bytes[12] != 10 || to == host) return {};
      const auto other = others->find({host, to});
      std::vector<NextHop> all;
      for (const std::size_t via : other == others->end() ? std::vector{to > host ? host + 1 : host - 1} : other->second) {
        all.push_back({via > host && two_links ? 1U : 0U, endpoint(via, via < host)});
      }
      return all;
    }
  };
  struct Host {
    LineRouter router;
    std::unique_ptr<Node> node;
    std::map<std::uint32_t, Clip> clips;  // by slot
    std::set<std::pair<std::uint32_t, std::uint32_t>> was_ready;  // slot, generation
    std::map<std::pair<std::uint32_t, std::uint32_t>, SessionId> handed_back;  // until taken over, forgotten, or its session goes
    std::uint64_t incarnation = 0;
  };

  static Endpoint endpoint(std::size_t host, bool higher) {
    return Endpoint{address_of(host), static_cast<std::uint16_t>(higher ? 7001 : 7000)};
  }

  void act(std::size_t host, Action& action) {
    if (auto* send = std::get_if<SendSignal>(&action)) {
      fly(host, std::move(*send));
    } else if (auto* reply = std::get_if<ReplyTo>(&action)) {
      hear(*reply);
    } else if (auto* open = std::get_if<OpenClip>(&action)) {
      open_clip(host, *open);
    } else if (auto* connect = std::get_if<ConnectClip>(&action)) {
      connect_clip(host, *connect);
    } else if (auto* close = std::get_if<CloseClip>(&action)) {
      close_clip(host, *close);
    } else if (auto* forget = std::get_if<ForgetClip>(&action)) {
      hosts_[host]->handed_back.erase({forget->before.slot, forget->before.generation});
    } else if (auto* mark = std::get_if<MarkQueue>(&action)) {
      for (auto& app : apps_) {
        if (app->session == mark->session) app->marks[mark->queue.offset] = mark->closed;
      }
    } else if (auto* text = std::get_if<Log>(&action)) {
      log.push_back(text->text);
    } else if (std::holds_alternative<SetBurstBound>(action)) {
      ++burst_bounds;
    }
  }

  void open_clip(std::size_t host, const OpenClip& open) {
    Host& h = *hosts_[host];
    const std::uint32_t slot = open.spec.slot.value;
    if (h.clips.contains(slot)) violations.push_back("slot opened twice");
    for (const auto& [other, clip] : h.clips) {
      if (h.clips.size() > 500) break;  // too many to compare; small worlds do
      const std::uint64_t end = clip.queue.offset + ipc::queue_bytes(clip.queue);
      if (open.queue.slots == 0 || clip.session != open.session || clip.queue.slots == 0) continue;
      if (open.queue.offset < end && clip.queue.offset < open.queue.offset + ipc::queue_bytes(open.queue)) {
        violations.push_back("queues overlap");
      }
    }
    // Taken over is only what was handed back and not forgotten, once.
    if (open.before.generation != 0 && h.handed_back.erase({open.before.slot, open.before.generation}) == 0) {
      violations.push_back("takes over what was not handed back");
    }
    const bool works = !opens || opens(host, open.spec);
    if (works) h.clips[slot] = Clip{open.spec, open.session, open.queue, open.before};
    at_host(host, open_time, [this, host, slot, works, &h] {
      if (!works) return give(host, ClipFailed{0, ClipSlot{slot}, "no memory"});
      const auto clip = h.clips.find(slot);
      if (clip == h.clips.end() || clip->second.closing) return;
      clip->second.ready = true;
      h.was_ready.insert({slot, clip->second.spec.generation});
      give(host, ClipReady{0, ClipSlot{slot}});
    });
  }

  // Data may flow from here: everything downstream must be ready for it.
  void connect_clip(std::size_t host, const ConnectClip& connect) {
    const auto mine = hosts_[host]->clips.find(connect.slot.value);
    if (mine == hosts_[host]->clips.end() || !mine->second.ready) {
      violations.push_back("connected before it was ready");
      return;
    }
    mine->second.connected = true;
    const std::size_t next = connect.next_hop.address.bytes[15] - 1U;
    // It may be gone again (its application died while the news was under way), but it must have been ready.
    if (watch_labels && !hosts_[next]->was_ready.contains({connect.next_label.slot, connect.next_label.generation})) {
      violations.push_back("connected to a receiver that was never ready");
    }
  }

  void close_clip(std::size_t host, const CloseClip& close) {
    Host& h = *hosts_[host];
    const auto clip = h.clips.find(close.slot.value);
    if (clip == h.clips.end()) {
      if (!opens) violations.push_back("closed what is not open");
      return;
    }
    if (clip->second.closing) return;  // again, with more haste
    clip->second.closing = true;
    const std::uint32_t slot = close.slot.value;
    const bool kept = close.mode == clips::CloseMode::hand_back;
    at_host(host, close_time, [this, host, slot, kept, &h] {
      const SessionId session = h.clips.at(slot).session;
      const auto alive = [&](const auto& app) { return app->session == session && app->alive; };
      if (kept && std::ranges::any_of(apps_, alive)) h.handed_back.emplace(std::pair{slot, h.clips.at(slot).spec.generation}, session);
      h.clips.erase(slot);
      give(host, ClipClosed{0, ClipSlot{slot}});
    });
  }

  // Later, unless the daemon was restarted meanwhile.
  void at_host(std::size_t host, Duration delay, std::function<void()> what) {
    const Host& h = *hosts_[host];
    later(delay, [&h, incarnation = h.incarnation, what = std::move(what)] {
      if (h.incarnation == incarnation) what();
    });
  }

  void fly(std::size_t host, SendSignal send) {
    ++packets;
    const std::size_t to = send.to.address.bytes[15] - 1U;
    const bool higher = to > host;
    Cable& cable = cables[higher ? host : to];
    if (cable.cut[higher ? 0 : 1]) return;
    Duration waits{};
    if (cable.period > Duration{0}) {
      Instant& free = cable.free[higher ? 0 : 1];
      waits = std::max(free, now) - now;
      if (waits / cable.period >= static_cast<std::int64_t>(limits::signal_queue_packets)) {
        ++cable.overflown;
        return;
      }
      free = now + waits + cable.period;
    }
    for (unsigned copy = 0; copy < cable.copies; ++copy) {
      if (random_.below(100) < cable.loss_percent) continue;
      Duration delay = cable.delay + waits;
      if (cable.jitter > Duration{0}) {
        delay += Duration{static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(cable.jitter.count())))};
      }
      later(delay, [this, to, higher, from = endpoint(host, higher), bytes = send.bytes] {
        const bool second = !higher && hosts_[to]->router.two_links;
        give(to, SignalReceived{second ? 1U : 0U, from, bytes});
      });
    }
  }

  void hear(const ReplyTo& reply) {
    const auto found = std::ranges::find_if(apps_, [&](const auto& a) { return a->session == reply.session; });
    if (found == apps_.end() || !(*found)->alive) {
      if (found == apps_.end()) violations.push_back("said something to nobody");
      return;
    }
    App& app = **found;
    std::visit(
        [&]<class R>(const R& r) {
          if constexpr (std::is_same_v<R, ipc::Created>) app.created.push_back(r);
          if constexpr (std::is_same_v<R, ipc::Accepted>) app.accepted.push_back(r);
          if constexpr (std::is_same_v<R, ipc::Failed>) app.failed.push_back(r);
          if constexpr (std::is_same_v<R, ipc::Aborted>) app.aborted.push_back(r);
          if constexpr (std::is_same_v<R, ipc::Notice>) app.notices.push_back(r);
          if constexpr (std::is_same_v<R, ipc::Done>) app.done.push_back(r);
          if constexpr (std::is_same_v<R, ipc::Registered>) app.registered.push_back(r);
          if constexpr (std::is_same_v<R, ipc::Asked>) {
            app.asked.push_back(r);
            const auto answer = app.agent ? app.agent(r) : std::optional{true};
            if (answer) later(us(20), [this, &app, r, answer] { ask(app, ipc::Decision{r.question, *answer}); });
          }
        },
        reply.reply);
  }

 public:
  bool watch_labels = true;  // switch off where daemons restart in between

 private:
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<std::unique_ptr<App>> apps_;
  std::multimap<Instant, std::function<void()>> agenda_;
  std::uint32_t sessions_ = 0;
  std::uint32_t requests_ = 0;
  std::uint64_t epochs_ = 0;
  rtcop::Random random_;
  std::function<void(NodeConfig&)> adjust_;
};

}  // namespace rtchan::node::testing
