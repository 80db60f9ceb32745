#include "cli/demo/judge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace rtchan::demo {
namespace {

constexpr double kRateTolerance = 0.03;    // what "delivered = min(offered, contract)" allows
constexpr double kExcusedLimit = 0.01;     // of a flow's messages; more proves nothing
constexpr double kOfferedShortfall = 0.9;  // below this part of the plan the load tool itself did not keep up

double seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}
double ms(Duration d) {
  return seconds(d) * 1e3;
}

Verdict worse(Verdict a, Verdict b) {
  if (a == Verdict::broken || b == Verdict::broken) return Verdict::broken;
  return a == Verdict::kept ? b : a;
}

void found(FlowJudgement& j, Verdict verdict, std::string sentence) {
  j.verdict = worse(j.verdict, verdict);
  j.findings.push_back(std::move(sentence));
}

// Sorted by sequence, each once; counts what was not so.
std::vector<Record> in_order(const FlowResult& flow, FlowJudgement& j) {
  std::vector<Record> records = flow.records;
  for (std::size_t i = 1; i < records.size(); ++i)
    j.reordered += records[i].sequence < records[i - 1].sequence;
  std::ranges::stable_sort(records, {}, &Record::sequence);
  const auto repeats = std::ranges::unique(records, {}, &Record::sequence);
  j.duplicated = static_cast<std::uint64_t>(repeats.size());
  records.erase(repeats.begin(), repeats.end());
  return records;
}

void judge_delays(const Contract& contract, const std::vector<Record>& records,
                  const std::vector<lab::Gap>& stalls, FlowJudgement& j) {
  const std::vector<Instant> l = logical_arrivals(records, contract.period());
  const Duration tolerated = contract.handover_bound() - contract.delay;  // (B-1)T
  std::vector<Duration> from_arrival, from_handover, wake_up;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const Record& r = records[i];
    from_arrival.push_back(r.readable - l[i]);
    wake_up.push_back(r.received - r.readable);
    const bool conforming = l[i] - r.handover <= tolerated;
    j.shaped += !conforming;
    if (conforming) from_handover.push_back(r.readable - r.handover);
    const Duration lateness = r.readable - (l[i] + contract.delay);
    if (lateness <= Duration::zero()) continue;
    ++j.late;
    const Duration beyond = lateness - excuse(stalls, r.handover, r.readable);
    if (beyond <= Duration::zero()) {
      ++j.excused;
      j.worst_excused = std::max(j.worst_excused, lateness);
    } else {
      j.worst_unexcused = std::max(j.worst_unexcused, lateness);
    }
  }
  j.from_arrival = summarize(std::move(from_arrival));
  j.from_handover = summarize(std::move(from_handover));
  j.wake_up = summarize(std::move(wake_up));
}

// Without a contract there is no logical arrival and nothing is late.
void describe_best_effort(const std::vector<Record>& records, FlowJudgement& j) {
  std::vector<Duration> from_handover, wake_up;
  for (const Record& r : records) {
    from_handover.push_back(r.readable - r.handover);
    wake_up.push_back(r.received - r.readable);
  }
  j.from_handover = summarize(std::move(from_handover));
  j.from_arrival = j.from_handover;
  j.wake_up = summarize(std::move(wake_up));
}

struct Window {
  double begin, end, factor;  // seconds
};

std::vector<Window> windows(const std::vector<Phase>& schedule, double duration) {
  std::vector<Window> result;
  for (std::size_t i = 0; i < schedule.size(); ++i) {
    const double end = i + 1 < schedule.size() ? std::min(schedule[i + 1].begin, duration) : duration;
    if (end > schedule[i].begin) result.push_back({schedule[i].begin, end, schedule[i].factor});
  }
  return result;
}

double planned_messages(const FlowResult& flow, double duration) {
  double sum = 0;
  for (const Window& w : windows(flow.schedule, duration))
    sum += w.factor * flow.contract.rate * (w.end - w.begin);
  return sum;
}

