// Analysis and run time agree: random sets that admission takes, one channel at its minimum local delay, are driven through
// the CPU and the link scheduler of this room in the critical phasings, best effort saturating. Nothing is ever late. With
// that one delay a unit below what the clock's granularity allows, something is. (That is the minimum less one or two but for
// a set in several thousand, where the last nanosecond of blocking decides whether one more message fits before a deadline.)
//
// The phasings are constructed: one long piece (best effort's, or each channel's in turn) has begun one nanosecond before
// everybody whom it may hurt arrives at once and from then on as often as allowed. The judge knows arrivals, deadlines and
// the instants at which work was finished; it computes no demand.
//
// RTCHAN_SETS in the environment sets how many sets (default 10,000; the slow tests run 100,000).
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <utility>
#include <vector>

#include "admission/policy.hpp"
#include "clips/cpu_scheduler.hpp"
#include "clips/link_scheduler.hpp"

namespace rtchan::clips {
namespace {

using admission::Candidate;
using admission::StageSettings;
using admission::Task;

constexpr Instant origin{std::chrono::seconds{1}};
constexpr Duration tick{1};  // the granularity of the clock

int sets_wanted() {
  const char* text = std::getenv("RTCHAN_SETS");
  return text == nullptr ? 10'000 : std::atoi(text);
}

struct Piece {  // of a message: one packet, one step of a handler
  Duration work{};
  std::size_t bytes{};  // links
};
struct Channel {
  Task task;
  std::vector<Piece> pieces;
};
struct Set {
  std::vector<Channel> channels;
  StageSettings settings;
  Piece best_effort;
  std::size_t tight = 0;  // this one has its minimum
  double load = 0;
  admission::BurstBound bound;
};

// --- drawing sets -------------------------------------------------------------------------------------------------

class Sets {
 public:
  explicit Sets(std::uint64_t seed) : random_(seed) {}
  std::int64_t pick(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }

  // `piece`: draws one piece between the two sizes.
  template <class DrawPiece>
  Set draw(bool loaded, DrawPiece&& draw_piece) {
    for (;;) {
      Set set;
      set.best_effort = draw_piece(*this, 1.0);
      set.settings.base_blocking = set.best_effort.work;
      set.settings.utilisation_limit_ppm = 1'000'000;
      const auto policy = admission::make_policy("edf", set.settings);
      const auto count = static_cast<std::size_t>(pick(2, 6));
      set.tight = static_cast<std::size_t>(pick(0, static_cast<std::int64_t>(count) - 1));
      double left = loaded ? uniform(0.86, 0.97) : uniform(0.2, 0.85);
      for (std::size_t i = 0; i < count; ++i) {
        const double share = i + 1 == count ? left : left * uniform(0.1, 0.6);
        left -= share;
        Channel c = channel(share, draw_piece);
        const auto least = policy->test(c.task);
        if (!least) break;
        c.task.delay = i == set.tight ? *least : *least + Duration{pick(0, 1) * pick(0, 2 * c.task.period.count())};
        policy->reserve(c.task, c.task.delay);
        set.load += static_cast<double>(c.task.service.count()) / static_cast<double>(c.task.period.count());
        set.channels.push_back(std::move(c));
      }
      if (set.channels.size() < count || (loaded && set.load < 0.85)) continue;
      set.bound = policy->burst_bound();
      return set;
    }
  }

 private:
  double uniform(double low, double high) { return std::uniform_real_distribution<double>(low, high)(random_); }

  template <class DrawPiece>
  Channel channel(double share, DrawPiece&& draw_piece) {
    Channel c;
    c.pieces.assign(static_cast<std::size_t>(pick(1, 4)), draw_piece(*this, uniform(0, 1)));
    c.pieces.back() = draw_piece(*this, 0);  // the last may be shorter
    if (c.pieces.back().work > c.pieces.front().work) c.pieces.back() = c.pieces.front();
    for (const Piece& p : c.pieces) c.task.service += p.work;
    c.task.chunk = c.pieces.front().work;
    c.task.last = c.pieces.back().work;
    c.task.period = Duration{static_cast<std::int64_t>(std::ceil(static_cast<double>(c.task.service.count()) / share))};
    return c;
  }

  std::mt19937_64 random_;
};

// --- one run ------------------------------------------------------------------------------------------------------

// What arrives when; the same for both kinds of stage.
struct Phasing {
  std::size_t blocker;  // channel that arrives one tick before the others; none: best effort does
  static constexpr std::size_t none = SIZE_MAX;
};
struct Arrival {
  Instant at;
  std::size_t channel;
};

std::vector<Arrival> arrivals(const Set& set, const Phasing& phasing, Duration length) {
  std::vector<Arrival> all;
  for (std::size_t i = 0; i < set.channels.size(); ++i) {
    const Task& task = set.channels[i].task;
    if (phasing.blocker != Phasing::none && i != phasing.blocker &&
        task.delay >= set.channels[phasing.blocker].task.delay) {
      continue;  // it cannot be hurt by this one
    }
    for (Instant at = i == phasing.blocker ? origin - tick : origin; at < origin + length; at += task.period) all.push_back({at, i});
  }
  std::ranges::stable_sort(all, {}, &Arrival::at);
  return all;
}

// Long enough for the busy period that follows: everything at once, and what comes while that is worked off.
Duration length_of(const Set& set) {
  Duration start = set.settings.base_blocking, longest{};
  for (const Channel& c : set.channels) {
    start += c.task.service;
    longest = std::max(longest, c.task.delay);
  }
  Duration length = start;
  for (int i = 0; i < 200; ++i) {
    Duration work = set.settings.base_blocking;
    for (const Channel& c : set.channels) work += c.task.service * ((length.count() - 1) / c.task.period.count() + 1);
    if (work == length) break;
    length = work;
  }
  return length + longest;
}

class CpuRun {
 public:
  explicit CpuRun(const Set& set) : set_(set), handlers_(set.channels.size()) {}

