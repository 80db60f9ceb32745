#include "clips/library.hpp"

#include <array>
#include <utility>

#include "base/limits.hpp"
#include "clips/clip.hpp"
#include "wire/data_packet.hpp"

namespace rtchan::clips {

namespace {

admission::PacketFormat format_of(const LinkConfig& link) {
  const auto payload = static_cast<std::uint32_t>(link.driver->payload_bytes());
  const auto ours = static_cast<std::uint32_t>(wire::fragment_overhead_bytes);
  return {payload - ours, link.frame_overhead_bytes + ours};
}

Error invalid(const char* what) { return Error{Errc::invalid_argument, what, {}}; }

Error refused(const admission::StageRefusal& why, Resource stage) {
  Error e{Errc::refused, std::string(stage == Resource::cpu ? "CPU: " : "link: ") + admission::name(why.reason), {}};
  e.refusal.resource = stage;
  e.refusal.binding_time = why.binding_time;
  e.refusal.fitting_delay = why.fitting_delay;
  return e;
}

DomainConfig domain_config(std::span<const LinkConfig> links, const ClipHostSettings& settings,
                           std::span<ClipCounters> counters) {
  DomainConfig config;
  config.links = links;
  config.clips = settings.clips;
  config.packet_frames = settings.packet_frames;
  config.best_effort_packets = settings.cost.best_effort_packets;
  config.best_effort_period = settings.cost.best_effort_period;
  config.best_effort_delay = settings.cost.best_effort_delay;
  config.counters = counters;
  return config;
}

LinkConfig visited_in_time(LinkConfig link, const admission::CostModel& cost) {
  link.visit = admission::link_visit(cost, format_of(link), 1);
  return link;
}

}  // namespace

// ---- default admission -------------------------------------------------------------------------------------------

EdfClipAdmission::EdfClipAdmission(const admission::CostModel& cost, const admission::LinkModel& link)
    : cost_(cost),
      link_(link),
      cpu_policy_(admission::make_policy("edf", admission::cpu_settings(cost, link.format))),
      link_policy_(admission::make_policy("edf", admission::link_settings(cost, link, admission::link_visit(cost, link.format, 1)))) {
  const admission::Candidate input = admission::best_effort_input(cost);
  if (const auto least = cpu_policy_->test(input)) {
    cpu_policy_->reserve(input, std::max(*least, admission::best_effort_input_delay(cost)));
  }
}

std::expected<ClipGrant, Error> EdfClipAdmission::admit(Role role, const admission::Contract& contract,
                                                        Duration within) {
  const bool sends = role == Role::outgoing;
  const admission::Candidate cpu = sends ? admission::send_cpu(cost_, contract, link_.format)
                                         : admission::receive_cpu(cost_, contract, link_.format, within);
  const admission::Candidate link = admission::link_stage(link_, contract);
  const auto cpu_least = cpu_policy_->test(cpu);
  if (!cpu_least) return std::unexpected(refused(cpu_least.error(), Resource::cpu));
  Duration link_least{};
  if (sends) {
    const auto least = link_policy_->test(link);
    if (!least) return std::unexpected(refused(least.error(), Resource::link));
    link_least = *least;
  }
  if (*cpu_least + link_least > within) {
    Error e{Errc::refused, "the deadline is shorter than what CPU and link need", {}};
    e.refusal.resource = Resource::delay;
    e.refusal.fitting_delay = *cpu_least + link_least;
    return std::unexpected(e);
  }
  const std::array<Duration, 2> least{*cpu_least, link_least};
  std::array<Duration, 2> given{within, Duration{0}};
  if (sends) admission::share_slack(least, within - *cpu_least - link_least, given);

  std::uint64_t ticket = 0;
  while (ticket < entries_.size() && entries_[ticket].used) ++ticket;
  if (ticket == entries_.size()) entries_.emplace_back();
  Entry& entry = entries_[ticket];
  entry = Entry{cpu_policy_->reserve(cpu, given[0]), std::nullopt, true};
  if (sends) entry.link = link_policy_->reserve(link, given[1]);
  return ClipGrant{given[0], given[1], ticket};
}

void EdfClipAdmission::release(std::uint64_t ticket) {
  Entry& entry = entries_[ticket];
  cpu_policy_->release(entry.cpu);
  if (entry.link) link_policy_->release(*entry.link);
  entry.used = false;
}

// ---- host --------------------------------------------------------------------------------------------------------

ClipHost::ClipHost(const LinkConfig& link, ClipHostSettings settings)
    : link_(visited_in_time(link, settings.cost)),
      format_(format_of(link)),
      settings_(std::move(settings)),
      counters_(settings_.clips),
      ends_(settings_.clips),
      random_(settings_.seed),
      domain_(domain_config(std::span(&link_, 1), settings_, counters_), *this) {
  if (settings_.admission == nullptr) {
    const admission::LinkModel model{link.bits_per_second, format_, {}};
    settings_.admission = std::make_unique<EdfClipAdmission>(settings_.cost, model);
  }
  domain_.set_burst_bound(0, settings_.admission->burst_bound());
}

ClipHost::~ClipHost() = default;

std::expected<ClipHost::Plan, Error> ClipHost::plan(Role role, const ClipRequest& r) {
  if (r.message_bytes < 1 || r.message_bytes > limits::message_bytes) return std::unexpected(invalid("message_bytes"));
  if (r.packets_per_period < 1) return std::unexpected(invalid("packets_per_period"));
  if (r.period <= Duration{0} || r.deadline < Duration{0}) return std::unexpected(invalid("period or deadline"));
  if (r.buffer_bytes < r.message_bytes) return std::unexpected(invalid("buffer_bytes is less than one message"));

  std::uint32_t slot = 0;
  while (slot < ends_.size() && ends_[slot].used) ++slot;
  if (slot == ends_.size()) return std::unexpected(Error{Errc::exhausted, "no clip is free", {}});

  // The budget as a contract: a message of N packets every N/budget of a period, never less.
  const std::int64_t packets = format_.packets(r.message_bytes);
  const Duration period = (r.period * packets + Duration{r.packets_per_period - 1}) / r.packets_per_period;
  const std::uint32_t messages = std::min(r.buffer_bytes / r.message_bytes, limits::burst_messages);
  const Duration within = r.deadline > Duration{0} ? r.deadline : r.period;
  const auto grant = settings_.admission->admit(role, {period, messages, r.message_bytes}, within);
  if (!grant) return std::unexpected(grant.error());

  Plan p{{}, *grant, messages};
  p.spec.slot = ClipSlot{slot};
  p.spec.generation = static_cast<std::uint32_t>(random_());
  p.spec.role = role;
  p.spec.contract = {period, messages, r.message_bytes};
  p.spec.cpu_delay = grant->cpu_delay;
  p.spec.link_delay = grant->link_delay;
  p.spec.packets_per_step = settings_.cost.packets_per_step;
  p.spec.packet_buffers = static_cast<std::uint32_t>(packets) * (1 + static_cast<std::uint32_t>(within / period));
  p.spec.upstream_rem = within;  // the sender was given the same request
  p.spec.upstream_propagation = settings_.propagation;
  p.spec.end_to_end = 2 * within + settings_.propagation;
  ends_[slot].used = true;
  ends_[slot].ticket = grant->ticket;
  domain_.set_burst_bound(0, settings_.admission->burst_bound());
  return p;
}

std::expected<Label, Error> ClipHost::open_receiver(const ClipRequest& request, Instant now,
                                                    std::unique_ptr<ProtocolStack> stack) {
  auto planned = plan(Role::incoming, request);
  if (!planned) return std::unexpected(planned.error());
  const ClipSpec& spec = planned->spec;
  // The sender's whole burst may arrive while the reader looks elsewhere.
  auto mailbox = std::make_unique<LocalMailbox>(2 * planned->messages + 2, request.message_bytes);
  domain_.open(make_clip(spec, nullptr, std::make_unique<LocalSink>(*mailbox), std::move(stack)), now);
  ends_[spec.slot.value].mailbox = std::move(mailbox);
  return Label{spec.slot.value, spec.generation};
}

std::expected<ClipSlot, Error> ClipHost::open_sender(const ClipRequest& request, const Endpoint& to, Label label,
                                                     Instant now, std::unique_ptr<ProtocolStack> stack) {
  auto planned = plan(Role::outgoing, request);
  if (!planned) return std::unexpected(planned.error());
  ClipSpec& spec = planned->spec;
  spec.next_hop = to;
  spec.next_label = label;
  auto queue = std::make_unique<LocalQueue>(planned->messages, request.message_bytes);
  domain_.open(make_clip(spec, std::make_unique<LocalSource>(*queue), nullptr, std::move(stack)), now);
  ends_[spec.slot.value].queue = std::move(queue);
  return spec.slot;
}

bool ClipHost::send(ClipSlot slot, std::span<const std::byte> message, Instant now) {
  if (slot.value >= ends_.size() || ends_[slot.value].queue == nullptr) return false;
  if (!ends_[slot.value].queue->send(message, now)) return false;
  domain_.sighted(slot, now);
  return true;
}

void ClipHost::close(ClipSlot slot, CloseMode mode, Instant now) { domain_.close(slot, mode, now); }

void ClipHost::clip_closed(std::unique_ptr<Clip> clip) {
  End& end = ends_[clip->spec.slot.value];
  settings_.admission->release(end.ticket);
  clip.reset();  // before the queues that it reads from
  end = End{};
}

}  // namespace rtchan::clips
