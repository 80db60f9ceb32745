#include "rtcd/report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "clips/counters.hpp"
#include "rtcd/counters.hpp"

namespace rtchan::rtcd {
namespace {

using nlohmann::json;

json counters(const WorkerCounters& shared) {
  const WorkerCounters c = read_counters(shared);
  return {{"turns", c.turns},
          {"sleeps", c.sleeps},
          {"busy_ns", c.busy_ns},
          {"forced_pauses", c.forced_pauses},
          {"longest_awake_ns", c.longest_awake_ns},
          {"worst_timer_lateness_ns", c.late_wakeups_ns},
          {"doorbells_in", c.doorbells_in},
          {"doorbells_out", c.doorbells_out},
          {"stray_ready_bits", c.stray_ready_bits},
          {"signals_dropped_control_behind", c.signals_dropped},
          {"signals_dropped_too_long", c.signals_too_long},
          {"signals_refused_queue_full", c.signals_refused},
          {"sessions", c.sessions}};
}

json counters(const clips::DomainCounters& shared) {
  const clips::DomainCounters c = read_counters(shared);
  json all = json::object();
  for (const auto& [name, count] : clips::domain_counter_names) all[name] = c.*count;
  for (std::size_t i = 0; i < c.dropped.size(); ++i) all[fmt::format("dropped_{}", clips::packet_drop_names[i])] = c.dropped[i];
  return all;
}

json counters(const link::Driver::Counters& shared) {
  const link::Driver::Counters c = read_counters(shared);
  return {{"sent", c.sent},
          {"received", c.received},
          {"sent_bytes", c.sent_bytes},
          {"send_errors", c.send_errors},
          {"device_full", c.device_full},
          {"kernel_drops_real_time", c.kernel_drops[0]},
          {"kernel_drops_best_effort", c.kernel_drops[1]},
          {"kernel_drops_middle", c.kernel_drops[2]},
          {"oversized", c.oversized}};
}

json counters(const clips::ClipCounters& shared) {
  const clips::ClipCounters c = read_counters(shared);
  json all = json::object();
  for (const auto& [name, count] : clips::clip_counter_names) all[name] = c.*count;
  for (const auto& [name, worst] : clips::clip_worst_names) all[name] = c.*worst;
  return all;
}

const char* service_name(ServiceClass service) {
  switch (service) {
    case ServiceClass::best_effort: return "best effort";
    case ServiceClass::guaranteed: return "guaranteed";
    case ServiceClass::controlled_load: return "controlled load";
    case ServiceClass::statistical: return "statistical";
  }
  return "?";
}

// A sum of peaks implies no deadline under non-preemptive service, however low it is.
std::string by_sum_only(const std::string& stage) {
  return fmt::format("{} admits by utilisation alone: no delay follows from that", stage);
}

// What a statistical promise of a stage says.
std::string target_text(const std::string& stage, const StagePolicy& policy) {
  return fmt::format("{} is behind at an instant with probability {:g}% at most, if channels are active independently of each other "
                     "and as often as they say",
                     stage, *policy.statistical_target_ppm / 1e4);
}

// How firm a promise over these is: exact when wire and core are ours, else what it depends on.
std::vector<std::string> conditions(const Surroundings& with, ServiceClass service, std::uint32_t worker,
                                    std::optional<std::size_t> link) {
  std::vector<std::string> reasons;
  const auto about = [&](const std::string& stage, const StagePolicy& policy) {
    if (service == ServiceClass::guaranteed && *policy.policy == "utilisation") reasons.push_back(by_sum_only(stage));
    if (service == ServiceClass::statistical) reasons.push_back(target_text(stage, policy));
  };
  about(fmt::format("worker {}", worker), merged(with.config.workers[worker].admission, with.config.admission.cpu));
  if (link) about(fmt::format("link {}", with.links[*link].name), merged(with.config.links[*link].admission, with.config.admission.link));
  const WorkerFacts& facts = with.workers[worker]->block().facts;
  if (!facts.real_time) reasons.push_back(fmt::format("worker {} has no real-time class: other programs may delay it", worker));
  if (!facts.pinned) reasons.push_back(fmt::format("worker {} is not pinned to a core", worker));
  if (!with.config.admission.costs.measured) reasons.emplace_back("costs are configured, not measured on this host");
  if (link && with.links[*link].guard->condition().starts_with("exact")) return reasons;
  if (link) reasons.push_back(fmt::format("link {}: {}", with.links[*link].name, with.links[*link].guard->condition()));
  return reasons;
}

json channel_json(const node::ChannelStatus& c, const Surroundings& with) {
  const bool guaranteed = c.qos.service == ServiceClass::guaranteed;
  json entry{{"path", c.path},
             {"role", c.role},
             {"state", c.state},
             {"session", c.session},
             {"channel", c.channel},
             {"uid", c.uid},
             {"source", c.source},
             {"destination", c.destination},
             {"service", service_name(c.qos.service)},
             {"contract",
              {{"max_rate", c.qos.max_rate},
               {"max_burst", c.qos.max_burst},
               {"max_message_bytes", c.qos.max_message_bytes},
               {"max_delay_ns", c.qos.max_delay.count()}}},
             {"memory_bytes", c.memory_bytes}};
  // Below guaranteed these are what to expect, and to schedule by; no bound of any message.
  if (admitted(c.qos.service)) {
    entry[guaranteed ? "cpu_bound_ns" : "cpu_typical_ns"] = c.cpu_delay.count();
    entry[guaranteed ? "link_bound_ns" : "link_typical_ns"] = c.link_delay.count();
  }
  if (!c.why.empty()) entry["why"] = c.why;
  if (c.reroutes > 0) entry["reroutes"] = c.reroutes;
  if (c.has_clip) {
    entry["worker"] = c.worker;
    entry["slot"] = c.slot;
    json seen = counters(with.workers[c.worker]->clip_counters()[c.slot]);
    if (admitted(c.qos.service)) {
      // What this end promises of the whole: the receiver everything, the sender up to the wire.
      const auto bound = c.role == "receiving" ? c.qos.max_delay : c.cpu_delay + c.link_delay;
      entry[guaranteed ? "bound_ns" : "typical_ns"] = bound.count();
      entry["worst_delay_ns"] = seen["worst_delay_ns"];
    }
    entry["counters"] = std::move(seen);
  }
  if (c.qos.service == ServiceClass::controlled_load) entry["class"] = "no claim per message";
  if (!promised(c.qos.service)) return entry;
  // A link is a stage of what leaves.
  std::vector<std::string> reasons;
  if (c.voided) {
    entry["class"] = "void";
  } else {
    std::optional<std::size_t> link;
    if (c.has_link) link = c.link;
    reasons = conditions(with, c.qos.service, c.has_clip ? c.worker : 0, link);
    entry["class"] = reasons.empty() ? "exact" : "conditional";
  }
  entry["conditions"] = reasons;
  return entry;
}

json workers_list(const Surroundings& with) {
  json list = json::array();
  for (std::size_t i = 0; i < with.workers.size(); ++i) {
    const WorkerHandle& worker = *with.workers[i];
    const WorkerFacts& facts = worker.block().facts;
    const double duty = facts.real_time ? worker.setup().section.duty_ppm / 1e6 : 1.0;
    json entry{{"worker", i},
               {"pid", worker.pid()},
               {"scheduling", facts.real_time ? fmt::format("SCHED_FIFO {}", facts.priority) : "SCHED_OTHER"},
               {"real_time", facts.real_time},
               {"pinned", facts.pinned},
               {"memory_locked", facts.memory_locked},
               {"weaker_because", std::string{facts.why.data()}},
               {"supply", facts.real_time ? fmt::format("{:g}% of each millisecond of core {}, less interrupts", duty * 100,
                                                        facts.pinned ? std::to_string(facts.core) : "(any)")
                                          : std::string{"what other programs leave: not bounded"}},
               {"signals_dropped_worker_behind", worker.signals_dropped()},
               {"counters", counters(worker.block().counters)},
               {"domain", counters(worker.block().domain)}};
    if (facts.pinned) entry["core"] = facts.core;
    json links = json::array();
    for (const Link& link : with.links) {
      if (link.worker != i) continue;
      json l{{"name", link.name},
             {"interface", link.interface},
             {"address", link.address.text()},
             {"mtu_bytes", link.mtu_bytes},
             {"guard", link.guard->condition()},
             {"bits_per_second", link.guard->guarded_bits_per_second()},
             {"foreign_blocking_ns", foreign_blocking(*link.guard).count()},
             {"shortcomings", facts.shortcomings(link.worker_link)},
             {"counters", counters(worker.block().links[link.worker_link])}};
      if (!link.voided.empty()) l["void"] = link.voided;
      links.push_back(std::move(l));
    }
    entry["links"] = std::move(links);
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace

std::string workers_json(const Surroundings& with) { return json{{"workers", workers_list(with)}}.dump(); }

std::string status_json(const node::Node& node, const Surroundings& with) {
  json status = json::parse(node::to_json(node.status()));
  status["version"] = RTCHAN_VERSION;
  status["uptime_ns"] = with.uptime.count();
  status["connected_applications"] = with.sessions;
  status["descriptors_limit"] = with.descriptors_limit;
  status["costs"] = with.config.admission.costs.measured ? "measured on this host"
                                                         : "configured, not measured on this host: conservative, less is promised than fits";
  status["workers"] = workers_list(with);
  return status.dump();
}

std::string channels_json(const node::Node& node, const Surroundings& with) {
  json list = json::array();
  for (const node::ChannelStatus& channel : node.channels()) list.push_back(channel_json(channel, with));
  return json{{"channels", std::move(list)}}.dump();
}

}  // namespace rtchan::rtcd
