#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/text.hpp"
#include "cli/common/console.hpp"
#include "cli/common/contract_options.hpp"
#include "cli/common/table.hpp"
#include "cli/plan/show.hpp"

namespace rtchan::cli {

namespace {

using plan::Network;
using plan::Outcome;
using plan::Passage;
using plan::StageLoad;
using plan::Verdict;

std::string percent(std::uint64_t ppm) {
  return fmt::format("{:.1f}%", static_cast<double>(ppm) / 1e4);
}

std::string count_of(std::size_t n, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", n, n == 1 ? one : many);
}

// What became of a group: how many were admitted, and the last of them (which found the least room).
struct GroupView {
  std::size_t admitted = 0;
  const Verdict* last = nullptr;
  const Verdict* refused = nullptr;  // the first
};
std::vector<GroupView> groups(const Network& network, const Outcome& outcome) {
  std::vector<GroupView> all(network.channels.size());
  for (const Verdict& v : outcome.verdicts) {
    GroupView& view = all[v.group];
    if (v.admitted()) {
      ++view.admitted;
      view.last = &v;
    } else if (view.refused == nullptr) {
      view.refused = &v;
    }
  }
  return all;
}

std::string channels_table(const Network& network, const Outcome& outcome) {
  Table table({"channel", "admitted", "reserved", "slack", "contract", "way"});
  const auto views = groups(network, outcome);
  for (std::size_t g = 0; g < views.size(); ++g) {
    const plan::ChannelGroup& group = network.channels[g];
    const GroupView& view = views[g];
    const bool promised = view.last != nullptr && admitted(group.qos.service);
    const std::string ends =
        fmt::format("{} > ... > {}", network.hosts[group.from].name, network.hosts[group.to].name);
    table.row({group.name, fmt::format("{} of {}", view.admitted, group.count),
               promised ? format_duration(view.last->minima + view.last->propagation) : "-",
               promised ? format_duration(view.last->slack) : "-", describe(group.qos),
               view.last != nullptr ? way_text(network, view.last->way) : ends});
  }
  return table.text();
}

void stage_row(Table& table, const std::string& channel, const std::string& stage, Duration minimum,
               Duration delay, const std::string& buffers) {
  table.row({channel, stage, format_duration(minimum), format_duration(delay - minimum),
             format_duration(delay), buffers});
}

std::string stages_table(const Network& network, const Outcome& outcome) {
  Table table({"channel", "stage", "reserved", "share of slack", "local delay", "buffers"});
  const auto views = groups(network, outcome);
  for (std::size_t g = 0; g < views.size(); ++g) {
    if (views[g].last == nullptr || !admitted(network.channels[g].qos.service)) continue;
    std::string channel = name_of(network.channels[g], views[g].last->number);
    for (const Passage& p : views[g].last->way) {
      const std::string& host = network.hosts[p.host].name;
      std::string buffers = count_of(p.packet_buffers, "packet", "packets");
      if (p.messages > 0)
        buffers += fmt::format(", {} ({})", count_of(p.messages, "message", "messages"),
                               format_bytes(p.memory_bytes));
      stage_row(table, std::exchange(channel, ""), "cpu of " + host, p.cpu_minimum, p.cpu_delay, buffers);
      if (p.out)
        stage_row(table, "", fmt::format("link {} from {}", network.links[*p.out].name, host), p.link_minimum,
                  p.link_delay, "");
    }
  }
  return table.text();
}

std::vector<std::string> room_cells(const plan::HeadRoom& room) {
  return {room.largest_rate > 0 ? format_rate(std::floor(room.largest_rate)) : "none",
          room.smallest_delay ? format_duration(*room.smallest_delay) : "none"};
}

std::vector<std::string> load_head(std::vector<std::string> head, const plan::Reference& reference) {
  head.insert(head.end(), {"channels", "promised", "at most",
                           fmt::format("room within {}", format_duration(reference.local_delay)),
                           fmt::format("least delay at {}", format_rate(reference.rate))});
  return head;
}

std::vector<std::string> load_cells(std::vector<std::string> row, const StageLoad& load) {
  row.insert(row.end(), {std::to_string(load.channels), percent(load.promised_ppm), percent(load.limit_ppm)});
  for (std::string& cell : room_cells(load.head_room)) row.push_back(std::move(cell));
  return row;
}

std::string links_table(const Network& network, const Outcome& outcome) {
  Table table(load_head({"link", "from", "to", "rate"}, network.reference));
  for (std::size_t i = 0; i < outcome.links.size(); ++i) {
    const StageLoad& load = outcome.links[i];
    const plan::Link& link = network.links[*load.link];
    const std::size_t side = i % 2;
    table.row(
        load_cells({link.name, network.hosts[link.ends[side].host].name,
                    network.hosts[link.ends[1 - side].host].name, format_bit_rate(load.bits_per_second)},
                   load));
  }
  return table.text();
}

std::string processors_table(const Network& network, const Outcome& outcome) {
  auto head = load_head({"processor"}, network.reference);
  head.insert(head.end(), {"message buffers", "packet buffers"});
  Table table(head);
  for (const StageLoad& load : outcome.cpus) {
    const plan::Host& host = network.hosts[load.host];
    const plan::HostLoad& memory = outcome.hosts[load.host];
    auto row = load_cells(
        {host.workers.size() == 1 ? host.name : fmt::format("{}, worker {}", host.name, load.worker)}, load);
    const bool first = load.worker == 0;
    row.push_back(first ? fmt::format("{} of {}", format_bytes(memory.memory_bytes),
                                      format_bytes(memory.memory_limit_bytes))
                        : "");
    row.push_back(first ? fmt::format("{} of {}", memory.packet_buffers, memory.packet_buffers_limit) : "");
    table.row(row);
  }
  return table.text();
}

// The two stages that take most of it.
std::string slowest(const Network& network, const plan::Way& way) {
  std::vector<std::pair<Duration, std::string>> stages;
  for (const Passage& p : way) {
    stages.emplace_back(p.cpu_minimum, "the cpu of " + network.hosts[p.host].name);
    if (p.out)
      stages.emplace_back(p.link_minimum, fmt::format("link {} from {}", network.links[*p.out].name,
                                                      network.hosts[p.host].name));
  }
  std::ranges::sort(stages, std::greater{});
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(2, stages.size()); ++i) {
    text +=
        fmt::format("{}{} ({})", i == 0 ? "" : " and ", stages[i].second, format_duration(stages[i].first));
  }
  return text;
}

std::string refusal_text(const Network& network, const Outcome& outcome) {
  const Verdict& v = outcome.verdicts[*outcome.first_refused];
  const plan::ChannelGroup& group = network.channels[v.group];
  const Error& why = *v.refused;
  std::string text =
      fmt::format("first refused: {} ({}): {}", name_of(group, v.number), describe(group.qos), why.text);
  if (why.code == Errc::refused) text += fmt::format(" ({})", name(why.refusal.resource));
  text += '\n';
  if (why.refusal.binding_time > Duration{0}) {
    text += fmt::format("  demand exceeds what there is {} after everything starts at once\n",
                        format_duration(why.refusal.binding_time));
  }
  const plan::Nearest nearest = outcome.nearest.value_or(plan::Nearest{});
  if (nearest.delay)
    text += fmt::format("  admitted with a delay of {}: most of it goes to {}\n",
                        format_duration(*nearest.delay), slowest(network, nearest.way_at_delay));
  if (nearest.rate) text += fmt::format("  admitted at a rate of {}\n", format_rate(*nearest.rate));
  if (nearest.message_bytes)
    text += fmt::format("  admitted with messages of up to {}\n", format_bytes(*nearest.message_bytes));
  if (!nearest.delay && !nearest.rate && !nearest.message_bytes && why.code == Errc::refused) {
    text += "  no other delay, rate or size alone would have been admitted\n";
  }
  return text;
}

std::string indented(const std::string& table) {
  std::string text = "  ";
  for (const char c : table) {
    text += c;
    if (c == '\n') text += "  ";
  }
  return text.substr(0, text.size() - 2);
}

}  // namespace

