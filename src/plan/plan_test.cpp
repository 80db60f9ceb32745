// A planned network answers as its daemons would: what is admitted, why not, by which way, and that the
// numbers agree with each other.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "plan/outcome.hpp"

namespace rtchan::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

Network network_of(const std::string& text) {
  auto network = parse_network(text, "net.toml");
  EXPECT_TRUE(network) << network.error().front();
  return network.value_or(Network{});
}

std::string host(const std::string& name) {
  return fmt::format("[[host]]\nname = \"{}\"\n", name);
}
std::string link(const std::string& a, const std::string& b) {
  return fmt::format("[[link]]\nbetween = [\"{}\", \"{}\"]\nrate = \"100Mbit\"\nguard = \"none\"\n", a, b);
}
std::string channel(const std::string& from, const std::string& to, int rate, int bytes, int delay_ms,
                    int count = 1) {
  return fmt::format(
      "[[channel]]\nfrom = \"{}\"\nto = \"{}\"\nrate = \"{}/s\"\nsize = \"{}B\"\ndelay = \"{}ms\"\ncount = "
      "{}\n",
      from, to, rate, bytes, delay_ms, count);
}
// a - r1 - r2 - b, and a way round by r3.
std::string diamond() {
  std::string text;
  for (const char* name : {"a", "r1", "r2", "r3", "r4", "b"}) text += host(name);
  for (const auto& [x, y] :
       {std::pair{"a", "r1"}, {"r1", "r2"}, {"r2", "b"}, {"r1", "r3"}, {"r3", "r4"}, {"r4", "b"}})
    text += link(x, y);
  return text;
}

std::vector<std::string> names(const Network& network, const Way& way) {
  std::vector<std::string> all;
  for (const Passage& p : way) all.push_back(network.hosts[p.host].name);
  return all;
}

TEST(Plan, AChannelGoesTheShortestWayAndItsDelaysAddUpToItsBound) {
  const Network network = network_of(diamond() + channel("a", "b", 100, 1000, 30));
  const Outcome out = evaluate(network);
  ASSERT_EQ(out.verdicts.size(), 1u);
  const Verdict& v = out.verdicts[0];
  ASSERT_TRUE(v.admitted()) << v.refused->text;
  EXPECT_THAT(names(network, v.way), ElementsAre("a", "r1", "r2", "b"));
  EXPECT_LE(v.total(), 30ms);
  EXPECT_EQ(v.propagation, 300us) << "three links of the default 100us";
  Duration sum = v.propagation;
  for (const Passage& p : v.way) {
    EXPECT_GT(p.cpu_minimum, 0ns);
    EXPECT_GE(p.cpu_delay, p.cpu_minimum);
    EXPECT_GE(p.link_delay, p.link_minimum);
    EXPECT_EQ(p.out.has_value(), p.link_minimum > 0ns);
    sum += p.cpu_delay + p.link_delay;
  }
  EXPECT_EQ(sum, v.total());
  EXPECT_EQ(sum, 30ms) << "at this rate buffers are small: all slack is given out";
  EXPECT_GT(v.way.front().messages, 0u);
  EXPECT_EQ(v.way[1].messages, 0u) << "a router holds packets, not messages";
  EXPECT_GT(v.way[1].packet_buffers, 0u);
}

TEST(Plan, AGivenRouteIsTaken) {
  const Network network = network_of(diamond() + "[[route]]\nat = \"r1\"\nto = \"b\"\nvia = \"r3\"\n" +
                                     channel("a", "b", 100, 1000, 40) + channel("b", "a", 100, 1000, 40));
  const Outcome out = evaluate(network);
  ASSERT_EQ(out.admitted(), 2u);
  EXPECT_THAT(names(network, out.verdicts[0].way), ElementsAre("a", "r1", "r3", "r4", "b"));
  EXPECT_THAT(names(network, out.verdicts[1].way), ElementsAre("b", "r2", "r1", "a")) << "a route is one way";
}

