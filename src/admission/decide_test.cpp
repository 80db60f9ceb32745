// Every worked case, through the same door as `rtc admit`; and what that door does with nonsense.
#include "admission/decide.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

namespace rtchan::admission {
namespace {

using Json = nlohmann::json;

struct Case {
  const char* name;
  const char* rest;  // the question without its policy
  const char* edf;
  const char* d_order;
};

// Answers are a delay, or the reason of a refusal.
std::string ask(const std::string& policy, const std::string& rest) {
  const auto decision = decide("{\"policy\":\"" + policy + "\"," + rest + "}");
  EXPECT_TRUE(decision.understood) << decision.json;
  const Json json = Json::parse(decision.json);
  if (json.contains("min_delay")) return json["min_delay"].dump();
  return json.value("refused", "?");
}

class WorkedCases : public testing::TestWithParam<Case> {};

TEST_P(WorkedCases, ExactEdf) {
  EXPECT_EQ(ask("edf", GetParam().rest), GetParam().edf);
}
TEST_P(WorkedCases, DOrder) {
  EXPECT_EQ(ask("d_order", GetParam().rest), GetParam().d_order);
}

std::string sixty_times(const std::string& task) {
  std::string all = task;
  for (int i = 1; i < 60; ++i) all += "," + task;
  return all;
}
const std::string bulk = R"("b0":12304,"existing":[)" +
                         sixty_times(R"({"C":147648,"T":16700000,"d":10000000,"q":12304})") +
                         R"(],"new":{"C":3000,"T":20000000})";

INSTANTIATE_TEST_SUITE_P(
    Admission, WorkedCases,
    testing::Values(
        Case{"AloneItNeedsItsService", R"("new":{"C":400,"T":5000})", "400", "400"},
        Case{"ALongMessageBlocks", R"("existing":[{"C":900,"T":10000,"d":10000}],"new":{"C":300,"T":4000})",
             "1200", "1200"},
        Case{"PacketsBlockLess",
             R"("existing":[{"C":900,"T":10000,"d":10000,"q":100}],"new":{"C":300,"T":4000,"q":100})", "400",
             "400"},
        Case{"BestEffortFrameBlocks",
             R"("b0":124,"existing":[{"C":124,"T":1000,"d":1000}],"new":{"C":124,"T":1000})", "248", "248"},
        Case{"WaitsForATighterOne", R"("existing":[{"C":200,"T":2000,"d":400}],"new":{"C":200,"T":2000})",
             "400", "400"},
        Case{"CannotBeBlocked", R"("existing":[{"C":100,"T":400,"d":100}],"new":{"C":100,"T":400})",
             "blocking", "blocking"},
        Case{"JustNotBlocked", R"("existing":[{"C":100,"T":400,"d":200}],"new":{"C":100,"T":400})", "200",
             "200"},
        Case{"TooLongAPiece", R"("existing":[{"C":100,"T":1000,"d":300}],"new":{"C":1000,"T":4000})",
             "blocking", "blocking"},
        Case{"InPiecesItFits",
             R"("existing":[{"C":100,"T":1000,"d":300}],"new":{"C":1000,"T":4000,"q":150,"last":100})",
             "1100", "1200"},
        Case{"ExactIsSmaller",
             R"("existing":[{"C":200,"T":500,"d":300},{"C":100,"T":400,"d":500}],"new":{"C":100,"T":300})",
             "400", "500"},
        Case{"DelayBeyondPeriod",
             R"("existing":[{"C":100,"T":300,"d":400},{"C":200,"T":400,"d":300}],"new":{"C":100,"T":700})",
             "400", "800"},
        Case{"ViolationBeyondEveryDelay",
             R"("existing":[{"C":200,"T":1400,"d":600},{"C":200,"T":1300,"d":600}],"new":{"C":200,"T":300})",
             "500", "600"},
        Case{
            "EnvelopeIsLarger",
            R"("existing":[{"C":100,"T":400,"d":350},{"C":100,"T":500,"d":450},{"C":100,"T":600,"d":600}],"new":{"C":100,"T":800})",
            "200", "200"},
        Case{"FullWithBlocking",
             R"("b0":124,"existing":[{"C":500,"T":1000,"d":900}],"new":{"C":500,"T":1000})", "utilisation",
             "utilisation"},
        Case{
            "PaperFigure5",
            R"("b0":1775,"existing":[{"C":51475,"T":200000,"d":200000,"q":1775}],"new":{"C":19525,"T":500000,"q":1775})",
            "21300", "21300"},
        Case{"SixtyVideos", bulk.c_str(), "15304", "15304"}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST(Decide, EnvelopeIsSufficientOnly) {
  const std::string set =
      R"("existing":[{"C":100,"T":400,"d":350},{"C":100,"T":500,"d":450},{"C":100,"T":600,"d":600}],"new":{"C":100,"T":800})";
  EXPECT_EQ(ask("envelope", set), "250");
  EXPECT_EQ(ask("edf", set), "200");
}

TEST(Decide, AFullStageIsAllowedWithoutBlocking) {
  EXPECT_EQ(
      ask("edf", R"("existing":[{"C":500,"T":1000,"d":1000,"q":1}],"new":{"C":500,"T":1000,"q":1},"eps":1)"),
      "500");
  // three thirds: exactly 1 although no binary fraction is
  EXPECT_EQ(ask("edf", R"("eps":1,"existing":[{"C":1,"T":3,"d":3},{"C":1,"T":3,"d":3}],"new":{"C":1,"T":3})"),
            "1");
  EXPECT_EQ(ask("edf", R"("existing":[{"C":1,"T":3,"d":6},{"C":1,"T":3,"d":6}],"new":{"C":2,"T":5})"),
            "utilisation");
}

TEST(Decide, NamesAnExistingSetThatMissesAlready) {
  EXPECT_EQ(ask("edf", R"("existing":[{"C":5,"T":100,"d":7},{"C":5,"T":100,"d":8}],"new":{"C":1,"T":100})"),
            "existing_infeasible");
  EXPECT_EQ(
      ask("d_order", R"("existing":[{"C":5,"T":100,"d":7},{"C":5,"T":100,"d":8}],"new":{"C":1,"T":100})"),
      "existing_infeasible");
}

TEST(Decide, ALimitedSupplyDelaysEverything) {
  // 4 of every 10: the worst case starts with a gap of 12, and a message of 5 needs a second quantum: 12+4,
  // +6, +1.
  EXPECT_EQ(ask("edf", R"("supply":{"Q":4,"P":10},"new":{"C":4,"T":100})"), "16");
  EXPECT_EQ(ask("edf", R"("supply":{"Q":4,"P":10},"new":{"C":5,"T":100})"), "23");
  EXPECT_EQ(ask("edf", R"("supply":{"Q":4,"P":10},"new":{"C":5,"T":12})"), "utilisation");
}

TEST(Decide, SharesOfOtherModels) {
  EXPECT_EQ(ask("utilisation",
                R"("share_ppm":500000,"existing":[{"C":400,"T":1000,"d":1000}],"new":{"C":100,"T":1000})"),
            "1000");
  EXPECT_EQ(ask("utilisation",
                R"("share_ppm":500000,"existing":[{"C":400,"T":1000,"d":1000}],"new":{"C":101,"T":1000})"),
            "share");
  // its frame must be among what blocks guaranteed channels
  EXPECT_EQ(ask("controlled_load", R"("b0":50,"new":{"C":100,"T":1000})"), "blocking");
  EXPECT_EQ(ask("controlled_load", R"("b0":100,"new":{"C":100,"T":1000,"burst":4})"), "1000");
}

// The example of the mathematics: voice-like sources of 1 % peak, active one time in ten.
TEST(Decide, StatisticalAdmitsBeyondThePeakSum) {
  const std::string source = R"({"C":20,"T":1000,"d":1000,"activity_ppm":400000})";
  const auto count = [&](const std::string& policy) {
    int admitted = 0;
    std::string existing;
    for (; admitted < 200; ++admitted) {
      const std::string answer =
          ask(policy, R"("share_ppm":1000000,"target_ppm":10000,"b0":20,"existing":[)" + existing +
                          R"(],"new":{"C":20,"T":1000,"activity_ppm":400000})");
      if (answer.find_first_not_of("0123456789") != std::string::npos) break;
      existing += (existing.empty() ? "" : ",") + source;
    }
    return admitted;
  };
  const int peak = count("utilisation");
  const int statistical = count("statistical");
  EXPECT_EQ(peak, 50);
  EXPECT_GT(statistical, peak);
  EXPECT_LT(statistical, 125);  // the mean alone would allow 125
}

TEST(RunAdmit, AnswersInOrderAndReportsWhatItCannotRead) {
  std::istringstream in(
      "{\"new\":{\"C\":400,\"T\":5000}}\n"
      "\n"
      "{\"new\":{\"C\":400}}\n"
      "not json\n"
      "{\"new\":{\"C\":1.5,\"T\":5}}\n"
      "{\"existing\":[{\"C\":1,\"T\":5,\"d\":5},{\"C\":1,\"T\":0,\"d\":5}],\"new\":{\"C\":1,\"T\":5}}\n"
      "{\"policy\":\"best\",\"new\":{\"C\":1,\"T\":5}}\n"
      "{\"new\":{\"C\":1,\"T\":5},\"exsting\":[]}\n"
      "{\"new\":{\"C\":1,\"T\":18446744073709551615}}\n"
      "[1,2]\n"
      "{\"new\":{\"C\":7,\"T\":9}}\n");
  std::ostringstream out;
  EXPECT_EQ(run_admit(in, out), 1);
  std::vector<Json> lines;
  std::istringstream answers(out.str());
  for (std::string line; std::getline(answers, line);) lines.push_back(Json::parse(line));
  ASSERT_EQ(lines.size(), 10u);
  EXPECT_EQ(lines[0], Json({{"min_delay", 400}}));
  EXPECT_EQ(lines[1]["field"], "new.T");
  EXPECT_EQ(lines[2]["line"], 4);
  EXPECT_EQ(lines[3]["field"], "new.C");
  EXPECT_EQ(lines[4]["field"], "existing[1].T");
  EXPECT_EQ(lines[5]["field"], "policy");
  EXPECT_EQ(lines[6]["field"], "exsting");
  EXPECT_EQ(lines[7]["field"], "new.T");
  EXPECT_TRUE(lines[8].contains("error"));
  EXPECT_EQ(lines[9], Json({{"min_delay", 7}}));
}

TEST(Decide, AKeyThatIsGivenTwiceIsAnErrorThatNamesIt) {
  for (const auto& [line, key] : {std::pair{R"({"policy":"edf","new":{"C":1,"T":5},"policy":"d_order"})", "policy"},
                                  std::pair{R"({"new":{"C":1,"T":5,"C":2}})", "C"},
                                  std::pair{R"({"existing":[{"C":1,"T":5,"d":5},{"C":1,"T":5,"d":5,"d":5}],"new":{"C":1,"T":5}})", "d"}}) {
    const auto decision = decide(line, 3);
    EXPECT_FALSE(decision.understood) << line;
    const Json json = Json::parse(decision.json);
    EXPECT_EQ(json["field"], key) << line;
    EXPECT_EQ(json["error"], std::string{key} + " is given twice in one object");
    EXPECT_EQ(json["line"], 3);
  }
  EXPECT_TRUE(decide(R"({"existing":[{"C":1,"T":9,"d":5},{"C":1,"T":9,"d":5}],"new":{"C":1,"T":9}})").understood);
}

// Channels whose busy period is years long beside ones of nanoseconds, on a supply with gaps: hours, if all of it were looked at. The test's
// time limit is the only clock.
TEST(Decide, EveryAnswerComesWithinACountedAmountOfWork) {
  const std::string set =
      R"("b0":176016001316765,"existing":[{"C":8,"T":72,"q":2,"last":2,"d":11619703602734,"input":4,"jitter":260667},)"
      R"({"C":97879995,"T":21445964668107172,"q":144,"last":3,"d":3052178366},{"C":1286741,"T":23126953,"q":2,"last":2,"d":1576109835809}],)"
      R"("new":{"C":20,"T":75790,"q":4,"last":2})";
  const std::string in_gaps = R"(,"supply":{"P":50980348004551,"Q":42549675761491)";
  for (const char* policy : {"edf", "d_order"}) {
    EXPECT_EQ(ask(policy, set + in_gaps + "}"), "too_complex") << policy;
    EXPECT_EQ(ask(policy, set + in_gaps + R"(,"loss_ppm":1000})"), "too_complex") << policy;
  }
}

TEST(RunAdmit, StatusZeroWhenAllIsUnderstoodEvenIfRefused) {
  std::istringstream in("{\"existing\":[{\"C\":1,\"T\":1,\"d\":1}],\"new\":{\"C\":1,\"T\":1}}\n");
  std::ostringstream out;
  EXPECT_EQ(run_admit(in, out), 0);
  EXPECT_EQ(Json::parse(out.str())["refused"], "utilisation");
}

}  // namespace
}  // namespace rtchan::admission
