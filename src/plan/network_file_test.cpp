// The plan's file: what a person gets to read when something in it is wrong.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "plan/network.hpp"

namespace rtchan::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

const std::string two_hosts =
    "[[host]]\nname = \"a\"\n[[host]]\nname = \"b\"\n"          // lines 1 ... 4
    "[[link]]\nbetween = [\"a\", \"b\"]\nrate = \"97Mbit\"\n";  // 5 ... 7
const std::string one_channel =
    "[[channel]]\nfrom = \"a\"\nto = \"b\"\nrate = \"100/s\"\nsize = \"1KB\"\ndelay = \"10ms\"\n";

FileErrors errors_of(const std::string& text) {
  const auto network = parse_network(text, "net.toml");
  return network ? FileErrors{} : network.error();
}

TEST(PlanFile, TheSmallestNetworkHasTheDaemonsDefaults) {
  const auto n = parse_network(two_hosts + one_channel, "net.toml");
  ASSERT_TRUE(n) << n.error().front();
  ASSERT_EQ(n->hosts.size(), 2u);
  const rtcd::LinkSection usual;
  const rtcd::LinkSection& link = n->links.at(0).ends[1].settings;
  EXPECT_EQ(n->links[0].name, "a-b");
  EXPECT_EQ(link.bits_per_second, 97'000'000u);
  EXPECT_EQ(link.mtu_bytes, 1500u);
  EXPECT_EQ(link.guard, usual.guard);
  EXPECT_EQ(link.horizon, usual.horizon);
  EXPECT_EQ(promised_capacity(link), 97'000'000u - usual.foreign_bits_per_second);
  EXPECT_EQ(n->hosts[0].workers.size(), 1u);
  EXPECT_EQ(n->hosts[0].limits.memory_bytes, rtcd::LimitsSection{}.memory_bytes);
  ASSERT_EQ(n->channels.size(), 1u);
  EXPECT_EQ(n->channels[0].name, "a-b");
  EXPECT_EQ(n->channels[0].qos.max_delay, 10ms);
  EXPECT_EQ(n->channels[0].count, 1u);
}

TEST(PlanFile, WhatOneHostOrOneEndSaysOverridesWhatIsSaidOfAll) {
  const auto n = parse_network(
      "[costs]\nturn = \"7us\"\n[admission]\ncpu_policy = \"d_order\"\n"
      "[[host]]\nname = \"a\"\n[host.costs]\nsend_fixed = \"1us\"\n[[host.worker]]\nscheduling = "
      "\"other\"\ncore = 100\n[[host.worker]]\n"
      "[[host]]\nname = \"b\"\n[host.admission]\ncpu_policy = \"edf\"\n"
      "[[link]]\nbetween = [\"a\", \"b\"]\nrate = \"1Gbit\"\nhorizon = \"3ms\"\nguard = "
      "\"none\"\n[link.at.a]\nhorizon = \"0us\"\nworker = 1\n" +
          one_channel,
      "net.toml");
  ASSERT_TRUE(n) << n.error().front();
  EXPECT_EQ(n->hosts[0].admission.costs.turn, 7us);
  EXPECT_EQ(n->hosts[1].admission.costs.turn, 7us);
  EXPECT_EQ(n->hosts[0].admission.costs.send.fixed, 1us);
  EXPECT_EQ(n->hosts[1].admission.costs.send.fixed, admission::CostModel{}.send.fixed);
  EXPECT_EQ(n->hosts[0].admission.cpu.policy, "d_order");
  EXPECT_EQ(n->hosts[1].admission.cpu.policy, "edf");
  EXPECT_EQ(n->hosts[0].workers.size(), 2u);
  EXPECT_EQ(n->hosts[0].workers[0].scheduling, rtcd::Scheduling::other);
  EXPECT_EQ(n->links[0].ends[0].settings.horizon, 0us);
  EXPECT_EQ(n->links[0].ends[0].settings.worker, 1u);
  EXPECT_EQ(n->links[0].ends[1].settings.horizon, 3ms);
  EXPECT_EQ(n->links[0].ends[1].settings.worker, 0u);
}

TEST(PlanFile, AnErrorNamesFileLineKeyAndWhatIsAllowed) {
  EXPECT_THAT(errors_of(two_hosts + "mtu = 100\n" + one_channel),
              ElementsAre(HasSubstr(fmt::format("net.toml:8: link[0].mtu: must be at least {}", limits::mtu_bytes_min))));
  EXPECT_THAT(
      errors_of(two_hosts + "speed = 1\n" + one_channel),
      ElementsAre(
          "net.toml:8: link[0].speed: no such key; here are at, below, between, controlled_burst, controlled_share, foreign, guard, horizon, limit, mtu, name, "
          "policy, propagation, rate, statistical_target, worker"));
  EXPECT_THAT(errors_of(two_hosts +
                        "[[channel]]\nfrom = \"a\"\nto = \"c\"\nrate = \"1/s\"\nsize = 0\ndelay = \"2h\"\n"),
              ElementsAre("net.toml:10: channel[0].to: there is no host \"c\"; there are \"a\", \"b\"",
                          "net.toml:12: channel[0].size: 0 is outside 1B ... 16.777MB",
                          fmt::format("net.toml:13: channel[0].delay: 2h is outside 1us ... {}",
                                      format_duration(limits::delay_max))));
  EXPECT_THAT(
      errors_of("[[host]]\nname = \"a\"\n[host.costs]\nturns = \"1us\"\n[[host]]\nname = \"b\"\n"
                "[[link]]\nbetween = [\"a\", \"b\"]\nrate = \"97Mbit\"\n" +
                one_channel),
      ElementsAre(HasSubstr("net.toml:4: host[0].costs.turns: no such key; here are best_effort_delay, best_effort_packets")));
  EXPECT_THAT(errors_of("[[host]\n"), ElementsAre(HasSubstr("net.toml:1:")));
}