TEST(Plan, RoutesThatGoInACircleAreFoundOut) {
  const Network network = network_of(diamond() + "[[route]]\nat = \"r1\"\nto = \"b\"\nvia = \"a\"\n" +
                                     channel("a", "b", 100, 1000, 40));
  const Outcome out = evaluate(network);
  EXPECT_EQ(out.admitted(), 0u);
  ASSERT_TRUE(out.verdicts[0].refused);
  EXPECT_EQ(out.verdicts[0].refused->code, Errc::no_route) << out.verdicts[0].refused->text;
}

// Seventeen hosts between the ends.
TEST(Plan, ARouteOfTooManyHopsIsRefusedWithTheLimit) {
  std::string text;
  for (int h = 0; h < 19; ++h) text += host(fmt::format("h{}", h));
  for (int h = 1; h < 19; ++h) text += link(fmt::format("h{}", h - 1), fmt::format("h{}", h));
  const Network network = network_of(text + channel("h0", "h15", 1, 100, 5'000) + channel("h0", "h18", 1, 100, 5'000));
  const Outcome out = evaluate(network);
  EXPECT_TRUE(out.verdicts[0].admitted()) << out.verdicts[0].refused->text;
  ASSERT_TRUE(out.verdicts[1].refused);
  EXPECT_EQ(out.verdicts[1].refused->code, Errc::no_route);
  EXPECT_THAT(out.verdicts[1].refused->text, testing::StartsWith("the route has more than 16 hops, the most that a channel may take at h16"));
}

TEST(Plan, PartsThatNothingJoinsAreRefusedAndTheRestGoesOn) {
  const Network network =
      network_of(host("a") + host("b") + host("c") + host("d") + link("a", "b") + link("c", "d") +
                 channel("a", "c", 10, 100, 20) + channel("c", "d", 10, 100, 20));
  const Outcome out = evaluate(network);
  ASSERT_TRUE(out.verdicts[0].refused);
  EXPECT_EQ(out.verdicts[0].refused->code, Errc::no_route);
  EXPECT_TRUE(out.verdicts[1].admitted());
  EXPECT_EQ(out.first_refused, 0u);
  EXPECT_FALSE(out.nearest->delay) << "no contract helps where there is no way";
}

