// Sending and receiving take no memory from the heap: operator new is counted while drivers work.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "base/testing/private_network.hpp"
#include "link/loopback.hpp"
#include "link/lossy.hpp"
#include "link/udp.hpp"

namespace {
std::atomic<std::size_t> allocations = 0;
}

// Not inlined: the compiler would see free() meet new and warn.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  void* memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc{};
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace rtchan::link {
namespace {

using namespace std::chrono_literals;

struct Traffic {
  std::string text = std::string(1'000, 'x');
  std::vector<TxPacket> out = std::vector<TxPacket>(64);
  std::vector<RxPacket> in = std::vector<RxPacket>(64);

  explicit Traffic(const Endpoint& to) {
    for (auto& packet : out) packet = {&to, std::as_bytes(std::span(text))};
  }
};

TEST(Allocation, CableAndFaultsWorkFromWhatTheyTookAtTheStart) {
  const CableConfig config{.ends = {*Endpoint::parse("10.0.0.1:7"), *Endpoint::parse("10.0.0.2:7")},
                           .delay = 1us};
  Cable cable(config);
  Lossy lossy(cable.driver(1),
              {.loss = 0.1, .corruption = 0.1, .duplication = 0.1, .holding = 0.5, .hold_max = 9us}, 1);
  Traffic traffic(config.ends[1]);
  const std::size_t before = allocations;
  std::size_t received = 0;
  for (int i = 0; i < 100; ++i) {
    const Instant now{i * 10us};
    cable.advance(now);
    cable.driver(0).transmit(TrafficClass::real_time, traffic.out);
    received += lossy.receive(TrafficClass::real_time, now, traffic.in);
  }
  EXPECT_EQ(allocations, before);
  EXPECT_GT(received, 5'000u);
}

TEST(Allocation, UdpWorksFromWhatItTookAtTheStart) {
  if (rtchan::testing::enter_private_network().empty()) {
    ASSERT_TRUE(rtchan::testing::run("ip link set lo up"));
  }
  UdpConfig config;
  config.local = *Endpoint::parse("127.0.0.1:0");
  config.local.port = static_cast<std::uint16_t>(30'000 + getpid() % 10'000 * 3);
  auto driver = UdpDriver::open(config);
  ASSERT_TRUE(driver) << driver.error().text;
  Traffic traffic(config.local);
  const std::size_t before = allocations;
  std::size_t received = 0;
  for (int i = 0; i < 100; ++i) {
    (*driver)->transmit(TrafficClass::real_time, traffic.out);
    received += (*driver)->receive(TrafficClass::real_time, RawClock::now(), traffic.in);
  }
  EXPECT_EQ(allocations, before);
  EXPECT_GT(received, 0u);
}

}  // namespace
}  // namespace rtchan::link
