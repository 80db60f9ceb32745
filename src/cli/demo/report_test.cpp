// The page stands alone and says what the judge found; the pictures are drawn from the same evidence.
// RTCHAN_KEEP_PAGE=DIR keeps the page of the synthetic run for a person to look at.
#include "cli/demo/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>

#include "cli/demo/plot.hpp"
#include "cli/demo/series.hpp"

namespace rtchan::demo {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

constexpr Instant kStart{seconds{5000}};

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

// What a good run would leave: every flow within its contract's rate, delays at a fraction of the bound.
FlowResult synthetic(const Flow& flow, double rate, Duration typical, std::uint32_t seed) {
  FlowResult result{.name = flow.name,
                    .contract = flow.contract,
                    .schedule = flow.schedule,
                    .start = kStart,
                    .sent = {},
                    .records = {}};
  std::mt19937 random{seed};
  std::exponential_distribution<double> tail{1.0};
  const Duration step{static_cast<std::int64_t>(1e9 / rate)};
  for (Instant t = kStart; t < kStart + seconds{20}; t += step) {
    const Duration delay =
        typical +
        Duration{static_cast<std::int64_t>(tail(random) * 0.15 * static_cast<double>(typical.count()))};
    result.records.push_back({result.records.size(), t, t, t + delay, t + delay + microseconds{60}, delay,
                              static_cast<std::uint32_t>(flow.mean_message_bytes)});
  }
  result.sent = {.offered = result.records.size(), .accepted = result.records.size(), .policed = 0};
  return result;
}

Report good_run() {
  const Video video{.sizes_file = "sizes", .largest_bytes = 62'000, .mean_bytes = 20'000, .frames = 500};
  Report r{.scenario = standard_scenario(video, seconds{20}),
           .evidence = {},
           .judgement = {},
           .circumstances = {}};
  const auto& flows = r.scenario.flows;
  r.evidence = {.start = kStart, .duration = seconds{20}, .flows = {}, .gaps = {}};
  r.evidence.flows = {
      synthetic(flows[0], 500, microseconds{700}, 1), synthetic(flows[1], 25, milliseconds{9}, 2),
      synthetic(flows[2], 100, milliseconds{14}, 3), synthetic(flows[3], 4500, milliseconds{40}, 4)};
  r.evidence.flows[2].sent.offered = 6000;
  r.evidence.flows[2].sent.policed = 4000;
  r.evidence.flows[3].sent.offered = 231'000;
  r.evidence.flows[3].sent.policed = 140'000;
  r.evidence.gaps = {{kStart + milliseconds{7000}, kStart + milliseconds{7004}, 0, false}};
  r.circumstances = {.weaker = "",
                     .conditions = {"No other program sends over these interfaces."},
                     .attributions = {},
                     .probes = {{.core = 0, .realtime = true, .complete = true, .gaps = r.evidence.gaps}},
                     .when = "a day",
                     .machine = "2 cores"};
  r.judgement = judge(r.evidence);
  return r;
}

class Pictures : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/rtchan-report-XXXXXX";
    directory_ = mkdtemp(pattern);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path directory_;
};

TEST_F(Pictures, ThePageStandsAloneAndCarriesBothPictures) {
  const Report r = good_run();
  ASSERT_TRUE(plot(r.scenario, r.evidence, directory_ / "demo.svg", Picture::svg));
  ASSERT_TRUE(plot(r.scenario, r.evidence, directory_ / "demo.png", Picture::png));
  const std::string png = text_of(directory_ / "demo.png");
  EXPECT_EQ(png.substr(1, 3), "PNG");
  const std::string html = page(r, text_of(directory_ / "demo.svg"), png);
  EXPECT_THAT(html, HasSubstr("EVERY PROMISE KEPT"));
  EXPECT_THAT(html, HasSubstr("data:image/png;base64,iVBORw0KGgo"));
  for (const char* outside : {"<script", "<link", "src=\"http", "href=\"http", "url(http", "@import"}) {
    EXPECT_THAT(html, Not(HasSubstr(outside)));
  }
  if (const char* keep = getenv("RTCHAN_KEEP_PAGE"))
    std::ofstream{std::filesystem::path{keep} / "demo.html"} << html;
}

