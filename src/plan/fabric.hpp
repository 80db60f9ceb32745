// The planned network alive: the very node that rtcd runs on every host and router, in virtual time, joined
// by links that carry every signal in a microsecond, with workers that open every clip at once and
// applications that say yes. Nothing is decided here: whoever admits, refuses or shares out slack is
// production code.
#pragma once

#include <deque>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/node.hpp"
#include "plan/network.hpp"
#include "plan/routes.hpp"

namespace rtchan::plan {

// A channel at one of the nodes that it passes.
struct Passage {
  HostIndex host = 0;
  std::optional<LinkIndex> out;  // by which it leaves; none at its end
  Duration cpu_minimum{}, cpu_delay{};
  Duration link_minimum{}, link_delay{};
  std::uint32_t messages = 0;      // of message buffer here,
  std::uint64_t memory_bytes = 0;  // which occupies so much
  std::uint32_t packet_buffers = 0;
};
using Way = std::vector<Passage>;  // in the order in which a message meets them

class Fabric {
 public:
  // Both outlive it.
  Fabric(const Network& network, const Routes& routes);
  ~Fabric();
  Fabric(const Fabric&) = delete;
  Fabric& operator=(const Fabric&) = delete;

  // A channel that stays. Errors: as the application would hear them, hosts by name.
  std::expected<ChannelId, Error> create(const ChannelGroup& channel);
  // Whether this channel would be admitted now, and its way if so; it is taken back and leaves no trace.
  std::expected<Way, Error> attempt(const ChannelGroup& asked, const Qos& qos);
  // The ways of all channels that `from` holds, by what create() returned.
  [[nodiscard]] std::vector<std::map<ChannelId, Way>> ways() const;  // by host

  [[nodiscard]] const node::Node& node(HostIndex host) const;
  [[nodiscard]] const node::NodeConfig& config(HostIndex host) const;
  // What the nodes had to complain about when they started.
  [[nodiscard]] const std::vector<std::string>& remarks() const { return remarks_; }
  // Every node's tables and sums agree.
  [[nodiscard]] bool reconciles() const;

 private:
  struct Machine;
  struct Clip {
    std::uint32_t messages = 0;
    std::uint32_t packet_buffers = 0;
  };
  struct Coming {  // an event under way
    HostIndex host = 0;
    node::Event event;
    std::vector<std::byte> bytes;  // of a signal
  };

  void boot(HostIndex host);
  SessionId open_session(HostIndex host, std::uint16_t port);
  std::expected<ChannelId, Error> establish(const ChannelGroup& channel, SessionId session, std::uint16_t port,
                                            const Qos& qos);
  void step(HostIndex host, const node::Event& event);
  void act(HostIndex host, node::Action& action);
  void hear(HostIndex host, const node::ReplyTo& reply);
  void deliver();
  bool pass_time();
  void settle(const std::vector<std::size_t>& paths_before);
  [[nodiscard]] std::vector<std::size_t> paths() const;
  [[nodiscard]] bool at_rest(const std::vector<std::size_t>& paths) const;
  [[nodiscard]] Error named(Error error) const;
  [[nodiscard]] Passage passage(HostIndex host, const node::ChannelStatus& status) const;

  const Network& network_;
  const Routes& routes_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::deque<Coming> agenda_;
  std::vector<node::Action> actions_;
  std::optional<std::expected<ChannelId, Error>> answer_;  // to the request that is open
  std::uint32_t sessions_ = 0;
  std::uint32_t requests_ = 0;
  Instant now_;
  std::vector<std::string> remarks_;
};

}  // namespace rtchan::plan
