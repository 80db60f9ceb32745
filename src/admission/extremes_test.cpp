// Numbers at the edges of their ranges: every answer is an answer, nothing overflows (run under UBSan),
// nothing takes for ever, and what is admitted is plausible.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "admission/d_order.hpp"
#include "admission/deadline_policies.hpp"
#include "admission/decide.hpp"
#include "admission/statistical.hpp"
#include "admission/sweep.hpp"

namespace rtchan::admission {
namespace {

class Edges {
 public:
  explicit Edges(std::uint32_t seed) : random_(seed) {}
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  // Powers of two and their neighbours, from 1 to 2^60.
  std::int64_t number() {
    const std::int64_t power = std::int64_t{1} << pick(0, 60);
    return std::clamp<std::int64_t>(power + pick(-1, 1), 1, duration_limit.count());
  }
  Candidate candidate() {
    Candidate c;
    std::int64_t a = number();
    std::int64_t b = number();
    if (a > b && pick(0, 9) > 0) std::swap(a, b);  // mostly C <= T
    c.service = Duration{a};
    c.period = Duration{b};
    c.chunk = Duration{std::min(a, number())};
    c.last = Duration{std::min(c.chunk.count(), number())};
    if (pick(0, 3) == 0) {
      c.input_service = Duration{number()};
      c.input_jitter = Duration{number()};
    }
    c.burst = static_cast<std::uint32_t>(number());
    c.activity_ppm = static_cast<std::uint32_t>(pick(0, 1'000'000));
    if (c.burst == 0) c.burst = 1;
    return c;
  }
  StageSettings settings() {
    StageSettings s;
    s.base_blocking = Duration{pick(0, 1) * number()};
    s.granularity = Duration{pick(0, 1)};
    s.utilisation_limit_ppm = pick(0, 1) == 0 ? 1'000'000 : 990'000;
    s.step_limit = 2'000;
    if (pick(0, 3) == 0) {
      const std::int64_t a = number();
      const std::int64_t b = number();
      s.supply = {Duration{std::min(a, b)}, Duration{std::max(a, b)}, Duration{pick(0, 1) * number()},
                  static_cast<std::uint32_t>(pick(0, 999'999))};
    }
    return s;
  }

 private:
  std::mt19937 random_;
};

void expect_sane(const std::expected<Duration, StageRefusal>& answer, const Candidate& c) {
  if (answer) {
    EXPECT_GE(*answer, c.service);
    EXPECT_LE(*answer, duration_limit);
  } else {
    EXPECT_NE(answer.error().reason, Reason::none);
  }
}

TEST(Extremes, EveryTestAnswers) {
  Edges edges(1);
  for (int i = 0; i < 3'000; ++i) {
    const StageSettings s = edges.settings();
    std::vector<Task> existing;
    for (int k = edges.pick(0, 5); k > 0; --k)
      existing.push_back(with_delay(edges.candidate(), Duration{edges.number()}));
    const Candidate c = edges.candidate();
    const auto exact = smallest_delay_edf(existing, c, s);
    const auto paper = smallest_delay_d_order(existing, c, s);
    const auto envelope = smallest_delay_envelope(existing, c, s);
    expect_sane(exact, c);
    expect_sane(paper, c);
    expect_sane(envelope, c);
    if (exact && paper) {
      EXPECT_GE(*paper, *exact);
    }
    if (exact && envelope) {
      EXPECT_GE(*envelope, *exact);
    }
  }
}

// A policy that only ever takes what it allowed itself keeps its books, whatever the sizes.
TEST(Extremes, PoliciesLiveWithAnythingTheyAllowed) {
  Edges edges(2);
  for (const char* name : {"edf", "d_order", "utilisation", "controlled_load", "statistical"}) {
    SCOPED_TRACE(name);
    for (int life = 0; life < 12; ++life) {
      const auto policy = make_policy(name, edges.settings());
      std::vector<EntryId> present;
      for (int i = 0; i < 40; ++i) {
        const Candidate c = edges.candidate();
        const auto d = policy->test(c);
        expect_sane(d, c);
        if (d) {
          present.push_back(policy->reserve(c, *d));
          if (edges.pick(0, 1) == 0) policy->commit(present.back(), Duration{edges.number()});
        } else if (!present.empty() && edges.pick(0, 2) == 0) {
          policy->release(present.back());
          present.pop_back();
        }
        (void)policy->burst_bound();
        (void)policy->utilisation_ppm();
        (void)policy->arrivals(Duration{edges.number()});
      }
      EXPECT_TRUE(policy->reconciles()) << name;
      EXPECT_EQ(policy->size(), present.size());
    }
  }
}

TEST(Extremes, NoSettingsArePromisedAnything) {
  for (const Supply& supply :
       {Supply{Duration{0}, Duration{10}, {}, 0}, Supply{Duration{11}, Duration{10}, {}, 0},
        Supply{Duration{1}, Duration{1}, {}, 1'000'000}, Supply{Duration{-1}, Duration{-1}, {}, 0}}) {
    StageSettings s;
    s.supply = supply;
    const Candidate c{
        .service = Duration{1}, .period = Duration{100}, .chunk = Duration{1}, .last = Duration{1}};
    EXPECT_FALSE(make_policy("edf", s)->test(c));
    EXPECT_FALSE(smallest_delay_edf({}, c, s));
  }
}

// Blocking by a piece of 64 less 63 is promised to nobody: times are not multiples of a granularity beyond the unit.
TEST(Extremes, AGranularityBeyondTheUnitIsRefused) {
  const Candidate c{.service = Duration{64}, .period = Duration{6'400}, .chunk = Duration{64}, .last = Duration{64}};
  for (const std::int64_t eps : {-1, 0, 1, 2, 64}) {
    StageSettings s;
    s.granularity = Duration{eps};
    const bool sound = eps == 0 || eps == 1;
    EXPECT_EQ(smallest_delay_edf({}, c, s).has_value(), sound) << eps;
    EXPECT_EQ(smallest_delay_d_order({}, c, s).has_value(), sound) << eps;
    EXPECT_EQ(smallest_delay_envelope({}, c, s).has_value(), sound) << eps;
    EXPECT_EQ(make_policy("edf", s)->test(c).has_value(), sound) << eps;
  }
  EXPECT_NE(decide(R"({"eps":64,"new":{"C":64,"T":6400}})").json.find(R"("field":"eps")"), std::string::npos);
}

// Bytes that look like questions, with every kind of damage.
TEST(Extremes, DecideAnswersEveryLine) {
  Edges edges(3);
  const std::string sound =
      R"({"policy":"d_order","eps":0,"b0":7,"limit_ppm":990000,"supply":{"Q":4,"P":9},"existing":[{"C":4,"T":90,"d":30,"q":2,"last":2}],"new":{"C":9,"T":400}})";
  for (int i = 0; i < 4'000; ++i) {
    std::string line = sound;
    for (int damage = edges.pick(1, 4); damage > 0; --damage) {
      const auto at = static_cast<std::size_t>(edges.pick(0, static_cast<int>(line.size()) - 1));
      switch (edges.pick(0, 3)) {
        case 0:
          line[at] = static_cast<char>(edges.pick(0, 255));
          break;
        case 1:
          line.erase(at, static_cast<std::size_t>(edges.pick(1, 8)));
          break;
        case 2:
          line.insert(at, std::to_string(edges.number()));
          break;
        case 3:
          line.insert(at, line.substr(at / 2, 9));
          break;
      }
      if (line.empty()) line = "{";
    }
    const Decision d = decide(line);
    const auto json = nlohmann::json::parse(d.json, nullptr, false);
    ASSERT_FALSE(json.is_discarded()) << d.json;
    ASSERT_EQ(d.understood, !json.contains("error")) << d.json;
    ASSERT_EQ(d.json.find('\n'), std::string::npos);
  }
  EXPECT_FALSE(decide(std::string(200'000, '[')).understood);
}

TEST(Extremes, TheExponentialIsBoundedFromAboveAndNotByMuch) {
  for (int tenths = 1; tenths < 300; ++tenths) {  // exp(-2 e^2 / s) with e = 1000
    const Wide squares = Wide{2} * 1'000 * 1'000 * 10 / tenths;
    const double truth = std::exp(-2.0 * 1e6 / static_cast<double>(static_cast<std::int64_t>(squares)));
    const double bound =
        static_cast<double>(static_cast<std::int64_t>(hoeffding_bound(1'000, squares))) / std::exp2(60);
    EXPECT_GE(bound, truth * (1 - 1e-12)) << tenths;
    EXPECT_LE(bound, truth * 1.07 + 1e-17) << tenths;
  }
}

}  // namespace
}  // namespace rtchan::admission
