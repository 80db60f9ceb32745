#include "plan/fabric.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <unordered_map>

#include "rtcd/node_settings.hpp"

namespace rtchan::plan {
namespace {

using namespace std::chrono_literals;

constexpr Duration a_moment = 1us;  // from any cause to its effect elsewhere
constexpr std::uint16_t channel_port = 7000;
constexpr std::uint16_t attempt_port = 7001;
constexpr std::uint32_t the_user = 1000;  // whose quota all channels of a host count against
constexpr Duration patience = 50s;        // below the longest that a set-up may take
constexpr int most_wakes = 1'000'000;     // of waiting for anything: a bug of ours if it takes more

}  // namespace

struct Fabric::Machine {
  Machine(const Routes& routes, HostIndex host) : router(routes, host) {}
  HostRouter router;
  node::NodeConfig config;
  std::unique_ptr<node::Node> node;
  SessionId session{};                                       // of the application that holds its channels
  std::map<std::pair<std::uint32_t, ClipSlot>, Clip> clips;  // by worker and slot
};

// --- hosts
// --------------------------------------------------------------------------------------------------

Fabric::Fabric(const Network& network, const Routes& routes) : network_(network), routes_(routes), now_{1s} {
  for (HostIndex h = 0; h < network.hosts.size(); ++h) boot(h);
  for (HostIndex h = 0; h < network.hosts.size(); ++h) machines_[h]->session = open_session(h, channel_port);
}

Fabric::~Fabric() = default;

void Fabric::boot(HostIndex host) {
  const Host& plan = network_.hosts[host];
  Machine& machine = *machines_.emplace_back(std::make_unique<Machine>(routes_, host));
  node::NodeConfig& config = machine.config;
  config.name = plan.name;
  config.host = HostId{1 + host};
  config.epoch = 1 + host;
  config.limits = rtcd::node_limits(plan.limits);
  for (const rtcd::WorkerSection& worker : plan.workers) {
    const bool real_time = worker.scheduling != rtcd::Scheduling::other;
    config.workers.push_back(rtcd::worker_settings(worker, plan.limits, plan.admission, real_time));
  }
  std::vector<std::uint32_t> links_of_worker(plan.workers.size());
  for (const LinkIndex l : routes_.links_of(host)) {
    const std::size_t side = routes_.side(host, l);
    const rtcd::LinkSection& section = network_.links[l].ends[side].settings;
    config.links.push_back(rtcd::link_settings(section, plan.admission,
                                               {.address = Routes::endpoint(l, side),
                                                .mtu_bytes = section.mtu_bytes,
                                                .guarded_bits_per_second = promised_capacity(section),
                                                .foreign = foreign_blocking(section),
                                                .worker_link = links_of_worker[section.worker]++}));
  }
  machine.node = std::make_unique<node::Node>(config, machine.router, 1 + host);
}

const node::Node& Fabric::node(HostIndex host) const {
  return *machines_[host]->node;
}
const node::NodeConfig& Fabric::config(HostIndex host) const {
  return machines_[host]->config;
}

bool Fabric::reconciles() const {
  return std::ranges::all_of(machines_, [](const auto& m) { return m->node->reconciles(); });
}

// --- applications
// -------------------------------------------------------------------------------------------

SessionId Fabric::open_session(HostIndex host, std::uint16_t port) {
  const SessionId session{++sessions_};
  step(host, node::SessionOpened{session, the_user, 1});
  step(host, node::Requested{session, ipc::RegisterPort{++requests_, port}});
  return session;
}

std::expected<ChannelId, Error> Fabric::create(const ChannelGroup& channel) {
  return establish(channel, machines_[channel.from]->session, channel_port, channel.qos);
}

std::expected<ChannelId, Error> Fabric::establish(const ChannelGroup& channel, SessionId session, std::uint16_t port,
                                                  const Qos& qos) {
  answer_.reset();
  const Endpoint to{routes_.address_of(channel.to), port};
  step(channel.from, node::Requested{session, ipc::CreateChannel{++requests_, to, qos, false, patience, channel.extensions}});
  deliver();
  for (int wakes = 0; !answer_ && wakes < most_wakes && pass_time(); ++wakes) deliver();
  if (!answer_) return std::unexpected(Error{Errc::timed_out, "nobody answered the set-up", {}});
  return *answer_;
}

std::expected<Way, Error> Fabric::attempt(const ChannelGroup& asked, const Qos& qos) {
  const HostIndex from = asked.from, to = asked.to;
  const auto before = paths();
  const SessionId sender = open_session(from, attempt_port);
  const SessionId receiver = open_session(to, attempt_port);
  const auto channel = establish(asked, sender, attempt_port, qos);
  std::expected<Way, Error> result;
  if (channel) {
    std::string path;
    for (const auto& status : node(from).channels()) {
      if (status.session == sender.value && status.channel == channel->value) path = status.path;
    }
    for (HostIndex at = from;;) {
      const auto all = node(at).channels();
      const auto mine = std::ranges::find(all, path, &node::ChannelStatus::path);
      if (mine == all.end()) break;
      result->push_back(passage(at, *mine));
      if (!result->back().out) break;
      at = routes_.peer(at, *result->back().out);
    }
  } else {
    result = std::unexpected(channel.error());
  }
  step(from, node::SessionClosed{sender, "the attempt is over"});
  step(to, node::SessionClosed{receiver, "the attempt is over"});
  settle(before);
  return result;
}

// --- virtual time
// -------------------------------------------------------------------------------------------

void Fabric::step(HostIndex host, const node::Event& event) {
  actions_.clear();
  machines_[host]->node->step(now_, event, actions_);
  for (node::Action& action : actions_) act(host, action);
}

void Fabric::deliver() {
  while (!agenda_.empty()) {
    const Coming coming = std::move(agenda_.front());
    agenda_.pop_front();
    now_ += a_moment;
    if (const auto* signal = std::get_if<node::SignalReceived>(&coming.event)) {
      step(coming.host, node::SignalReceived{signal->link, signal->from, coming.bytes});
    } else {
      step(coming.host, coming.event);
    }
  }
}

// To the next instant at which anybody wants to do something. False: nobody ever will.
bool Fabric::pass_time() {
  const auto first =
      std::ranges::min_element(machines_, {}, [](const auto& m) { return m->node->next_wake(); });
  const Instant wake = (*first)->node->next_wake();
  if (wake == never) return false;
  now_ = std::max(now_, wake);
  step(static_cast<HostIndex>(first - machines_.begin()), node::Timer{});
  return true;
}

std::vector<std::size_t> Fabric::paths() const {
  std::vector<std::size_t> all;
  for (const auto& machine : machines_) all.push_back(machine->node->ledger().paths());
  return all;
}

// Nothing is under way anywhere, and every node holds as many paths as it did.
bool Fabric::at_rest(const std::vector<std::size_t>& before) const {
  if (!agenda_.empty() || paths() != before) return false;
  for (const auto& machine : machines_) {
    const admission::Ledger& ledger = machine->node->ledger();
    for (std::uint32_t i = 0; i < ledger.stages(); ++i) {
      const auto stage = ledger.view(admission::StageId{i});
      if (stage.tentative + stage.draining > 0) return false;
    }
  }
  return true;
}

void Fabric::settle(const std::vector<std::size_t>& before) {
  deliver();
  for (int wakes = 0; !at_rest(before) && wakes < most_wakes && pass_time(); ++wakes) deliver();
  assert(at_rest(before));
}

// --- what nodes decide
// --------------------------------------------------------------------------------------

void Fabric::act(HostIndex host, node::Action& action) {
  Machine& machine = *machines_[host];
  if (auto* send = std::get_if<node::SendSignal>(&action)) {
    const LinkIndex link = routes_.links_of(host)[send->link];
    const std::size_t side = routes_.side(host, link);
    const HostIndex to = routes_.peer(host, link);
    agenda_.push_back({to,
                       node::SignalReceived{routes_.number_at(to, link), Routes::endpoint(link, side), {}},
                       std::move(send->bytes)});
  } else if (const auto* reply = std::get_if<node::ReplyTo>(&action)) {
    hear(host, *reply);
  } else if (const auto* open = std::get_if<node::OpenClip>(&action)) {
    machine.clips[{open->worker, open->spec.slot}] = {open->queue.slots, open->spec.packet_buffers};
    agenda_.push_back({host, node::ClipReady{open->worker, open->spec.slot}, {}});
  } else if (const auto* close = std::get_if<node::CloseClip>(&action)) {
    if (machine.clips.erase({close->worker, close->slot}) == 0) return;  // asked for again, with more haste
    agenda_.push_back({host, node::ClipClosed{close->worker, close->slot}, {}});
  } else if (const auto* log = std::get_if<node::Log>(&action)) {
    remarks_.push_back(fmt::format("{}: {}", network_.hosts[host].name, log->text));
  }
}

void Fabric::hear(HostIndex host, const node::ReplyTo& reply) {
  if (const auto* created = std::get_if<ipc::Created>(&reply.reply)) {
    answer_ = created->channel;
  } else if (const auto* failed = std::get_if<ipc::Failed>(&reply.reply)) {
    answer_ = std::unexpected(named(failed->error));
  } else if (const auto* asked = std::get_if<ipc::Asked>(&reply.reply)) {
    agenda_.push_back({host, node::Requested{reply.session, ipc::Decision{asked->question, true}}, {}});
  }
}

// "... at 10.0.3.1" becomes "... at press-2".
Error Fabric::named(Error error) const {
  const auto address = IpAddress::parse(error.refusal.hop);
  const auto host = address ? routes_.host_of(*address) : std::nullopt;
  if (!host) return error;
  const std::string& name = network_.hosts[*host].name;
  if (const std::size_t at = error.text.rfind(error.refusal.hop); at != std::string::npos) {
    error.text.replace(at, error.refusal.hop.size(), name);
  }
  error.refusal.hop = name;
  return error;
}

// --- looking in
// ---------------------------------------------------------------------------------------------

Passage Fabric::passage(HostIndex host, const node::ChannelStatus& status) const {
  Passage p;
  p.host = host;
  if (status.has_link) p.out = routes_.links_of(host)[status.link];
  p.cpu_minimum = status.cpu_minimum;
  p.cpu_delay = status.cpu_delay;
  p.link_minimum = status.link_minimum;
  p.link_delay = status.link_delay;
  p.memory_bytes = status.memory_bytes;
  const auto clip = machines_[host]->clips.find({status.worker, ClipSlot{status.slot}});
  if (status.has_clip && clip != machines_[host]->clips.end()) {
    p.messages = clip->second.messages;
    p.packet_buffers = clip->second.packet_buffers;
  }
  return p;
}

std::vector<std::map<ChannelId, Way>> Fabric::ways() const {
  std::vector<std::unordered_map<std::string, node::ChannelStatus>> by_path(machines_.size());
  for (HostIndex h = 0; h < machines_.size(); ++h) {
    for (auto& status : machines_[h]->node->channels()) by_path[h].emplace(status.path, status);
  }
  std::vector<std::map<ChannelId, Way>> all(machines_.size());
  for (HostIndex from = 0; from < machines_.size(); ++from) {
    for (const auto& [path, status] : by_path[from]) {
      if (status.role != "sending") continue;
      Way& way = all[from][ChannelId{status.channel}];
      for (HostIndex at = from;;) {
        const auto here = by_path[at].find(path);
        if (here == by_path[at].end()) break;
        way.push_back(passage(at, here->second));
        if (!way.back().out) break;
        at = routes_.peer(at, *way.back().out);
      }
    }
  }
  return all;
}

}  // namespace rtchan::plan
