// The paper's figures 5 and 6a with real daemons: a source gets min(offered, contract) and the wire shows no more than
// its contract in any window; what one channel does wrong changes nothing for another; what a channel leaves unused goes
// to best effort, not to a cheat.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "system/rig.hpp"
#include "system/wire_tap.hpp"

namespace rtchan::system_test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t data_port = 7747;  // of the daemons of a lab

// A sender and its receiver.
struct Flow {
  Command receiver;
  Command sender;
  std::string name;

  // The receiver's account of its one stream.
  [[nodiscard]] nlohmann::json received() {
    const int sent = sender.wait(60s);
    EXPECT_EQ(sent, 0) << name << ": " << sender.complaints();
    receiver.wait(10s);
    const nlohmann::json result = receiver.result();
    if (!result.is_object() || result["streams"].size() != 1) {
      ADD_FAILURE() << name << " received nothing: " << receiver.complaints() << sender.complaints();
      return {};
    }
    return result["streams"][0];
  }
};

Flow start(Rig& rig, const std::string& name, std::uint16_t port, const std::string& load) {
  Command receiver = rig.rtc(Rig::b, fmt::format("perf --listen {} --json --log {}", port, rig.file(name + ".csv").string()), name + "-in");
  // With --json nothing is said before the first message; a moment is enough on a machine that answers at all.
  std::this_thread::sleep_for(300ms);
  Command sender = rig.rtc(Rig::a, fmt::format("perf --to {} --json {}", rig.to(port), load), name + "-out");
  return {std::move(receiver), std::move(sender), name};
}

double rate_of(const nlohmann::json& stream) { return stream.is_object() ? stream["messages_per_second"].get<double>() : 0; }

std::string status_of(Rig& rig, std::size_t host) {
  Command status = rig.rtc(host, "status", "status");
  status.wait(5s);
  return status.output();
}

