// Was every promise kept? A pure function of what was promised, what the applications and the independent
// probe recorded, and nothing else: rtcd's own statistics do not enter the verdict.
//
// Rules, for each guaranteed flow with contract (M, R, B, D), T = floor(1/R):
//   logical arrival   l(m) = max(handover(m), l(m-1) + T), computed here from the sending application's
//   stamps late              readable(m) > l(m) + D excused           by at most the length of the probe's
//   gaps that overlap [handover(m), readable(m)], counted once
//                     where cores overlap; a gap in which the kernel throttled real-time processes excuses
//                     nothing
//   lost              handed over and accepted, never received; duplicated or torn messages are losses of
//   order rate              delivered at least 97 % of min(offered, contract), and while a flow offers more
//   than its
//                     contract at most 103 % of it (what a cheat must not gain)
// A loss is never excused. More than 1 % of a flow's messages excused proves nothing either way:
// inconclusive.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "cli/demo/perf_log.hpp"
#include "lab/canary.hpp"

namespace rtchan::demo {

struct Contract {
  bool guaranteed = true;
  double rate = 0;                  // messages per second
  std::uint32_t burst = 1;          // messages
  std::uint32_t message_bytes = 0;  // largest
  Duration delay{};                 // D, from logical arrival

  [[nodiscard]] Duration period() const;          // T = floor(1/R)
  [[nodiscard]] Duration handover_bound() const;  // D + (B-1)T
};

// From `begin` seconds after the start on, the source offers `factor` times its contract's rate.
struct Phase {
  double begin = 0;
  double factor = 1;
};

struct FlowResult {
  std::string name;
  Contract contract;
  std::vector<Phase> schedule;  // ascending, first at 0
  Instant start{};              // instant 0 of the schedule
  Sent sent;
  std::vector<Record> records;  // in order of reception
};

struct Evidence {
  Instant start{};      // of the run
  Duration duration{};  // of sending
  std::vector<FlowResult> flows;
  std::vector<lab::Gap> gaps;  // of all cores that the promises depend on
};

// Untrimmed.
struct Delays {
  Duration p50{}, p99{}, worst{};
};

enum class Verdict : std::uint8_t { kept = 0, broken = 1, inconclusive = 2 };  // values: exit status

struct FlowJudgement {
  Verdict verdict = Verdict::kept;
  std::vector<std::string> findings;  // one sentence each: what is broken or inconclusive, or was excused
  std::uint64_t received = 0;
  double offered_rate = 0;               // messages per second, over the whole run
  double delivered_rate = 0;             // messages per second, over the whole run
  double delivered_bits = 0;             // payload bits per second
  std::optional<double> violating_rate;  // delivered while the source offered more than its contract
  Delays from_arrival;                   // of all messages, from logical arrival: bound D
  Delays from_handover;                  // of conforming messages, bound D + (B-1)T; best effort: of all
  Delays wake_up;             // from readable until the application saw it: not part of the promise
  std::uint64_t late = 0;     // all late messages, excused or not
  std::uint64_t excused = 0;  // of which excused
  std::uint64_t lost = 0, duplicated = 0, reordered = 0;
  std::uint64_t policed = 0;   // refused to the sender
  std::uint64_t shaped = 0;    // accepted beyond the contract and held back by it
  Duration worst_excused{};    // largest lateness that was excused
  Duration worst_unexcused{};  // largest lateness beyond any excuse
};

struct Judgement {
  Verdict verdict = Verdict::kept;
  std::vector<FlowJudgement> flows;  // as in the evidence
  Duration away{};                   // how long the machine was away in all, during the run
  Duration longest_away{};
  std::vector<std::string> findings;  // sentences for a person, flow names included
};

[[nodiscard]] Judgement judge(const Evidence& evidence);

// --- its parts, exposed for their tests and for the page ---

// l(m) of every record, which must be in order of sequence.
[[nodiscard]] std::vector<Instant> logical_arrivals(const std::vector<Record>& records, Duration period);

// Disjoint, ascending; throttled gaps left out.
[[nodiscard]] std::vector<lab::Gap> merged_stalls(std::vector<lab::Gap> gaps);

// Total length of the merged gaps that overlap [from, to].
[[nodiscard]] Duration excuse(const std::vector<lab::Gap>& merged, Instant from, Instant to);

[[nodiscard]] Delays summarize(std::vector<Duration> delays);  // nearest rank; all zero when empty

}  // namespace rtchan::demo