TEST(Page, SaysWhatTheJudgeFoundAndEscapesIt) {
  Report r = good_run();
  r.evidence.flows[0].records[100].readable += milliseconds{50};
  r.judgement = judge(r.evidence);
  r.circumstances.conditions = {"a < b & c"};
  const std::string html = page(r, "<svg></svg>", "");
  EXPECT_THAT(html, HasSubstr("A PROMISE WAS BROKEN"));
  EXPECT_THAT(html, HasSubstr("no gap of the machine explains it"));
  EXPECT_THAT(html, HasSubstr("a &lt; b &amp; c"));
}

TEST(Table, ShowsEveryFlowsBoundBesideItsWorstAndWhyItWasLate) {
  Report r = good_run();
  r.evidence.flows[0].records[3500].readable =
      r.evidence.flows[0].records[3500].handover + milliseconds{6};  // inside the gap at 7 s
  r.judgement = judge(r.evidence);
  const std::string text = table(r, false);
  for (const char* expected :
       {"control", "500/s of 1.0 KB", "video", "bursts of 4", "bulk", "best effort", "1 machine away", "6.00",
        "5.00", "taken away for 4.0 ms", "EVERY PROMISE KEPT"}) {
    EXPECT_THAT(text, HasSubstr(expected));
  }
  EXPECT_THAT(text, Not(HasSubstr("\033")));
}

TEST(Json, IsWholeAndAgreesWithTheVerdict) {
  const auto parsed = nlohmann::json::parse(json(good_run()));
  EXPECT_EQ(parsed["exit_status"], 0);
  ASSERT_EQ(parsed["flows"].size(), 4u);
  EXPECT_EQ(parsed["flows"][2]["policed"], 4000);
  EXPECT_DOUBLE_EQ(parsed["flows"][0]["contract"]["delay_ms"].get<double>(), 5.0);
  EXPECT_FALSE(parsed["flows"][3].contains("delay_from_logical_arrival"))
      << "best effort has no logical arrivals";
}

TEST(Series, PutsEachMessageIntoTheBinInWhichItBecameReadable) {
  FlowResult flow{.name = "x",
                  .contract = {.rate = 10, .burst = 1, .message_bytes = 100, .delay = milliseconds{5}},
                  .schedule = {{0, 1}},
                  .start = kStart,
                  .sent = {},
                  .records = {}};
  const auto record = [&](std::uint64_t n, Duration sent, Duration delay) {
    return Record{n, kStart + sent, kStart + sent, kStart + sent + delay, kStart + sent + delay, {}, 100};
  };
  flow.records = {record(0, milliseconds{0}, milliseconds{1}), record(1, milliseconds{100}, milliseconds{3}),
                  record(2, milliseconds{990}, milliseconds{20}),
                  record(3, milliseconds{1990}, milliseconds{20})};
  const auto bins = series(flow, kStart, seconds{2}, seconds{1});
  ASSERT_EQ(bins.size(), 2u);
  EXPECT_EQ(bins[0].messages, 2u);
  EXPECT_DOUBLE_EQ(bins[0].bits, 1600);
  EXPECT_DOUBLE_EQ(bins[0].worst_ms, 3);
  EXPECT_EQ(bins[1].messages, 1u) << "the last one became readable after the end";
  EXPECT_DOUBLE_EQ(bins[1].worst_ms, 20);
}

TEST(Scenario, LeavesRoomAndTheFloodAsksForMoreThanThat) {
  const Scenario s = standard_scenario(
      {.sizes_file = "f", .largest_bytes = 60'000, .mean_bytes = 20'000, .frames = 500}, seconds{20});
  double guaranteed = 0;
  for (const Flow& flow : s.flows) {
    if (flow.contract.guaranteed)
      guaranteed += flow.contract.rate * wire_bytes(flow.contract.message_bytes) * 8;
  }
  EXPECT_LT(guaranteed, s.link_bits * 0.7) << "admission must be able to say yes";
  const Flow& flood = s.flows.back();
  EXPECT_FALSE(flood.contract.guaranteed);
  EXPECT_DOUBLE_EQ(flood.schedule.back().factor, 3);
  EXPECT_EQ(schedule_text(s.flows[2].schedule), "0:0.98,10:5");
}

}  // namespace
}  // namespace rtchan::demo
