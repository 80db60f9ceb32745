#include "node/books.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "admission/stages.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"

namespace rtchan::node {

namespace {

constexpr std::size_t crowd = 256;                                  // links with more channels are published lazily
constexpr Duration crowd_pause = std::chrono::milliseconds{50};
constexpr std::int64_t least_spare_ppm = 5'000;                     // of a stage, for the length of its busy periods
constexpr HostId nowhere{0};                                        // of what is always there

// What a channel's messages can bring at once, input that bunches included.
Duration at_once(const admission::Candidate& c) {
  return c.service + c.input_service * (c.input_jitter / std::max(c.period, Duration{1}) + 1);
}

// What the wires into the worker can bring, if every one of them is known.
admission::InputBound input_bound(const NodeConfig& config, std::size_t worker) {
  admission::InputBound bound;
  for (const LinkSettings& link : config.links) {
    if (link.worker != worker) continue;
    if (link.arrival_bits_per_second == 0) return {};
    const admission::LinkModel port{link.arrival_bits_per_second, link.model.format, Duration{0}};
    bound.add(config.workers[worker].costs.input_packet, std::max(Duration{1}, admission::smallest_packet(port)),
              link.propagation);
  }
  return bound;
}

std::unique_ptr<admission::AdmissionPolicy> guaranteed(const std::string& name, const admission::StageSettings& settings) {
  auto policy = admission::make_policy(name, settings, {.share_ppm = settings.utilisation_limit_ppm});
  assert(policy != nullptr);
  return policy;
}

// The part of the time that the polling server of best-effort input takes packets in: its batch in each period.
std::uint32_t polled_input_ppm(const admission::CostModel& costs) {
  const std::int64_t batch = (costs.input_packet * costs.best_effort_packets).count();
  return static_cast<std::uint32_t>(std::min<std::int64_t>(1'000'000, batch * 1'000'000 / costs.best_effort_period.count()));
}

const char* policy_of(ServiceClass service) {
  return service == ServiceClass::statistical ? "statistical" : "controlled_load";
}

// What a step of the worker may have to copy at most.
admission::PacketFormat largest_format(const NodeConfig& config, std::size_t worker) {
  const admission::PacketFormat* largest = nullptr;
  for (const LinkSettings& link : config.links) {
    if (link.worker != worker) continue;
    const auto& format = link.model.format;
    if (largest == nullptr || format.payload_per_packet_bytes > largest->payload_per_packet_bytes) largest = &format;
  }
  return largest == nullptr ? admission::PacketFormat{1'400, 100} : *largest;
}

}  // namespace

admission::StageSettings link_stage_settings(const NodeConfig& config, const LinkSettings& link) {
  const admission::CostModel& costs = config.workers[link.worker].costs;
  const auto links = std::ranges::count(config.links, link.worker, &LinkSettings::worker);
  const Duration visit = admission::link_visit(costs, largest_format(config, link.worker), static_cast<std::uint32_t>(links));
  auto settings = admission::link_settings(costs, link.model, visit);
  settings.utilisation_limit_ppm = link.limit_ppm;
  return settings;
}

Duration signal_period(const admission::LinkModel& model) noexcept {
  const admission::Contract one{Duration{1}, 1, wire::signal_packet_bytes};
  return std::max<Duration>(std::chrono::milliseconds{2}, 10 * admission::link_stage(model, one).service);
}

// --- slots ------------------------------------------------------------------------------------------------------

std::optional<ClipSlot> SlotTable::take() {
  if (next_ < size_) return ClipSlot{next_++};
  if (free_.empty()) return std::nullopt;
  const ClipSlot slot = free_.front();
  free_.pop_front();
  return slot;
}

// --- setting up -------------------------------------------------------------------------------------------------

Books::Books(const NodeConfig& config) : config_(config) {
  for (std::size_t w = 0; w < config.workers.size(); ++w) {
    const WorkerSettings& worker = config.workers[w];
    auto settings = admission::cpu_settings(worker.costs, largest_format(config, w));
    settings.input_bound = input_bound(config, w);
    const auto id = ledger_.add_stage(fmt::format("cpu of worker {}", w), Resource::cpu, guaranteed(worker.policy, settings));
    cpus_.push_back(Stage{id, settings, {}, {}});
    packets_.push_back(Pool{fmt::format("packet buffers of worker {}", w), worker.packet_buffers, 0});
    slots_.emplace_back(worker.clips);
  }
  for (const LinkSettings& link : config.links) {
    const auto settings = link_stage_settings(config, link);
    const auto id = ledger_.add_stage(fmt::format("link {}", link.name), Resource::link, guaranteed(link.policy, settings));
    links_.push_back(Stage{id, settings, {}, {}});
  }
  for (std::size_t w = 0; w < cpus_.size(); ++w) {
    const WorkerSettings& worker = config.workers[w];
    add_below(cpus_[w], fmt::format("cpu of worker {}", w), Resource::cpu, worker.below, polled_input_ppm(worker.costs));
  }
  for (std::size_t l = 0; l < links_.size(); ++l) {
    add_below(links_[l], fmt::format("link {}", config.links[l].name), Resource::link, config.links[l].below, 1'000'000);
  }
  link_states_.resize(links_.size());
  memory_ = Pool{"message buffers", config.limits.memory_bytes, 0};

  for (std::size_t w = 0; w < cpus_.size(); ++w) {
    const auto& costs = config.workers[w].costs;
    enter_permanent(cpus_[w], admission::best_effort_input(costs), admission::best_effort_input_delay(costs));
  }
  for (std::size_t l = 0; l < links_.size(); ++l) {
    const LinkSettings& link = config.links[l];
    const admission::Contract signals{link.signal_period, 1, wire::signal_packet_bytes};
    enter_permanent(links_[l], admission::link_stage(link.model, signals), link.signal_delay);
    const auto& costs = config.workers[link.worker].costs;
    // On the CPU, signals in are handled at arrival like any input; what goes out has no deadline there.
    admission::Candidate cpu = admission::send_cpu(costs, signals, link.model.format);
    cpu.input_service = costs.input_packet;
    enter_permanent(cpus_[link.worker], cpu, std::chrono::seconds{1});
  }
}

void Books::add_below(Stage& stage, const std::string& name, Resource kind, const BelowSettings& below,
                      std::uint32_t input_ppm) {
  if (below.policy.empty()) return;
  auto policy = admission::make_policy(below.policy, stage.settings,
                                       {.share_ppm = below.share_ppm,
                                        .burst_limit = below.burst_limit,
                                        .target_ppm = below.target_ppm,
                                        .input_ppm = input_ppm,
                                        .above = &ledger_.policy(stage.id)});
  assert(policy != nullptr);
  stage.below = ledger_.add_stage(name + ", below guaranteed", kind, std::move(policy), stage.id);
}

void Books::enter_permanent(Stage& stage, const admission::Candidate& candidate, Duration delay) {
  const PathId path{nowhere, permanent_};
  const admission::StageRequest request{stage.id, candidate, delay};
  const auto held = ledger_.reserve(path, {&request, 1}, {}, never);
  if (!held) {
    flaws_.push_back(fmt::format("{} is too small for signalling and best-effort input: {}", held.error().where,
                                 admission::name(held.error().refusal.reason)));
    return;
  }
  const Duration final = std::max(delay, held->minima.front());
  if (final > delay) {
    flaws_.push_back(fmt::format("signalling or best-effort input needs {} more than its delay: what is promised counts on that",
                                 format_duration(final - delay)));
  }
  (void)ledger_.commit(path, {&final, 1});
  stage.work += at_once(candidate);
  ++permanent_;
}

// --- reserving --------------------------------------------------------------------------------------------------

// Of a physical stage, the one that the class is entered in; nullopt: the class is not served there.
std::optional<admission::StageId> Books::stage_of(const Stage& stage, ServiceClass service) const {
  if (!in_the_middle(service)) return stage.id;
  if (!stage.below || ledger_.view(*stage.below).policy != policy_of(service)) return std::nullopt;
  return stage.below;
}

std::optional<wire::Refuse> Books::unserved(const PathId& path, const Plan& plan, const Place& place) const {
  const auto check = [&](const Stage& stage) -> std::optional<wire::Refuse> {
    if (stage_of(stage, plan.service)) return std::nullopt;
    const auto view = ledger_.view(stage.id);
    wire::Refuse why{path, Errc::refused, view.kind, {}, {}, {}, 0, {}, false, 0, 0, 0};
    why.text = fmt::format("{} serves no {} class", view.name, policy_of(plan.service));
    return why;
  };
  auto why = check(cpus_[place.worker]);
  return why || !place.out ? why : check(links_[*place.out]);
}

std::vector<admission::StageRequest> Books::stage_requests(const Plan& plan, const Place& place) const {
  std::vector<admission::StageRequest> requests;
  if (!plan.admitted) return requests;
  Duration left = plan.max_delay - plan.before.minima - plan.before.propagation;
  const auto ask = [&](const Stage& stage, const admission::Candidate& candidate, Duration room) {
    requests.push_back({*stage_of(stage, plan.service), candidate, room});
    left -= room;
  };
  ask(cpus_[place.worker], plan.cpu, room_on_cpu(plan, left));
  if (place.out) ask(links_[*place.out], plan.link, room_on_link(plan, left));
  return requests;
}

std::expected<Books::Held, wire::Refuse> Books::reserve(const PathId& path, const Plan& plan, const Place& place) {
  if (entries_.contains(path)) {
    // The same set-up anew, while what it held before is draining. The next attempt is another path.
    wire::Refuse why{path, Errc::refused, Resource::none, {}, {}, {}, 0, "the path's capacity is not given back yet", false, 0, 0, 0};
    why.again = true;
    return std::unexpected(std::move(why));
  }
  if (auto why = unserved(path, plan, place)) return std::unexpected(*std::move(why));
  const auto requests = stage_requests(plan, place);
  Held held;
  if (!requests.empty()) {
    const auto reserved = ledger_.reserve(path, requests, {}, never);
    if (!reserved) return std::unexpected(explain(path, requests, reserved.error()));
    held.minima.cpu = reserved->minima[0];
    if (place.out) held.minima.link = reserved->minima[1];
  }
  const Duration propagation = place.out ? config_.links[*place.out].propagation : Duration{0};
  held.reach = reach(plan, held.minima, propagation);
  if (auto refusal = set_aside(path, place, held.reach.sizes)) {
    (void)ledger_.release(path);
    return std::unexpected(*std::move(refusal));
  }
  Entry& entry = entries_[path];
  if (plan.admitted) {
    entry.cpu_work = at_once(plan.cpu);
    cpus_[place.worker].work += entry.cpu_work;
    if (place.out) {
      entry.link_work = at_once(plan.link);
      links_[*place.out].work += entry.link_work;
      // The bound of what is handed over at once leaves room for the guaranteed class only.
      if (plan.service == ServiceClass::guaranteed) link_states_[*place.out].dirty = true;  // bursts must leave room for it before its first packet can come
    }
  }
  return held;
}

std::optional<wire::Refuse> Books::set_aside(const PathId& path, const Place& place, const Sizes& sizes) {
  Pool& packets = packets_[place.worker];
  wire::Refuse why{path, Errc::refused, Resource::memory, {}, {}, {}, 0, {}, false, 0, 0, 0};
  if (sizes.queue_bytes > memory_.size - memory_.used) {
    why.text = fmt::format("{} bytes of message buffers wanted, {} left", sizes.queue_bytes, memory_.size - memory_.used);
    return why;
  }
  if (sizes.packet_buffers > packets.size - packets.used) {
    why.text = fmt::format("{} packet buffers wanted, {} left", sizes.packet_buffers, packets.size - packets.used);
    return why;
  }
  memory_.used += sizes.queue_bytes;
  packets.used += sizes.packet_buffers;
  Entry entry;
  entry.worker = place.worker;
  entry.out = place.out;
  entry.memory_bytes = sizes.queue_bytes;
  entry.packet_buffers = sizes.packet_buffers;
  entries_.insert_or_assign(path, entry);
  return std::nullopt;
}

wire::Refuse Books::explain(const PathId& path, std::span<const admission::StageRequest> requests,
                            const admission::LedgerRefusal& why) const {
  wire::Refuse r{path, Errc::refused, why.refusal.resource, {}, {}, {}, 0, {}, false, 0, 0, 0};
  if (why.request < requests.size()) {
    const auto view = ledger_.view(requests[why.request].stage);
    r.again = view.tentative > 0 || view.draining > 0;
  }
  r.binding_time = std::clamp(why.refusal.binding_time, Duration{0}, admission::duration_limit);
  r.text = fmt::format("{}: {}", why.where, admission::name(why.refusal.reason));
  return r;
}

std::optional<Duration> Books::least_delay(const Plan& plan, const Place& place) const {
  if (unserved(PathId{}, plan, place)) return std::nullopt;
  Minima minima;
  const Duration propagation = place.out ? config_.links[*place.out].propagation : Duration{0};
  Duration needed = plan.before.minima + plan.before.propagation + propagation;
  const auto requests = stage_requests(plan, place);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto least = ledger_.test({requests[i].stage, requests[i].candidate, Duration{0}});
    if (!least) return std::nullopt;
    needed += *least;
    (i == 0 ? minima.cpu : minima.link) = std::max(*least, requests[i].enough);
  }
  const Sizes sizes = reach(plan, minima, propagation).sizes;
  const Pool& packets = packets_[place.worker];
  const bool room = sizes.queue_bytes <= memory_.size - memory_.used && sizes.packet_buffers <= packets.size - packets.used;
  return room ? std::optional{needed} : std::nullopt;
}

bool Books::would_fit(const Plan& plan, const Place& place) const {
  const auto needed = least_delay(plan, place);
  return needed && (!plan.admitted || *needed <= plan.max_delay);
}

bool Books::commit(const PathId& path, const Plan& plan, const Place& place, const Delays& delays, const Sizes& sizes) {
  const auto found = entries_.find(path);
  if (found == entries_.end()) return false;
  Entry& entry = found->second;
  if (sizes.queue_bytes > entry.memory_bytes || sizes.packet_buffers > entry.packet_buffers) return false;
  if (plan.admitted) {
    std::vector<Duration> final{delays.cpu};
    if (place.out) final.push_back(delays.link);
    const auto result = ledger_.commit(path, final);
    if (result != admission::CommitResult::committed && result != admission::CommitResult::already) return false;
    if (place.out && plan.service == ServiceClass::guaranteed) link_states_[*place.out].dirty = true;
  }
  memory_.used -= entry.memory_bytes - sizes.queue_bytes;
  packets_[entry.worker].used -= entry.packet_buffers - sizes.packet_buffers;
  entry.memory_bytes = sizes.queue_bytes;
  entry.packet_buffers = sizes.packet_buffers;
  return true;
}

// --- giving back ------------------------------------------------------------------------------------------------

void Books::release(const PathId& path, Instant now) {
  const auto found = entries_.find(path);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  memory_.used -= std::exchange(entry.memory_bytes, 0);
  packets_[entry.worker].used -= std::exchange(entry.packet_buffers, 0);
  if (ledger_.state(path) != admission::PathState::committed) {
    (void)ledger_.release(path);
    give_back(entry);
    entries_.erase(found);
    return;
  }
  waiting_.push_back(path);
  if (batch_.empty()) start_batch(now);
}

void Books::give_back(Entry& entry) {
  cpus_[entry.worker].work -= entry.cpu_work;
  if (!entry.out) return;
  links_[*entry.out].work -= entry.link_work;
  link_states_[*entry.out].dirty = true;
}

// A busy period that starts with everything at once is over when supply has caught up with demand; so within this
// time from any instant there is one at which the stage was idle.
Duration Books::idle_within(const Stage& stage) const {
  const admission::Supply& supply = stage.settings.supply;
  const Duration start = stage.settings.base_blocking + stage.work + supply.loss_burst +
                         (supply.whole() ? Duration{0} : 2 * (supply.period - supply.quantum));
  const auto rate_ppm = static_cast<std::int64_t>(supply.rate_q40() >> 20) * 1'000'000 >> 20;
  auto used_ppm = static_cast<std::int64_t>(ledger_.policy(stage.id).utilisation_ppm());
  if (stage.below) used_ppm += static_cast<std::int64_t>(ledger_.policy(*stage.below).utilisation_ppm());
  const std::int64_t spare = std::max(least_spare_ppm, rate_ppm - used_ppm);
  return start / spare * 1'000'000 + Duration{1'000'000};
}

void Books::start_batch(Instant now) {
  Duration longest{0};
  for (const Stage& stage : cpus_) longest = std::max(longest, idle_within(stage));
  for (const Stage& stage : links_) longest = std::max(longest, idle_within(stage));
  batch_ = std::move(waiting_);
  waiting_.clear();
  for (const PathId& path : batch_) (void)ledger_.release(path);
  batch_until_ = now + longest;
}

Instant Books::wake() const noexcept {
  Instant wake = batch_until_;
  for (const LinkState& link : link_states_) wake = std::min(wake, link.exact_due);
  return wake;
}

void Books::tick(Instant now) {
  if (now < batch_until_) return;
  for (std::uint32_t i = 0; i < ledger_.stages(); ++i) ledger_.idle(admission::StageId{i});
  for (const PathId& path : batch_) {
    const auto found = entries_.find(path);
    give_back(found->second);
    entries_.erase(found);
  }
  batch_.clear();
  batch_until_ = never;
  if (!waiting_.empty()) start_batch(now);
}

void Books::publish(Instant now, std::vector<Bound>& out) {
  for (std::uint32_t i = 0; i < links_.size(); ++i) {
    LinkState& link = link_states_[i];
    const bool due = now >= link.exact_due;
    if (!link.dirty && !due) continue;
    link.dirty = false;
    if (!due && ledger_.policy(links_[i].id).size() > crowd) {
      if (!link.cautious) out.push_back(Bound{i, admission::BurstBound{}});
      link.cautious = true;
      if (link.exact_due == never) link.exact_due = now + crowd_pause;
      continue;
    }
    out.push_back(Bound{i, ledger_.burst_bound(links_[i].id)});
    link.cautious = false;
    link.exact_due = never;
  }
}

// --- looking in -------------------------------------------------------------------------------------------------

std::vector<Pool> Books::pools() const {
  std::vector<Pool> all{memory_};
  all.insert(all.end(), packets_.begin(), packets_.end());
  return all;
}

bool Books::reconciles() const {
  std::uint64_t memory = 0;
  std::vector<std::uint64_t> packets(packets_.size());
  std::vector<Duration> cpu(cpus_.size()), link(links_.size());
  for (const auto& [path, entry] : entries_) {
    memory += entry.memory_bytes;
    packets[entry.worker] += entry.packet_buffers;
    cpu[entry.worker] += entry.cpu_work;
    if (entry.out) link[*entry.out] += entry.link_work;
  }
  if (memory != memory_.used) return false;
  for (std::size_t w = 0; w < packets.size(); ++w) {
    if (packets[w] != packets_[w].used || cpu[w] > cpus_[w].work) return false;
  }
  for (std::size_t l = 0; l < link.size(); ++l) {
    if (link[l] > links_[l].work) return false;
  }
  return ledger_.reconciles();
}

}  // namespace rtchan::node
