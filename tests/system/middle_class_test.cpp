// The class between guaranteed and best effort with real daemons: it gets what was contracted while best effort floods, and
// what it offers beyond that hurts neither the guaranteed channel beside it nor anybody but itself.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <thread>

#include "system/rig.hpp"

namespace rtchan::system_test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr std::uint16_t guaranteed_port = 7000, middle_port = 7001, flood_port = 7002;
// Enough of them that a fair part of what is left is less than the contract of a channel of the class: one that were
// served as best effort would not get it.
constexpr int flooding = 12;

struct Flow {
  Command receiver, sender;
};

lab::DaemonOptions with_class(const std::string& model) {
  lab::DaemonOptions options;
  options.extra = fmt::format("[admission]\ncpu_below = \"{0}\"\nlink_below = \"{0}\"\n", model);
  return options;
}

Flow start(Rig& rig, const std::string& name, std::uint16_t port, const std::string& load) {
  Command receiver = rig.rtc(Rig::b, fmt::format("perf --listen {} --json --log {}", port, rig.file(name + ".csv").string()), name + "-in");
  std::this_thread::sleep_for(300ms);  // with --json nothing is said before the first message
  return {std::move(receiver), rig.rtc(Rig::a, fmt::format("perf --to {} --json {}", rig.to(port), load), name + "-out")};
}

// What its receiver saw of each of its streams.
std::vector<json> received(Flow& flow, std::size_t streams) {
  EXPECT_EQ(flow.sender.wait(60s), 0) << flow.sender.complaints();
  flow.receiver.wait(20s);
  const json result = flow.receiver.result();
  if (!result.is_object() || result["streams"].size() != streams) {
    ADD_FAILURE() << "not " << streams << " streams: " << result.dump() << flow.receiver.complaints() << flow.sender.complaints();
    return {};
  }
  return {result["streams"].begin(), result["streams"].end()};
}

double rate_of(const json& stream) { return stream["messages_per_second"].get<double>(); }

json answer(Rig& rig, std::size_t host, const std::string& words) {
  Command asking = rig.rtc(host, words, "asking");
  EXPECT_EQ(asking.wait(10s), 0) << asking.complaints();
  return asking.result();
}

// Nothing lost; late only as far as the probes saw the machine taken away.
void expect_kept(Rig& rig, const json& stream, const std::string& name) {
  for (const char* never : {"lost", "out_of_order", "duplicates", "damaged"}) EXPECT_EQ(stream[never], 0) << name << ": " << never;
  const Duration bound{stream["bound_ns"].get<std::int64_t>()};
  const auto gaps = rig.gaps();
  std::size_t late = 0;
  for (const LoggedMessage& m : read_message_log(rig.file(name + ".csv"))) {
    if (m.delay <= bound) continue;
    ++late;
    EXPECT_TRUE(excused(m.readable, m.delay, bound, gaps)) << name << " message " << m.sequence << " after " << m.delay.count() << " ns";
  }
  if (late > 0) fmt::print("{}: {} of {} late, all while the machine was taken away\n", name, late, stream["received"].get<int>());
}

double sum_of_rates(const std::vector<json>& streams) {
  return std::accumulate(streams.begin(), streams.end(), 0.0, [](double sum, const json& s) { return sum + rate_of(s); });
}

std::uint64_t count_on_link(const json& status, const char* what) { return status["workers"][0]["links"][0]["counters"][what]; }