// Nothing lost; late only as far as the probes saw the machine taken away.
void expect_kept(Rig& rig, const nlohmann::json& stream, const std::string& name) {
  ASSERT_TRUE(stream.is_object());
  EXPECT_EQ(stream["lost"], 0) << name << "; the receiving daemon:\n" << status_of(rig, Rig::b);
  EXPECT_EQ(stream["out_of_order"], 0) << name;
  EXPECT_EQ(stream["duplicates"], 0) << name;
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

class Enforcement : public ::testing::TestWithParam<const char*> {};

TEST_P(Enforcement, DeliversTheSmallerOfOfferAndContract) {
  auto rig = Rig::make("enforce", Wire::direct);
  ASSERT_TRUE(rig) << rig.error();
  // The wire may see a message as much as 5 ms after its logical arrival: 5 of the burst of 20. The rest is left for
  // moments in which the machine does not run us and the worker catches up.
  const double contract = 1000;
  const double burst = 20;
  const std::string offer = GetParam();
  auto tap = WireTap::open((*rig)->host(Rig::b).netns, (*rig)->host(Rig::b).interfaces.at(0).name, data_port, 1000);
  ASSERT_TRUE(tap) << tap.error();
  Flow flow = start(**rig, "flow", 7000,
                    fmt::format("--rate {}/s --burst {} --size 1000 --delay 5ms --duration 5s --when-full drop --offer {}",
                                contract, burst, offer));
  const nlohmann::json stream = flow.received();
  const Capture wire = (*tap)->stop();
  const double offered = offer == "max" ? contract * 10 : contract * std::stod(offer);
  const double expected = std::min(offered, contract);
  fmt::print("offered {}x: delivered {:.1f}/s of {}/s contracted; {} packets on the wire, worst window {:+.1f} beyond B + R t\n",
             offer, rate_of(stream), contract, wire.times.size(), worst_excess(wire.times, burst, contract));
  EXPECT_NEAR(rate_of(stream), expected, expected * 0.03);
  ASSERT_GT(wire.times.size(), 1000u);
  EXPECT_EQ(wire.missed, 0u);
  // The contract's period is a whole number of nanoseconds, and a stamp may be off by a microsecond: far below a message.
  EXPECT_LE(worst_excess(wire.times, burst, contract), 0.01);
  expect_kept(**rig, stream, "flow");
}

INSTANTIATE_TEST_SUITE_P(Offered, Enforcement, ::testing::Values("0.5", "1", "2", "max"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return "x" + name;
                         });

TEST(Isolation, AViolatorDoesNotChangeAnothersRate) {
  auto rig = Rig::make("isolate", Wire::bottleneck);
  ASSERT_TRUE(rig) << rig.error();
  const auto rate_beside = [&](const std::string& offer) {
    Flow other = start(**rig, "other-" + offer, 7001,
                       "--rate 2000/s --burst 10 --size 1000 --delay 20ms --duration 8s --when-full drop --offer " + offer);
    Flow good = start(**rig, "good-" + offer, 7002, "--rate 500/s --burst 10 --size 1000 --delay 20ms --duration 6s");
    const nlohmann::json good_stream = good.received();
    const nlohmann::json other_stream = other.received();
    EXPECT_NEAR(rate_of(other_stream), 2000, 2000 * 0.03) << "the violator itself gets its contract";
    return good_stream;
  };
  const nlohmann::json quiet = rate_beside("1");
  const nlohmann::json loud = rate_beside("max");
  fmt::print("delivered {:.2f}/s beside a conforming channel, {:.2f}/s beside one that offers without limit\n", rate_of(quiet), rate_of(loud));
  EXPECT_NEAR(rate_of(loud) / rate_of(quiet), 1, 0.01);
  expect_kept(**rig, loud, "good-max");
}

TEST(UnusedShare, GoesToBestEffortAndNotToACheat) {
  auto rig = Rig::make("unused", Wire::bottleneck);
  ASSERT_TRUE(rig) << rig.error();
  struct Rates {
    double holder, cheat, best_effort;
  };
  const auto rates = [&](bool holder_sends) {
    const std::string suffix = holder_sends ? "-busy" : "-idle";
    Flow holder = start(**rig, "holder" + suffix, 7003,
                        fmt::format("--rate 3000/s --burst 10 --size 1000 --delay 20ms --duration 9s --offer {}", holder_sends ? 1 : 0));
    Flow cheat = start(**rig, "cheat" + suffix, 7004,
                       "--rate 1000/s --burst 10 --size 1000 --delay 20ms --duration 8s --when-full drop --offer 5");
    Flow rest = start(**rig, "rest" + suffix, 7005, "--best-effort --rate 15000/s --size 1000 --burst 64 --duration 6s --when-full drop");
    const Rates result{0, 0, rate_of(rest.received())};
    const double cheat_rate = rate_of(cheat.received());
    const double holder_rate = rate_of(holder.received());
    return Rates{holder_rate, cheat_rate, result.best_effort};
  };
  const Rates idle = rates(false);
  const Rates busy = rates(true);
  fmt::print("holder idle: cheat {:.0f}/s, best effort {:.0f}/s; holder at {:.0f}/s: cheat {:.0f}/s, best effort {:.0f}/s\n",
             idle.cheat, idle.best_effort, busy.holder, busy.cheat, busy.best_effort);
  EXPECT_NEAR(idle.cheat, 1000, 30) << "an idle neighbour's share does not go to a channel beyond its contract";
  EXPECT_NEAR(busy.cheat, 1000, 30);
  EXPECT_NEAR(busy.holder, 3000, 90);
  // What best effort loses when the holder wakes up is what the holder takes.
  EXPECT_NEAR(idle.best_effort - busy.best_effort, busy.holder, busy.holder * 0.15);
}

TEST(WorstExcess, FindsTheOneWindowThatBreaksTheContract) {
  // 10/s, burst 2: two at once, then one every 100 ms, is allowed in every window.
  std::vector<Duration> times{0ms, 0ms, 100ms, 200ms, 300ms};
  EXPECT_LE(worst_excess(times, 2, 10), 1e-9);
  times.insert(times.begin() + 4, 250ms);  // one too many
  EXPECT_NEAR(worst_excess(times, 2, 10), 1, 1e-9);
  // A later burst after a pause is allowed again only as far as tokens have come back.
  EXPECT_LE(worst_excess({0ms, 0ms, 1000ms, 1000ms}, 2, 10), 1e-9);
  EXPECT_NEAR(worst_excess({0ms, 0ms, 1000ms, 1000ms, 1000ms}, 2, 10), 1, 1e-9);
}

}  // namespace
}  // namespace rtchan::system_test
