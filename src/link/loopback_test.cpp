#include "link/loopback.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rtchan::link {
namespace {

using namespace std::chrono_literals;

class CableTest : public testing::Test {
 protected:
  static CableConfig config() {
    return {.ends = {*Endpoint::parse("10.0.0.1:7"), *Endpoint::parse("10.0.0.2:7")},
            .bits_per_second = 8'000'000,  // a byte a microsecond
            .frame_overhead_bytes = 20,
            .delay = 1ms};
  }
  static Instant at(Duration t) { return Instant{t}; }

  static std::size_t send(Driver& driver, const Endpoint& to, const std::vector<std::string>& texts,
                          TrafficClass cls = TrafficClass::real_time) {
    std::vector<TxPacket> packets;
    for (const auto& text : texts) packets.push_back({&to, std::as_bytes(std::span(text))});
    return driver.transmit(cls, packets);
  }
  struct Got {
    std::string text;
    Instant arrival;
    friend bool operator==(const Got&, const Got&) = default;
  };
  static std::vector<Got> take(Driver& driver, Instant now, TrafficClass cls = TrafficClass::real_time,
                               std::size_t most = 64) {
    std::vector<RxPacket> out(most);
    out.resize(driver.receive(cls, now, out));
    std::vector<Got> got;
    for (const auto& p : out) {
      got.push_back({std::string(reinterpret_cast<const char*>(p.bytes.data()), p.bytes.size()), p.arrival});
    }
    return got;
  }

  const Endpoint a_ = config().ends[0];
  const Endpoint b_ = config().ends[1];
};

TEST_F(CableTest, DeliversAfterTheWireAndTheDelay) {
  Cable cable(config());
  cable.advance(at(1s));
  EXPECT_EQ(send(cable.driver(0), b_, {std::string(80, 'x'), "y"}), 2u);
  EXPECT_EQ(cable.next_event(), at(1s + 100us)) << "the first packet's last bit";
  cable.advance(at(1s + 1'099us));
  EXPECT_TRUE(take(cable.driver(1), at(1s + 1'099us)).empty());
  cable.advance(at(1s + 1'200us));
  EXPECT_EQ(take(cable.driver(1), at(1s + 1'200us)),
            (std::vector<Got>{{std::string(80, 'x'), at(1s + 1'100us)}, {"y", at(1s + 1'121us)}}));
  EXPECT_EQ(cable.next_event(), never);
}

TEST_F(CableTest, CarriesBothWaysAtOnce) {
  Cable cable(config());
  cable.advance(at(0s));
  send(cable.driver(0), b_, {"to b"});
  send(cable.driver(1), a_, {"to a"});
  cable.advance(at(2ms));
  EXPECT_EQ(take(cable.driver(0), at(2ms)).at(0).text, "to a");
  EXPECT_EQ(take(cable.driver(1), at(2ms)).at(0).text, "to b");
}

TEST_F(CableTest, ReportsCompletionWhenTheLastBitHasLeft) {
  Cable cable(config());
  cable.advance(at(0s));
  send(cable.driver(0), b_, {std::string(80, 'x'), std::string(80, 'x')});
  EXPECT_EQ(cable.driver(0).completed(), 0u);
  cable.advance(at(100us));
  EXPECT_EQ(cable.driver(0).completed(), 1u);
  cable.advance(at(200us));
  EXPECT_EQ(cable.driver(0).completed(), 1u);
  EXPECT_EQ(cable.driver(0).completed(), 0u);
}

TEST_F(CableTest, IsFullWhenTheDeviceIs) {
  auto small = config();
  small.device_packets = 2;
  Cable cable(small);
  cable.advance(at(0s));
  EXPECT_EQ(send(cable.driver(0), b_, {"1", "2", "3"}), 2u);
  EXPECT_EQ(cable.driver(0).counters().device_full, 1u);
  cable.advance(at(21us));
  EXPECT_EQ(send(cable.driver(0), b_, {"3"}), 1u);
  cable.advance(at(5ms));
  EXPECT_EQ(take(cable.driver(1), at(5ms)).size(), 3u);
}

TEST_F(CableTest, KeepsClassesApartAndDropsWhatTheReceiverDoesNotFetch) {
  auto small = config();
  small.receive_packets = 3;
  Cable cable(small);
  cable.advance(at(0s));
  send(cable.driver(0), b_, {"1", "2", "3", "4", "5"}, TrafficClass::best_effort);
  send(cable.driver(0), b_, {"urgent"});
  cable.advance(at(5ms));
  EXPECT_EQ(take(cable.driver(1), at(5ms)).at(0).text, "urgent");
  EXPECT_EQ(take(cable.driver(1), at(5ms), TrafficClass::best_effort).size(), 3u);
  EXPECT_EQ(cable.driver(1).counters().kernel_drops[1], 2u);
  EXPECT_EQ(cable.driver(1).counters().kernel_drops[0], 0u);
}

TEST_F(CableTest, LosesWhatCannotBeSentAndSaysSo) {
  Cable cable(config());
  cable.advance(at(0s));
  const Endpoint stranger = *Endpoint::parse("10.0.0.3:7");
  EXPECT_EQ(send(cable.driver(0), stranger, {"lost"}), 1u);
  EXPECT_EQ(send(cable.driver(0), b_, {std::string(1'473, 'x')}), 1u);
  EXPECT_EQ(cable.driver(0).counters().send_errors, 1u);
  EXPECT_EQ(cable.driver(0).counters().oversized, 1u);
  EXPECT_EQ(cable.next_event(), never);
}

TEST_F(CableTest, NeverRunsOutOfFramesWhenTheReceiverKeepsFetching) {
  auto small = config();
  small.frames = 4;
  small.bits_per_second = 0;
  small.delay = 0s;
  Cable cable(small);
  for (int i = 0; i < 100; ++i) {
    cable.advance(at(i * 1us));
    ASSERT_EQ(send(cable.driver(0), b_, {"1", "2"}), 2u) << i;
    ASSERT_EQ(take(cable.driver(1), at(i * 1us)).size(), 2u) << i;
  }
  EXPECT_EQ(cable.driver(0).completed(), 200u);
}

TEST_F(CableTest, GivesAtMostWhatIsAskedForAndKeepsTheRest) {
  Cable cable(config());
  cable.advance(at(0s));
  send(cable.driver(0), b_, {"1", "2", "3"});
  cable.advance(at(5ms));
  EXPECT_EQ(take(cable.driver(1), at(5ms), TrafficClass::real_time, 2).size(), 2u);
  EXPECT_EQ(take(cable.driver(1), at(5ms), TrafficClass::real_time, 2).at(0).text, "3");
}

}  // namespace
}  // namespace rtchan::link
