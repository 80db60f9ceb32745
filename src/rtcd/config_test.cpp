// The configuration file: what a person gets to read when something in it is wrong.
#include "rtcd/config.hpp"
#include "rtcd/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace rtchan::rtcd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr std::string_view link = "[[link]]\nname = \"net0\"\naddress = \"10.0.0.1\"\nrate = \"97Mbit\"\n";

ConfigErrors errors_of(const std::string& text) {
  const auto config = parse_config(text, "rtcd.toml");
  return config ? ConfigErrors{} : config.error();
}
ConfigErrors errors_beside_link(const std::string& text) { return errors_of(text + "\n" + std::string{link}); }

TEST(Config, OneLinkIsEnoughAndDefaultsServe) {
  const auto config = parse_config(link, "rtcd.toml");
  ASSERT_TRUE(config) << config.error().front();
  ASSERT_EQ(config->links.size(), 1u);
  EXPECT_EQ(config->links[0].bits_per_second, 97'000'000u);
  EXPECT_EQ(config->links[0].port, 7747);
  ASSERT_EQ(config->workers.size(), 1u);
  EXPECT_FALSE(config->workers[0].core);
  EXPECT_EQ(config->daemon.socket, "/run/rtchan/rtcd.sock");
  EXPECT_FALSE(config->daemon.name.empty());
}

TEST(Config, TheCommentedExampleIsValidAndSaysTheDefaults) {
  std::ifstream in{RTCHAN_SOURCE_DIR "/packaging/rtcd.toml"};
  std::string text{std::istreambuf_iterator<char>{in}, {}};
  ASSERT_FALSE(text.empty());
  const auto plain = parse_config(text, "rtcd.toml");
  ASSERT_TRUE(plain) << plain.error().front();
  // Uncomment every key: still valid, so no key in the example is misspelt or out of range.
  std::string all;
  std::size_t uncommented = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("# ") && (line.find(" = ") != std::string::npos || line.starts_with("# [["))) {
      line = line.substr(2);
      ++uncommented;
    }
    all += line + "\n";
  }
  const auto full = parse_config(all, "rtcd.toml");
  ASSERT_TRUE(full) << full.error().front();
  EXPECT_GT(uncommented, 45u);
  EXPECT_EQ(full->limits.memory_bytes, plain->limits.memory_bytes);
  EXPECT_EQ(full->limits.packet_buffers, plain->limits.packet_buffers);
  EXPECT_EQ(full->limits.clips_per_worker, plain->limits.clips_per_worker);
  EXPECT_EQ(full->daemon.lease, plain->daemon.lease);
  EXPECT_EQ(full->workers[0].duty_ppm, plain->workers[0].duty_ppm);
  EXPECT_EQ(plain->links[0].horizon, std::nullopt);
  EXPECT_EQ(full->links[0].propagation, plain->links[0].propagation);
  EXPECT_EQ(full->links[0].guard, plain->links[0].guard);
  EXPECT_EQ(full->admission.cpu.limit_ppm, plain->admission.cpu.limit_ppm);
  const auto &a = full->admission.costs, &b = plain->admission.costs;
  EXPECT_EQ(a.send.picoseconds_per_byte, b.send.picoseconds_per_byte);
  EXPECT_EQ(a.receive.fixed, b.receive.fixed);
  EXPECT_EQ(a.wakeup_latency, b.wakeup_latency);
  EXPECT_EQ(a.best_effort_period, b.best_effort_period);
  EXPECT_EQ(a.core.loss_ppm, b.core.loss_ppm);
  EXPECT_EQ(a.packets_per_step, b.packets_per_step);
}

TEST(Config, WhatCannotBeReadAndWhatLeavesNothingToPromiseIsSaid) {
  const auto directory = load_config("/tmp");
  ASSERT_FALSE(directory);
  EXPECT_THAT(directory.error(), ElementsAre("/tmp: cannot be read: it is a directory"));
  EXPECT_THAT(errors_of(std::string{link} + "foreign = \"97Mbit\"\n"), ElementsAre(HasSubstr("link[0].foreign: leaves nothing of the rate to be promised")));
}

