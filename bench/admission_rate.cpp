// Decisions a second at 100 to 100,000 channels, timed over whole runs so that no clock is read in between, and the
// workload whose instructions `make instructions` counts.
//
//   admission_rate [channels [decisions [questions asked exactly, in %]]]      default: a table
//
// One 100 Gb/s link, U about 0.9, periods from 1 ms to 1 s. One channel in four is as tight as its first answer allows.
// A decision is what a daemon does for one set-up: test, reserve, commit with its final delay, and (so that the number
// stays) release another channel. A daemon is content with an eighth of what it may use; `exact` asks for true minima.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <ctime>
#include <random>
#include <utility>
#include <vector>

#include "admission/deadline_policies.hpp"

namespace {

using namespace rtchan;
using namespace rtchan::admission;

class Stage {
 public:
  explicit Stage(std::size_t count) : policy_(settings()), count_(count) {
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
      r = {draw(), std::uniform_int_distribution<std::size_t>(0, ids_.size() - 1)(random_),
           uniform(0, 100) < exact_percent};
    }
    return all;
  }
  [[gnu::noinline]] std::size_t decide(const std::vector<Request>& all) {  // instructions.sh counts this
    std::size_t admitted = 0;
    for (const Request& r : all) {
      const Candidate& c = r.candidate;
      const auto d = policy_.test(c, r.exact ? Duration{0} : c.period / 8);
      if (!d) continue;
      const EntryId id = policy_.reserve(c, *d);
      policy_.commit(id, final_delay(c, *d));
      policy_.release(std::exchange(ids_[r.victim], id));
      ++admitted;
    }
    return admitted;
  }
  [[nodiscard]] std::size_t size() const { return ids_.size(); }
  [[nodiscard]] const DemandIndex::Work& work() const { return policy_.index().work(); }
  [[nodiscard]] double load() const { return static_cast<double>(policy_.utilisation_ppm()) / 1e6; }

 private:
  static StageSettings settings() {
    StageSettings s;
    s.base_blocking = Duration{123};  // a 1,538-byte frame
    return s;
  }
  double uniform(double low, double high) { return std::uniform_real_distribution<double>(low, high)(random_); }
  Candidate draw() {
    Candidate c;
    c.period = Duration{static_cast<std::int64_t>(std::exp(uniform(std::log(1e6), std::log(1e9))))};
    const double share = 0.92 / static_cast<double>(count_) * uniform(0.5, 1.5);
    c.service = Duration{std::max<std::int64_t>(7, std::llround(static_cast<double>(c.period.count()) * share))};
    c.chunk = c.last = std::min(c.service, Duration{123});
    return c;
  }
  Duration final_delay(const Candidate& c, Duration minimum) {
    if (uniform(0, 1) < 0.25) return minimum;
    return std::max(minimum, Duration{std::llround(static_cast<double>(c.period.count()) * uniform(0.1, 1.0))});
  }

  EdfPolicy policy_;
  std::size_t count_;
  std::mt19937 random_{17};
  std::vector<EntryId> ids_;
};

void row(std::size_t channels, std::size_t decisions, int exact_percent) {
  Stage stage(channels);
  const auto requests = stage.requests(decisions, exact_percent);
  const auto before = stage.work();
  const std::clock_t start = std::clock();  // CPU time: other programs are not admission's cost
  const std::size_t admitted = stage.decide(requests);
  const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  fmt::print("{:>8} channels, load {:.3f}, {:>3} % exact: {:>9.0f} decisions/s ({:.1f} us each), {:.0f} % admitted\n",
             stage.size(), stage.load(), exact_percent, static_cast<double>(decisions) / took,
             1e6 * took / static_cast<double>(decisions),
             100.0 * static_cast<double>(admitted) / static_cast<double>(decisions));
  const auto& after = stage.work();
  const auto per = [&](std::uint64_t a, std::uint64_t b) { return static_cast<double>(a - b) / static_cast<double>(decisions); };
  fmt::print("{:>8} {:.1f} expansions, {:.0f} deadlines looked at in each\n", "", per(after.expansions, before.expansions),
             per(after.swept, before.swept));
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  if (argc > 1) {
    row(static_cast<std::size_t>(number(1, 1'000)), static_cast<std::size_t>(number(2, 1'000)), number(3, 10));
    return 0;
  }
  for (const int exact_percent : {0, 100}) {
    for (const std::size_t channels : {100U, 1'000U, 10'000U, 100'000U}) {
      row(channels, channels < 100'000 ? 20'000 : 5'000, exact_percent);
    }
  }
}