  // True if a message was finished after its deadline.
  bool late(const Phasing& phasing) {
    const auto all = arrivals(set_, phasing, length_of(set_));
    if (phasing.blocker == Phasing::none) scheduler_.place(best_effort_, {origin - tick, never, never}, origin - tick);
    auto next = all.begin();
    for (Instant now = origin - tick; next != all.end() || pending_ > 0;) {
      for (; next != all.end() && next->at <= now; ++next) arrive(*next, now);
      if (best_effort_.edf.state == EdfPlace::State::absent && now >= origin) {
        scheduler_.place(best_effort_, {now, never, never}, now);
      }
      CpuTask* task = scheduler_.next(now, switches_);
      if (task == nullptr) {
        now = std::min(next == all.end() ? never : next->at, origin);
        continue;
      }
      if (task == &best_effort_) {
        now += set_.best_effort.work;
        scheduler_.place(best_effort_, {now, never, never}, now);
        continue;
      }
      if (step(*task, now)) return true;
    }
    return false;
  }

 private:
  struct Handler {
    CpuTask task;
    std::deque<Instant> logical;
    std::size_t piece = 0;
  };

  void arrive(const Arrival& a, Instant now) {
    Handler& h = handlers_[a.channel];
    h.logical.push_back(a.at);
    ++pending_;
    if (h.logical.size() == 1) place(a.channel, now);
  }
  void place(std::size_t i, Instant now) {
    Handler& h = handlers_[i];
    const Instant logical = h.logical.front();
    scheduler_.place(h.task, {logical, logical, logical + set_.channels[i].task.delay}, now);
  }
  bool step(CpuTask& task, Instant& now) {
    std::size_t i = 0;
    while (&handlers_[i].task != &task) ++i;
    Handler& h = handlers_[i];
    const Channel& c = set_.channels[i];
    now += c.pieces[h.piece].work;
    if (++h.piece < c.pieces.size()) {
      place(i, now);
      return false;
    }
    h.piece = 0;
    const bool late = now > h.logical.front() + c.task.delay;
    h.logical.pop_front();
    --pending_;
    if (h.logical.empty()) {
      scheduler_.remove(task);
    } else {
      place(i, now);
    }
    return late;
  }

  const Set& set_;
  CpuScheduler scheduler_{16};
  std::uint64_t switches_ = 0;
  std::vector<Handler> handlers_;
  CpuTask best_effort_;
  std::size_t pending_ = 0;
};

constexpr std::uint32_t overhead = 66;
Duration wire_time(std::size_t bytes) { return Duration{static_cast<std::int64_t>((bytes + overhead) * 8)}; }  // 1 Gb/s

// Sends in order; says when the last bit of each packet is out.
class Wire final : public link::Driver {
 public:
  Instant now{};
  Instant free = long_ago;
  std::vector<std::pair<std::uint32_t, Instant>> out;

  std::size_t transmit(link::TrafficClass, std::span<const link::TxPacket> packets) override {
    for (const link::TxPacket& p : packets) {
      free = std::max(free, now) + wire_time(p.bytes.size());
      out.emplace_back(wire::decode(p.bytes)->header.first_message, free);
    }
    unreported_ += packets.size();
    return packets.size();
  }
  std::size_t completed() override { return std::exchange(unreported_, 0); }  // the link clock says when they are out
  std::size_t receive(link::TrafficClass, Instant, std::span<link::RxPacket>) override { return 0; }
  std::size_t payload_bytes() const override { return 512; }
  int fd(link::TrafficClass) const override { return -1; }
  Counters counters() const override { return {}; }

 private:
  std::size_t unreported_ = 0;
};
class Nothing final : public Departures {
 public:
  void departed(LinkFlow&, const Packet&, Instant) noexcept override {}
};

class LinkRun {
 public:
  LinkRun(const Set& set, PacketStore& store) : set_(set), store_(store), flows_(set.channels.size()) {
    for (LinkFlow& f : flows_) f.frames.reserved = 1'000;
    best_effort_.frames.reserved = 64;
    best_effort_.best_effort = true;
    scheduler_.set_burst_bound(set.bound);
  }
  ~LinkRun() {
    for (LinkFlow& f : flows_) scheduler_.forget(f);
    scheduler_.forget(best_effort_);
  }