TEST(Config, AnUnknownKeyNamesTheOnesThatExist) {
  EXPECT_THAT(errors_of("[[link]]\nname = \"a\"\naddress = \"10.0.0.1\"\nrate = \"2Mbit\"\nrates = 3\n"),
              ElementsAre("rtcd.toml:5: link[0].rates: no such key; here are address, below, controlled_burst, controlled_share, foreign, guard, "
                          "horizon, interface, limit, mtu, name, policy, port, propagation, rate, statistical_target, worker"));
  EXPECT_THAT(errors_beside_link("[deamon]\nname = \"x\"\n"),
              ElementsAre("rtcd.toml:1: deamon: no such table; here are [admission], [costs], [daemon], [limits], [[link]], "
                          "[[route]], [[worker]]"));
}

TEST(Config, EveryErrorIsReportedNotOnlyTheFirst) {
  const auto errors = errors_of(
      "[daemon]\nlog = \"loud\"\nlease = 5\n[[worker]]\npriority = 99\nduty = \"99%\"\n[[link]]\nname = \"a\"\ninterface = \"x\"\n");
  EXPECT_THAT(errors, ElementsAre("rtcd.toml:2: daemon.log: must be \"error\", \"warn\", \"info\", \"debug\"",
                                  "rtcd.toml:3: daemon.lease: must be a quantity with its unit in quotes, such as \"5ms\"",
                                  "rtcd.toml:5: worker[0].priority: must be a whole number 1 ... 98",
                                  "rtcd.toml:6: worker[0].duty: must be a share \"10%\" ... \"94%\" (or 0.1 ... 0.94)",
                                  "rtcd.toml:7: link[0].rate: is missing and has no default"));
}

TEST(Config, RangesAndReferencesAreChecked) {
  EXPECT_THAT(errors_beside_link("[daemon]\nlease = \"1h\"\n"),
              ElementsAre("rtcd.toml:2: daemon.lease: 1h is outside 500ms ... 600s"));
  EXPECT_THAT(errors_of(std::string{link} + "worker = 1\n"),
              ElementsAre("rtcd.toml:1: link.worker: there is no worker 1; there are 0 ... 0"));
  EXPECT_THAT(errors_of(std::string{link} + std::string{link}),
              ElementsAre("rtcd.toml:6: link[1].name: \"net0\" is the name of another link (line 1)"));
  EXPECT_THAT(errors_of(std::string{link} + "[[route]]\ndestination = \"10.9.0.0/33\"\nneighbour = \"10.0.0.2\"\nlink = \"x\"\n"),
              ElementsAre("rtcd.toml:6: route[0].destination: the prefix length must be 0 ... 32",
                          "rtcd.toml:8: route[0].link: there is no link \"x\"; there are \"net0\""));
  EXPECT_THAT(errors_of(std::string{link} + "mtu = 576\n"),
              ElementsAre("rtcd.toml:5: link[0].mtu: must be at least 1280, as for IPv6: signalling packets have up to 1200 bytes "
                          "and headers, and are never fragmented"));
  EXPECT_THAT(errors_of(""), ElementsAre("rtcd.toml: link: at least one [[link]] is needed"));
  EXPECT_THAT(errors_of("[[link]]\nname = \"a\"\nrate = \"2Mbit\"\n"),
              ElementsAre("rtcd.toml:1: link[0].address: is missing: give the interface, the address, or both"));
}

