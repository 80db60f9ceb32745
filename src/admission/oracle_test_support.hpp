// An independent witness for the admission tests: runs schedules on a small integer time line and looks
// whether a deadline is missed. It shares no code, no formula and no type with what it judges: no demand
// bound, no response time, only channels, arrivals and a server that runs one piece after another, earliest
// deadline first.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

namespace rtchan::admission::oracle {

struct Channel {
  int service, period, delay, chunk;
};

// When the server may work: everywhere, or `quantum` units in every `period`, at the places given by `start`.
struct Server {
  int quantum = 1, period = 1;
};

struct Arrivals {
  int first = 0;  // time of the first message; -1: just before everybody else
  bool present = true;
  std::vector<int> extra;  // beyond the period, before the 2nd, 3rd, ... message; none: strictly periodic
};

struct Run {
  std::vector<Channel> channels;
  std::vector<Arrivals> arrivals;
  Server server;
  std::vector<int>
      quantum_start;    // per server period, where its quantum lies; empty: the latest gap then the worst
  int best_effort = 0;  // length of a best-effort piece; 0: there is none
  bool best_effort_always = false;   // whenever nothing waits; else one piece, at time -1
  bool later_channel_first = false;  // on equal deadlines
  int until = 300;
};

// True if some message finishes after its arrival + delay.
class Schedule {
 public:
  explicit Schedule(const Run& run) : run_(run), state_(run.channels.size()) {
    for (std::size_t i = 0; i < state_.size(); ++i) state_[i].next_arrival = run.arrivals[i].first;
  }

  bool misses() {
    for (int t = -1; t < run_.until; ++t) {
      arrive(t);
      for (const State& s : state_)
        if (!s.deadlines.empty() && s.deadlines[s.head] <= t)
          return true;  // still unfinished at its deadline
      if (!available(t)) continue;
      if (piece_left_ == 0) choose(t);
      if (piece_left_ > 0) work();
    }
    return false;
  }

 private:
  struct State {
    int next_arrival = 0;
    std::size_t arrived = 0;
    std::vector<int> deadlines;
    std::size_t head = 0;
    int left = 0;  // of the message at the head; 0: not begun
  };

  void arrive(int t) {
    for (std::size_t i = 0; i < state_.size(); ++i) {
      State& s = state_[i];
      const Channel& c = run_.channels[i];
      if (!run_.arrivals[i].present || s.next_arrival != t) continue;
      if (s.head == s.deadlines.size()) {
        s.deadlines.clear();
        s.head = 0;
      }
      s.deadlines.push_back(t + c.delay);
      const auto& extra = run_.arrivals[i].extra;
      s.next_arrival += c.period + (s.arrived < extra.size() ? extra[s.arrived] : 0);
      ++s.arrived;
    }
  }

  [[nodiscard]] bool available(int t) const {
    const Server& s = run_.server;
    if (s.quantum == s.period || t < 0) return true;
    if (!run_.quantum_start.empty()) {
      const int start =
          run_.quantum_start[static_cast<std::size_t>(t / s.period) % run_.quantum_start.size()];
      return t % s.period >= start && t % s.period < start + s.quantum;
    }
    // the worst: a quantum has just ended early, the next one comes as late as it may
    const int gap = 2 * (s.period - s.quantum);
    return t >= gap && (t - gap) % s.period < s.quantum;
  }

  void choose(int t) {
    running_ = -1;
    for (std::size_t i = 0; i < state_.size(); ++i) {
      const State& s = state_[i];
      if (s.head == s.deadlines.size()) continue;
      if (running_ >= 0) {
        const State& best = state_[static_cast<std::size_t>(running_)];
        const int mine = s.deadlines[s.head];
        const int other = best.deadlines[best.head];
        if (mine > other || (mine == other && !run_.later_channel_first)) continue;
      }
      running_ = static_cast<int>(i);
    }
    if (running_ >= 0) {
      State& s = state_[static_cast<std::size_t>(running_)];
      const Channel& c = run_.channels[static_cast<std::size_t>(running_)];
      if (s.left == 0) s.left = c.service;
      piece_left_ = std::min(s.left, c.chunk);
    } else if (run_.best_effort > 0 && (run_.best_effort_always || t == -1)) {
      piece_left_ = run_.best_effort;
    }
  }

  void work() {
    --piece_left_;
    if (running_ < 0) return;
    State& s = state_[static_cast<std::size_t>(running_)];
    if (--s.left == 0) {
      ++s.head;
      if (s.head == s.deadlines.size()) {
        s.deadlines.clear();
        s.head = 0;
      }
    }
  }

  const Run& run_;
  std::vector<State> state_;
  int piece_left_ = 0;
  int running_ = -1;
};

inline bool misses(const Run& run) {
  return Schedule(run).misses();
}

// The constructed critical phasings: one long piece (of each channel in turn, of best effort, or none) has
// just begun when everybody who may be hurt by it arrives at once and as often as allowed.
inline bool some_critical_phasing_misses(const std::vector<Channel>& channels, int best_effort, Server server,
                                         int until) {
  Run run{.channels = channels,
          .arrivals = std::vector<Arrivals>(channels.size()),
          .server = server,
          .quantum_start = {},
          .until = until};
  if (misses(run)) return true;
  run.best_effort = best_effort;
  if (best_effort > 0 && misses(run)) return true;
  run.best_effort = 0;
  for (std::size_t blocker = 0; blocker < channels.size(); ++blocker) {
    for (std::size_t i = 0; i < channels.size(); ++i) {
      run.arrivals[i].first = i == blocker ? -1 : 0;
      run.arrivals[i].present = i == blocker || channels[i].delay < channels[blocker].delay;
    }
    if (misses(run)) return true;
  }
  return false;
}

// Random phasings with pauses, best effort taking every idle moment, quanta anywhere, either tie-break.
template <class Random>
bool some_random_phasing_misses(const std::vector<Channel>& channels, int best_effort, Server server,
                                int until, int tries, Random& random) {
  const auto draw = [&random](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  for (int k = 0; k < tries; ++k) {
    Run run{.channels = channels,
            .arrivals = {},
            .server = server,
            .quantum_start = {},
            .best_effort = best_effort,
            .best_effort_always = true,
            .later_channel_first = draw(0, 1) == 1,
            .until = until};
    for (std::size_t i = 0; i < channels.size(); ++i) {
      Arrivals a{.first = draw(-1, 12), .present = true, .extra = {}};
      if (draw(0, 2) == 0)
        for (int j = 0; j < 20; ++j) a.extra.push_back(draw(0, 3) == 0 ? draw(0, 9) : 0);
      run.arrivals.push_back(a);
    }
    for (int j = 0; server.quantum < server.period && j < 40; ++j)
      run.quantum_start.push_back(draw(0, server.period - server.quantum));
    if (misses(run)) return true;
  }
  return false;
}

}  // namespace rtchan::admission::oracle
