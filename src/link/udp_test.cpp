// The UDP driver on the loopback interface: real sockets, no assertion about speed.
#include "link/udp.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "base/testing/private_network.hpp"
#include "link/interface.hpp"

namespace rtchan::link {
namespace {

using namespace std::chrono_literals;
using rtchan::testing::enter_private_network;
using rtchan::testing::run;
using ::testing::HasSubstr;

// Two drivers of one family in a namespace of their own where that is allowed (so that ports are free), else
// on this host's loopback with ports of this process.
class UdpTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (const std::string why = enter_private_network(); why.empty()) {
      ASSERT_TRUE(run("ip link set lo up"));
    }
  }

  UdpConfig config(std::uint16_t which) {
    UdpConfig c;
    const auto port = static_cast<std::uint16_t>(20'000 + getpid() % 7'000 * 6 + which * 3);  // each link takes three
    c.local = {*IpAddress::parse(GetParam()), port};
    c.mtu_bytes = 1'500;
    return c;
  }
  std::unique_ptr<UdpDriver> open(const UdpConfig& c) {
    auto driver = UdpDriver::open(c);
    EXPECT_TRUE(driver) << driver.error().text;
    return driver ? std::move(*driver) : nullptr;
  }

  static std::size_t send(Driver& driver, const Endpoint& to, const std::vector<std::string>& texts,
                          TrafficClass cls = TrafficClass::real_time) {
    std::vector<TxPacket> packets;
    for (const auto& text : texts) packets.push_back({&to, std::as_bytes(std::span(text))});
    return driver.transmit(cls, packets);
  }

