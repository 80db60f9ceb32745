// How many channels each admission test takes, for three realistic mixes on a 100 Mbit/s link: the table of
// docs/admission/README.md. No timing, no randomness but the fixed seeds: the figures repeat anywhere.
//
// Every test is asked the same channels in the same order, each with the local delay that it wants on this
// link, until 40 in a row have been refused. `density` is the utilisation-style test that is sound for
// deadlines: sum C/min(d,T) + longest other piece/smallest d <= 1; `utilisation` adds peaks up to 0.69 and
// promises no deadline.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "admission/arithmetic.hpp"
#include "admission/policy.hpp"
#include "admission/stages.hpp"
#include "admission/sweep.hpp"

namespace {

using namespace rtchan;
using namespace rtchan::admission;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr LinkModel link{100'000'000, {1'400, 24 + 8 + 16 + 8 + 20 + 14 + 24}, Duration{0}};

struct Kind {
  Contract contract;
  Duration delay;  // wanted on this link
};
// Voice: G.711 every 20 ms. Video: 4 Mbit/s at 25/s, and a camera with small slices. Control: fast and slow
// loops.
const Kind voice{{milliseconds{20}, 1, 160}, milliseconds{5}};
const Kind video{{milliseconds{40}, 2, 20'000}, milliseconds{25}};
const Kind slices{{microseconds{8'333}, 1, 4'000}, milliseconds{6}};
const Kind loop{{milliseconds{2}, 1, 200}, milliseconds{1}};
const Kind slow_loop{{milliseconds{10}, 1, 500}, milliseconds{2}};

struct Mix {
  std::string name;
  std::vector<std::pair<Kind, int>> kinds;  // with weights
};
const std::vector<Mix> mixes{
    {"voice with some video", {{voice, 90}, {video, 6}, {slow_loop, 4}}},
    {"video with control", {{video, 50}, {slices, 30}, {loop, 20}}},
    {"control with some voice", {{loop, 40}, {slow_loop, 40}, {voice, 20}}},
};

struct Wish {
  Candidate candidate;
  Duration delay;
};

std::vector<Wish> wishes(const Mix& mix, unsigned seed) {
  std::mt19937 random(seed);
  int total = 0;
  for (const auto& [kind, weight] : mix.kinds) total += weight;
  std::vector<Wish> all;
  while (all.size() < 1'000) {
    auto pick = static_cast<int>(random() % static_cast<unsigned>(total));
    for (const auto& [kind, weight] : mix.kinds) {
      if ((pick -= weight) >= 0) continue;
      const auto percent =
          75 + static_cast<int>(random() % 51);  // everybody wants something a little different
      all.push_back({link_stage(link, kind.contract), kind.delay * percent / 100});
      break;
    }
  }
  return all;
}

StageSettings settings() {
  StageSettings s;
  s.base_blocking = wire_time(link, link.format.payload_per_packet_bytes);
  return s;
}

struct Count {
  int channels = 0;
  std::uint64_t load_ppm = 0;
};

// `accepts(wish)` decides and remembers.
template <class Accepts>
Count admit(const std::vector<Wish>& all, Accepts&& accepts) {
  Count count;
  Wide load = 0;
  int refused = 0;
  for (const Wish& wish : all) {
    if (accepts(wish)) {
      ++count.channels;
      load += utilisation(wish.candidate);
      refused = 0;
    } else if (++refused == 40) {
      break;
    }
  }
  count.load_ppm = static_cast<std::uint64_t>(load * 1'000'000 / utilisation_one);
  return count;
}

Count by_policy(const char* name, const std::vector<Wish>& all) {
  const auto policy = make_policy(name, settings(), {.share_ppm = 690'000});
  const bool promises = std::string(name) != "utilisation";
  return admit(all, [&](const Wish& wish) {
    const auto d = policy->test(wish.candidate);
    if (!d || (promises && *d > wish.delay)) return false;
    policy->reserve(wish.candidate, wish.delay);
    return true;
  });
}

Count by_envelope(const std::vector<Wish>& all) {
  std::vector<Task> tasks;
  return admit(all, [&](const Wish& wish) {
    const auto d = smallest_delay_envelope(tasks, wish.candidate, settings());
    if (!d || *d > wish.delay) return false;
    tasks.push_back(with_delay(wish.candidate, wish.delay));
    return true;
  });
}

Count by_density(const std::vector<Wish>& all) {
  Wide density = 0;
  Duration longest = settings().base_blocking;
  Duration smallest = Duration::max();
  return admit(all, [&](const Wish& wish) {
    const Wide more =
        density + utilisation(wish.candidate.service, std::min(wish.delay, wish.candidate.period));
    const Duration piece = std::max(longest, wish.candidate.chunk);
    const Duration tightest = std::min(smallest, wish.delay);
    if (more + utilisation(piece, tightest) > utilisation_one) return false;
    density = more;
    longest = piece;
    smallest = tightest;
    return true;
  });
}

void row(const Mix& mix, const char* test, const std::vector<std::vector<Wish>>& runs, auto&& count) {
  int channels = 0;
  std::uint64_t load = 0;
  for (const auto& wishes : runs) {
    const Count c = count(wishes);
    channels += c.channels;
    load += c.load_ppm;
  }
  const auto n = static_cast<int>(runs.size());
  fmt::print("| {} | {} | {}.{} | {} % |\n", mix.name, test, channels / n, channels * 10 / n % 10,
             load / static_cast<std::uint64_t>(n) / 10'000);
}

}  // namespace

int main() {
  fmt::print("| mix | test | channels admitted (mean of 5 orders) | load |\n|---|---|---|---|\n");
  for (const Mix& mix : mixes) {
    std::vector<std::vector<Wish>> runs;
    for (unsigned seed = 1; seed <= 5; ++seed) runs.push_back(wishes(mix, seed));
    row(mix, "edf", runs, [](const auto& w) { return by_policy("edf", w); });
    row(mix, "d_order", runs, [](const auto& w) { return by_policy("d_order", w); });
    row(mix, "envelope", runs, by_envelope);
    row(mix, "density", runs, by_density);
    row(mix, "utilisation 0.69, no deadline", runs,
        [](const auto& w) { return by_policy("utilisation", w); });
  }
}