std::string name_of(const plan::ChannelGroup& group, std::uint32_t number) {
  return group.count == 1 ? group.name : fmt::format("{} {} of {}", group.name, number, group.count);
}

std::string way_text(const Network& network, const plan::Way& way) {
  std::string text;
  for (const Passage& p : way) text += (text.empty() ? "" : " > ") + network.hosts[p.host].name;
  return text;
}

std::string plan_text(const Network& network, const Outcome& outcome, bool stages) {
  const std::size_t refused = outcome.verdicts.size() - outcome.admitted();
  std::string text = fmt::format(
      "{}{}, {}, {}: {} admitted, {} refused\n", network.name.empty() ? "" : network.name + ": ",
      count_of(network.hosts.size(), "host", "hosts"), count_of(network.links.size(), "link", "links"),
      count_of(outcome.verdicts.size(), "channel", "channels"), outcome.admitted(), refused);
  for (const std::string& remark : outcome.remarks) text += fmt::format("  {}\n", remark);
  text += "\n" + indented(channels_table(network, outcome));
  if (stages)
    text += "\nwhere the time of the last of each goes\n" + indented(stages_table(network, outcome));
  const std::string kind =
      fmt::format("(room: for messages of {})", format_bytes(network.reference.message_bytes));
  text += fmt::format("\nlinks {}\n{}", kind, indented(links_table(network, outcome)));
  text += fmt::format("\nprocessors {}\n{}", kind, indented(processors_table(network, outcome)));
  if (outcome.first_refused) text += "\n" + refusal_text(network, outcome);
  return text;
}

}  // namespace rtchan::cli
