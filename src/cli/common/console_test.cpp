#include "cli/common/console.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace rtchan::cli {
namespace {

using namespace std::chrono_literals;

Error refusal(Duration fitting_delay, double fitting_rate) {
  return {Errc::refused, "the link cannot carry it.",
          {.hop = "10.0.0.1", .resource = Resource::link, .fitting_delay = fitting_delay, .fitting_rate = fitting_rate}};
}

TEST(Sentence, ARefusalSaysWhereAndWhatWouldFit) {
  EXPECT_EQ(sentence(refusal(12ms, 300)),
            "the link cannot carry it (at 10.0.0.1, link); would fit now: a delay of 12ms, or a rate of 300/s");
  EXPECT_THAT(sentence(refusal(0ms, 0)), testing::HasSubstr("no smaller request"));
}

TEST(Sentence, OtherErrorsAreLeftAsTheyAre) { EXPECT_EQ(sentence({Errc::no_daemon, "rtcd does not answer", {}}), "rtcd does not answer"); }

TEST(ExitStatus, TellsAPromiseFromAMistakeFromAMissingDaemon) {
  EXPECT_EQ(status_of(Errc::refused), ExitStatus::failed);
  EXPECT_EQ(status_of(Errc::peer_closed), ExitStatus::failed);
  EXPECT_EQ(status_of(Errc::invalid_argument), ExitStatus::usage);
  EXPECT_EQ(status_of(Errc::no_daemon), ExitStatus::unavailable);
}

TEST(ErrorJson, CarriesTheHintsAsNumbers) {
  const auto json = to_json(refusal(12ms, 300));
  EXPECT_EQ(json["refusal"]["fitting_delay_ns"], 12'000'000);
  EXPECT_EQ(json["refusal"]["hop"], "10.0.0.1");
}

TEST(Metronome, BeatsOnceAPeriodHoweverLateItIsAsked) {
  Metronome metronome(1s);
  const Instant start{};
  EXPECT_FALSE(metronome.due(start));
  EXPECT_FALSE(metronome.due(start + 999ms));
  EXPECT_TRUE(metronome.due(start + 3500ms));
  EXPECT_FALSE(metronome.due(start + 3900ms));
  EXPECT_TRUE(metronome.due(start + 4s));
}

}  // namespace
}  // namespace rtchan::cli