  // Waits for `count` packets; gives up when nothing comes for a second.
  std::vector<std::string> take(Driver& driver, std::size_t count, TrafficClass cls = TrafficClass::real_time,
                                std::size_t at_once = 64) {
    std::vector<std::string> got;
    while (got.size() < count) {
      pollfd ready{.fd = driver.fd(cls), .events = POLLIN, .revents = 0};
      if (pending_ == 0 && poll(&ready, 1, 1'000) <= 0) break;
      std::vector<RxPacket> out(std::min(at_once, count - got.size()));
      const Instant now = RawClock::now();
      const std::size_t n = driver.receive(cls, now, out);
      pending_ = n == out.size() ? 1 : 0;
      for (std::size_t i = 0; i < n; ++i) {
        got.emplace_back(reinterpret_cast<const char*>(out[i].bytes.data()), out[i].bytes.size());
        from_ = out[i].from;
        EXPECT_LE(out[i].arrival, now);
        EXPECT_GT(out[i].arrival, now - 10s);
        all_stamped_ = all_stamped_ && out[i].stamped;
      }
    }
    return got;
  }

  static std::vector<std::string> numbered(std::size_t count, std::size_t size) {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < count; ++i) {
      std::string text(size, static_cast<char>('a' + i % 26));
      text.replace(0, 4, std::to_string(1'000 + i));
      texts.push_back(text);
    }
    return texts;
  }

  Endpoint from_{};
  bool all_stamped_ = true;
  int pending_ = 0;
};

TEST_P(UdpTest, CarriesPacketsInOrderWithTheSendersAddressAndAStamp) {
  auto a = open(config(0));
  auto b = open(config(1));
  const Endpoint to = config(1).local;
  EXPECT_EQ(send(*a, to, {"one", "two", "three"}), 3u);
  EXPECT_EQ(take(*b, 3), (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(from_, config(0).local);
  EXPECT_TRUE(all_stamped_);
  EXPECT_EQ(a->counters().sent, 3u);
  EXPECT_EQ(a->counters().sent_bytes, 11u);
  EXPECT_EQ(b->counters().received, 3u);
  EXPECT_EQ(a->completed(), 3u);
  EXPECT_EQ(a->completed(), 0u);
}

TEST_P(UdpTest, KeepsClassesOnTheirOwnPorts) {
  auto a = open(config(0));
  auto b = open(config(1));
  send(*a, config(1).local, {"bulk"}, TrafficClass::best_effort);
  send(*a, config(1).local, {"urgent"});
  EXPECT_EQ(take(*b, 1), (std::vector<std::string>{"urgent"}));
  EXPECT_EQ(take(*b, 1, TrafficClass::best_effort), (std::vector<std::string>{"bulk"}));
}

// The same packets must come out whether or not the kernel joins and cuts them.
TEST_P(UdpTest, CarriesBatchesUnchangedWithAndWithoutSegmentation) {
  for (const bool sender_segments : {true, false}) {
    for (const bool receiver_joins : {true, false}) {
      auto ca = config(0);
      auto cb = config(1);
      ca.segmentation = sender_segments;
      cb.segmentation = receiver_joins;
      auto a = open(ca);
      auto b = open(cb);
      EXPECT_EQ(a->segmenting(), sender_segments);
      std::vector<std::string> texts = numbered(100, 1'400);
      for (auto& text : numbered(3, 700)) texts.push_back(text);  // another size
      texts.push_back("short");                                   // the odd one at the end
      for (auto& text : numbered(70, 64)) texts.push_back(text);  // more than one batch of 64
      EXPECT_EQ(send(*a, cb.local, texts), texts.size());
      EXPECT_EQ(take(*b, texts.size()), texts) << sender_segments << receiver_joins;
      EXPECT_EQ(a->counters().sent, texts.size());
      EXPECT_EQ(a->segmenting(), sender_segments) << "loopback can segment";
    }
  }
}

TEST_P(UdpTest, HandsOutAJoinedDatagramPieceByPiece) {
  auto a = open(config(0));
  auto b = open(config(1));
  const auto texts = numbered(60, 1'000);
  send(*a, config(1).local, texts);
  EXPECT_EQ(take(*b, texts.size(), TrafficClass::real_time, 7), texts);
}

TEST_P(UdpTest, SendsOneBatchToSeveralNeighboursInOrder) {
  auto a = open(config(0));
  auto b = open(config(1));
  auto c = open(config(2));
  const Endpoint to_b = config(1).local;
  const Endpoint to_c = config(2).local;
  const auto texts = numbered(20, 500);
  std::vector<TxPacket> packets;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    packets.push_back({i % 4 < 2 ? &to_b : &to_c, std::as_bytes(std::span(texts[i]))});
  }
  EXPECT_EQ(a->transmit(TrafficClass::real_time, packets), packets.size());
  const auto at_b = take(*b, 10);
  pending_ = 0;
  const auto at_c = take(*c, 10);
  ASSERT_EQ(at_b.size(), 10u);
  ASSERT_EQ(at_c.size(), 10u);
  for (std::size_t i = 0, x = 0, y = 0; i < texts.size(); ++i) {
    EXPECT_EQ(i % 4 < 2 ? at_b[x++] : at_c[y++], texts[i]);
  }
}

TEST_P(UdpTest, LosesOnlyTheOversizedPacketOfABatch) {
  auto a = open(config(0));
  auto b = open(config(1));
  EXPECT_EQ(a->payload_bytes(), 1'500u - 8 - (config(0).local.address.is_v4() ? 20 : 40));
  const std::string most(a->payload_bytes(), 'm');
  EXPECT_EQ(send(*a, config(1).local, {"before", most + "x", most, "after"}), 4u);
  EXPECT_EQ(take(*b, 3), (std::vector<std::string>{"before", most, "after"}));
  EXPECT_EQ(a->counters().oversized, 1u);
  EXPECT_EQ(a->counters().sent, 3u);
}

TEST_P(UdpTest, CountsWhatTheKernelRefusesPacketByPacket) {
  auto a = open(config(0));
  auto b = open(config(1));
  const Endpoint nowhere{*IpAddress::parse(config(0).local.address.is_v4() ? "240.0.0.1" : "2001:db8::1"), 9};
  const auto texts = numbered(5, 100);
  EXPECT_EQ(send(*a, nowhere, texts), 5u) << "taken, so that the scheduler goes on";
  EXPECT_EQ(a->counters().send_errors, 5u);
  EXPECT_EQ(send(*a, config(1).local, texts), 5u);
  EXPECT_EQ(take(*b, 5), texts);
  EXPECT_TRUE(a->segmenting()) << "an unreachable neighbour says nothing about segmentation";
}

TEST_P(UdpTest, GoesOnWithSinglePacketsWhereBatchesAreRefused) {
  auto a = open(config(0));
  auto b = open(config(1));
  const int on = 1;  // without UDP checksums the kernel cannot segment
  const bool v4 = config(0).local.address.is_v4();
  const int no_check6_tx = 101;
  ASSERT_EQ(setsockopt(a->fd(TrafficClass::real_time), v4 ? SOL_SOCKET : IPPROTO_UDP,
                       v4 ? SO_NO_CHECK : no_check6_tx, &on, sizeof on),
            0);
  const int no_check6_rx = 102;  // IPv6 refuses such packets unless told otherwise
  if (!v4) {
    ASSERT_EQ(setsockopt(b->fd(TrafficClass::real_time), IPPROTO_UDP, no_check6_rx, &on, sizeof on), 0);
  }
  const auto texts = numbered(20, 500);
  EXPECT_EQ(send(*a, config(1).local, texts), texts.size());
  EXPECT_EQ(take(*b, texts.size()), texts);
  EXPECT_FALSE(a->segmenting());
  EXPECT_EQ(a->counters().send_errors, 0u);
}

TEST_P(UdpTest, CountsWhatFoundTheReceiveBufferFull) {
  auto ca = config(0);
  auto cb = config(1);
  cb.receive_buffer_bytes = 20'000;
  cb.segmentation = false;
  auto a = open(ca);
  auto b = open(cb);
  constexpr std::size_t sent = 500;
  EXPECT_EQ(send(*a, cb.local, numbered(sent, 1'000)), sent);
  const std::size_t got = take(*b, sent).size();
  EXPECT_LT(got, sent);
  // The kernel tells with the next packet that arrives.
  send(*a, cb.local, {"next"});
  EXPECT_EQ(take(*b, 1).size(), 1u);
  EXPECT_EQ(b->counters().kernel_drops[0], sent - got);
  EXPECT_EQ(b->counters().kernel_drops[1], 0u);
}

TEST_P(UdpTest, TakesEmptyAndForeignDatagramsWithoutStumbling) {
  auto b = open(config(1));
  socklen_t length = 0;
  const sockaddr_storage to = config(1).local.to_sockaddr(length);
  const int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  for (const std::size_t size : {0u, 1u, 9'000u, 60'000u, 0u}) {
    const std::string text(size, 'z');
    ASSERT_EQ(sendto(fd, text.data(), size, 0, reinterpret_cast<const sockaddr*>(&to), length),
              static_cast<ssize_t>(size));
  }
  close(fd);
  const auto got = take(*b, 5);
  std::vector<std::size_t> sizes;
  for (const auto& text : got) sizes.push_back(text.size());
  EXPECT_EQ(sizes, (std::vector<std::size_t>{0, 1, 9'000, 60'000, 0}));
}

TEST_P(UdpTest, MarksPacketsAndForbidsFragments) {
  auto a = open(config(0));
  const bool v4 = config(0).local.address.is_v4();
  for (const auto cls : {TrafficClass::real_time, TrafficClass::best_effort}) {
    int value = -1;
    socklen_t length = sizeof value;
    getsockopt(a->fd(cls), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &value, &length);
    EXPECT_EQ(value, cls == TrafficClass::real_time ? 46 << 2 : 0);
    getsockopt(a->fd(cls), SOL_SOCKET, SO_PRIORITY, &value, &length);
    EXPECT_EQ(value, cls == TrafficClass::real_time ? 6 : 0);
    getsockopt(a->fd(cls), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &value,
               &length);
    EXPECT_EQ(value, v4 ? IP_PMTUDISC_DO : IPV6_PMTUDISC_DO);
  }
}

TEST_P(UdpTest, SaysWhyItCannotOpen) {
  auto first = open(config(0));
  auto again = UdpDriver::open(config(0));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::port_in_use);
  EXPECT_THAT(again.error().text, HasSubstr(config(0).local.text()));

  auto elsewhere = config(1);
  elsewhere.local.address = *IpAddress::parse(elsewhere.local.address.is_v4() ? "192.0.2.9" : "2001:db8::9");
  EXPECT_EQ(UdpDriver::open(elsewhere).error().code, Errc::invalid_argument);
  elsewhere.mtu_bytes = 0;
  EXPECT_EQ(UdpDriver::open(elsewhere).error().code, Errc::invalid_argument);

  auto narrow = config(1);
  narrow.mtu_bytes = limits::mtu_bytes_min - 1;
  EXPECT_EQ(UdpDriver::open(narrow).error().code, Errc::invalid_argument);
  auto no_port = config(1);
  no_port.local.port = 65'535;
  EXPECT_EQ(UdpDriver::open(no_port).error().code, Errc::invalid_argument);
  auto no_interface = config(1);
  no_interface.interface = "none-such";
  EXPECT_FALSE(UdpDriver::open(no_interface));
}

TEST_P(UdpTest, TakesItsMtuFromTheInterface) {
  auto c = config(0);
  c.mtu_bytes = 0;
  auto driver = open(c);
  const auto lo = interface_by_address(c.local.address);
  ASSERT_TRUE(lo);
  EXPECT_TRUE(lo->loopback);
  EXPECT_EQ(driver->payload_bytes(),
            std::min(lo->mtu_bytes, limits::mtu_bytes_max) - 8 - (c.local.address.is_v4() ? 20 : 40));
}

INSTANTIATE_TEST_SUITE_P(Families, UdpTest, ::testing::Values("127.0.0.1", "::1"),
                         [](const auto& family) { return family.index == 0 ? "IPv4" : "IPv6"; });

TEST(UdpDriver, ReachesLinkLocalNeighboursThroughItsInterface) {
  if (const std::string why = enter_private_network(); !why.empty()) GTEST_SKIP() << why;
  ASSERT_TRUE(
      run("ip link add va type veth peer name vb && ip addr add fe80::a/64 dev va nodad && "
          "ip addr add fe80::b/64 dev vb nodad && ip link set va up && ip link set vb up"));
  UdpConfig a;
  a.local = *Endpoint::parse("[fe80::a]:4000");
  a.interface = "va";
  UdpConfig b = a;
  b.local = *Endpoint::parse("[fe80::b]:4000");
  b.interface = "vb";
  auto from = UdpDriver::open(a);
  auto to = UdpDriver::open(b);
  ASSERT_TRUE(from) << from.error().text;
  ASSERT_TRUE(to) << to.error().text;
  const std::string text = "hello";
  const TxPacket packet{&b.local, std::as_bytes(std::span(text))};
  pollfd ready{.fd = (*to)->fd(TrafficClass::real_time), .events = POLLIN, .revents = 0};
  for (int i = 0; i < 100 && ready.revents == 0; ++i) {  // the kernel notices the carrier a little after "up"
    ASSERT_EQ((*from)->transmit(TrafficClass::real_time, {&packet, 1}), 1u);
    poll(&ready, 1, 50);
  }
  RxPacket got;
  ASSERT_EQ((*to)->receive(TrafficClass::real_time, RawClock::now(), {&got, 1}), 1u);
  EXPECT_EQ(got.from, a.local);
}

TEST(UdpDriver, RefusesAGuardsPriorityThatItMayNotSet) {
  if (const std::string why = enter_private_network(); !why.empty()) GTEST_SKIP() << why;
  ASSERT_TRUE(run("ip link set lo up"));
  UdpConfig c;
  c.local = *Endpoint::parse("127.0.0.1:4000");
  c.priority[0] = 0x52740010;
  ASSERT_TRUE(UdpDriver::open(c));
  const auto without_capabilities = [&] {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2]{};
    if (syscall(SYS_capset, &header, none) != 0) _exit(3);
    const auto refused = UdpDriver::open(c);
    _exit(!refused && refused.error().code == Errc::permission_denied ? 0 : 1);
  };
  EXPECT_EXIT(without_capabilities(), ::testing::ExitedWithCode(0), "");
}

// A neighbour behind a smaller MTU than the interface's: batches must not vanish as a whole.
TEST(UdpDriver, LosesOnlyWhatThePathDoesNotTake) {
  if (const std::string why = enter_private_network(); !why.empty()) GTEST_SKIP() << why;
  ASSERT_TRUE(run("ip link set lo up") && run("ip link add va type veth peer name vb"));
  ASSERT_TRUE(run("ip addr add 10.9.0.1/24 dev va") && run("ip link set va up") && run("ip link set vb up"));
  ASSERT_TRUE(run("ip route add 10.8.0.0/24 via 10.9.0.2 dev va mtu 1000") &&
              run("ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:01 dev va"));
  UdpConfig c;
  c.local = *Endpoint::parse("10.9.0.1:4000");
  c.interface = "va";
  auto driver = UdpDriver::open(c);
  ASSERT_TRUE(driver) << driver.error().text;
  EXPECT_EQ((*driver)->payload_bytes(), 1'472u);
  const Endpoint far = *Endpoint::parse("10.8.0.7:4000");
  std::vector<std::string> texts(10, std::string(1'200, 'x'));
  for (int i = 0; i < 5; ++i) texts.push_back(std::string(900, 'y'));
  std::vector<TxPacket> packets;
  for (const auto& text : texts) packets.push_back({&far, std::as_bytes(std::span(text))});
  EXPECT_EQ((*driver)->transmit(TrafficClass::real_time, packets), packets.size());
  EXPECT_EQ((*driver)->counters().oversized, 10u);
  EXPECT_EQ((*driver)->counters().sent, 5u);
  EXPECT_TRUE((*driver)->segmenting());
}

}  // namespace
}  // namespace rtchan::link