// Messages that became readable within [begin, end) seconds after the start.
std::uint64_t delivered_within(const std::vector<Record>& records, Instant start, double begin, double end) {
  return static_cast<std::uint64_t>(std::ranges::count_if(records, [&](const Record& r) {
    const double at = seconds(r.readable - start);
    return at >= begin && at < end;
  }));
}

void judge_rate(const FlowResult& flow, const std::vector<Record>& records, const Evidence& e,
                FlowJudgement& j) {
  const double duration = seconds(e.duration);
  const double settle = seconds(flow.contract.delay) + 0.2;  // what is under way when a phase begins
  double due = 0;
  for (const Window& w : windows(flow.schedule, duration)) {
    due += std::min(w.factor, 1.0) * flow.contract.rate * (w.end - w.begin);
    if (w.factor <= 1 || w.end - w.begin <= 2 * settle) continue;
    const double span = w.end - w.begin - settle;
    const double rate =
        static_cast<double>(delivered_within(records, flow.start, w.begin + settle, w.end)) / span;
    j.violating_rate = std::max(j.violating_rate.value_or(0), rate);
    const double most = flow.contract.rate * (1 + kRateTolerance) + flow.contract.burst / span;
    if (rate > most) {
      found(j, Verdict::broken,
            fmt::format(
                "while it offered {:g} times its contract it was given {:.1f} messages/s instead of {:g}: "
                "its contract was not enforced",
                w.factor, rate, flow.contract.rate));
    }
  }
  const double fair = std::min(due, static_cast<double>(flow.sent.offered));
  if (static_cast<double>(j.received) < fair * (1 - kRateTolerance)) {
    found(
        j, Verdict::broken,
        fmt::format("only {} of about {:.0f} messages within its contract were delivered", j.received, fair));
  }
}

void judge_guaranteed(const FlowResult& flow, const std::vector<Record>& records,
                      const std::vector<lab::Gap>& stalls, const Evidence& e, FlowJudgement& j) {
  judge_delays(flow.contract, records, stalls, j);
  if (const auto late = j.late - j.excused; late > 0) {
    found(
        j, Verdict::broken,
        fmt::format("{} of {} messages were late, by up to {:.2f} ms, and no gap of the machine explains it",
                    late, j.received, ms(j.worst_unexcused)));
  }
  if (j.lost > 0) found(j, Verdict::broken, fmt::format("{} messages were lost", j.lost));
  if (j.duplicated + j.reordered > 0) {
    found(j, Verdict::broken,
          fmt::format("{} messages came twice, {} out of order", j.duplicated, j.reordered));
  }
  judge_rate(flow, records, e, j);
  const double share = j.received > 0 ? static_cast<double>(j.excused) / static_cast<double>(j.received) : 0;
  if (share > kExcusedLimit) {
    found(j, Verdict::inconclusive,
          fmt::format("{} messages ({:.1f} %) were late while the machine was taken away: too many to tell",
                      j.excused, share * 100));
  } else if (j.excused > 0) {
    j.findings.push_back(
        fmt::format("{} messages were late by up to {:.2f} ms while the machine was taken away (excused)",
                    j.excused, ms(j.worst_excused)));
  }
}

FlowJudgement judge_flow(const FlowResult& flow, const std::vector<lab::Gap>& stalls, const Evidence& e) {
  FlowJudgement j;
  const std::vector<Record> records = in_order(flow, j);
  const double duration = seconds(e.duration);
  j.received = records.size();
  j.lost = flow.sent.accepted - std::min<std::uint64_t>(flow.sent.accepted, j.received);
  j.policed = flow.sent.policed;
  j.offered_rate = static_cast<double>(flow.sent.offered) / duration;
  j.delivered_rate = static_cast<double>(j.received) / duration;
  for (const Record& r : records) j.delivered_bits += 8.0 * r.bytes / duration;
  if (flow.contract.guaranteed) {
    judge_guaranteed(flow, records, stalls, e, j);
  } else {
    describe_best_effort(records, j);
  }
  const double planned = planned_messages(flow, duration);
  if (static_cast<double>(flow.sent.offered) < kOfferedShortfall * planned) {
    found(j, Verdict::inconclusive,
          fmt::format("the load tool offered only {} of {:.0f} planned messages: this machine is too busy",
                      flow.sent.offered, planned));
  }
  return j;
}