TEST(PlanFile, AQuoteThatIsNotClosedIsCalledThat) {
  const auto last = two_hosts.rfind("97Mbit");
  for (const char* quote : {"\"", "'"}) {
    for (const char* end : {"\n", "\r\n", ""}) {
      const std::string text = two_hosts.substr(0, last - 1) + quote + "97Mbit" + end;
      EXPECT_THAT(errors_of(text), ElementsAre(HasSubstr("closing quote is missing"))) << text;
      EXPECT_THAT(errors_of(text), ElementsAre(testing::StartsWith("net.toml:7:")));
    }
  }
  EXPECT_THAT(errors_of("[[link]]\nbetween = [\"a, \"b\"]\n"), ElementsAre(HasSubstr("a quote may be missing on this line")));
  EXPECT_THAT(errors_of("[[link]]\nbetween = [a, \"b\"]\n"), ElementsAre(testing::Not(HasSubstr("quote"))));
}

TEST(PlanFile, AHostThatIsNamedTwiceIsListedOnce) {
  EXPECT_THAT(errors_of(two_hosts + "[[host]]\nname = \"a\"\n[[channel]]\nfrom = \"a\"\nto = \"x\"\nrate = \"1/s\"\nsize = 1\ndelay = \"1s\"\n"),
              testing::Contains(HasSubstr("there is no host \"x\"; there are \"a\", \"b\"")));
  EXPECT_THAT(errors_of(two_hosts + "[[host]]\nname = \"a\"\n[[channel]]\nfrom = \"a\"\nto = \"x\"\nrate = \"1/s\"\nsize = 1\ndelay = \"1s\"\n"),
              testing::Not(testing::Contains(HasSubstr("\"b\", \"a\""))));
}

TEST(PlanFile, AllErrorsAreReportedAtOnce) {
  EXPECT_THAT(
      errors_of("[[host]]\nname = \"a\"\n[[host]]\nname = \"a\"\n[[link]]\nbetween = "
                "[\"a\"]\n[[channel]]\nfrom = \"a\"\nto = \"a\"\n"),
      ElementsAre("net.toml:4: host[1].name: \"a\" is the name of another host",
                  "net.toml:6: link[0].between: must be a list of 2 texts in quotes",
                  "net.toml:5: link[0].rate: is missing and has no default",
                  "net.toml:9: channel[0].to: must be another host than `from`: channels go to other hosts",
                  "net.toml:7: channel[0].size: is missing and has no default",
                  "net.toml:7: channel[0].rate: is missing and has no default",
                  "net.toml:7: channel[0].delay: is missing and has no default"));
}

TEST(PlanFile, ALinkThatCannotBeIsRefused) {
  EXPECT_THAT(
      errors_of(two_hosts +
                "[[link]]\nbetween = [\"b\", \"a\"]\nname = \"a-b\"\nrate = \"1Mbit\"\nguard = \"none\"\n" +
                one_channel),
      ElementsAre(
          "net.toml:10: link[1].name: \"a-b\" is the name of another link (line 5); give this one another"));
  EXPECT_THAT(errors_of(two_hosts + "foreign = \"200Mbit\"\n" + one_channel),
              testing::Each("net.toml:8: link[0].foreign: leaves nothing of the rate to be promised"));
  EXPECT_THAT(errors_of(two_hosts + "[link.at.b]\nworker = 1\n" + one_channel),
              ElementsAre("net.toml:9: link[0].at.b.worker: b has no worker 1; it has 0 ... 0"));
  EXPECT_THAT(errors_of(two_hosts + "[link.at.c]\nworker = 0\n" + one_channel),
              ElementsAre("net.toml:8: link[0].at.c: no such key; here are a, b"));
  EXPECT_THAT(errors_of("[[host]]\nname = \"lonely\"\n" + two_hosts + one_channel),
              ElementsAre("net.toml:7: link: no link leads to host \"lonely\""));
}

TEST(PlanFile, ARouteNeedsALink) {
  const std::string three =
      two_hosts + "[[host]]\nname = \"c\"\n[[link]]\nbetween = [\"b\", \"c\"]\nrate = \"97Mbit\"\n";
  EXPECT_THAT(errors_of(three + "[[route]]\nat = \"a\"\nto = \"c\"\nvia = \"c\"\n" + one_channel),
              ElementsAre("net.toml:16: route[0].via: a and c are not joined by a link"));
  EXPECT_THAT(
      errors_of(three + "[[route]]\nat = \"a\"\nto = \"c\"\nvia = \"b\"\nlink = \"x\"\n" + one_channel),
      ElementsAre("net.toml:17: route[0].link: a and b are not joined by a link \"x\""));
}

}  // namespace
}  // namespace rtchan::plan
