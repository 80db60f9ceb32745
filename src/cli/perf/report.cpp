#include "cli/perf/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "cli/common/contract_options.hpp"
#include "cli/common/table.hpp"

namespace rtchan::cli {

namespace {

using nlohmann::json;

std::uint64_t whole(double value) { return static_cast<std::uint64_t>(std::max(0.0, value)); }

std::vector<std::string> delay_row(std::string name, const Histogram& h, std::string bound) {
  const auto at = [&](double q) { return h.count() == 0 ? std::string("-") : format_duration(h.quantile(q)); };
  return {std::move(name), at(0.5), at(0.9), at(0.99), at(0.999), at(1), std::move(bound)};
}

bool guaranteed(const Qos& qos) { return qos.service == ServiceClass::guaranteed; }

std::string late_text(const Summary& s) {
  if (!admitted(s.contract.service)) return {};
  return fmt::format("{} {}, ", s.late, guaranteed(s.contract) ? "late" : "beyond the typical delay");
}

std::string bound_text(const Qos& qos, Duration bound) {
  return (guaranteed(qos) ? "" : "typically ") + format_duration(bound);
}

std::string counts_line(const Summary& s) {
  return fmt::format("{} messages of {}{}: {} lost, {}{} out of order, {} twice, {} damaged", s.received, s.handed_over,
                     s.sender_finished ? "" : " (as far as seen; the sender did not say how many)", s.lost,
                     late_text(s), s.out_of_order,
                     s.duplicates, s.damaged);
}

std::string stream_text(const ReceivedStream& stream, Clocks clocks) {
  const Summary& s = stream.summary;
  std::string text = fmt::format("stream {} from {}: {}\n", stream.stream, stream.source, describe(s.contract));
  text += "  " + counts_line(s) + "\n";
  text += fmt::format("  {} and {} of message bytes, over {:.3f} s\n", format_rate(s.messages_per_second),
                      format_bit_rate(whole(s.bits_per_second)), s.seconds);
  const bool bounded = admitted(s.contract.service);
  Table table({"  delay from", "p50", "p90", "p99", "p99.9", "worst", "bound"});
  const Delays& d = *stream.delays;
  if (bounded) table.row(delay_row("  logical arrival", d.from_logical, bound_text(s.contract, bound_from_logical(s.contract))));
  if (clocks != Clocks::apart) {
    table.row(delay_row("  hand-over", d.from_hand_over,
                        bounded ? bound_text(s.contract, bound_from_hand_over(s.contract)) + " (if the source conforms)" : "-"));
    table.row(delay_row("  intended time", d.from_intended, "-"));
  }
  table.row(delay_row("  readable to read", d.wake_up, "-"));
  return text + table.text();
}

std::string many_text(const std::vector<ReceivedStream>& streams, Clocks clocks) {
  Summary sum;
  Histogram logical;
  Histogram hand_over;
  std::size_t with_all_kept = 0;
  for (const ReceivedStream& stream : streams) {
    const Summary& s = stream.summary;
    sum.contract = s.contract;
    sum.received += s.received;
    sum.handed_over += s.handed_over;
    sum.lost += s.lost;
    sum.late += s.late;
    sum.out_of_order += s.out_of_order;
    sum.duplicates += s.duplicates;
    sum.damaged += s.damaged;
    sum.messages_per_second += s.messages_per_second;
    sum.bits_per_second += s.bits_per_second;
    logical.merge(stream.delays->from_logical);
    hand_over.merge(stream.delays->from_hand_over);
    with_all_kept += kept(s) ? 1 : 0;
  }
  sum.sender_finished = std::all_of(streams.begin(), streams.end(), [](const auto& s) { return s.summary.sender_finished; });
  std::string text = fmt::format("{} streams, {} of them with every promise kept\n  {}\n  {} and {} of message bytes together\n",
                                 streams.size(), with_all_kept, counts_line(sum), format_rate(sum.messages_per_second),
                                 format_bit_rate(whole(sum.bits_per_second)));
  Table table({"  delay from", "p50", "p90", "p99", "p99.9", "worst", "bound"});
  table.row(delay_row("  logical arrival", logical, "each its own"));
  if (clocks != Clocks::apart) table.row(delay_row("  hand-over", hand_over, "each its own"));
  return text + table.text();
}

}  // namespace

const char* sentence(Clocks clocks) noexcept {
  switch (clocks) {
    case Clocks::same_host: return "one-way delays: same host clock";
    case Clocks::synchronised: return "one-way delays: two clocks, synchronised as you say (--clocks-synchronised)";
    case Clocks::apart: return "one-way delays from hand-over: not comparable without PTP (--clocks-synchronised if you have it)";
  }
  return "";
}

json to_json(const Histogram& h) {
  if (h.count() == 0) return {{"count", 0}};
  return {{"count", h.count()},
          {"min_ns", h.min().count()},
          {"p50_ns", h.quantile(0.5).count()},
          {"p90_ns", h.quantile(0.9).count()},
          {"p99_ns", h.quantile(0.99).count()},
          {"p999_ns", h.quantile(0.999).count()},
          {"max_ns", h.max().count()}};
}

json to_json(const Qos& qos) {
  return {{"class", name(qos.service)},
          {"rate", qos.max_rate},
          {"burst", qos.max_burst},
          {"message_bytes", qos.max_message_bytes},
          {"delay_ns", qos.max_delay.count()}};
}

json to_json(const ReceivedStream& stream, Clocks clocks) {
  const Summary& s = stream.summary;
  json value{{"stream", stream.stream},
             {"source", stream.source},
             {"contract", to_json(s.contract)},
             {"handed_over", s.handed_over},
             {"sender_finished", s.sender_finished},
             {"received", s.received},
             {"bytes", s.bytes},
             {"lost", s.lost},
             {"late", s.late},
             {"out_of_order", s.out_of_order},
             {"duplicates", s.duplicates},
             {"damaged", s.damaged},
             {"seconds", s.seconds},
             {"messages_per_second", s.messages_per_second},
             {"bits_per_second", s.bits_per_second},
             {"kept", kept(s)},
             {"wake_up", to_json(stream.delays->wake_up)}};
  if (admitted(s.contract.service)) value["from_logical_arrival"] = to_json(stream.delays->from_logical);
  if (guaranteed(s.contract)) {
    value["bound_ns"] = bound_from_logical(s.contract).count();
    value["bound_from_hand_over_ns"] = bound_from_hand_over(s.contract).count();
  }
  if (clocks != Clocks::apart) {
    value["from_hand_over"] = to_json(stream.delays->from_hand_over);
    value["from_intended"] = to_json(stream.delays->from_intended);
  }
  return value;
}

json to_json(const StreamCounts& counts, double seconds) {
  const double per = seconds > 0 ? 1 / seconds : 0;
  return {{"offered", counts.offered},
          {"handed_over", counts.handed_over},
          {"dropped", counts.dropped},
          {"refused", counts.refused},
          {"left_over", counts.left_over},
          {"bytes", counts.bytes},
          {"broken", counts.broken},
          {"offered_per_second", static_cast<double>(counts.offered) * per},
          {"handed_over_per_second", static_cast<double>(counts.handed_over) * per},
          {"lateness", to_json(counts.lateness)}};
}

std::string received_report(const std::vector<ReceivedStream>& streams, Clocks clocks) {
  std::string text;
  if (streams.size() > streams_shown) {
    text = many_text(streams, clocks);
  } else {
    for (const ReceivedStream& stream : streams) text += stream_text(stream, clocks);
  }
  return text + sentence(clocks) + "\n";
}

std::string sent_report(const std::vector<StreamCounts>& streams, double seconds) {
  StreamCounts sum;
  std::size_t broken = 0;
  for (const StreamCounts& s : streams) {
    sum.offered += s.offered;
    sum.handed_over += s.handed_over;
    sum.dropped += s.dropped;
    sum.refused += s.refused;
    sum.left_over += s.left_over;
    sum.bytes += s.bytes;
    sum.lateness.merge(s.lateness);
    broken += s.broken ? 1 : 0;
  }
  const double per = seconds > 0 ? 1 / seconds : 0;
  std::string text = fmt::format(
      "offered {} messages ({}), handed over {} ({}, {})\n", sum.offered, format_rate(static_cast<double>(sum.offered) * per),
      sum.handed_over, format_rate(static_cast<double>(sum.handed_over) * per),
      format_bit_rate(whole(static_cast<double>(sum.bytes) * 8 * per)));
  if (sum.left_over + sum.dropped + sum.refused > 0) {
    text += fmt::format("not handed over: {} waited for room at the end, {} dropped for want of room, {} refused\n",
                        sum.left_over, sum.dropped, sum.refused);
  }
  if (broken > 0) text += fmt::format("{} stream{} broke off\n", broken, broken == 1 ? "" : "s");
  Table table({"from intended time to", "p50", "p90", "p99", "p99.9", "worst"});
  auto row = delay_row("hand-over", sum.lateness, "");
  row.pop_back();
  table.row(row);
  return text + table.text();
}

bool kept(const Summary& s) noexcept {
  if (s.damaged > 0 || s.duplicates > 0) return false;
  return !guaranteed(s.contract) || (s.lost == 0 && s.late == 0 && s.out_of_order == 0);
}

}  // namespace rtchan::cli
