#include "sim/world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>

#include "rtcop/engine.hpp"
#include "wire/signal.hpp"

namespace rtchan::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr Duration wire_jitter = microseconds{5};
constexpr Duration margin = milliseconds{500};  // clips are closed, stages idle once

constexpr std::int64_t probing_user = 4'000;
constexpr Duration probing = std::chrono::seconds{3};
constexpr std::uint32_t probed_hosts_most = 64;  // larger networks are not probed: the channels would be too many at a hub

enum Stage : std::uint32_t { stage_heal, stage_standing, stage_empty, stage_probed, stage_end };

std::string seconds(Instant at) {
  const auto ns = (at - Instant{std::chrono::seconds{1}}).count();
  return fmt::format("{}.{:09}", ns / 1'000'000'000, ns % 1'000'000'000);
}

}  // namespace

void Totals::add(const Totals& o) noexcept {
  runs += o.runs, events += o.events, turns += o.turns, node_steps += o.node_steps;
  setups += o.setups, created += o.created, refused += o.refused;
  messages += o.messages, delivered += o.delivered, excused += o.excused;
  packets += o.packets, lost += o.lost, corrupted += o.corrupted, copied += o.copied, held += o.held, cut += o.cut;
  signal_packets += o.signal_packets, signals_refused += o.signals_refused;
  signals += o.signals, signals_again += o.signals_again, refreshes += o.refreshes;
  node_ns += o.node_ns;
  digest += o.digest;  // in whatever order
  for (std::size_t s = 0; s < transitions.size(); ++s) {
    for (std::size_t e = 0; e < transitions[s].size(); ++e) transitions[s][e] += o.transitions[s][e];
  }
}

// --- building ---------------------------------------------------------------------------------------------------

World::World(const Script& script, std::vector<std::string>* trace)
    : script_(script), trace_(trace), watch_(std::make_unique<Watch>(*this)), applications_(std::make_unique<Applications>(*this)) {
  build(script);
  Instant last = now_;
  for (std::uint32_t i = 0; i < script.size(); ++i) {
    if (script[i].timeless()) continue;
    last = Instant{std::chrono::seconds{1}} + script[i].at;
    agenda_.enter(last, What::deed, i);
    if (script[i].verb == Verb::create) {
      longest_delay_ = std::max<Duration>(longest_delay_, microseconds{script[i]["delay_us"]});
    }
  }
  agenda_.enter(last + milliseconds{1}, What::stage, stage_heal);
}

World::~World() = default;

void World::build(const Script& script) {
  std::uint32_t hosts = 1;
  for (const Deed& deed : script) {
    if (deed.verb != Verb::link) continue;
    joints_.push_back({deed.index("a"), deed.index("b")});
    hosts = std::max({hosts, joints_.back().a + 1, joints_.back().b + 1});
  }
  routes_ = std::make_unique<Routes>(hosts, joints_);
  Deed settings{Duration{}, Verb::settings};
  std::vector<Deed> of_host(hosts, Deed{Duration{}, Verb::host});
  for (const Deed& deed : script) {
    if (deed.verb == Verb::settings) settings = deed;
    if (deed.verb == Verb::host && deed.index("host") < hosts) of_host[deed.index("host")] = deed;
  }
  seed_ = static_cast<std::uint64_t>(settings["seed"]);
  lease_ = milliseconds{settings["lease_ms"]};
  settle_ = milliseconds{settings["settle_ms"]};
  workers_ = settings["workers"] != 0;
  work_ = Duration{settings["work_ns"]};
  for (const Deed& deed : script) {
    if (deed.verb != Verb::link) continue;
    const bool fixed = deed["horizon_us"] >= 0;
    horizons_.push_back(fixed ? std::optional<Duration>{microseconds{deed["horizon_us"]}} : std::nullopt);
    for (const bool back : {false, true}) {
      wires_.emplace_back(Wire::Settings{.number = static_cast<std::uint32_t>(wires_.size()),
                                         .from = deed.index(back ? "b" : "a"),
                                         .to = deed.index(back ? "a" : "b"),
                                         .bits_per_second = static_cast<std::uint64_t>(deed["rate_kbit"]) * 1'000,
                                         .delay = microseconds{deed["delay_us"]},
                                         .jitter = wire_jitter,
                                         .seed = seed_});
    }
  }
  for (std::uint32_t h = 0; h < hosts; ++h) {
    const auto own = [&](std::string_view key) { return of_host[h][key] != 0 ? of_host[h].index(key) : settings.index(key); };
    const MachineSettings machine{.drift_ppb = of_host[h]["drift_ppb"],
                                  .control = microseconds{of_host[h]["control_us"]},
                                  .workers = workers_,
                                  .busy_permille = settings.index("busy_permille"),
                                  .clips = own("clips"),
                                  .packet_buffers = own("packet_buffers"),
                                  .uid_channels = settings.index("uid_channels"),
                                  .memory_bytes = static_cast<std::uint64_t>(settings["memory_mb"]) << 20,
                                  .lease = lease_};
    if (machine.drift_ppb != 0) watch_->fault(fault_drift);
    machines_.push_back(std::make_unique<Machine>(*this, h, machine));
    machines_.back()->boot(++epochs_);
  }
}

