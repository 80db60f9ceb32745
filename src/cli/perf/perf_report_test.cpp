#include "cli/perf/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace rtchan::cli {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

constexpr Qos contract{.max_rate = 100, .max_burst = 3, .max_message_bytes = 1000, .max_delay = 5ms};

struct CleanRun {
  Tally tally{contract};
  CleanRun() {
    for (std::uint64_t i = 0; i < 100; ++i) {
      const Instant sent = Instant{} + i * 10ms;
      tally.add({.sequence = i, .bytes = 1000, .intended = sent, .handed_over = sent, .readable = sent + 2ms,
                 .read = sent + 2ms, .from_logical = Duration{2ms}, .same_clock = true});
    }
    tally.finish(100);
  }
  [[nodiscard]] ReceivedStream stream(std::uint32_t number = 0) const {
    return {number, "10.0.0.1:9", tally.summary(), &tally.delays()};
  }
};

TEST(ReceivedReport, SetsDelaysBesideTheirBounds) {
  const CleanRun run;
  const std::string text = received_report({run.stream()}, Clocks::same_host);
  EXPECT_THAT(text, HasSubstr("100/s of up to 1KB, bursts of 3, within 5ms"));
  EXPECT_THAT(text, HasSubstr("100 messages of 100: 0 lost, 0 late"));
  EXPECT_THAT(text, HasSubstr("25ms (if the source conforms)"));
  EXPECT_THAT(text, HasSubstr("same host clock"));
}

TEST(ReceivedReport, ShowsNoOneWayDelayBetweenStrangeClocks) {
  const CleanRun run;
  const std::string text = received_report({run.stream()}, Clocks::apart);
  EXPECT_THAT(text, Not(HasSubstr("hand-over  ")));
  EXPECT_THAT(text, HasSubstr("not comparable without PTP"));
  EXPECT_FALSE(to_json(run.stream(), Clocks::apart).contains("from_hand_over"));
  EXPECT_TRUE(to_json(run.stream(), Clocks::apart).contains("from_logical_arrival"));
}

TEST(ReceivedReport, ManyStreamsAreSummedUp) {
  const CleanRun run;
  std::vector<ReceivedStream> streams;
  for (std::uint32_t i = 0; i < 20; ++i) streams.push_back(run.stream(i));
  const std::string text = received_report(streams, Clocks::same_host);
  EXPECT_THAT(text, HasSubstr("20 streams, 20 of them with every promise kept"));
  EXPECT_THAT(text, HasSubstr("2000 messages of 2000"));
}

TEST(ReceivedReport, JsonHoldsTheFiguresInNanoseconds) {
  const CleanRun run;
  const auto json = to_json(run.stream(), Clocks::same_host);
  EXPECT_EQ(json["lost"], 0);
  EXPECT_EQ(json["bound_ns"], 5'000'000);
  EXPECT_EQ(json["from_hand_over"]["max_ns"], 2'000'000);
  EXPECT_EQ(json["kept"], true);
}

TEST(SentReport, SaysWhatWasNotHandedOver) {
  StreamCounts counts;
  counts.offered = 1000;
  counts.handed_over = 200;
  counts.left_over = 800;
  counts.lateness.add(3ms);
  const std::string text = sent_report({counts}, 10);
  EXPECT_THAT(text, HasSubstr("offered 1000 messages (100/s), handed over 200 (20/s"));
  EXPECT_THAT(text, HasSubstr("800 waited for room"));
}

TEST(Kept, BestEffortPromisesOnlyIntegrity) {
  Summary s;
  s.contract = contract;
  EXPECT_TRUE(kept(s));
  s.lost = 1;
  EXPECT_FALSE(kept(s));
  s.contract.service = ServiceClass::best_effort;
  EXPECT_TRUE(kept(s));
  s.damaged = 1;
  EXPECT_FALSE(kept(s));
}

}  // namespace
}  // namespace rtchan::cli
