// The lab itself, on real namespaces: frames pass, the bottleneck is where it claims to be and as slow as it
// claims to be, and nothing remains afterwards.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <vector>

#include "lab/canary.hpp"
#include "lab/netns.hpp"
#include "lab/privileges.hpp"
#include "lab/topology.hpp"

namespace rtchan::lab {
namespace {

sockaddr_in to(const std::string& address, std::uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  inet_pton(AF_INET, address.c_str(), &result.sin_addr);
  return result;
}

// A UDP socket that lives in a host of the lab.
int udp(const Lab& lab, std::size_t host) {
  int fd = -1;
  EXPECT_TRUE(in_netns(lab.host(host).netns, [&] { fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); }));
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

int udp_bound(const Lab& lab, std::size_t host, std::uint16_t port) {
  const int fd = udp(lab, host);
  const sockaddr_in any = to("0.0.0.0", port);
  EXPECT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
  const int room = 32 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  return fd;
}

bool says(int fd, const std::string& address, std::uint16_t port, const std::string& text) {
  const sockaddr_in there = to(address, port);
  return sendto(fd, text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&there), sizeof there) ==
         static_cast<ssize_t>(text.size());
}

std::string hears(int fd) {
  char buffer[65536];
  const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
  return got < 0 ? "(nothing)" : std::string(buffer, static_cast<std::size_t>(got));
}

TEST(LabNet, FramesPassAcrossALineOfFourHosts) {
  auto lab = line("line", 4);
  ASSERT_TRUE(lab) << lab.error().text;
  const int sender = udp(**lab, 0), receiver = udp_bound(**lab, 3, 9000);
  ASSERT_TRUE(says(sender, "10.77.2.2", 9000, "hello"));
  EXPECT_EQ(hears(receiver), "hello");
  close(sender);
  close(receiver);
}

TEST(LabNet, BothDirectionsPassTheBottleneckAndNobodyElseHears) {
  auto pair = bottleneck_pair("slow");
  ASSERT_TRUE(pair) << pair.error().text;
  const int a = udp_bound(*pair->lab, pair->a, 9000), b = udp_bound(*pair->lab, pair->b, 9000);
  ASSERT_TRUE(says(a, pair->address_b(), 9000, "to b"));
  EXPECT_EQ(hears(b), "to b");
  ASSERT_TRUE(says(b, pair->address_a(), 9000, "to a"));
  EXPECT_EQ(hears(a), "to a");
  close(a);
  close(b);
}

// 400 datagrams of 1,400 bytes at once take 47 ms at 100 Mbit/s. The sender's socket must not feel that: its
// queue is empty while the receiver still waits for most of them. Both facts are counts, not times.
TEST(LabNet, TheQueueStandsBeyondTheSendersSocketAndIsAsSlowAsConfigured) {
  auto pair = bottleneck_pair("slow");
  ASSERT_TRUE(pair) << pair.error().text;
  const int a = udp(*pair->lab, pair->a), b = udp_bound(*pair->lab, pair->b, 9000);
  constexpr int kDatagrams = 400;
  const std::string payload(1400, 'x');
  std::vector<Instant> arrived;
  const Instant start = RawClock::now();
  for (int i = 0; i < kDatagrams; ++i) ASSERT_TRUE(says(a, pair->address_b(), 9000, payload));
  int unsent = -1;
  ioctl(a, SIOCOUTQ, &unsent);
  EXPECT_EQ(unsent, 0) << "the sender's socket still holds bytes: it feels the bottleneck";
  for (int i = 0; i < kDatagrams; ++i) {
    if (hears(b).size() == payload.size()) arrived.push_back(RawClock::now());
  }
  ASSERT_EQ(arrived.size(), static_cast<std::size_t>(kDatagrams))
      << "the queue holds 1,000 packets: none may be lost";
  // A shaper never sends faster than its rate plus one burst; the machine can only make it slower.
  const double wire_bits = (kDatagrams * (1400.0 + 8 + 20 + 14 + 24) - 12'000) * 8;
  const double seconds = std::chrono::duration<double>(arrived.back() - start).count();
  EXPECT_LE(wire_bits / seconds, 100e6 * 1.01);
  const auto counters = pair->lab->tc(pair->middle, "-s class show dev net1");
  ASSERT_TRUE(counters);
  EXPECT_NE(counters->find("rate 100Mbit"), std::string::npos) << *counters;
  close(a);
  close(b);
}

// A super-packet of the sender is cut into frames before the wire, so the shaper never sees 60 KB as one
// packet.
TEST(LabNet, SegmentationOffloadEndsBeforeTheBottleneck) {
  auto pair = bottleneck_pair("gso");
  ASSERT_TRUE(pair) << pair.error().text;
  const int a = udp(*pair->lab, pair->a), b = udp_bound(*pair->lab, pair->b, 9000);
  const int segment = 1400;
  ASSERT_EQ(setsockopt(a, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment), 0);
  ASSERT_TRUE(says(a, pair->address_b(), 9000, std::string(1400 * 40, 'x')));
  for (int i = 0; i < 40; ++i) ASSERT_EQ(hears(b).size(), 1400u);
  const auto counters = pair->lab->tc(pair->middle, "-s class show dev net1");
  ASSERT_TRUE(counters);
  EXPECT_NE(counters->find(" 40 pkt"), std::string::npos) << *counters;
  EXPECT_NE(counters->find("giants: 0"), std::string::npos) << *counters;
  close(a);
  close(b);
}

std::size_t namespaces_of(pid_t pid) {
  const std::string prefix = "rtlab-" + std::to_string(pid) + "-";
  const auto names = list_netns();
  return static_cast<std::size_t>(
      std::ranges::count_if(names, [&](const auto& n) { return n.starts_with(prefix); }));
}

TEST(LabNet, NothingRemainsAfterTheDestructor) {
  std::filesystem::path scratch;
  pid_t sleeper = 0;
  {
    auto pair = direct_pair("gone");
    ASSERT_TRUE(pair) << pair.error().text;
    scratch = pair->lab->directory();
    ASSERT_EQ(namespaces_of(getpid()), 2u);
    auto process = pair->lab->start(pair->a, {"sleep", "60"});
    ASSERT_TRUE(process);
    sleeper = process->pid();
  }
  EXPECT_EQ(namespaces_of(getpid()), 0u);
  EXPECT_FALSE(std::filesystem::exists(scratch));
  EXPECT_NE(kill(sleeper, 0), 0);
}

TEST(LabNet, NothingRemainsAfterAKilledOwner) {
  const pid_t owner = fork();
  if (owner == 0) {
    auto lab = line("killed", 3);
    raise(SIGKILL);
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(owner, &status, 0), owner);
  ASSERT_TRUE(WIFSIGNALED(status));
  for (int i = 0; i < 1000 && namespaces_of(owner) > 0; ++i) usleep(10'000);
  EXPECT_EQ(namespaces_of(owner), 0u);
}

TEST(LabNet, LeftoversOfADeadOwnerAreFoundAndThoseOfALiveOneAreNot) {
  const std::string dead = "rtlab-999999999-1-left";  // above the largest pid
  const std::string recycled = "rtlab-" + std::to_string(getpid()) + "-1-left";
  const std::string alive = owner_prefix() + "left";
  for (const auto& name : {dead, recycled, alive}) ASSERT_TRUE(run({"ip", "netns", "add", name}));
  const auto removed = remove_leftovers();
  const auto has = [&](const std::string& name) { return std::ranges::count(removed, name) == 1; };
  EXPECT_TRUE(has(dead));
  EXPECT_TRUE(has(recycled));
  EXPECT_FALSE(has(alive));
  ASSERT_TRUE(run({"ip", "netns", "del", alive}));
}

// A task of higher priority that holds the core is what a stall looks like from inside. It is bounded (30 ms)
// and far below the kernel's throttling.
TEST(Canary, SeesAHeldCoreAndSaysHowLong) {
  if (!privileges().realtime) GTEST_SKIP() << "needs the real-time class";
  auto lab = Lab::create("canary");
  ASSERT_TRUE(lab);
  auto canary = Canary::start(0, (*lab)->directory() / "canary.log");
  ASSERT_TRUE(canary) << canary.error().text;
  usleep(20'000);
  Instant begin, end;
  std::thread{[&] {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    ASSERT_EQ(sched_setaffinity(0, sizeof set, &set), 0);
    const sched_param above{.sched_priority = 90};
    ASSERT_EQ(sched_setscheduler(0, SCHED_FIFO, &above), 0);
    begin = RawClock::now();
    end = begin;
    while (end - begin < std::chrono::milliseconds{30}) end = RawClock::now();
  }}.join();
  usleep(20'000);
  const CanaryLog log = canary->stop();
  EXPECT_TRUE(log.realtime);
  EXPECT_TRUE(log.complete);
  Duration covered{};
  for (const Gap& gap : log.gaps) {
    EXPECT_FALSE(gap.throttled);
    covered += std::max(Duration{}, std::min(gap.end, end) - std::max(gap.begin, begin));
  }
  EXPECT_GE(covered, std::chrono::milliseconds{28}) << "all but one sleep of the probe";
}

}  // namespace
}  // namespace rtchan::lab