Wire& World::wire(std::uint32_t host, const Routes::Port& port) noexcept {
  return wires_[2 * port.link + (joints_[port.link].b == host ? 1 : 0)];
}

Wire& World::wire_between(std::uint32_t from, std::uint32_t to) noexcept {
  return wire(from, routes_->ports(from)[routes_->port_toward(from, to)]);
}

bool World::joined(std::uint32_t a, std::uint32_t b) const noexcept {
  return a < hosts() && std::ranges::find(routes_->ports(a), b, &Routes::Port::peer) != routes_->ports(a).end();
}

Endpoint World::endpoint(std::uint32_t link, std::uint32_t host) const noexcept {
  return endpoint_of(link, joints_[link].b == host);
}

// Signalling alone: hosts whose work is not what ends the story.
void World::adjust(node::WorkerSettings& worker) const {
  if (work_ > Duration{0}) {
    worker.costs.send = worker.costs.receive = {work_, Duration{1}, Duration{1}, 0};
    worker.costs.handler_switch = worker.costs.turn = Duration{1};
  }
  if (workers_) return;
  worker.costs.input_packet = std::chrono::nanoseconds{200};
  worker.costs.best_effort_period = std::chrono::seconds{1};
  worker.costs.best_effort_delay = std::chrono::seconds{2};
}

std::uint64_t World::waiting_to_be_received() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& machine : machines_) sum += machine->waiting_to_be_received();
  return sum;
}

// --- time -------------------------------------------------------------------------------------------------------

Outcome World::run() {
  while (!over_ && !agenda_.empty()) {
    const Happening next = agenda_.take();
    now_ = next.at;
    happen(next);
  }
  return outcome();
}

void World::run_until(Duration span) {
  const Instant at = Instant{std::chrono::seconds{1}} + span;
  while (!over_ && agenda_.next() <= at) {
    const Happening next = agenda_.take();
    now_ = next.at;
    happen(next);
  }
  now_ = std::max(now_, at);
}

void World::happen(const Happening& h) {
  ++totals_.events;
  if (instants_ != nullptr && (instants_->empty() || instants_->back() != now_)) instants_->push_back(now_);
  switch (h.what) {
    case What::deed: return perform(script_[h.a]);
    case What::arrival: {
      const Wire& wire = wires_[parcels_[h.a].wire];
      --in_flight_;
      return machines_[wire.to()]->arrived(routes_->port_toward(wire.to(), wire.from()), h.a);
    }
    case What::turn: return machines_[h.a]->turn();
    case What::wake: return machines_[h.a]->wake();
    case What::inbox: return machines_[h.a]->read_inbox();
    case What::clip: return machines_[h.a]->clip_job(h.b);
    case What::word: return applications_->take_word(h.a);
    case What::send: return applications_->send(h.a);
    case What::act: return applications_->act(h.a);
    case What::stage: return stage(h.a);
  }
}

// --- deeds ------------------------------------------------------------------------------------------------------