TEST(Config, AStageAdmitsByItsOwnWordElseByTheGeneralOne) {
  const auto config = parse_config(std::string{link} +
                                       "policy = \"d_order\"\nbelow = \"statistical\"\nstatistical_target = \"0.1%\"\n"
                                       "[[worker]]\nlimit = \"70%\"\n"
                                       "[admission]\ncpu_policy = \"utilisation\"\ncpu_below = \"controlled_load\"\ncontrolled_share = \"20%\"\n",
                                   "f");
  ASSERT_TRUE(config) << config.error().front();
  const StagePolicy wire = merged(config->links[0].admission, config->admission.link);
  EXPECT_EQ(wire.policy, "d_order");
  EXPECT_EQ(wire.below, "statistical");
  EXPECT_EQ(wire.statistical_target_ppm, 1'000u);
  EXPECT_EQ(wire.limit_ppm, 980'000u) << "not said by either";
  const StagePolicy cpu = merged(config->workers[0].admission, config->admission.cpu);
  EXPECT_EQ(cpu.policy, "utilisation");
  EXPECT_EQ(cpu.limit_ppm, 700'000u);
  EXPECT_EQ(cpu.below, "controlled_load");
  EXPECT_EQ(cpu.controlled_share_ppm, 200'000u);
}

TEST(Config, AClassBelowGuaranteedIsOneOfThoseThatExist) {
  EXPECT_THAT(errors_of(std::string{link} + "below = \"edf\"\n"),
              ElementsAre("rtcd.toml:5: link[0].below: must be \"none\", \"controlled_load\", \"statistical\""));
  EXPECT_THAT(errors_of(std::string{link} + "policy = \"controlled_load\"\n"),
              ElementsAre("rtcd.toml:5: link[0].policy: must be \"edf\", \"d_order\", \"utilisation\""));
  EXPECT_THAT(errors_of(std::string{link} + "statistical_target = \"60%\"\n"), ElementsAre(HasSubstr("link[0].statistical_target: must be a share")));
}

TEST(Config, BrokenTomlNamesThePlace) {
  const auto errors = errors_of("[daemon\nname = 3");
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_THAT(errors[0], testing::StartsWith("rtcd.toml:1:"));
}

TEST(Config, RoutesTakeThePortOfTheirLink) {
  const auto config = parse_config(
      std::string{link} + "port = 9000\n[[route]]\ndestination = \"10.9.0.0/16\"\nneighbour = \"10.0.0.2\"\nlink = \"net0\"\n", "f");
  ASSERT_TRUE(config) << config.error().front();
  ASSERT_EQ(config->routes.size(), 1u);
  EXPECT_EQ(config->routes[0].neighbour.text(), "10.0.0.2:9000");
  EXPECT_EQ(config->routes[0].prefix_bits, 112u);
}

TEST(Config, TwoFactsAboutAnInterfaceAreEnough) {
  Options options;
  options.links = {"eth0=97Mbit", "eth1=1Gbit"};
  options.name = "here";
  const auto config = configuration(options);
  ASSERT_TRUE(config) << config.error().front();
  ASSERT_EQ(config->links.size(), 2u);
  EXPECT_EQ(config->links[0].interface, "eth0");
  EXPECT_EQ(config->links[1].bits_per_second, 1'000'000'000u);
  EXPECT_EQ(config->daemon.name, "here");
  for (const char* wrong : {"eth0", "eth0=fast", "=97Mbit", "et\"h=97Mbit", "eth0=1bit"}) {
    options.links = {wrong};
    EXPECT_FALSE(configuration(options)) << wrong;
  }
}

TEST(Config, AFileThatIsNotThereIsNamed) {
  const auto config = load_config("/nonexistent/rtcd.toml");
  ASSERT_FALSE(config);
  EXPECT_THAT(config.error().front(), HasSubstr("/nonexistent/rtcd.toml: cannot be read: No such file"));
}

TEST(Config, BestEffortInputIsDueLaterThanItsNextTurn) {
  const auto errors = errors_of("[[link]]\nname = \"a\"\ninterface = \"x\"\nrate = \"9Mbit\"\n[costs]\nbest_effort_period = \"5ms\"\nbest_effort_delay = \"5ms\"\n");
  EXPECT_THAT(errors, ElementsAre("rtcd.toml:7: costs.best_effort_delay: must be longer than best_effort_period"));
}

}  // namespace
}  // namespace rtchan::rtcd