TEST(ControlledLoad, GetsItsContractWhileBestEffortFloodsAndHurtsNothingGuaranteed) {
  auto made = Rig::make("middle", Wire::bottleneck, with_class("controlled_load"));
  ASSERT_TRUE(made) << made.error();
  Rig& rig = **made;
  // The flood first and last: it is there all the time.
  Flow rest = start(rig, "rest", flood_port,
                    fmt::format("--best-effort --streams {} --rate 1500/s --size 1000 --burst 64 --duration 9s --when-full drop", flooding));
  Flow middle = start(rig, "middle", middle_port,
                      "--controlled-load --streams 2 --rate 1000/s --burst 10 --size 1000 --delay 50ms --duration 7s --when-full drop --offer 4");
  Flow promised = start(rig, "promised", guaranteed_port, "--rate 1000/s --burst 10 --size 1000 --delay 20ms --duration 5s");

  const auto kept = received(promised, 1);
  const auto middles = received(middle, 2);
  const auto rests = received(rest, flooding);
  ASSERT_FALSE(HasFailure());
  const double fair = sum_of_rates(rests) / flooding;
  fmt::print("guaranteed {:.1f}/s; controlled load {:.1f}/s and {:.1f}/s of 1000/s contracted, 4000/s offered; best effort {:.0f}/s in {} channels\n",
             rate_of(kept[0]), rate_of(middles[0]), rate_of(middles[1]), sum_of_rates(rests), flooding);
  expect_kept(rig, kept[0], "promised");
  EXPECT_NEAR(rate_of(kept[0]), 1000, 20);
  for (const json& stream : middles) {
    EXPECT_EQ(stream["contract"]["class"], "controlled load");
    EXPECT_FALSE(stream.contains("bound_ns")) << "nothing is claimed of a message";
    EXPECT_NEAR(rate_of(stream), 1000, 50);
    EXPECT_NEAR(stream["seconds"].get<double>(), 7, 0.5) << "all the time, and not in a clump after the flood";
    EXPECT_EQ(stream["out_of_order"], 0);
    EXPECT_EQ(stream["duplicates"], 0);
  }
  // The flood was one: it had more to send than it got, and its fair part was less than the contract above.
  EXPECT_LT(fair, 950);
  EXPECT_GT(sum_of_rates(rests), 1'000);
  const json status = answer(rig, Rig::b, "status --json");
  EXPECT_EQ(count_on_link(status, "kernel_drops_real_time"), 0u);
  EXPECT_EQ(count_on_link(status, "kernel_drops_middle"), 0u);
}

TEST(Statistical, ChannelsThatAreSeldomActiveAreAdmittedBeyondTheirPeaks) {
  auto made = Rig::make("stat", Wire::bottleneck, with_class("statistical"));
  ASSERT_TRUE(made) << made.error();
  Rig& rig = **made;
  // At their peaks they are more than the link.
  constexpr int seldom = 24;
  const std::string peak = "--rate 500/s --burst 1 --size 1000 --delay 100ms";
  Flow all = start(rig, "all-peaks", guaranteed_port, fmt::format("--streams {} {} --duration 1s", seldom, peak));
  EXPECT_NE(all.sender.wait(20s), 0) << "so many guaranteed channels are refused";
  EXPECT_NE(all.sender.complaints().find("link"), std::string::npos) << all.sender.complaints();
  all.receiver.interrupt();
  all.receiver.wait(10s);
  Flow rest = start(rig, "rest", flood_port,
                    fmt::format("--best-effort --streams {} --rate 1500/s --size 1000 --burst 64 --duration 9s --when-full drop", flooding));
  Flow middle = start(rig, "middle", middle_port,
                      fmt::format("--statistical 10% --streams {} {} --duration 7s --when-full drop --offer 0.1", seldom, peak));
  Flow promised = start(rig, "promised", guaranteed_port, "--rate 1000/s --burst 10 --size 1000 --delay 20ms --duration 5s");
  // While they run: what an operator is told of them.
  const json channels = answer(rig, Rig::a, "channels --json");
  std::size_t told = 0;
  for (const json& c : channels["channels"]) {
    if (c["service"] != "statistical") continue;
    ++told;
    EXPECT_EQ(c["class"], "conditional");
    EXPECT_NE(c["conditions"].dump().find("probability 1% at most"), std::string::npos) << c.dump();
  }
  EXPECT_EQ(told, std::size_t{seldom});
  Command page = rig.rtc(Rig::a, "status", "page");
  EXPECT_EQ(page.wait(10s), 0);
  EXPECT_NE(page.output().find("below guaranteed"), std::string::npos) << page.output();
  EXPECT_NE(page.output().find("statistical"), std::string::npos) << page.output();
  Command refused = rig.rtc(Rig::a, fmt::format("perf --to {} --controlled-load --rate 10/s --duration 1s", rig.to(middle_port)), "refused");
  EXPECT_NE(refused.wait(10s), 0);
  EXPECT_NE((refused.complaints() + refused.output()).find("serves no controlled_load class"), std::string::npos) << refused.complaints();

  const auto kept = received(promised, 1);
  const auto middles = received(middle, seldom);
  received(rest, flooding);
  ASSERT_FALSE(HasFailure());
  expect_kept(rig, kept[0], "promised");
  for (const json& stream : middles) {
    EXPECT_EQ(stream["contract"]["class"], "statistical");
    EXPECT_EQ(stream["out_of_order"], 0);
    EXPECT_EQ(stream["lost"], 0);
    EXPECT_NEAR(rate_of(stream), 50, 2.5);
  }
  fmt::print("guaranteed {:.1f}/s; statistical {:.1f}/s in {} channels of 500/s, a tenth of the time\n", rate_of(kept[0]),
             sum_of_rates(middles), seldom);
}

}  // namespace
}  // namespace rtchan::system_test
