// The statistical class against what it says: sets that it admits are run, each channel active or not by chance, and the
// share of runs in which anything is late stays below the target. The simulator knows arrivals and deadlines only.
#include "admission/statistical.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace rtchan::admission {
namespace {

struct Message {
  std::int64_t at, deadline, work;
};

// Earliest deadline first, one message after the other, behind a frame that has just begun.
bool anything_late(std::vector<Message> messages, std::int64_t frame) {
  std::ranges::sort(messages, {}, &Message::at);
  const auto later = [](const Message& a, const Message& b) { return a.deadline > b.deadline; };
  std::vector<Message> waiting;
  std::int64_t now = frame;
  for (std::size_t next = 0; next < messages.size() || !waiting.empty();) {
    if (waiting.empty()) now = std::max(now, messages[next].at);
    for (; next < messages.size() && messages[next].at <= now; ++next) {
      waiting.push_back(messages[next]);
      std::ranges::push_heap(waiting, later);
    }
    std::ranges::pop_heap(waiting, later);
    now += waiting.back().work;
    if (now > waiting.back().deadline) return true;
    waiting.pop_back();
  }
  return false;
}

// `draw_channel`: a candidate, and the delay that it will be given if it may have it.
template <class DrawChannel>
void judge(std::uint32_t target_ppm, DrawChannel&& draw_channel) {
  std::mt19937 random(7);
  const auto uniform = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  StageSettings settings;
  settings.base_blocking = Duration{20};
  StatisticalPolicy policy(settings, PolicyOptions{.target_ppm = target_ppm});
  std::vector<Task> channels;
  double peak = 0;
  for (int refused = 0; refused < 3;) {
    const Task task = draw_channel(uniform);
    const auto least = policy.test(task, Duration{0});
    if (!least || *least > task.delay) {
      ++refused;
      continue;
    }
    (void)policy.reserve(task, task.delay);
    channels.push_back(task);
    peak += static_cast<double>(task.service.count()) / static_cast<double>(task.period.count());
  }
  EXPECT_GT(peak, 1.0) << "worth having: peaks alone would not fit";
  constexpr int runs = 20'000;
  int late = 0;
  for (int run = 0; run < runs; ++run) {
    const bool together = run % 2 == 0;  // all at once, or anywhere in their periods
    std::vector<Message> messages;
    for (const Task& c : channels) {
      if (uniform(1, 1'000'000) > c.activity_ppm) continue;
      for (std::int64_t at = together ? 0 : uniform(0, c.period.count() - 1), k = 0; k < 4; ++k, at += c.period.count())
        messages.push_back({at, at + c.delay.count(), c.service.count()});
    }
    late += anything_late(std::move(messages), settings.base_blocking.count());
  }
  EXPECT_LE(late * 1e6, static_cast<double>(target_ppm) * runs) << channels.size() << " channels";
}

TEST(Statistical, VoiceIsLateNoMoreOftenThanSaid) {
  judge(10'000, [](auto&&) {
    Task t;
    t.service = t.chunk = t.last = Duration{20};
    t.period = t.delay = Duration{1'000};
    t.activity_ppm = 400'000;
    return t;
  });
}

TEST(Statistical, AMixIsLateNoMoreOftenThanSaid) {
  judge(50'000, [](auto&& uniform) {
    Task t;
    t.service = t.chunk = t.last = Duration{uniform(5, 20)};
    t.period = Duration{uniform(700, 3'000)};
    t.delay = t.period + Duration{uniform(0, 1'000)};
    t.activity_ppm = static_cast<std::uint32_t>(uniform(50'000, 500'000));
    return t;
  });
}

// The control: the same channels beyond what the class takes are late more often than the target.
TEST(Statistical, TwiceAsManyWouldBeLate) {
  std::mt19937 random(9);
  int late = 0;
  for (int run = 0; run < 1'000; ++run) {
    std::vector<Message> messages;
    for (int i = 0; i < 224; ++i) {
      if (random() % 10 >= 4) continue;
      for (std::int64_t k = 0; k < 4; ++k) messages.push_back({k * 1'000, k * 1'000 + 1'000, 20});
    }
    late += anything_late(std::move(messages), 20);
  }
  EXPECT_GT(late, 900);
}

}  // namespace
}  // namespace rtchan::admission
