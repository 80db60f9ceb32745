// One simulated host: the production node::Node and clips::Domain, with a clock of its own, and between them what rtcd does:
// a worker that turns when something is due (and takes time for it), a control process that reads its reports, a housekeeper
// that opens and closes clips. It decides nothing.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "clips/clip.hpp"
#include "clips/domain.hpp"
#include "node/node.hpp"
#include "rtcop/random.hpp"
#include "sim/clock.hpp"
#include "sim/queues.hpp"
#include "sim/topology.hpp"
#include "sim/wire.hpp"

namespace rtchan::sim {

class World;

// A clip, from OpenClip to ClipClosed.
struct End {
  clips::ClipSpec spec{};
  SessionId session{};
  ChannelId channel{};
  ipc::QueuePlace queue{};
  std::uint32_t said = nothing;      // which of the script's channels, once its application has been told
  bool open = false, connected = false, closing = false;
  Endpoint next_hop{};               // once connected
  Label next_label{};
  Instant connected_at = never;      // true time
  Source* source = nullptr;          // the clip's, while it is open
};

struct MachineSettings {
  std::int64_t drift_ppb = 0;
  Duration control{};                // from a worker's report to the control process' look at it
  bool workers = true;
  std::uint32_t busy_permille = 0;   // of what admission counts with
  std::uint32_t clips = 128, packet_buffers = 1'024;
  std::uint32_t uid_channels = 16'384;
  std::uint64_t memory_bytes = 0;    // 0: as usual
  Duration lease{};
};

class Machine final : public clips::DomainObserver, public node::Router {
 public:
  Machine(World& world, std::uint32_t host, const MachineSettings& settings);
  ~Machine() override;

  void boot(std::uint64_t epoch);
  void crash();
  [[nodiscard]] bool up() const noexcept { return node_ != nullptr; }
  [[nodiscard]] node::Node& node() noexcept { return *node_; }
  [[nodiscard]] const node::NodeConfig& config() const noexcept { return config_; }
  // For who measures it: the host is down from then on.
  [[nodiscard]] std::unique_ptr<node::Node> take_node() noexcept { return std::move(node_); }

  void tell(const node::Event& event);
  // What was entered in the agenda for this host.
  void turn();
  void wake();
  void read_inbox();
  void clip_job(std::uint32_t job);
  void arrived(std::uint32_t port, std::uint32_t parcel);
  // Messages wait in this end.
  void sight(ClipSlot slot);

  void stall(Instant until);
  // Until then nothing that is entered for it happens.
  [[nodiscard]] Instant stalled_until() const noexcept { return stalled_until_; }
  // Where its worker is in its turn: true time, and its own.
  [[nodiscard]] Instant truth() const noexcept;
  [[nodiscard]] Instant local() const noexcept { return clock_.local(truth()); }
  // A turn looks at all that waits as of the instant at which it began; a worker that was kept from running should have
  // looked at `since`.
  struct Look {
    Instant since{};
    Instant at{};
  };
  [[nodiscard]] Look look() const noexcept { return look_.value_or(Look{local(), local()}); }
  [[nodiscard]] const HostClock& clock() const noexcept { return clock_; }
  void work(Duration cost) noexcept;
  [[nodiscard]] const admission::CostModel& costs() const noexcept { return config_.workers.front().costs; }

  [[nodiscard]] End* end_at(ClipSlot slot) noexcept;
  [[nodiscard]] End* end_of(SessionId session, ChannelId channel) noexcept;
  [[nodiscard]] const std::map<std::uint32_t, End>& ends() const noexcept { return ends_; }
  [[nodiscard]] World& world() noexcept { return world_; }
  [[nodiscard]] std::uint32_t host() const noexcept { return host_; }
  [[nodiscard]] const clips::DomainCounters& domain_counters() const noexcept { return domain_->counters(); }
  [[nodiscard]] const clips::ClipCounters& clip_counters(ClipSlot slot) const noexcept { return counters_[slot.value]; }

  [[nodiscard]] std::uint64_t waiting_to_be_received() const noexcept;

  std::uint32_t clips_fail_percent = 0;
  std::map<std::uint32_t, std::uint32_t> misroutes;  // destination host -> neighbour
  std::uint64_t turns = 0, node_steps = 0;

 private:
  class Port;
  struct Report {
    enum class Kind : std::uint8_t { signal, client_violated, contract_violated, clip_closed } kind{};
    std::uint32_t link = 0;
    ClipSlot slot{};
    Endpoint from{};
    std::vector<std::byte> bytes;
  };
  struct Command {                   // from control to the worker, taken at the beginning of a turn
    std::variant<std::unique_ptr<clips::Clip>, node::SendSignal, node::ConnectClip, node::CloseClip, node::SetBurstBound> what;
  };
  struct Job {
    enum class Kind : std::uint8_t { open, closed } kind{};
    ClipSlot slot{};
    std::uint32_t generation = 0;
    std::uint64_t incarnation = 0;
  };

  // node::Router
  [[nodiscard]] std::optional<node::NextHop> next_hop(const IpAddress& destination) const override;
  [[nodiscard]] std::vector<node::NextHop> alternatives(const IpAddress& destination) const override;
  // clips::DomainObserver
  void signal_received(std::uint32_t link, const Endpoint& from, std::span<const std::byte> bytes, Instant now) override;
  void clip_closed(std::unique_ptr<clips::Clip> clip) override;
  void client_violated(ClipSlot slot) override;
  void contract_violated(ClipSlot slot, Instant now) override;

  void configure();
  void make_domain();
  void act(node::Action& action);
  void send_signal(const node::SendSignal& send);
  void open_clip(const node::OpenClip& open);
  void connect_clip(const node::ConnectClip& connect);
  void close_clip(const node::CloseClip& close);
  void finish_open(End& end);
  void obey(Command& command, Instant now);
  void take_commands(Instant now);
  void command(Command command);
  void turn_by(Instant due);
  void report(Report report);
  void enter_job(Job job, Duration after);
  void set_wake();

  World& world_;
  std::uint32_t host_;
  MachineSettings settings_;
  rtcop::Random random_;
  HostClock clock_;
  node::NodeConfig config_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::vector<clips::LinkConfig> links_;
  std::vector<clips::ClipCounters> counters_;
  std::unique_ptr<clips::Domain> domain_;
  std::unique_ptr<node::Node> node_;
  std::uint64_t incarnation_ = 0;

  Instant turn_at_ = never;          // entered in the agenda
  Instant busy_until_ = long_ago;    // of its turns
  Instant due_ = never;              // what the last turn said, true time
  Instant wake_at_ = never;
  bool inbox_entered_ = false;
  Instant stalled_until_ = long_ago;
  Instant stalled_since_ = never;    // while its first turn afterwards has not come
  bool turning_ = false;
  std::optional<Look> look_;
  Duration worked_{};                // in this turn
  std::uint32_t restless_ = 0;       // turns at one instant

  std::map<std::uint32_t, End> ends_;  // by slot
  std::unordered_map<std::uint64_t, std::uint32_t> slot_of_;  // session and channel -> slot
  std::vector<ClipSlot> to_sight_;
  std::deque<Command> handovers_, commands_;
  std::deque<Report> inbox_;
  std::vector<Job> jobs_;
  std::vector<node::Action> actions_;
};

}  // namespace rtchan::sim