void tell_absence(Judgement& result, const std::vector<lab::Gap>& stalls, const Evidence& e) {
  const Instant end = e.start + e.duration + std::chrono::seconds{1};
  for (const lab::Gap& gap : stalls) {
    if (gap.end < e.start || gap.begin > end) continue;
    result.away += gap.length();
    result.longest_away = std::max(result.longest_away, gap.length());
  }
  const bool too_much = std::ranges::any_of(result.flows, [](const FlowJudgement& j) {
    return static_cast<double>(j.excused) > kExcusedLimit * static_cast<double>(j.received);
  });
  if (too_much) {
    result.findings.push_back(
        fmt::format("this machine was taken away for {:.0f} ms during the run (longest gap {:.1f} ms), which "
                    "proves nothing about the promises: stop "
                    "other programs and virtual machines on this host, give this one dedicated cores, or try "
                    "again when the host is quieter",
                    std::ceil(ms(result.away)), ms(result.longest_away)));
  }
}

}  // namespace

Duration Contract::period() const {
  return Duration{static_cast<std::int64_t>(std::floor(1e9 / rate))};
}

Duration Contract::handover_bound() const {
  return delay + static_cast<std::int64_t>(burst - 1) * period();
}

std::vector<Instant> logical_arrivals(const std::vector<Record>& records, Duration period) {
  std::vector<Instant> result;
  result.reserve(records.size());
  Instant last = long_ago;
  for (const Record& r : records) {
    last = std::max(r.handover, last + period);
    result.push_back(last);
  }
  return result;
}

std::vector<lab::Gap> merged_stalls(std::vector<lab::Gap> gaps) {
  std::erase_if(gaps, [](const lab::Gap& g) { return g.throttled; });
  std::ranges::sort(gaps, {}, &lab::Gap::begin);
  std::vector<lab::Gap> merged;
  for (const lab::Gap& gap : gaps) {
    if (!merged.empty() && gap.begin <= merged.back().end) {
      merged.back().end = std::max(merged.back().end, gap.end);
    } else {
      merged.push_back(gap);
    }
  }
  return merged;
}

Duration excuse(const std::vector<lab::Gap>& merged, Instant from, Instant to) {
  Duration sum{};
  auto gap =
      std::ranges::lower_bound(merged, from, {}, &lab::Gap::end);  // the first that ends at `from` or later
  for (; gap != merged.end() && gap->begin <= to; ++gap) sum += gap->length();
  return sum;
}

Delays summarize(std::vector<Duration> delays) {
  if (delays.empty()) return {};
  std::ranges::sort(delays);
  const auto rank = [&](double q) {
    const auto n = static_cast<std::size_t>(std::ceil(q * static_cast<double>(delays.size())));
    return delays[std::max<std::size_t>(n, 1) - 1];
  };
  return {rank(0.5), rank(0.99), delays.back()};
}

Judgement judge(const Evidence& evidence) {
  Judgement result;
  const std::vector<lab::Gap> stalls = merged_stalls(evidence.gaps);
  for (const FlowResult& flow : evidence.flows) {
    FlowJudgement j = judge_flow(flow, stalls, evidence);
    result.verdict = worse(result.verdict, j.verdict);
    for (const std::string& finding : j.findings) result.findings.push_back(flow.name + ": " + finding);
    result.flows.push_back(std::move(j));
  }
  tell_absence(result, stalls, evidence);
  return result;
}

}  // namespace rtchan::demo
