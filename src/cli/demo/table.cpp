// The report as the terminal shows it.
#include <fmt/format.h>

#include "cli/demo/report.hpp"

namespace rtchan::demo {
namespace {

struct Paint {
  bool on;
  [[nodiscard]] const char* operator()(Verdict v) const {
    return !on ? "" : v == Verdict::kept ? "\033[1;32m" : v == Verdict::broken ? "\033[1;31m" : "\033[1;33m";
  }
  [[nodiscard]] const char* dim() const { return on ? "\033[2m" : ""; }
  [[nodiscard]] const char* off() const { return on ? "\033[0m" : ""; }
};

std::string delivery_table(const std::vector<Row>& all, const Paint& paint) {
  std::string text = fmt::format("{}{:<12} {:<32} {:>9} {:>9} {:>7} {:>6} {:>6} {:>8} {:>8} {:>8}{}\n",
                                 paint.dim(), "flow", "contract", "offered/s", "deliv./s", "Mbit/s", "lost",
                                 "late", "excused", "policed", "shaped", paint.off());
  for (const Row& r : all) {
    text += fmt::format("{:<12} {:<32} {:>9} {:>9} {:>7} {:>6} {:>6} {:>8} {:>8} {:>8}\n", r.flow, r.contract,
                        r.offered, r.delivered, r.megabits, r.lost, r.late, r.excused, r.policed, r.shaped);
  }
  return text;
}

std::string delay_table(const std::vector<Row>& all, const Paint& paint) {
  std::string text = fmt::format(
      "{0}{1:<12} {2:^33}   {3:^33}   {4:>9}\n{5:<12} {6:>7} {7:>7} {8:>8} {9:>8}   {6:>7} {7:>7} {8:>8} "
      "{9:>8}   {10:>9}  {11}{12}\n",
      paint.dim(), "", "delay from logical arrival, ms", "delay from hand-over, ms", "app wakes", "flow",
      "p50", "p99", "worst", "bound", "p99, ms", "late because of", paint.off());
  for (const Row& r : all) {
    text += fmt::format("{:<12} {:>7} {:>7} {}{:>8}{} {:>8}   {:>7} {:>7} {:>8} {:>8}   {:>9}  {}\n", r.flow,
                        r.p50, r.p99, r.guaranteed ? paint(r.verdict) : "", r.worst, paint.off(), r.bound,
                        r.handover_p50, r.handover_p99, r.handover_worst, r.handover_bound, r.wake_p99,
                        r.attribution);
  }
  return text;
}

}  // namespace

std::string table(const Report& report, bool colour) {
  const Paint paint{colour};
  const std::vector<Row> all = rows(report);
  std::string text = "\n" + delivery_table(all, paint) + "\n" + delay_table(all, paint) + "\n";
  if (!report.circumstances.weaker.empty()) text += "Weaker here: " + report.circumstances.weaker + ".\n";
  const double away = std::chrono::duration<double, std::milli>(report.judgement.away).count();
  const double longest = std::chrono::duration<double, std::milli>(report.judgement.longest_away).count();
  text += away > 0 ? fmt::format(
                         "The independent probe saw this machine taken away for {:.1f} ms in all, {:.1f} ms "
                         "at once.\n",
                         away, longest)
                   : std::string{"The independent probe saw no gap of this machine above 1 ms.\n"};
  for (const std::string& finding : report.judgement.findings) text += "  - " + finding + ".\n";
  return text + fmt::format("\n{}{}{}\n", paint(report.judgement.verdict), headline(report.judgement.verdict),
                            paint.off());
}

}  // namespace rtchan::demo