// One channel after the other until the bottleneck is full: what is said to fit instead does fit, and a
// little more does not.
TEST(Plan, TheNearestContractsAreAdmittedAndNotFarFromWhatIsRefused) {
  const std::string before = host("a") + host("r") + host("b") + link("a", "r") + link("r", "b");
  const Network network = network_of(before + channel("a", "b", 100, 20'000, 60, 12));
  const Outcome out = evaluate(network);
  ASSERT_TRUE(out.first_refused) << "12 x 16 Mbit/s do not fit 100 Mbit/s";
  const auto admitted = static_cast<int>(*out.first_refused);
  EXPECT_GT(admitted, 0);
  const Verdict& refused = out.verdicts[*out.first_refused];
  EXPECT_EQ(refused.refused->code, Errc::refused);
  EXPECT_THAT(refused.refused->text,
              testing::AnyOf(HasSubstr(" at a"), HasSubstr(" at r"), HasSubstr(" at b")))
      << "hosts by name";
  ASSERT_TRUE(out.nearest && out.nearest->rate && out.nearest->message_bytes);
  EXPECT_LT(*out.nearest->rate, 100);
  EXPECT_LE(fmt::format("{}", *out.nearest->rate).size(), 5u) << "three digits, not 28.900000000000002";
  const auto with = [&](double rate, int bytes) {
    const Network again = network_of(
        before + channel("a", "b", 100, 20'000, 60, admitted) +
        fmt::format(
            "[[channel]]\nfrom = \"a\"\nto = \"b\"\nrate = \"{}/s\"\nsize = \"{}B\"\ndelay = \"60ms\"\n",
            rate, bytes));
    return !evaluate(again).first_refused.has_value();
  };
  EXPECT_TRUE(with(*out.nearest->rate, 20'000));
  EXPECT_FALSE(with(*out.nearest->rate * 1.02, 20'000));
  const auto bytes = static_cast<int>(*out.nearest->message_bytes);
  EXPECT_TRUE(with(100, bytes));
  EXPECT_FALSE(with(100, bytes + bytes / 50));
}

// Over a router and beside others: the delay that is said to fit holds for the whole route, and a hundredth less does not.
TEST(Plan, TheNearestDelayIsAdmittedOverTheWholeRouteAndLessIsNot) {
  const std::string before = host("a") + host("r") + host("b") + link("a", "r") + link("r", "b") +
                             channel("a", "b", 100, 20'000, 60, 2) + channel("r", "b", 50, 10'000, 40, 2);
  const Network network = network_of(before + channel("a", "b", 50, 20'000, 5));
  const Outcome out = evaluate(network);
  ASSERT_EQ(out.first_refused, 4u) << "messages of 1.7 ms on each of two links, behind others of as much";
  ASSERT_TRUE(out.nearest && out.nearest->delay);
  const auto with = [&](Duration delay) {
    ChannelGroup asked = network.channels.back();
    asked.qos.max_delay = delay;
    Network again = network;
    again.channels.back() = asked;
    return !evaluate(again).first_refused.has_value();
  };
  EXPECT_GT(*out.nearest->delay, 5ms);
  EXPECT_TRUE(with(*out.nearest->delay));
  EXPECT_FALSE(with(*out.nearest->delay * 99 / 100));
  EXPECT_EQ(out.nearest->way_at_delay.size(), 3u);
}

TEST(Plan, AskingLeavesNoTrace) {
  const Network network = network_of(diamond() + channel("a", "b", 100, 1000, 40, 3));
  const Routes routes{network};
  Fabric fabric{network, routes};
  const ChannelGroup& group = network.channels[0];
  ASSERT_TRUE(fabric.create(group));
  const auto promised = [&] {
    std::vector<std::uint64_t> all;
    for (HostIndex h = 0; h < network.hosts.size(); ++h) {
      const auto& ledger = fabric.node(h).ledger();
      for (std::uint32_t s = 0; s < ledger.stages(); ++s)
        all.push_back(ledger.view(admission::StageId{s}).utilisation_ppm);
      for (const auto& pool : fabric.node(h).status().pools)
        all.push_back(static_cast<std::uint64_t>(pool.used));
    }
    return all;
  };
  const auto before = promised();
  for (int i = 0; i < 20; ++i) {
    Qos qos = group.qos;
    qos.max_rate *= 1 + i;
    const auto way = fabric.attempt(group, qos);
    EXPECT_TRUE(way || i > 0);
    if (way) {
      EXPECT_THAT(names(network, *way), ElementsAre("a", "r1", "r2", "b"));
    }
    EXPECT_EQ(promised(), before);
  }
  EXPECT_TRUE(fabric.reconciles());
  EXPECT_TRUE(fabric.create(group)) << "what was asked for first is still possible";
}

TEST(Plan, HeadRoomIsWhatWouldStillBeAdmittedThere) {
  const Network network =
      network_of(host("a") + host("b") + link("a", "b") + channel("a", "b", 1000, 3000, 50, 2));
  const Outcome out = evaluate(network);
  ASSERT_EQ(out.admitted(), 2u);
  ASSERT_EQ(out.links.size(), 2u);
  EXPECT_GT(out.links[0].promised_ppm, out.links[1].promised_ppm) << "all goes one way";
  EXPECT_EQ(out.links[0].channels, 2u);
  EXPECT_EQ(out.links[1].channels, 0u);
  EXPECT_LT(out.links[0].head_room.largest_rate, out.links[1].head_room.largest_rate);
  // 1 KB messages of about 1.1 KB on the wire, in what is left of 98 Mbit/s.
  const double left = 1e8 * static_cast<double>(out.links[0].limit_ppm - out.links[0].promised_ppm) / 1e6;
  EXPECT_NEAR(out.links[0].head_room.largest_rate * 1.1 * 8 * 1000, left, left * 0.06);
  for (const StageLoad& load : out.cpus) {
    EXPECT_EQ(load.channels, 2u);
    EXPECT_GT(load.promised_ppm, 0u);
    EXPECT_LT(load.promised_ppm, load.limit_ppm);
    ASSERT_TRUE(load.head_room.smallest_delay);
  }
}

TEST(Plan, AnOrdinarySchedulerLeavesTheWholeCoreAndAnotherPolicyAdmitsLess) {
  const std::string rest = host("b") + link("a", "b") + channel("a", "b", 2000, 200, 4, 60);
  const auto admitted = [&](const std::string& more) {
    return evaluate(network_of("[[host]]\nname = \"a\"\n" + more + rest)).admitted();
  };
  const auto plain = admitted("");
  EXPECT_GT(plain, 0u);
  EXPECT_LT(plain, 60u);
  EXPECT_LE(admitted("[host.admission]\ncpu_policy = \"d_order\"\nlink_policy = \"d_order\"\n"), plain);
  const auto limited =
      evaluate(network_of("[[host]]\nname = \"a\"\n[host.limits]\nchannels_per_uid = 1\n" + rest));
  EXPECT_EQ(limited.admitted(), 1u);
  EXPECT_EQ(limited.verdicts[1].refused->code, Errc::permission_denied) << limited.verdicts[1].refused->text;
  const Outcome fifo = evaluate(network_of("[[host]]\nname = \"a\"\n" + rest));
  const Outcome other =
      evaluate(network_of("[[host]]\nname = \"a\"\n[[host.worker]]\nscheduling = \"other\"\n" + rest));
  EXPECT_LT(fifo.cpus[0].limit_ppm, other.cpus[0].limit_ppm)
      << "without a real-time class there is no duty cap";
}

TEST(Plan, TheSameFileHasTheSameAnswer) {
  const Network network =
      network_of(diamond() + channel("a", "b", 200, 5000, 40, 10) + channel("b", "a", 200, 5000, 40, 10));
  const Outcome one = evaluate(network), two = evaluate(network);
  ASSERT_EQ(one.verdicts.size(), two.verdicts.size());
  for (std::size_t i = 0; i < one.verdicts.size(); ++i) {
    EXPECT_EQ(one.verdicts[i].admitted(), two.verdicts[i].admitted());
    EXPECT_EQ(one.verdicts[i].total(), two.verdicts[i].total());
  }
}

// A campus: 4 routers in a ring, 46 hosts, 500 channels among them. The test's time limit is the only clock.
TEST(Plan, FiftyHostsAndFiveHundredChannels) {
  std::string text = "[costs]\nbest_effort_packets = 8\n";
  for (int r = 0; r < 4; ++r) text += host(fmt::format("r{}", r));
  for (int h = 0; h < 46; ++h) text += host(fmt::format("h{}", h));
  const auto fast = [](const std::string& a, const std::string& b) {
    return fmt::format("[[link]]\nbetween = [\"{}\", \"{}\"]\nrate = \"1Gbit\"\nguard = \"none\"\n", a, b);
  };
  for (int r = 0; r < 4; ++r) text += fast(fmt::format("r{}", r), fmt::format("r{}", (r + 1) % 4));
  for (int h = 0; h < 46; ++h) text += fast(fmt::format("h{}", h), fmt::format("r{}", h % 4));
  for (int c = 0; c < 500; ++c) {
    text +=
        channel(fmt::format("h{}", c % 46),
                fmt::format("h{}", (c * 7 + 3 + (c % 46 == (c * 7 + 3) % 46 ? 1 : 0)) % 46), 20, 200, 100);
  }
  const Network network = network_of(text);
  const Outcome out = evaluate(network);
  ASSERT_EQ(out.verdicts.size(), 500u);
  EXPECT_GT(out.admitted(), 100u);
  std::map<HostIndex, std::size_t> sent;
  for (const Verdict& v : out.verdicts) {
    if (!v.admitted()) continue;
    ++sent[v.way.front().host];
    EXPECT_LE(v.total(), 100ms);
  }
  for (const StageLoad& load : out.links) {  // what leaves a host that routes nothing is what it sends
    if (network.hosts[load.host].name.starts_with("h")) {
      EXPECT_EQ(load.channels, sent[load.host]);
    }
  }
}

}  // namespace
}  // namespace rtchan::plan
