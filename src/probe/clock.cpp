#include "probe/clock.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <thread>

#include "base/text.hpp"

namespace rtchan::probe {

namespace {

constexpr Duration sleep_length = std::chrono::milliseconds{1};
constexpr int rtcd_priority = 50;

Duration cost_of_reading() {
  std::array<Duration, 1'000> costs;
  for (Duration& cost : costs) {
    const Instant before = RawClock::now();
    for (int i = 0; i < 8; ++i) RawClock::now();
    cost = (RawClock::now() - before) / 9;
  }
  std::ranges::nth_element(costs, costs.begin() + costs.size() / 2);
  return costs[costs.size() / 2];
}

Duration since(const timespec& then, const timespec& now) {
  return std::chrono::seconds{now.tv_sec - then.tv_sec} + std::chrono::nanoseconds{now.tv_nsec - then.tv_nsec};
}

void sleep_and_see(TimerLateness& seen, Duration duration) {
  timespec due{};
  clock_gettime(CLOCK_MONOTONIC, &due);
  for (Duration slept{0}; slept < duration; slept += sleep_length) {
    due.tv_nsec += sleep_length.count();
    if (due.tv_nsec >= 1'000'000'000) due.tv_nsec -= 1'000'000'000, ++due.tv_sec;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr);
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const Duration late = since(due, now);
    seen.lateness.add(late);
    if (late > sleep_length) due = now, slept += late;  // after a gap: from here on
  }
}

}  // namespace

Finding clock_source(const Files& files) {
  const std::string source = files.read("sys/devices/system/clocksource/clocksource0/current_clocksource").value_or("unknown");
  const Duration cost = cost_of_reading();
  const std::string found = fmt::format("{}, {} a reading", source, format_duration(cost));
  if (cost < std::chrono::nanoseconds{200}) return good("clock", found);
  return {"clock", Verdict::costs, found, fmt::format("a turn of a worker reads it about ten times: {}", format_duration(cost * 10)),
          "the tsc clock source (boot with tsc=reliable if this machine's is)"};
}

TimerLateness measure_timer(unsigned core, bool real_time, Duration duration) {
  TimerLateness seen;
  std::thread{[&] {
    prctl(PR_SET_TIMERSLACK, 1);
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    seen.pinned = core < CPU_SETSIZE && pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
    const sched_param priority{rtcd_priority};
    seen.real_time = real_time && pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority) == 0;
    sleep_and_see(seen, duration);
  }}.join();
  return seen;
}

Finding timer(const TimerLateness& worker, const TimerLateness& beside) {
  constexpr Duration harmless = std::chrono::microseconds{200};
  const auto& late = worker.lateness;
  const Duration worst = late.max();
  const std::string found =
      fmt::format("woken {} late, p99 {}, worst {} ({}; an ordinary program: worst {})", format_duration(late.quantile(0.5)),
                  format_duration(late.quantile(0.99)), format_duration(worst), worker.real_time ? "SCHED_FIFO" : "no real-time class",
                  format_duration(beside.lateness.max()));
  if (worst <= harmless) return good("timer", found);
  return {"timer", worst < sleep_length ? Verdict::costs : Verdict::bad, found,
          fmt::format("a message may be late by {} although nothing else goes wrong", format_duration(worst)),
          "what the other lines say of the core; then a longer look (--duration 1min) while the host does its usual work"};
}

}  // namespace rtchan::probe
