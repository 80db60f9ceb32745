// How fast admission decides, at 10 to 100,000 channels on one 100 Gb/s link, U above 0.9, periods from 1 ms to 1 s; beside
// the naive algorithm (every deadline of the busy period, nothing kept), whose answers must be the same.
//
//   admission_rate                                  the table (`make bench`)
//   admission_rate CHANNELS [DECISIONS [EXACT_%]]   the workload whose instructions `make instructions` counts;
//                                                   EXACT_% `naive`: the same questions to the naive algorithm
//
// A decision is what a daemon does for one set-up: test, reserve, commit with its final delay, and (so that the number
// stays) release another channel. One channel in four is as tight as its first answer allows, so straight-line bounds refuse
// (the envelope admits none of these). A daemon is content with an eighth of what it may use; EXACT_% of the requests (10)
// ask for the true minimum. `swept` says how many decisions took looking at deadlines one by one.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

#include "admission/deadline_policies.hpp"
#include "admission/sweep.hpp"

namespace {

using namespace rtchan;
using namespace rtchan::admission;

// Of this thread: other programs are not admission's cost.
std::int64_t cpu_time() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

class Stage {
 public:
  explicit Stage(std::size_t count) : policy_(settings()), count_(count), pillars_(count < 100 ? count / 2 : 0) {
    for (std::size_t failed = 0; ids_.size() < count && failed < count;) {
      const Candidate c = draw();
      const auto d = policy_.test(c, c.period / 8);
      if (d) ids_.push_back(policy_.reserve(c, final_delay(c, *d)));
      failed += !d;
    }
  }
  struct Request {
    Candidate candidate;
    std::size_t victim;
    bool exact;
  };
  std::vector<Request> requests(std::size_t n, int exact_percent) {
    std::vector<Request> all(n);
    for (Request& r : all) {
      r = {draw(), std::uniform_int_distribution<std::size_t>(pillars_, ids_.size() - 1)(random_),
           uniform(0, 100) < exact_percent};
    }
    return all;
  }
  bool answer(const Request& r) {
    const Candidate& c = r.candidate;
    const auto d = policy_.test(c, r.exact ? Duration{0} : c.period / 8);
    if (!d) return false;
    const EntryId id = policy_.reserve(c, *d);
    policy_.commit(id, final_delay(c, *d));
    policy_.release(std::exchange(ids_[r.victim], id));
    return true;
  }
  [[gnu::noinline]] std::size_t decide(const std::vector<Request>& all) {  // instructions.sh counts this
    std::size_t admitted = 0;
    for (const Request& r : all) admitted += answer(r);
    return admitted;
  }
  [[gnu::noinline]] std::size_t decide_naively(const std::vector<Request>& all, const std::vector<Task>& tasks) {
    std::size_t admitted = 0;
    for (const Request& r : all) admitted += smallest_delay_edf(tasks, r.candidate, settings()).has_value();
    return admitted;
  }
  [[nodiscard]] std::size_t size() const { return ids_.size(); }
  [[nodiscard]] const EdfPolicy& policy() const { return policy_; }
  [[nodiscard]] double load() const { return static_cast<double>(policy_.utilisation_ppm()) / 1e6; }
  [[nodiscard]] std::vector<Task> tasks() const {
    std::vector<Task> all;
    for (const EntryId id : ids_) all.push_back(policy_.task(id));
    return all;
  }
  Candidate draw() {
    Candidate c;
    c.period = Duration{static_cast<std::int64_t>(std::exp(uniform(std::log(1e6), std::log(1e9))))};
    const bool pillar = ids_.size() < pillars_;
    const double load = pillar ? 0.8 : pillars_ > 0 ? 0.13 : 0.92;
    const double share = load / static_cast<double>(pillar ? pillars_ : count_ - pillars_) *
                         (pillar ? uniform(0.95, 1.05) : uniform(0.5, 1.5));
    c.service = Duration{std::max<std::int64_t>(7, std::llround(static_cast<double>(c.period.count()) * share))};
    c.chunk = c.last = std::min(c.service, Duration{123});
    return c;
  }
  static StageSettings settings() {
    StageSettings s;
    s.base_blocking = Duration{123};  // a 1,538-byte frame
    return s;
  }

 private:
  double uniform(double low, double high) { return std::uniform_real_distribution<double>(low, high)(random_); }
  Duration final_delay(const Candidate& c, Duration minimum) {
    if (uniform(0, 1) < 0.25) return minimum;
    return std::max(minimum, Duration{std::llround(static_cast<double>(c.period.count()) * uniform(0.1, 1.0))});
  }

