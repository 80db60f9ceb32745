#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/common/console.hpp"
#include "cli/common/contract_options.hpp"
#include "cli/plan/show.hpp"

namespace rtchan::cli {

namespace {

using json = nlohmann::ordered_json;
using plan::Network;
using plan::Outcome;
using plan::Passage;
using plan::StageLoad;
using plan::Verdict;

json contract(const Qos& qos) {
  std::string service = name(qos.service);
  std::ranges::replace(service, ' ', '_');
  json value{{"service", service},
             {"rate", qos.max_rate},
             {"burst", qos.max_burst},
             {"message_bytes", qos.max_message_bytes}};
  if (admitted(qos.service)) value["delay_ns"] = qos.max_delay.count();
  return value;
}

json stage(const std::string& host, const char* kind, Duration minimum, Duration delay) {
  return {{"host", host},
          {"stage", kind},
          {"minimum_ns", minimum.count()},
          {"share_ns", (delay - minimum).count()},
          {"delay_ns", delay.count()}};
}

json stages(const Network& network, const plan::Way& way) {
  json all = json::array();
  for (const Passage& p : way) {
    const std::string& host = network.hosts[p.host].name;
    all.push_back(stage(host, "cpu", p.cpu_minimum, p.cpu_delay));
    if (!p.out) continue;
    all.push_back(stage(host, "link", p.link_minimum, p.link_delay));
    all.back()["link"] = network.links[*p.out].name;
  }
  return all;
}

json refusal(const Error& error) {
  json value{{"code", name(error.code)}, {"text", error.text}};
  const Refusal& r = error.refusal;
  if (!r.hop.empty()) value["host"] = r.hop;
  if (error.code != Errc::refused) return value;
  value["resource"] = name(r.resource);
  value["binding_time_ns"] = r.binding_time.count();
  value["fitting_delay_ns"] = r.fitting_delay.count();
  value["fitting_rate"] = r.fitting_rate;
  return value;
}

json channel(const Network& network, const Verdict& v) {
  const plan::ChannelGroup& group = network.channels[v.group];
  json value{{"name", group.name},
             {"number", v.number},
             {"from", network.hosts[group.from].name},
             {"to", network.hosts[group.to].name},
             {"contract", contract(group.qos)},
             {"admitted", v.admitted()}};
  if (v.refused) {
    value["refused"] = refusal(*v.refused);
    return value;
  }
  json way = json::array(), buffers = json::array();
  for (const Passage& p : v.way) {
    way.push_back(network.hosts[p.host].name);
    buffers.push_back({{"host", network.hosts[p.host].name},
                       {"messages", p.messages},
                       {"memory_bytes", p.memory_bytes},
                       {"packets", p.packet_buffers}});
  }
  value["way"] = way;
  value["buffers"] = buffers;
  if (!admitted(group.qos.service)) return value;
  value["minima_ns"] = v.minima.count();
  value["propagation_ns"] = v.propagation.count();
  value["slack_ns"] = v.slack.count();
  value["total_ns"] = v.total().count();
  value["stages"] = stages(network, v.way);
  return value;
}

void add_load(json& value, const StageLoad& load) {
  value["channels"] = load.channels;
  value["promised_ppm"] = load.promised_ppm;
  value["limit_ppm"] = load.limit_ppm;
  value["room_rate"] = load.head_room.largest_rate;
  value["room_delay_ns"] =
      load.head_room.smallest_delay ? json(load.head_room.smallest_delay->count()) : json(nullptr);
}

json hosts(const Network& network, const Outcome& outcome) {
  json all = json::array();
  for (std::size_t h = 0; h < network.hosts.size(); ++h) {
    const plan::HostLoad& load = outcome.hosts[h];
    all.push_back({{"name", network.hosts[h].name},
                   {"message_buffers_bytes", load.memory_bytes},
                   {"message_buffers_limit_bytes", load.memory_limit_bytes},
                   {"packet_buffers", load.packet_buffers},
                   {"packet_buffers_limit", load.packet_buffers_limit},
                   {"workers", json::array()}});
  }
  for (const StageLoad& load : outcome.cpus) {
    json worker = json::object();
    add_load(worker, load);
    all[load.host]["workers"].push_back(std::move(worker));
  }
  return all;
}

json links(const Network& network, const Outcome& outcome) {
  json all = json::array();
  for (std::size_t i = 0; i < outcome.links.size(); ++i) {
    const plan::Link& link = network.links[*outcome.links[i].link];
    json value{{"name", link.name},
               {"from", network.hosts[link.ends[i % 2].host].name},
               {"to", network.hosts[link.ends[1 - i % 2].host].name},
               {"bits_per_second", outcome.links[i].bits_per_second}};
    add_load(value, outcome.links[i]);
    all.push_back(std::move(value));
  }
  return all;
}

json first_refused(const Network& network, const Outcome& outcome) {
  if (!outcome.first_refused) return nullptr;
  const Verdict& v = outcome.verdicts[*outcome.first_refused];
  json value{
      {"index", *outcome.first_refused}, {"name", network.channels[v.group].name}, {"number", v.number},
      {"refused", refusal(*v.refused)}};
  const plan::Nearest nearest = outcome.nearest.value_or(plan::Nearest{});
  value["nearest"] = {
      {"delay_ns", nearest.delay ? json(nearest.delay->count()) : json(nullptr)},
      {"rate", nearest.rate ? json(*nearest.rate) : json(nullptr)},
      {"message_bytes", nearest.message_bytes ? json(*nearest.message_bytes) : json(nullptr)}};
  value["stages_at_nearest_delay"] = stages(network, nearest.way_at_delay);
  return value;
}

}  // namespace

nlohmann::ordered_json plan_json(const Network& network, const Outcome& outcome) {
  json channels = json::array();
  for (const Verdict& v : outcome.verdicts) channels.push_back(channel(network, v));
  const plan::Reference& reference = network.reference;
  return {{"name", network.name},
          {"admitted", outcome.admitted()},
          {"refused", outcome.verdicts.size() - outcome.admitted()},
          {"channels", channels},
          {"first_refused", first_refused(network, outcome)},
          {"reference",
           {{"rate", reference.rate},
            {"message_bytes", reference.message_bytes},
            {"local_delay_ns", reference.local_delay.count()}}},
          {"links", links(network, outcome)},
          {"hosts", hosts(network, outcome)},
          {"remarks", outcome.remarks}};
}

}  // namespace rtchan::cli
