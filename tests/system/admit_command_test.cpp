// `rtc admit` as a script meets it: JSON lines on stdin, an answer a line on stdout, the exit status. Every worked case of the
// admission mathematics, each asked of both exact tests, in one process of the program. Needs no daemon and no network.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "lab/daemon.hpp"

namespace rtchan::system_test {
namespace {

using Json = nlohmann::json;

struct Answers {
  int status = -1;
  std::vector<Json> lines;
};

// The program, with `questions` on its standard input.
Answers rtc_admit(const std::string& questions) {
  std::string file = std::filesystem::temp_directory_path() / "rtc-admit-XXXXXX";
  const int fd = mkstemp(file.data());
  close(fd);
  std::ofstream{file} << questions;
  std::FILE* pipe = popen((lab::program("rtc") + " admit <" + file).c_str(), "r");
  std::string text;
  std::array<char, 4096> piece{};
  while (const std::size_t n = std::fread(piece.data(), 1, piece.size(), pipe)) text.append(piece.data(), n);
  const int status = pclose(pipe);
  std::filesystem::remove(file);
  Answers answers{WIFEXITED(status) ? WEXITSTATUS(status) : -1, {}};
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) answers.lines.push_back(Json::parse(line));
  return answers;
}

struct Channel {
  int service, period, delay = 0, chunk = 0, last = 0;  // 0: not said
  [[nodiscard]] Json json() const {
    Json j{{"C", service}, {"T", period}};
    if (delay > 0) j["d"] = delay;
    if (chunk > 0) j["q"] = chunk;
    if (last > 0) j["last"] = last;
    return j;
  }
};
struct Case {
  const char* name;
  int base_blocking;
  std::vector<Channel> existing;
  Channel fresh;
  Json edf, d_order;  // a delay, or the reason of a refusal
};

Json question(const Case& c, const char* policy) {
  Json existing = Json::array();
  for (const Channel& e : c.existing) existing.push_back(e.json());
  return {{"policy", policy}, {"b0", c.base_blocking}, {"existing", existing}, {"new", c.fresh.json()}};
}
Json said(const Json& answer) { return answer.contains("refused") ? answer["refused"] : answer["min_delay"]; }

class WorkedCase : public testing::TestWithParam<Case> {};

TEST_P(WorkedCase, IsAnsweredByTheProgram) {
  const Case& c = GetParam();
  const Answers a = rtc_admit(question(c, "edf").dump() + "\n" + question(c, "d_order").dump() + "\n");
  EXPECT_EQ(a.status, 0);
  ASSERT_EQ(a.lines.size(), 2U);
  EXPECT_EQ(said(a.lines[0]), c.edf);
  EXPECT_EQ(said(a.lines[1]), c.d_order);
}

const std::vector<Case> cases{
    {"Case01_nobody_else", 0, {}, {400, 5000}, 400, 400},
    {"Case02_a_long_message_blocks", 0, {{900, 10000, 10000}}, {300, 4000}, 1200, 1200},
    {"Case03_in_packets_it_blocks_less", 0, {{900, 10000, 10000, 100}}, {300, 4000, 0, 100}, 400, 400},
    {"Case04_a_best_effort_frame_blocks", 124, {{124, 1000, 1000}}, {124, 1000}, 248, 248},
    {"Case05_waits_for_a_tighter_one", 0, {{200, 2000, 400}}, {200, 2000}, 400, 400},
    {"Case06_would_block", 0, {{100, 400, 100}}, {100, 400}, "blocking", "blocking"},
    {"Case07_just_does_not_block", 0, {{100, 400, 200}}, {100, 400}, 200, 200},
    {"Case08_too_long_a_piece", 0, {{100, 1000, 300}}, {1000, 4000}, "blocking", "blocking"},
    {"Case09_shorter_pieces_fit", 0, {{100, 1000, 300}}, {1000, 4000, 0, 150, 100}, 1100, 1200},
    {"Case10_exact_is_smaller", 0, {{200, 500, 300}, {100, 400, 500}}, {100, 300}, 400, 500},
    {"Case11_a_delay_beyond_the_period", 0, {{100, 300, 400}, {200, 400, 300}}, {100, 700}, 400, 800},
    {"Case12_violation_beyond_every_delay", 0, {{200, 1400, 600}, {200, 1300, 600}}, {200, 300}, 500, 600},
    {"Case13_better_than_the_envelope", 0, {{100, 400, 350}, {100, 500, 450}, {100, 600, 600}}, {100, 800}, 200, 200},
    {"Case14_full_with_blocking", 124, {{500, 1000, 900}}, {500, 1000}, "utilisation", "utilisation"},
    {"Case15_link_of_figure_5", 1775, {{51475, 200000, 200000, 1775}}, {19525, 500000, 0, 1775}, 21300, 21300},
    {"Case16_sixty_videos", 12304, std::vector<Channel>(60, {147648, 16700000, 10000000, 12304}), {3000, 20000000}, 15304, 15304},
};
INSTANTIATE_TEST_SUITE_P(AdmitCommand, WorkedCase, testing::ValuesIn(cases),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST(AdmitCommand, EnvelopeOfCase13AsksForMore) {
  EXPECT_EQ(said(rtc_admit(question(cases[12], "envelope").dump() + "\n").lines.at(0)), 250);
}

// The defaults: policy edf, eps 0, b0 0, q = C, last = q; a piece as long as the message blocks, a unit of it less with eps 1.
TEST(AdmitCommand, SaysTheDefaultsWhenNothingIsSaid) {
  const Answers a = rtc_admit(
      R"({"existing":[{"C":900,"T":10000,"d":10000}],"new":{"C":300,"T":4000}})" "\n"
      R"({"policy":"edf","eps":0,"b0":0,"existing":[{"C":900,"T":10000,"d":10000,"q":900,"last":900}],"new":{"C":300,"T":4000,"q":300,"last":300}})" "\n"
      R"({"eps":1,"existing":[{"C":900,"T":10000,"d":10000}],"new":{"C":300,"T":4000}})" "\n");
  EXPECT_EQ(a.lines.at(0), Json({{"min_delay", 1200}}));
  EXPECT_EQ(a.lines.at(1), a.lines.at(0));
  EXPECT_EQ(a.lines.at(2), Json({{"min_delay", 1199}}));
}

TEST(AdmitCommand, BadLinesAreNamedAndTheRestIsAnsweredInOrder) {
  struct {
    const char* line;
    const char* field;  // nullptr: understood
  } const told[] = {
      {R"({"new":{"C":1,"T":5}})", nullptr},
      {R"({"new":{"C":1}})", "new.T"},
      {R"({"new":{"T":5}})", "new.C"},
      {R"({"new":{"C":2,"T":5}})", nullptr},
      {R"({"new":{"C":"2","T":5}})", "new.C"},
      {R"({"new":{"C":2.5,"T":5}})", "new.C"},
      {R"({"new":{"C":0,"T":5}})", "new.C"},
      {R"({"new":{"C":2,"T":-5}})", "new.T"},
      {R"({"new":{"C":2,"T":5,"q":3}})", "new.q"},
      {R"({"new":{"C":2,"T":5,"last":3}})", "new.last"},
      {R"({"new":{"C":2,"T":99999999999999999999999}})", "new.T"},
      {R"({"existing":[{"C":1,"T":5,"d":5},{"C":1,"T":5}],"new":{"C":3,"T":5}})", "existing[1].d"},
      {R"({"existing":{},"new":{"C":3,"T":5}})", "existing"},
      {R"({"existing":[7],"new":{"C":3,"T":5}})", "existing[0]"},
      {R"({"eps":2,"new":{"C":3,"T":5}})", "eps"},
      {R"({"b0":-1,"new":{"C":3,"T":5}})", "b0"},
      {R"({"policy":"rms","new":{"C":3,"T":5}})", "policy"},
      {R"({"polcy":"edf","new":{"C":3,"T":5}})", "polcy"},
      {R"({})", "new"},
      {R"(nonsense)", ""},
      {R"({"new":{"C":3,"T":5}})", nullptr},
  };
  std::string questions;
  for (const auto& t : told) questions += std::string(t.line) + "\n";
  const Answers a = rtc_admit(questions);
  EXPECT_EQ(a.status, 1);
  ASSERT_EQ(a.lines.size(), std::size(told));
  int delay = 0;
  for (std::size_t i = 0; i < std::size(told); ++i) {
    if (told[i].field == nullptr) {
      EXPECT_EQ(a.lines[i], Json({{"min_delay", ++delay}})) << told[i].line;
    } else {
      EXPECT_TRUE(a.lines[i].contains("error")) << told[i].line;
      EXPECT_EQ(a.lines[i]["field"], told[i].field) << told[i].line;
      EXPECT_EQ(a.lines[i]["line"], i + 1);
    }
  }
}

// What would fit does, and one unit less does not: the smallest delay at this rate, the smallest period at this delay.
TEST(AdmitCommand, HintsAreAdmittedAndOneUnitLessIsNot) {
  std::mt19937 random(5);
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution(low, high)(random); };
  std::vector<Case> asked;
  std::string questions;
  const char* policies[] = {"edf", "d_order"};
  for (int i = 0; i < 2'000; ++i) {
    Case c{"", pick(0, 20), {}, {}, {}, {}};
    for (int n = pick(1, 4); n > 0; --n) {
      const int period = pick(100, 1'000), service = pick(10, period / 3);
      c.existing.push_back({service, period, pick(period / 2, 2 * period), pick(1, service)});
    }
    const int service = pick(10, 300);
    c.fresh = {service, pick(service, 1'000), pick(service, 800), pick(1, service)};
    questions += question(c, policies[i % 2]).dump() + "\n";
    asked.push_back(c);
  }
  const Answers first = rtc_admit(questions);
  ASSERT_EQ(first.lines.size(), asked.size());
  std::string again;
  std::vector<std::pair<const char*, bool>> expected;  // of each line of `again`: which hint, whether it is admitted
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const Json& answer = first.lines[i];
    const auto ask = [&](Channel fresh, const char* what, bool admitted) {
      Case c = asked[i];
      c.fresh = fresh;
      again += question(c, policies[i % 2]).dump() + "\n";
      expected.emplace_back(what, admitted);
    };
    Channel fresh = asked[i].fresh;
    if (answer.contains("min_delay")) {
      fresh.delay = answer["min_delay"];
      ask(fresh, "delay", true);
      if (--fresh.delay > 0) ask(fresh, "delay", false);
    }
    fresh = asked[i].fresh;
    if (answer.contains("fitting_T")) {
      ASSERT_TRUE(answer.contains("refused"));
      fresh.period = answer["fitting_T"];
      ask(fresh, "period", true);
      --fresh.period;
      ask(fresh, "period", false);
    }
  }
  const Answers second = rtc_admit(again);
  ASSERT_EQ(second.lines.size(), expected.size());
  int periods = 0, delays = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto& [what, admitted] = expected[i];
    EXPECT_EQ(!second.lines[i].contains("refused"), admitted) << what << " " << second.lines[i];
    (*what == 'd' ? delays : periods) += admitted;
  }
  EXPECT_GT(delays, 200);
  EXPECT_GT(periods, 100);
}

}  // namespace
}  // namespace rtchan::system_test
