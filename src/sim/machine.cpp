#include "sim/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "base/limits.hpp"
#include "sim/port.hpp"
#include "sim/world.hpp"

namespace rtchan::sim {
namespace {

using std::chrono::microseconds;

constexpr Duration hand_over_latency = microseconds{50};  // as rtcd promises its link scheduler
constexpr std::uint32_t commands_per_turn = 8;
constexpr std::uint32_t restless_most = 100'000;
constexpr Duration clip_job_most = std::chrono::milliseconds{3};
constexpr std::uint32_t link_headers = 28 + 14 + 24;      // IP and UDP, Ethernet, preamble and gap

// Whose turn it is: a domain's clock is a plain function.
thread_local const Machine* running = nullptr;
Instant running_clock() { return running->local(); }

std::uint64_t end_key(SessionId session, ChannelId channel) {
  return std::uint64_t{session.value} << 32 | channel.value;
}

}  // namespace

Machine::Machine(World& world, std::uint32_t host, const MachineSettings& settings)
    : world_(world),
      host_(host),
      settings_(settings),
      random_(world.seed() ^ (0x5157ULL << 32) ^ host),
      clock_(Duration{static_cast<std::int64_t>(random_.below(1'000'000'000'000))}, settings.drift_ppb) {
  configure();
  for (std::uint32_t i = 0; i < world.routes().ports(host).size(); ++i) ports_.push_back(std::make_unique<Port>(*this, i));
}

Machine::~Machine() = default;

// --- coming and going -------------------------------------------------------------------------------------------

void Machine::configure() {
  config_.name = fmt::format("host{}", host_);
  config_.host = HostId{1'000 + host_};
  config_.addresses = {address_of_host(host_)};
  config_.timing.lease = settings_.lease;
  config_.limits.channels_per_uid = settings_.uid_channels;
  if (settings_.memory_bytes != 0) config_.limits.memory_bytes = config_.limits.memory_per_uid_bytes = settings_.memory_bytes;
  node::WorkerSettings& worker = config_.workers.emplace_back();
  worker.clips = settings_.clips;
  worker.packet_buffers = settings_.packet_buffers;
  worker.costs.core = {};
  world_.adjust(worker);
  for (const Routes::Port& port : world_.routes().ports(host_)) {
    const Wire& out = world_.wire(host_, port);
    node::LinkSettings link;
    link.name = fmt::format("to{}", port.peer);
    link.worker_link = static_cast<std::uint32_t>(config_.links.size());
    link.address = world_.endpoint(port.link, host_);
    constexpr auto ours = static_cast<std::uint32_t>(wire::fragment_overhead_bytes);
    link.model = {.bits_per_second = out.settings().bits_per_second,
                  .format = {.payload_per_packet_bytes = static_cast<std::uint32_t>(payload_bytes) - ours,
                             .packet_overhead_bytes = ours + link_headers},
                  .frame_cost = {},
                  .foreign = {}};
    link.horizon = world_.horizon(port.link);
    link.propagation = out.settings().delay + out.settings().jitter;
    link.arrival_bits_per_second = out.settings().bits_per_second;
    link.signal_period = node::signal_period(link.model);
    config_.links.push_back(link);
  }
}

void Machine::boot(std::uint64_t epoch) {
  assert(!up());
  ++incarnation_;
  config_.epoch = epoch;
  node_ = std::make_unique<node::Node>(config_, *this, random_.next());
  if (settings_.workers) make_domain();
  set_wake();
}

void Machine::make_domain() {
  links_.clear();
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    const node::LinkSettings& link = config_.links[i];
    links_.push_back({.driver = ports_[i].get(),
                      .bits_per_second = link.model.bits_per_second,
                      .frame_overhead_bytes = link_headers,
                      .refill_latency = hand_over_latency,
                      .foreign = {},
                      .signal_period = link.signal_period,
                      .signal_delay = link.signal_delay});
  }
  const admission::CostModel& c = costs();
  const admission::PacketFormat largest{static_cast<std::uint32_t>(payload_bytes), link_headers};
  for (auto& link : links_) link.visit = admission::link_visit(c, largest, static_cast<std::uint32_t>(links_.size()));
  counters_.assign(settings_.clips, {});
  domain_ = std::make_unique<clips::Domain>(
      clips::DomainConfig{.links = links_,
                          .clips = settings_.clips,
                          .packet_frames = settings_.packet_buffers,
                          .best_effort_packets = c.best_effort_packets,
                          .best_effort_period = c.best_effort_period,
                          .best_effort_delay = c.best_effort_delay,
                          .counters = counters_,
                          .clock = running_clock},
      *this);
  busy_until_ = world_.now();
}

void Machine::crash() {
  if (!up()) return;
  ++incarnation_;
  world_.watch().crashed(*this);
  handovers_.clear();
  commands_.clear();
  domain_.reset();
  node_.reset();
  for (const auto& port : ports_) port->drop_all();
  ends_.clear();
  slot_of_.clear();
  to_sight_.clear();
  inbox_.clear();
  turn_at_ = wake_at_ = never;
}

// --- control ----------------------------------------------------------------------------------------------------

void Machine::tell(const node::Event& event) {
  if (!up()) return;
  ++node_steps;
  actions_.clear();
  node_->step(clock_.local(world_.now()), event, actions_);
  for (node::Action& action : actions_) act(action);
  set_wake();
}

void Machine::set_wake() {
  const Instant wanted = clock_.truth(node_->next_wake());
  if (wanted == wake_at_) return;
  wake_at_ = wanted;
  if (wanted != never) world_.enter(std::max({wanted, world_.now(), stalled_until_}), What::wake, host_);
}

void Machine::wake() {
  if (!up() || world_.now() < wake_at_) return;
  if (world_.now() < stalled_until_) return world_.enter(stalled_until_, What::wake, host_);
  wake_at_ = never;
  tell(node::Timer{});
}

void Machine::report(Report report) {
  inbox_.push_back(std::move(report));
  if (std::exchange(inbox_entered_, true)) return;
  world_.enter(truth() + settings_.control, What::inbox, host_);
}

void Machine::read_inbox() {
  if (up() && world_.now() < stalled_until_) return world_.enter(stalled_until_, What::inbox, host_);
  inbox_entered_ = false;
  while (up() && !inbox_.empty()) {
    const Report r = std::move(inbox_.front());
    inbox_.pop_front();
    switch (r.kind) {
      case Report::Kind::signal: tell(node::SignalReceived{r.link, r.from, r.bytes}); break;
      case Report::Kind::client_violated: tell(node::ClientViolated{0, r.slot}); break;
      case Report::Kind::contract_violated: tell(node::ContractViolated{0, r.slot}); break;
      case Report::Kind::clip_closed: break;
    }
  }
}

std::optional<node::NextHop> Machine::next_hop(const IpAddress& destination) const {
  const auto to = host_of(destination);
  if (!to || *to >= world_.routes().hosts() || *to == host_) return std::nullopt;
  std::uint16_t port = world_.routes().next(host_, *to);
  if (const auto wrong = misroutes.find(*to); wrong != misroutes.end()) {
    port = static_cast<std::uint16_t>(world_.routes().port_toward(host_, wrong->second));
  }
  if (port == Routes::nowhere) return std::nullopt;
  const Routes::Port& out = world_.routes().ports(host_)[port];
  return node::NextHop{port, world_.endpoint(out.link, out.peer)};
}

// By the distance from the neighbour on, whether or not it would send it back.
std::vector<node::NextHop> Machine::alternatives(const IpAddress& destination) const {
  const auto to = host_of(destination);
  if (!to || *to >= world_.routes().hosts() || *to == host_) return {};
  std::vector<std::pair<std::size_t, std::uint32_t>> ways;
  const auto ports = world_.routes().ports(host_);
  for (std::uint32_t p = 0; p < ports.size(); ++p) ways.emplace_back(world_.routes().way(ports[p].peer, *to).size(), p);
  std::ranges::sort(ways);
  if (ways.size() > limits::alternatives) ways.resize(limits::alternatives);
  std::vector<node::NextHop> all;
  for (const auto& [hops, p] : ways) all.push_back({p, world_.endpoint(ports[p].link, ports[p].peer)});
  return all;
}

void Machine::act(node::Action& action) {
  if (auto* send = std::get_if<node::SendSignal>(&action)) {
    send_signal(*send);
  } else if (auto* reply = std::get_if<node::ReplyTo>(&action)) {
    world_.hear(host_, *reply);
  } else if (auto* open = std::get_if<node::OpenClip>(&action)) {
    open_clip(*open);
  } else if (auto* connect = std::get_if<node::ConnectClip>(&action)) {
    connect_clip(*connect);
  } else if (auto* close = std::get_if<node::CloseClip>(&action)) {
    close_clip(*close);
  } else if (auto* bound = std::get_if<node::SetBurstBound>(&action)) {
    if (domain_) command({*bound});
  } else if (auto* log = std::get_if<node::Log>(&action)) {
    if (world_.tracing()) world_.trace(fmt::format("host{} says: {}", host_, log->text));
  } else if (auto* evict = std::get_if<node::EvictSession>(&action)) {
    world_.watch().wrong(fmt::format("host{} evicts session {}: {}", host_, evict->session.value, evict->why));
  }
}

void Machine::send_signal(const node::SendSignal& send) {
  ++world_.totals().signal_packets;
  if (world_.tracing()) world_.trace_signal(host_, config_.links[send.link].name, send.bytes);
  if (domain_) return command({send});
  ports_[send.link]->send_alone(send.bytes);
}

// --- clips ------------------------------------------------------------------------------------------------------

void Machine::enter_job(Job job, Duration after) {
  job.incarnation = incarnation_;
  jobs_.push_back(job);
  world_.enter(truth() + after, What::clip, host_, static_cast<std::uint32_t>(jobs_.size() - 1));
}

void Machine::open_clip(const node::OpenClip& open) {
  const ClipSlot slot = open.spec.slot;
  if (ends_.contains(slot.value)) return world_.watch().wrong(fmt::format("host{} opens slot {} twice", host_, slot.value));
  world_.watch().opened(*this, open);
  End& end = ends_[slot.value];
  end.spec = open.spec;
  end.session = open.session;
  end.channel = open.channel;
  end.queue = open.queue;
  if (open.session.value != 0) slot_of_[end_key(open.session, open.channel)] = slot.value;
  const auto most = static_cast<std::uint64_t>(clip_job_most.count());
  enter_job({Job::Kind::open, slot, open.spec.generation}, Duration{static_cast<std::int64_t>(random_.below(most))});
}

void Machine::clip_job(std::uint32_t number) {
  const Job job = jobs_[number];
  if (job.incarnation != incarnation_) return;
  if (world_.now() < stalled_until_) return world_.enter(stalled_until_, What::clip, host_, number);
  const auto found = ends_.find(job.slot.value);
  assert(found != ends_.end() && found->second.spec.generation == job.generation);
  if (job.kind == Job::Kind::open && !found->second.closing) return finish_open(found->second);
  slot_of_.erase(end_key(found->second.session, found->second.channel));
  ends_.erase(found);
  world_.watch().closed(*this, job.slot);
  tell(node::ClipClosed{0, job.slot});
}

void Machine::finish_open(End& end) {
  const ClipSlot slot = end.spec.slot;
  if (clips_fail_percent > 0 && random_.below(100) < clips_fail_percent) {
    slot_of_.erase(end_key(end.session, end.channel));
    ends_.erase(slot.value);
    world_.watch().closed(*this, slot);
    return tell(node::ClipFailed{0, slot, "no memory"});
  }
  end.open = true;
  if (domain_) {
    std::unique_ptr<Source> source;
    std::unique_ptr<Sink> sink;
    if (end.spec.role == clips::Role::outgoing) {
      source = std::make_unique<Source>(*this, end.queue.slots);
      end.source = source.get();
    } else if (end.spec.role == clips::Role::incoming) {
      sink = std::make_unique<Sink>(*this, slot.value, end.queue.slots, end.queue.slot_bytes);
    }
    handovers_.push_back({clips::make_clip(end.spec, std::move(source), std::move(sink))});
    turn_by(world_.now());
  }
  tell(node::ClipReady{0, slot});
}

void Machine::connect_clip(const node::ConnectClip& connect) {
  End* end = end_at(connect.slot);
  if (end == nullptr || !end->open) {
    return world_.watch().wrong(fmt::format("host{} connects slot {}, which is not ready", host_, connect.slot.value));
  }
  end->connected = true;
  end->next_hop = connect.next_hop;
  end->next_label = connect.next_label;
  end->connected_at = world_.now();
  world_.watch().connected(*this, *end);
  if (domain_) command({connect});
}

void Machine::close_clip(const node::CloseClip& close) {
  End* end = end_at(close.slot);
  // It may have failed, or said that it is closed, while this was under way.
  if (end == nullptr) return;
  const bool first = !std::exchange(end->closing, true);
  if (!end->open) return;  // closed as soon as it is open
  if (domain_) return command({close});
  if (first) enter_job({Job::Kind::closed, close.slot, end->spec.generation}, microseconds{50});
}

void Machine::clip_closed(std::unique_ptr<clips::Clip> clip) {
  End& end = ends_.at(clip->spec.slot.value);
  end.source = nullptr;
  world_.watch().clip_over(*this, end, counters_[clip->spec.slot.value]);
  const auto most = static_cast<std::uint64_t>(clip_job_most.count());
  enter_job({Job::Kind::closed, clip->spec.slot, end.spec.generation},
            Duration{static_cast<std::int64_t>(random_.below(most))});
}

End* Machine::end_at(ClipSlot slot) noexcept {
  const auto found = ends_.find(slot.value);
  return found == ends_.end() ? nullptr : &found->second;
}

End* Machine::end_of(SessionId session, ChannelId channel) noexcept {
  const auto found = slot_of_.find(end_key(session, channel));
  return found == slot_of_.end() ? nullptr : end_at(ClipSlot{found->second});
}

// --- the worker -------------------------------------------------------------------------------------------------

Instant Machine::truth() const noexcept { return turning_ ? world_.now() + worked_ : world_.now(); }

void Machine::work(Duration cost) noexcept { worked_ += cost * static_cast<std::int64_t>(settings_.busy_permille) / 1'000; }

void Machine::command(Command command) {
  commands_.push_back(std::move(command));
  turn_by(world_.now());
}

void Machine::sight(ClipSlot slot) {
  to_sight_.push_back(slot);
  turn_by(world_.now());
}

// A worker that sleeps wakes up a moment after it should; one that is busy looks when it has done what it is at.
void Machine::turn_by(Instant due) {
  Instant at = std::max({due, world_.now(), busy_until_});
  if (at >= turn_at_) return;
  const auto latest = static_cast<std::uint64_t>(costs().wakeup_latency.count()) * settings_.busy_permille / 1'000;
  if (at > busy_until_ && latest > 0) {
    const bool long_one = random_.below(8) == 0;
    at += Duration{static_cast<std::int64_t>(random_.below(long_one ? latest : latest / 16 + 1))};
    if (at >= turn_at_) return;
  }
  turn_at_ = at;
  world_.enter(at, What::turn, host_);
}

void Machine::take_commands(Instant now) {
  for (; !handovers_.empty(); handovers_.pop_front()) obey(handovers_.front(), now);
  for (std::uint32_t i = 0; i < commands_per_turn && !commands_.empty(); ++i) {
    obey(commands_.front(), now);
    commands_.pop_front();
  }
}

void Machine::obey(Command& command, Instant now) {
  if (auto* clip = std::get_if<std::unique_ptr<clips::Clip>>(&command.what)) {
    domain_->open(std::move(*clip), now);
  } else if (auto* send = std::get_if<node::SendSignal>(&command.what)) {
    if (!domain_->send_signal(send->link, send->to, send->bytes, now)) ++world_.totals().signals_refused;
  } else if (auto* connect = std::get_if<node::ConnectClip>(&command.what)) {
    domain_->connect(connect->slot, connect->next_hop, connect->next_label, now);
  } else if (auto* close = std::get_if<node::CloseClip>(&command.what)) {
    domain_->close(close->slot, close->mode, now);
  } else if (auto* bound = std::get_if<node::SetBurstBound>(&command.what)) {
    domain_->set_burst_bound(bound->link, bound->bound);
  }
}

void Machine::turn() {
  if (!up() || world_.now() != turn_at_) return;
  if (world_.now() < stalled_until_) {
    turn_at_ = stalled_until_;
    return world_.enter(turn_at_, What::turn, host_);
  }
  ++turns;
  turn_at_ = never;
  turning_ = true;
  worked_ = Duration{0};
  running = this;
  const Instant began = world_.now();
  const Instant now = clock_.local(began);
  const Instant stalled = std::exchange(stalled_since_, never);
  const Instant since = stalled == never ? now : std::min(now, clock_.local(stalled + limits::look_patience));
  work(costs().turn);
  look_ = Look{now, now};
  take_commands(now);
  look_ = Look{since, now};
  for (const ClipSlot slot : to_sight_) domain_->sighted(slot, since, now);
  to_sight_.clear();
  look_.reset();
  const Instant due = domain_->turn(now);
  const Instant end = truth();
  turning_ = false;
  restless_ = end == busy_until_ ? restless_ + 1 : 0;
  busy_until_ = end;
  if (restless_ > restless_most) return world_.watch().wrong(fmt::format("the worker of host{} never comes to rest", host_));
  if (due != never) turn_by(clock_.truth(due));
  if (!commands_.empty()) turn_by(began);
}

void Machine::arrived(std::uint32_t port, std::uint32_t parcel) {
  if (!ports_[port]->arrived(parcel)) return;
  if (domain_) {
    turn_by(world_.now());
  } else {
    ports_[port]->read_alone();
  }
}

std::uint64_t Machine::waiting_to_be_received() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& port : ports_) sum += port->waiting();
  return sum;
}

void Machine::stall(Instant until) {
  if (!up()) return;
  if (stalled_until_ <= world_.now()) stalled_since_ = world_.now();
  stalled_until_ = std::max(stalled_until_, until);
  if (domain_) turn_by(until);
}

// --- what the domain tells --------------------------------------------------------------------------------------

void Machine::signal_received(std::uint32_t link, const Endpoint& from, std::span<const std::byte> bytes, Instant) {
  report({.kind = Report::Kind::signal, .link = link, .slot = {}, .from = from, .bytes = {bytes.begin(), bytes.end()}});
}

void Machine::client_violated(ClipSlot slot) {
  report({.kind = Report::Kind::client_violated, .link = 0, .slot = slot, .from = {}, .bytes = {}});
}

void Machine::contract_violated(ClipSlot slot, Instant) {
  world_.watch().contract_violated(*this, slot);
  report({.kind = Report::Kind::contract_violated, .link = 0, .slot = slot, .from = {}, .bytes = {}});
}

}  // namespace rtchan::sim
