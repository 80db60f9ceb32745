// How fast admission decides, at 10 to 100,000 channels on one 100 Gb/s link: U >= 0.9, periods from 1 ms to
// 1 s. One channel in four takes its minimum delay, the others something between a tenth of their period and
// the whole: so the set is tight where it can be, straight-line bounds refuse, and deadlines must be looked
// at.
//
// Each iteration is one decision as a daemon makes it: test; if admitted, reserve, and release another
// channel so that the number stays. Counters: p50 and p99.9 in CPU time, and the share of decisions in which
// some stretch of time was swept deadline by deadline ("exact"). The naive algorithm (every deadline of the
// busy period, nothing kept) runs beside it.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <vector>

#include "admission/deadline_policies.hpp"
#include "admission/sweep.hpp"

namespace {

using namespace rtchan;
using namespace rtchan::admission;

constexpr double load = 0.92;

// Of this thread: other programs on the machine are not admission's cost.
std::int64_t cpu_time() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

struct Population {
  StageSettings settings;
  EdfPolicy policy;
  std::vector<EntryId> ids;
  std::mt19937 random{17};
  std::size_t count;

  static StageSettings link() {
    StageSettings s;
    s.base_blocking = Duration{123};  // a 1,538-byte frame
    s.utilisation_limit_ppm = 980'000;
    return s;
  }
  explicit Population(std::size_t n) : settings(link()), policy(settings), count(n) {
    while (ids.size() < n) {
      const Candidate c = draw();
      const auto d = policy.test(c, Duration{0});
      if (d) ids.push_back(policy.reserve(c, final_delay(c, *d)));
      if (!d && ++failed_ > n) break;  // saturated: what is there serves
    }
  }
  double uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  }

  Candidate draw() {
    Candidate c;
    c.period = Duration{static_cast<std::int64_t>(std::exp(uniform(std::log(1e6), std::log(1e9))))};
    const double share = load / static_cast<double>(count) * uniform(0.5, 1.5);
    c.service = Duration{
        std::max<std::int64_t>(7, static_cast<std::int64_t>(static_cast<double>(c.period.count()) * share))};
    c.chunk = c.last = std::min(c.service, settings.base_blocking);
    return c;
  }
  Duration final_delay(const Candidate& c, Duration minimum) {
    if (uniform(0, 1) < 0.25) return minimum;
    return std::max(minimum, Duration{static_cast<std::int64_t>(static_cast<double>(c.period.count()) *
                                                                uniform(0.1, 1.0))});
  }

 private:
  std::size_t failed_ = 0;
};

Population& population(std::size_t n) {  // building one costs more than measuring it
  static std::map<std::size_t, Population> all;
  return all.try_emplace(n, n).first->second;
}

// `content`: any delay up to an eighth of the period will do, as a daemon asks; else always the exact
// minimum.
void decide(benchmark::State& state, bool content) {
  Population& p = population(static_cast<std::size_t>(state.range(0)));
  std::vector<std::int64_t> took;
  took.reserve(1 << 20);
  const auto before = p.policy.index().work();
  std::uint64_t admitted = 0;
  for (auto _ : state) {
    state.PauseTiming();
    const Candidate c = p.draw();
    const std::size_t victim = std::uniform_int_distribution<std::size_t>(0, p.ids.size() - 1)(p.random);
    state.ResumeTiming();
    const std::int64_t start = cpu_time();
    const auto d = p.policy.test(c, content ? c.period / 8 : Duration{0});
    benchmark::DoNotOptimize(d);
    if (d && d->count() > 0) {
      const EntryId id = p.policy.reserve(c, p.final_delay(c, *d));
      p.policy.release(p.ids[victim]);
      p.ids[victim] = id;
      ++admitted;
    }
    took.push_back(cpu_time() - start);
  }
  std::ranges::sort(took);
  const auto& after = p.policy.index().work();
  const auto questions = static_cast<double>(after.questions - before.questions);
  state.counters["decisions/s"] =
      benchmark::Counter(static_cast<double>(took.size()), benchmark::Counter::kIsRate);
  state.counters["p50_us"] = static_cast<double>(took[took.size() / 2]) / 1e3;
  state.counters["p99.9_us"] = static_cast<double>(took[took.size() - 1 - took.size() / 1000]) / 1e3;
  state.counters["exact_%"] =
      100 * static_cast<double>(after.expanded_questions - before.expanded_questions) / questions;
  state.counters["swept"] = static_cast<double>(after.swept - before.swept) / questions;
  state.counters["admitted_%"] = 100 * static_cast<double>(admitted) / static_cast<double>(took.size());
  state.counters["U_%"] = static_cast<double>(p.policy.utilisation_ppm()) / 1e4;
}
BENCHMARK_CAPTURE(decide, minimum, false)
    ->Arg(10)
    ->Arg(1'000)
    ->Arg(10'000)
    ->Arg(100'000)
    ->MinTime(1)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(decide, content, true)
    ->Arg(10)
    ->Arg(1'000)
    ->Arg(10'000)
    ->Arg(100'000)
    ->MinTime(1)
    ->Unit(benchmark::kMicrosecond);

void naive(benchmark::State& state) {
  Population& p = population(static_cast<std::size_t>(state.range(0)));
  std::vector<Task> tasks;
  for (const EntryId id : p.ids) tasks.push_back(p.policy.task(id));
  for (auto _ : state) benchmark::DoNotOptimize(smallest_delay_edf(tasks, p.draw(), p.settings));
  state.counters["decisions/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(naive)->Arg(10)->Arg(1'000)->Arg(10'000)->MinTime(1)->Unit(benchmark::kMicrosecond);

void envelope(benchmark::State& state) {
  Population& p = population(static_cast<std::size_t>(state.range(0)));
  std::vector<Task> tasks;
  for (const EntryId id : p.ids) tasks.push_back(p.policy.task(id));
  std::uint64_t accepted = 0;
  for (auto _ : state) accepted += smallest_delay_envelope(tasks, p.draw(), p.settings).has_value();
  state.counters["accepted_%"] =
      100 * static_cast<double>(accepted) / static_cast<double>(state.iterations());
}
BENCHMARK(envelope)->Arg(10)->Arg(1'000)->Arg(10'000)->MinTime(1)->Unit(benchmark::kMicrosecond);

}  // namespace