void World::perform(const Deed& deed) {
  if (tracing()) trace(to_text(deed));
  const auto host = [&](std::string_view key) { return std::min(deed.index(key), hosts() - 1); };
  for (const auto& [from, to] : {std::pair{"from", "to"}, {"host", "neighbour"}, {"host", "by"}}) {
    if (deed.verb == Verb::create || !deed.has(from) || !deed.has(to)) continue;
    if (!joined(deed.index(from), deed.index(to))) return watch_->wrong("the script names a link that is not there: " + to_text(deed));
  }
  switch (deed.verb) {
    case Verb::settings:
    case Verb::host:
    case Verb::link: return;
    case Verb::start: return applications_->start(deed);
    case Verb::create: return applications_->create(deed);
    case Verb::destroy: return applications_->destroy(deed);
    case Verb::kill: watch_->fault(fault_kill); return applications_->kill(deed.index("app"));
    case Verb::crash: watch_->fault(fault_crash); return crash(host("host"));
    case Verb::boot: return boot(host("host"));
    case Verb::shut_down:
      watch_->fault(fault_shut_down);
      watch_->host_away(host("host"));
      return machines_[host("host")]->tell(node::ShutDown{});
    case Verb::stall: {
      const Instant until = now_ + microseconds{deed["for_us"]};
      watch_->host_stalled(host("host"), until);
      return machines_[host("host")]->stall(until);
    }
    case Verb::cut: return change_wire(host("from"), host("to"), {}, true);
    case Verb::mend: return change_wire(host("from"), host("to"), {}, false);
    case Verb::faults:
      return change_wire(host("from"), host("to"),
                         {.loss_ppm = deed.index("loss_ppm"), .corrupt_ppm = deed.index("corrupt_ppm"),
                          .double_ppm = deed.index("double_ppm"), .copies = deed.index("copies"),
                          .hold_ppm = deed.index("hold_ppm"), .hold = microseconds{deed["hold_us"]}},
                         false);
    case Verb::memory:
      if (deed["fails_percent"] > 0) watch_->fault(fault_memory);
      machines_[host("host")]->clips_fail_percent = deed.index("fails_percent");
      return;
    case Verb::void_link:
      watch_->fault(fault_void);
      return machines_[host("host")]->tell(
          node::LinkVoided{routes_->port_toward(host("host"), host("neighbour")), "its guard is lost"});
    case Verb::restore:
      return machines_[host("host")]->tell(node::LinkRestored{routes_->port_toward(host("host"), host("neighbour"))});
    case Verb::misroute:
      watch_->fault(fault_misroute);
      machines_[host("host")]->misroutes[deed.index("to")] = deed.index("by");
      return;
    case Verb::judge: return watch_->standing();
  }
}

void World::change_wire(std::uint32_t from, std::uint32_t to, const WireFaults& faults, bool cut) {
  Wire& wire = wire_between(from, to);
  watch_->wire_is(wire.settings().number, faults, cut);
  wire.faults = faults;
  wire.is_cut = cut;
}

void World::crash(std::uint32_t host) {
  if (!machines_[host]->up()) return;
  watch_->host_away(host);
  applications_->host_gone(host);
  count_node(*machines_[host]);
  machines_[host]->crash();
}

void World::boot(std::uint32_t host) {
  if (machines_[host]->up()) return;
  watch_->host_back(host);
  machines_[host]->boot(++epochs_);
}

// --- the end ----------------------------------------------------------------------------------------------------

// Whatever was broken is mended; a daemon that has shut down starts anew.
void World::heal() {
  for (Wire& wire : wires_) {
    if (wire.is_cut || wire.faults != WireFaults{}) change_wire(wire.from(), wire.to(), {}, false);
  }
  std::vector<bool> leaving(hosts());
  for (const Deed& d : script_) {
    if (d.verb == Verb::shut_down && d.index("host") < hosts()) leaving[d.index("host")] = true;
  }
  for (std::uint32_t h = 0; h < hosts(); ++h) {
    machines_[h]->clips_fail_percent = 0;
    machines_[h]->misroutes.clear();
    if (leaving[h]) crash(h);
    boot(h);
  }
}

