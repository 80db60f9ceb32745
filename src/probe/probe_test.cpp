// What is made of a host's answers: a folder stands in for /proc and /sys.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "probe/clock.hpp"
#include "probe/core.hpp"
#include "probe/network.hpp"
#include "probe/scheduling.hpp"

namespace rtchan::probe {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

class Host : public ::testing::Test {
 protected:
  Host() : root_(std::filesystem::temp_directory_path() / fmt::format("rtchan-probe-{}", getpid())) {}
  ~Host() override { std::filesystem::remove_all(root_); }
  void says(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream{root_ / path} << text << '\n';
  }
  Files files() const { return Files{root_}; }

 private:
  std::filesystem::path root_;
};

TEST_F(Host, ThrottlingBelowTheDutyCapIsBad) {
  EXPECT_EQ(throttling(files(), 900'000).verdict, Verdict::unknown);
  says("proc/sys/kernel/sched_rt_period_us", "1000000");
  says("proc/sys/kernel/sched_rt_runtime_us", "950000");
  EXPECT_EQ(throttling(files(), 900'000).verdict, Verdict::good);
  EXPECT_EQ(throttling(files(), 950'000).verdict, Verdict::bad) << "the kernel is as fast as the cap";
  says("proc/sys/kernel/sched_rt_runtime_us", "800000");
  const Finding held = throttling(files(), 900'000);
  EXPECT_EQ(held.verdict, Verdict::bad);
  EXPECT_THAT(held.costs, HasSubstr("200ms"));
  says("proc/sys/kernel/sched_rt_runtime_us", "-1");
  EXPECT_EQ(throttling(files(), 900'000).verdict, Verdict::costs);
  says("proc/sys/kernel/sched_rt_runtime_us", "much");
  EXPECT_EQ(throttling(files(), 900'000).verdict, Verdict::unknown);
}

TEST_F(Host, ACeilingOfTheControlGroupIsBad) {
  says("proc/self/cgroup", "1:cpu:/x\n0::/system.slice/rtcd.service");
  EXPECT_EQ(control_group(files()).verdict, Verdict::good);
  says("sys/fs/cgroup/system.slice/rtcd.service/cpu.max", "max 100000");
  EXPECT_EQ(control_group(files()).verdict, Verdict::good);
  says("sys/fs/cgroup/system.slice/rtcd.service/cpu.max", "50000 100000");
  EXPECT_EQ(control_group(files()).verdict, Verdict::bad);
  EXPECT_THAT(control_group(files()).found, HasSubstr("50000 100000"));
}

TEST_F(Host, PreemptionIsReadFromTheKernelsOwnName) {
  says("proc/version", "Linux version 6.1.0 #1 SMP Debian");
  EXPECT_EQ(preemption(files()).verdict, Verdict::costs);
  says("proc/version", "Linux version 6.1.0 #1 SMP PREEMPT_DYNAMIC Debian");
  EXPECT_EQ(preemption(files()).verdict, Verdict::good);
  says("sys/kernel/realtime", "1");
  EXPECT_EQ(preemption(files()).found, "PREEMPT_RT");
}

TEST_F(Host, TheDeepestIdleStateThatIsNotDisabledCounts) {
  EXPECT_EQ(idle_states(files(), 2).verdict, Verdict::unknown);
  const auto state = [this](int i, const std::string& name, int latency, bool disabled) {
    const std::string folder = fmt::format("sys/devices/system/cpu/cpu2/cpuidle/state{}/", i);
    says(folder + "name", name);
    says(folder + "latency", std::to_string(latency));
    says(folder + "disable", disabled ? "1" : "0");
  };
  state(0, "POLL", 0, false);
  state(1, "C1", 2, false);
  state(2, "C6", 133, false);
  EXPECT_EQ(idle_states(files(), 2).verdict, Verdict::costs);
  EXPECT_THAT(idle_states(files(), 2).costs, HasSubstr("133 us"));
  state(2, "C6", 133, true);
  EXPECT_EQ(idle_states(files(), 2).verdict, Verdict::good);
  EXPECT_THAT(idle_states(files(), 2).found, HasSubstr("C1"));
}

TEST_F(Host, AGovernorThatSlowsDownCosts) {
  EXPECT_EQ(frequency(files(), 0).verdict, Verdict::unknown);
  says("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave");
  says("sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq", "800000");
  says("sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq", "3200000");
  EXPECT_EQ(frequency(files(), 0).verdict, Verdict::costs);
  EXPECT_THAT(frequency(files(), 0).costs, HasSubstr("4.0 times"));
  says("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance");
  EXPECT_EQ(frequency(files(), 0).verdict, Verdict::good);
}

TEST_F(Host, ACoreIsGoodWhereItIsIsolatedAndHasNoSibling) {
  says("sys/devices/system/cpu/online", "0-1,3");
  says("sys/devices/system/cpu/isolated", "3");
  says("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1");
  says("sys/devices/system/cpu/cpu3/topology/thread_siblings_list", "3");
  EXPECT_EQ(company(files(), 3).verdict, Verdict::good);
  EXPECT_EQ(company(files(), 1).verdict, Verdict::costs);
  EXPECT_EQ(company(files(), 2).verdict, Verdict::bad) << "not online";
  says("sys/devices/system/cpu/cpu3/topology/thread_siblings_list", "1,3");
  EXPECT_EQ(company(files(), 3).verdict, Verdict::costs);
}

TEST_F(Host, StolenTimeAndDeviceInterruptsAreOfTheWorkersCore) {
  const auto at = [this](int steal, int idle, int nic) {
    says("proc/stat", fmt::format("cpu  0 0 0 0\ncpu0 9 9 9 9 9 9 9 9 0 0\ncpu1 10 0 10 {} 0 0 0 {} 0 0\nintr 5", idle, steal));
    says("proc/interrupts", fmt::format("           CPU0       CPU1\n 42:      70000      {}   PCI-MSIX  eth0-rx\n 43:  5  1 other\nLOC:  1  999999  Local timer", nic));
    return core_counts(files(), 1);
  };
  EXPECT_FALSE(core_counts(files(), 1)) << "no answer, nothing invented";
  const auto before = at(0, 980, 10);
  const auto after = at(40, 1'940, 20'010);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(after->ticks - before->ticks, 1'000u);
  const Finding steal = stolen(files(), *before, *after);
  EXPECT_EQ(steal.verdict, Verdict::costs);
  EXPECT_THAT(steal.found, HasSubstr("4.00 %"));
  const Finding busy = interrupts(*before, *after, 2s, 1);
  EXPECT_EQ(busy.verdict, Verdict::costs);
  EXPECT_THAT(busy.found, HasSubstr("10000 a second"));
  EXPECT_THAT(busy.found, HasSubstr("eth0-rx"));
  EXPECT_EQ(interrupts(*before, *before, 2s, 1).verdict, Verdict::good);
  EXPECT_FALSE(core_counts(files(), 7)) << "a core that is not there";
}

TEST(Timer, IsJudgedByItsWorst) {
  TimerLateness worker, ordinary;
  worker.real_time = true;
  for (int i = 0; i < 1'000; ++i) worker.lateness.add(10us);
  EXPECT_EQ(timer(worker, ordinary).verdict, Verdict::good);
  worker.lateness.add(500us);
  EXPECT_EQ(timer(worker, ordinary).verdict, Verdict::costs);
  worker.lateness.add(3ms);
  const Finding late = timer(worker, ordinary);
  EXPECT_EQ(late.verdict, Verdict::bad);
  EXPECT_THAT(late.costs, HasSubstr("3ms")) << "one in a thousand is enough";
}

TEST(Timer, IsMeasuredOnItsCoreForAsLongAsAsked) {
  const TimerLateness seen = measure_timer(0, false, 50ms);
  EXPECT_GT(seen.lateness.count(), 0u);
  EXPECT_LE(seen.lateness.count(), 50u);
  EXPECT_TRUE(seen.pinned);
  EXPECT_FALSE(seen.real_time);
  EXPECT_FALSE(measure_timer(100'000, false, 2ms).pinned);
}

TEST(Network, WhatMayStandInFrontOfUsIsSaid) {
  EXPECT_EQ(queueing({}).verdict, Verdict::costs);
  EXPECT_EQ(queueing({"fq_codel", 0}).verdict, Verdict::costs);
  EXPECT_EQ(queueing({"htb", 1}).verdict, Verdict::good);
  EXPECT_EQ(queueing({"netem", 1}).verdict, Verdict::bad);
  EXPECT_EQ(interface_state({.index = 1, .name = "eth0", .mtu_bytes = 1'500, .up = false, .bits_per_second = 0, .addresses = {}}).verdict, Verdict::bad);
  EXPECT_EQ(interface_state({.index = 1, .name = "eth0", .mtu_bytes = 1'500, .up = true, .bits_per_second = 1'000'000'000, .addresses = {}}).verdict, Verdict::good);
  EXPECT_EQ(device({"igb", 3, 4}).verdict, Verdict::good);
  EXPECT_EQ(device({"igb", 50, 4}).verdict, Verdict::costs);
  EXPECT_EQ(device({}).verdict, Verdict::unknown);
  EXPECT_THAT(express_path({"ixgbe", {}, {}}).found, HasSubstr("native"));
  EXPECT_THAT(express_path({"dummy", {}, {}}).found, HasSubstr("generic"));
  EXPECT_EQ(device_of("lo").queues, std::nullopt);
}

TEST_F(Host, SmallSocketBuffersCostOnlyWhoIsBoundByThem) {
  says("proc/sys/net/core/rmem_max", "212992");
  EXPECT_EQ(socket_buffers(files(), 4u << 20, false).verdict, Verdict::costs);
  EXPECT_EQ(socket_buffers(files(), 4u << 20, true).verdict, Verdict::good);
  EXPECT_EQ(socket_buffers(files(), 200'000, false).verdict, Verdict::good);
}

}  // namespace
}  // namespace rtchan::probe
