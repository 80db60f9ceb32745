// Figures to text: what the terminal and the page share, and the JSON form.
#include "cli/demo/report.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace rtchan::demo {
namespace {

double ms(Duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

// Three significant digits, never scientific.
std::string digits(double value) {
  if (value >= 99.95) return fmt::format("{:.0f}", value);
  if (value >= 9.995) return fmt::format("{:.1f}", value);
  return fmt::format("{:.2f}", value);
}

std::string size_text(double bytes) {
  if (bytes >= 10'000) return fmt::format("{:.0f} KB", bytes / 1000);
  if (bytes >= 1'000) return fmt::format("{:.1f} KB", bytes / 1000);
  return fmt::format("{:.0f} B", bytes);
}

std::string contract_text(const Contract& c) {
  if (!c.guaranteed) return fmt::format("none (messages of {})", size_text(c.message_bytes));
  return fmt::format("{:.4g}/s of {}{}", c.rate, size_text(c.message_bytes),
                     c.burst > 1 ? fmt::format(", bursts of {}", c.burst) : "");
}

// Why messages were late, by the independent judgement; what the daemons say stands behind it.
std::string attribution_text(const FlowJudgement& j, const std::string& daemons) {
  std::string text;
  if (j.excused > 0) text = fmt::format("{} machine away", j.excused);
  if (j.late > j.excused)
    text += fmt::format("{}{} unexplained", text.empty() ? "" : ", ", j.late - j.excused);
  if (!daemons.empty()) text += fmt::format("{}rtcd: {}", text.empty() ? "" : "; ", daemons);
  return text.empty() ? "-" : text;
}

nlohmann::json delays_json(const Delays& d) {
  return {{"p50_ms", ms(d.p50)}, {"p99_ms", ms(d.p99)}, {"worst_ms", ms(d.worst)}};
}

nlohmann::json flow_json(const FlowResult& flow, const FlowJudgement& j, const std::string& attribution) {
  nlohmann::json schedule = nlohmann::json::array();
  for (const Phase& phase : flow.schedule)
    schedule.push_back({{"from_s", phase.begin}, {"factor", phase.factor}});
  nlohmann::json result{{"name", flow.name},
                        {"verdict", headline(j.verdict)},
                        {"findings", j.findings},
                        {"contract",
                         {{"guaranteed", flow.contract.guaranteed},
                          {"rate_per_s", flow.contract.rate},
                          {"burst", flow.contract.burst},
                          {"message_bytes", flow.contract.message_bytes},
                          {"delay_ms", ms(flow.contract.delay)}}},
                        {"schedule", schedule},
                        {"offered", flow.sent.offered},
                        {"accepted", flow.sent.accepted},
                        {"received", j.received},
                        {"offered_per_s", j.offered_rate},
                        {"delivered_per_s", j.delivered_rate},
                        {"delivered_bits_per_s", j.delivered_bits},
                        {"lost", j.lost},
                        {"duplicated", j.duplicated},
                        {"reordered", j.reordered},
                        {"late", j.late},
                        {"late_excused", j.excused},
                        {"worst_excused_ms", ms(j.worst_excused)},
                        {"worst_unexcused_ms", ms(j.worst_unexcused)},
                        {"policed", j.policed},
                        {"shaped", j.shaped},
                        {"delay_from_handover", delays_json(j.from_handover)},
                        {"application_wake_up", delays_json(j.wake_up)},
                        {"attribution", attribution}};
  if (flow.contract.guaranteed) {
    result["contract"]["handover_bound_ms"] = ms(flow.contract.handover_bound());
    result["delay_from_logical_arrival"] = delays_json(j.from_arrival);
  }
  if (j.violating_rate) result["delivered_per_s_while_violating"] = *j.violating_rate;
  return result;
}

}  // namespace

const char* headline(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::kept:
      return "EVERY PROMISE KEPT";
    case Verdict::broken:
      return "A PROMISE WAS BROKEN";
    case Verdict::inconclusive:
      return "INCONCLUSIVE";
  }
  return "";
}

std::vector<Row> rows(const Report& report) {
  std::vector<Row> result;
  for (std::size_t i = 0; i < report.evidence.flows.size(); ++i) {
    const FlowResult& flow = report.evidence.flows[i];
    const FlowJudgement& j = report.judgement.flows.at(i);
    const bool promised = flow.contract.guaranteed;
    const auto only_promised = [&](std::string text) {
      return promised ? std::move(text) : std::string{"-"};
    };
    const std::string daemons =
        i < report.circumstances.attributions.size() ? report.circumstances.attributions[i] : std::string{};
    result.push_back({
        .flow = flow.name,
        .contract = contract_text(flow.contract),
        .bound = only_promised(digits(ms(flow.contract.delay))),
        .handover_bound = only_promised(promised ? digits(ms(flow.contract.handover_bound())) : ""),
        .offered = digits(j.offered_rate),
        .delivered = digits(j.delivered_rate),
        .megabits = digits(j.delivered_bits / 1e6),
        .lost = fmt::format("{}", j.lost),
        .late = only_promised(fmt::format("{}", j.late)),
        .excused = only_promised(fmt::format("{}", j.excused)),
        .policed = fmt::format("{}", j.policed),
        .shaped = only_promised(fmt::format("{}", j.shaped)),
        .p50 = only_promised(digits(ms(j.from_arrival.p50))),
        .p99 = only_promised(digits(ms(j.from_arrival.p99))),
        .worst = only_promised(digits(ms(j.from_arrival.worst))),
        .handover_p50 = digits(ms(j.from_handover.p50)),
        .handover_p99 = digits(ms(j.from_handover.p99)),
        .handover_worst = digits(ms(j.from_handover.worst)),
        .wake_p99 = digits(ms(j.wake_up.p99)),
        .attribution = promised ? attribution_text(j, daemons) : "-",
        .verdict = j.verdict,
        .guaranteed = promised,
    });
  }
  return result;
}

std::string json(const Report& report) {
  const Judgement& j = report.judgement;
  const std::vector<Row> formatted = rows(report);
  nlohmann::json flows = nlohmann::json::array();
  for (std::size_t i = 0; i < j.flows.size(); ++i) {
    flows.push_back(flow_json(report.evidence.flows[i], j.flows[i], formatted[i].attribution));
  }
  nlohmann::json gaps = nlohmann::json::array();
  for (const lab::Gap& gap : report.evidence.gaps) {
    gaps.push_back({{"core", gap.core},
                    {"from_s", ms(gap.begin - report.evidence.start) / 1e3},
                    {"length_ms", ms(gap.length())},
                    {"kind", gap.throttled ? "throttled" : "stall"}});
  }
  const nlohmann::json all{{"verdict", headline(j.verdict)},
                           {"exit_status", static_cast<int>(j.verdict)},
                           {"findings", j.findings},
                           {"duration_s", ms(report.evidence.duration) / 1e3},
                           {"bottleneck_bits_per_s", report.scenario.bottleneck_bits},
                           {"machine_away_ms", ms(j.away)},
                           {"longest_gap_ms", ms(j.longest_away)},
                           {"gaps", gaps},
                           {"weaker", report.circumstances.weaker},
                           {"conditions", report.circumstances.conditions},
                           {"flows", flows}};
  return all.dump(2) + "\n";
}

}  // namespace rtchan::demo
