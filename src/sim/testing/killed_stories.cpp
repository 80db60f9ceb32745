// A host is killed at every step of every kind of life that a channel can have, and comes back at once, after a while, or when
// everything has run out: all of it, every instant with every host and every time away. Nothing may be left, and afterwards everybody must be
// able to talk to everybody (the observers see to both).
#include <gtest/gtest.h>
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <mutex>
#include <thread>

#include "sim/testing/story.hpp"

namespace rtchan::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::expect_clean;
using testing::line_of;
using testing::story;

constexpr std::uint32_t hosts = 4;
constexpr std::array<std::int64_t, 3> away_ns{1'000'000, 700'000'000, 2'500'000'000};

std::string when(std::int64_t ns) { return fmt::format("{}.{:09}", ns / 1'000'000'000, ns % 1'000'000'000); }

// The instants, from the set-up to what follows the end, at which anything happens.
std::vector<std::int64_t> steps_of(const std::string& life) {
  std::vector<Instant> instants;
  const Script script = story(life);
  World world{script};
  world.keep_instants(instants);
  expect_clean(world.run());
  std::vector<std::int64_t> steps;
  for (const Instant at : instants) {
    const std::int64_t ns = (at - Instant{seconds{1}}).count();
    if (ns >= 99'000'000 && ns <= 260'000'000) steps.push_back(ns + 1);
  }
  return steps;
}

void kill_at_every_step(const std::string& life) {
  const std::string whole = line_of(hosts, "lease_ms=1000 settle_ms=6000") + life;
  const auto steps = steps_of(whole);
  ASSERT_GT(steps.size(), 30U);
  const std::size_t runs = steps.size() * hosts * away_ns.size();
  std::atomic<std::size_t> next{0};
  std::mutex lock;
  const auto work = [&] {
    for (std::size_t run_number = next++; run_number < runs; run_number = next++) {
      const std::int64_t at = steps[run_number / (hosts * away_ns.size())];
      const std::size_t host = run_number / away_ns.size() % hosts;
      const std::int64_t away = away_ns[run_number % away_ns.size()];
      const auto script = parse_script(whole + fmt::format("@{} crash host={}\n@{} boot host={}\n", when(at), host, when(at + away), host));
      const Outcome outcome = run(*script);
      if (outcome.wrong.empty()) continue;
      const std::scoped_lock held{lock};
      for (const auto& line : outcome.wrong) {
        ADD_FAILURE() << "host" << host << " killed at " << when(at) << ", back after " << away / 1'000'000 << " ms: " << line;
      }
    }
  };
  std::thread other{work};
  work();
  other.join();
  fmt::print("{} steps, {} kills\n", steps.size(), runs);
}

TEST(Killed, at_every_step_of_a_channel_that_its_sender_ends) {
  kill_at_every_step("@0.1 create channel=0 from=0 to=3 patience_ms=1500 messages=3 every_us=2000 period_us=2000\n"
                     "@0.2 destroy channel=0\n@0.3 mend from=0 to=1\n");
}

TEST(Killed, at_every_step_of_a_channel_whose_receiver_dies) {
  kill_at_every_step("@0.1 create channel=0 from=0 to=3 patience_ms=1500 messages=3 every_us=2000 period_us=2000\n"
                     "@0.2 kill app=3\n@0.3 mend from=0 to=1\n");
}

TEST(Killed, at_every_step_of_a_setup_that_the_receiver_refuses) {
  kill_at_every_step("@0 start app=9 host=3 mood=1\n@0.1 create channel=0 from=0 to=9 patience_ms=1500\n@0.3 mend from=0 to=1\n");
}

}  // namespace
}  // namespace rtchan::sim