  EdfPolicy policy_;
  std::size_t count_;
  std::size_t pillars_;  // of a small set, the first: most of the load, and they stay. With ten equals one more would be too much
  std::mt19937 random_{17};
  std::vector<EntryId> ids_;
};

struct Naive {
  double per_second = 0;
  int asked = 0, same = 0, envelope_admits = 0;
};

// For about two seconds, but at least one question.
Naive ask_naively(Stage& stage) {
  const std::vector<Task> tasks = stage.tasks();
  StageSettings settings = Stage::settings();
  settings.step_limit = UINT64_MAX;
  Naive naive;
  std::int64_t took = 0;
  while (naive.asked == 0 || (took < 2'000'000'000 && naive.asked < 20'000)) {
    const Candidate c = stage.draw();
    const auto answer = stage.policy().test(c, Duration{0});
    const std::int64_t start = cpu_time();
    const auto slow = smallest_delay_edf(tasks, c, settings);
    took += cpu_time() - start;
    ++naive.asked;
    naive.same += answer.has_value() == slow.has_value() && (answer ? *answer == *slow : true);
    naive.envelope_admits += smallest_delay_envelope(tasks, c, settings).has_value();
  }
  naive.per_second = 1e9 * naive.asked / static_cast<double>(took);
  return naive;
}

bool row(std::size_t channels, std::size_t decisions, int exact_percent) {
  const std::int64_t build_start = cpu_time();
  Stage stage(channels);
  const double build = static_cast<double>(cpu_time() - build_start) / 1e9;
  const auto requests = stage.requests(decisions, exact_percent);
  std::vector<std::int64_t> took(decisions);
  const auto before = stage.policy().index().work();
  std::size_t admitted = 0;
  std::int64_t last = cpu_time();
  const std::int64_t start = last;
  for (std::size_t i = 0; i < decisions; ++i) {
    admitted += stage.answer(requests[i]);
    const std::int64_t now = cpu_time();
    took[i] = now - std::exchange(last, now);
  }
  const double seconds = static_cast<double>(last - start) / 1e9;
  const auto& after = stage.policy().index().work();
  std::ranges::sort(took);
  const auto n = static_cast<double>(decisions);
  const double load = stage.load();
  const Naive naive = ask_naively(stage);
  fmt::print("{:>8} {:>6.3f} {:>8.2f} {:>6.0f} {:>8.0f} {:>9.1f} {:>12.0f} {:>9.1f} {:>9.1f} {:>12.2f} {:>9.0f}  {}/{}{}\n",
             stage.size(), load, build, 100.0 * static_cast<double>(admitted) / n,
             100.0 * static_cast<double>(after.expanded_questions - before.expanded_questions) / n,
             static_cast<double>(after.swept - before.swept) / n, n / seconds,
             static_cast<double>(took[decisions / 2]) / 1e3,
             static_cast<double>(took[decisions - 1 - decisions / 1000]) / 1e3, naive.per_second,
             n / seconds / naive.per_second, naive.same, naive.asked,
             naive.envelope_admits > 0 ? fmt::format(", the envelope admits {}", naive.envelope_admits) : "");
  std::fflush(stdout);
  return naive.same == naive.asked;
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  if (argc > 1) {
    Stage stage(static_cast<std::size_t>(number(1, 1'000)));
    const auto requests = stage.requests(static_cast<std::size_t>(number(2, 1'000)), number(3, 10));
    const std::vector<Task> tasks = stage.tasks();
    const bool naive = argc > 3 && std::string_view(argv[3]) == "naive";
    const std::int64_t start = cpu_time();
    const std::size_t admitted = naive ? stage.decide_naively(requests, tasks) : stage.decide(requests);
    const double took = static_cast<double>(cpu_time() - start) / 1e9;
    fmt::print("{} channels, load {:.3f}: {:.0f} decisions/s, {} of {} admitted\n", stage.size(), stage.load(),
               static_cast<double>(requests.size()) / took, admitted, requests.size());
    return 0;
  }
  bool same = true;
  for (const int exact_percent : {10, 100}) {
    fmt::print("\nTrue minima asked for in {} % of the requests; times are of this thread's processor time.\n", exact_percent);
    fmt::print("{:>8} {:>6} {:>8} {:>6} {:>8} {:>9} {:>12} {:>9} {:>9} {:>12} {:>9}  same answers\n", "channels", "load",
               "build s", "adm. %", "swept %", "deadlines", "decisions/s", "p50 us", "p99.9 us", "naive/s", "x faster");
    for (const std::size_t channels : {10U, 1'000U, 10'000U, 100'000U}) same = row(channels, 50'000, exact_percent) && same;
  }
  if (!same) fmt::print("the naive algorithm answers otherwise: a bug\n");
  return same ? 0 : 1;
}