// Whatever has been, now that nothing is broken and nobody is there, two neighbours can talk to each other, and the first host to the last.
void World::probe() {
  if (tracing()) trace("everybody tries once more");
  const auto app = static_cast<std::uint32_t>(applications_->apps().size());
  for (std::uint32_t h = 0; h < hosts(); ++h) {
    applications_->start(Deed{Duration{}, Verb::start}.set("app", app + h).set("host", h).set("uid", probing_user));
  }
  const auto channel = static_cast<std::int64_t>(applications_->channels().size());
  applications_->probes_from(channel);
  auto ask = [&, number = channel](std::uint32_t from, std::uint32_t to) mutable {
    Deed deed{Duration{}, Verb::create};
    deed.set("channel", number++).set("from", app + from).set("to", app + to).set("best_effort", 1);
    applications_->create(deed.set("bytes", 64).set("patience_ms", probing / milliseconds{1} - 500).set("messages", 1));
  };
  for (std::uint32_t l = 0; l < joints_.size(); ++l) {
    ask(l % 2 == 0 ? joints_[l].a : joints_[l].b, l % 2 == 0 ? joints_[l].b : joints_[l].a);
  }
  if (hosts() > 2 && routes_->way(0, hosts() - 1).size() <= limits::hops) ask(0, hosts() - 1);
}

void World::stage(std::uint32_t number) {
  switch (number) {
    case stage_heal:
      if (tracing()) trace("everything is mended");
      heal();
      return agenda_.enter(now_ + settle_, What::stage, stage_standing);
    case stage_standing:
      watch_->standing();
      if (tracing()) trace("every application ends");
      applications_->kill_all();
      return agenda_.enter(now_ + lease_ + longest_delay_ + margin, What::stage, stage_empty);
    case stage_empty:
      watch_->nothing_left();
      if (hosts() > probed_hosts_most) return agenda_.enter(now_, What::stage, stage_end);
      probe();
      return agenda_.enter(now_ + probing, What::stage, stage_probed);
    case stage_probed:
      watch_->every_probe();
      applications_->kill_all();
      return agenda_.enter(now_ + lease_ + margin, What::stage, stage_end);
    case stage_end:
      watch_->nothing_left();
      watch_->every_packet();
      over_ = true;
      return;
  }
}

void World::count_node(Machine& machine) {
  const rtcop::EngineCounters& c = machine.node().signalling();
  for (std::size_t s = 0; s < c.transitions.size(); ++s) {
    for (std::size_t e = 0; e < c.transitions[s].size(); ++e) totals_.transitions[s][e] += c.transitions[s][e];
  }
  for (const auto& [what, count] : machine.node().status().counters) {
    if (what == "signals sent") totals_.signals += count;
    if (what == "signals sent again") totals_.signals_again += count;
  }
}

Outcome World::outcome() {
  for (const auto& machine : machines_) {
    if (machine->up()) count_node(*machine);
    totals_.turns += machine->turns;
    totals_.node_steps += machine->node_steps;
  }
  for (const Wire& wire : wires_) {
    totals_.packets += wire.tally.handed_over;
    totals_.lost += wire.tally.lost;
    totals_.corrupted += wire.tally.damaged;
    totals_.copied += wire.tally.copied;
    totals_.held += wire.tally.held;
    totals_.cut += wire.tally.cut;
  }
  totals_.runs = 1;
  totals_.node_ns = static_cast<std::int64_t>(hosts()) * (now_ - Instant{std::chrono::seconds{1}}).count();
  totals_.digest = watch_->digest();
  return {watch_->wrongs(), totals_, hosts(), static_cast<std::uint32_t>(std::popcount(watch_->kinds()))};
}

// --- the trace --------------------------------------------------------------------------------------------------

void World::trace(const std::string& line) { trace_->push_back(seconds(now_) + "  " + line); }

void World::trace_signal(std::uint32_t host, const std::string& link, std::span<const std::byte> bytes) {
  const auto packet = wire::decode_signal(bytes);
  std::string all;
  if (packet) {
    for (const auto& m : packet->messages) all += fmt::format(" {}#{}", wire::name(wire::type_of(m.body)), m.number);
  }
  trace(fmt::format("host{} {}:{}", host, link, all));
}

Outcome run(const Script& script, std::vector<std::string>* trace) {
  World world{script, trace};
  return world.run();
}

}  // namespace rtchan::sim