  bool late(const Phasing& phasing) {
    const auto all = arrivals(set_, phasing, length_of(set_));
    auto next = all.begin();
    Instant& now = wire_.now;
    now = origin - tick;
    for (Instant due = now; next != all.end() || due != never;) {
      for (; next != all.end() && next->at <= now; ++next) arrive(*next);
      while (best_effort_.frames.used < 32 && next != all.end()) stage(best_effort_, set_.best_effort.bytes, now, never);
      due = scheduler_.serve(now);
      now = std::max(now, std::min(due, next == all.end() ? never : next->at));
    }
    for (const auto& [id, finish] : wire_.out)
      if (finish > deadlines_[id]) return true;
    return wire_.out.size() < deadlines_.size();
  }

 private:
  void arrive(const Arrival& a) {
    const Channel& c = set_.channels[a.channel];
    for (const Piece& p : c.pieces) stage(flows_[a.channel], p.bytes, a.at, a.at + c.task.delay);
  }
  void stage(LinkFlow& flow, std::size_t bytes, Instant logical, Instant deadline) {
    const Frame frame = store_.take(flow.frames);
    ASSERT_NE(frame, no_frame);
    const auto packet = store_.bytes(frame).first(bytes);
    std::memset(packet.data(), 0, bytes);
    wire::DataHeader header;
    header.type = wire::PacketType::signal;
    header.first_message = static_cast<std::uint32_t>(deadlines_.size());
    if (flow.best_effort) header.flags = wire::flag_best_effort;
    wire::encode_header(header, packet);
    store_[frame] = Packet{};
    store_[frame].bytes = static_cast<std::uint32_t>(bytes);
    store_[frame].logical = logical;
    store_[frame].deadline = deadline;
    deadlines_.push_back(deadline);
    scheduler_.stage(flow, frame, wire_.now);
  }

  const Set& set_;
  PacketStore& store_;
  Wire wire_;
  DomainCounters counters_;
  Nothing nothing_;
  LinkScheduler scheduler_{
      LinkConfig{.driver = &wire_, .bits_per_second = 1'000'000'000, .frame_overhead_bytes = overhead}, store_, 16, nothing_,
      counters_};
  std::deque<LinkFlow> flows_;
  LinkFlow best_effort_;
  std::vector<Instant> deadlines_;
};

// --- the claim ----------------------------------------------------------------------------------------------------

template <class Late>
bool late_in_some_phasing(const Set& set, Late&& late) {
  if (late(set, Phasing{Phasing::none})) return true;
  for (std::size_t i = 0; i < set.channels.size(); ++i)
    if (late(set, Phasing{i})) return true;
  return false;
}

// The tight channel's minimum beside all others on this clock, where nothing blocks for longer than its piece less one tick.
Duration least_on_clock(const Set& set) {
  StageSettings settings = set.settings;
  settings.granularity = tick;
  const auto policy = admission::make_policy("edf", settings);
  for (std::size_t i = 0; i < set.channels.size(); ++i) {
    if (i != set.tight) policy->reserve(set.channels[i].task, set.channels[i].task.delay);
  }
  return policy->test(set.channels[set.tight].task).value_or(Duration{-1});
}

template <class DrawPiece, class Late>
void judge(std::uint64_t seed, DrawPiece&& draw_piece, Late&& late) {
  Sets sets(seed);
  int loaded = 0, next_to_it = 0;
  const int wanted = sets_wanted();
  for (int i = 0; i < wanted; ++i) {
    Set set = sets.draw(i % 2 == 0, draw_piece);
    loaded += set.load >= 0.85;
    ASSERT_FALSE(late_in_some_phasing(set, late)) << "set " << i << ", load " << set.load;
    Duration& delay = set.channels[set.tight].task.delay;
    const Duration least = least_on_clock(set);
    ASSERT_LE(least, delay);
    next_to_it += delay - least <= tick;
    delay = least - Duration{1};
    set.bound = {};  // the most cautious: what is late is not late because of it
    ASSERT_TRUE(late_in_some_phasing(set, late)) << "set " << i << " has time to spare, load " << set.load;
  }
  EXPECT_GE(2 * loaded, wanted);
  EXPECT_GE(next_to_it, wanted - wanted / 1'000 - 1);
}

TEST(AnalysisAndRunTime, AgreeOnACpu) {
  judge(1, [](Sets& sets, double size) { return Piece{Duration{sets.pick(500, 1'000 + static_cast<std::int64_t>(size * 9'000))}, 0}; },
        [](const Set& set, const Phasing& phasing) { return CpuRun(set).late(phasing); });
}

TEST(AnalysisAndRunTime, AgreeOnALink) {
  PacketStore store(8'192, 512);
  judge(2,
        [](Sets& sets, double size) {
          const auto bytes = static_cast<std::size_t>(sets.pick(80, 120 + static_cast<std::int64_t>(size * 380)));
          return Piece{wire_time(bytes), bytes};
        },
        [&](const Set& set, const Phasing& phasing) { return LinkRun(set, store).late(phasing); });
}

}  // namespace
}  // namespace rtchan::clips
