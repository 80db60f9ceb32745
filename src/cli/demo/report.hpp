// The outcome in three forms: a table for the terminal, one self-contained page for a newcomer, JSON for
// programs.
#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/demo/judge.hpp"
#include "cli/demo/scenario.hpp"
#include "rtchan/error.hpp"

namespace rtchan::demo {

// What the run was like, beside what the judge found.
struct Circumstances {
  std::string weaker;                     // empty: nothing is weaker
  std::vector<std::string> conditions;    // under which the promises hold, one sentence each
  std::vector<std::string> attributions;  // per flow, as the daemons attribute late messages; may be empty
  std::vector<lab::CanaryLog> probes;
  std::string when;     // date and time of the run
  std::string machine;  // "2 cores, Linux 6.1"
};

struct Report {
  Scenario scenario;
  Evidence evidence;
  Judgement judgement;
  Circumstances circumstances;
};

// "EVERY PROMISE KEPT", "A PROMISE WAS BROKEN", "INCONCLUSIVE".
[[nodiscard]] const char* headline(Verdict verdict) noexcept;

[[nodiscard]] std::string table(const Report& report, bool colour);
[[nodiscard]] std::string json(const Report& report);

// `svg` is the text of a picture (its XML prologue is removed), `png` the bytes of one.
[[nodiscard]] std::string page(const Report& report, const std::string& svg, const std::string& png);

// One row of figures per flow, formatted: what both table and page show.
struct Row {
  std::string flow, contract, bound, handover_bound;
  std::string offered, delivered, megabits;
  std::string lost, late, excused, policed, shaped;
  std::string p50, p99, worst, handover_p50, handover_p99, handover_worst, wake_p99;
  std::string attribution;
  Verdict verdict = Verdict::kept;
  bool guaranteed = true;
};
[[nodiscard]] std::vector<Row> rows(const Report& report);

}  // namespace rtchan::demo
