#include "sim/scale.hpp"

#include <algorithm>
#include <map>

#include "rtcop/random.hpp"
#include "sim/world.hpp"

namespace rtchan::sim {
namespace {

using rtcop::Random;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint32_t session_channels = 12'000;     // an application may hold 16,384
constexpr std::uint32_t hops_most = limits::hops - 1;
constexpr Duration delay = limits::delay_max;          // promised: tens of thousands of messages may come to a hub at once
constexpr Duration patience = seconds{30};
constexpr Duration calm = seconds{10};                 // until what was asked for last, and lost, is there
constexpr std::uint32_t buffers_per_clip = 4;          // packets, more than any of these channels needs
constexpr Duration began = milliseconds{100};
// REFRESH as docs/protocol/rtcop.md draws it: a source's first path takes host, count and ten bytes of a sequence, each other a byte
// (unless more than 127 of that source's lie between).
constexpr std::size_t list_source_bytes = 20;
constexpr std::size_t list_bytes = limits::signal_bytes - 24 - 16 - 24 - 12 - 8;  // frame and trailer, head, message head, "upto"

class Author {
 public:
  explicit Author(const ScalePlan& plan) : plan_(plan), random_(plan.seed ^ 0x5ca1eULL) {}

  ScaleScript write() {
    std::vector<Joint> all = joints(plan_.hops > 0 ? Shape::line : plan_.shape, hosts(), random_);
    const Routes routes{hosts(), all};
    draw_channels(routes);
    add({}, Verb::settings)
        .set("seed", static_cast<std::int64_t>(plan_.seed))
        .set("lease_ms", plan_.lease / milliseconds{1})
        .set("workers", plan_.messages > 0 ? 1 : 0)
        .set("busy_permille", 300)
        .set("settle_ms", 1'000)
        .set("uid_channels", INT32_MAX)
        .set("memory_mb", 1 << 20)
        .set("work_ns", plan_.work.count());
    for (std::uint32_t h = 0; h < hosts(); ++h) {
      const std::int64_t clips = through_[h] + through_[h] / 8 + 64;  // an attempt that is refused holds one a moment longer
      add({}, Verb::host).set("host", h).set("clips", clips).set("packet_buffers", buffers_per_clip * clips);
    }
    for (std::uint32_t l = 0; l < all.size(); ++l) {
      add({}, Verb::link).set("link", l).set("a", all[l].a).set("b", all[l].b);
    }
    for (const Joint& joint : all) {
      for (const bool back : {false, true}) {
        Deed& deed = add({}, Verb::faults).set("from", back ? joint.b : joint.a).set("to", back ? joint.a : joint.b);
        deed.set("loss_ppm", plan_.loss_ppm);
      }
    }
    for (std::uint32_t a = 0; a < hosts() * apps_; ++a) add({}, Verb::start).set("app", a).set("host", a / apps_);
    history();
    return std::move(made_);
  }

 private:
  [[nodiscard]] std::uint32_t hosts() const { return plan_.hops > 0 ? plan_.hops + 1 : plan_.hosts; }
  Deed& add(Duration at, Verb verb) { return made_.script.emplace_back(at, verb); }
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_.below(n)); }
  [[nodiscard]] Duration pace(std::uint32_t i) const { return Duration{std::int64_t{1'000'000'000} * i / plan_.setups_a_second}; }

  void draw_channels(const Routes& routes) {
    through_.resize(hosts());
    // By pair of neighbours: channels by source, as lists have them.
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::map<std::uint32_t, std::uint32_t>> shared;
    std::vector<std::uint32_t> ends(hosts());
    while (ends_.size() < plan_.channels) {
      const std::uint32_t from = plan_.hops > 0 ? 0 : below(hosts());
      const std::uint32_t to = plan_.hops > 0 ? plan_.hops : below(hosts());
      const std::vector<std::uint32_t> way = routes.way(from, to);
      if (from == to || way.size() > hops_most + 1) continue;
      ends_.push_back({from, to});
      ++ends[from], ++ends[to];
      for (std::size_t i = 0; i < way.size(); ++i) {
        ++through_[way[i]];
        if (i > 0) ++shared[std::minmax(way[i - 1], way[i])][from];
      }
    }
    made_.neighbours = static_cast<std::uint32_t>(shared.size());
    for (const auto& [pair, by_source] : shared) {
      std::size_t bytes = 0;
      for (const auto& [source, channels] : by_source) bytes += list_source_bytes + channels - 1;
      // Every message but the first names a source again whose list goes on.
      const std::size_t more = list_bytes - (list_source_bytes - 1);
      made_.lists += 2 * (bytes <= list_bytes ? 1 : 1 + (bytes - list_bytes + more - 1) / more);
    }
    apps_ = *std::ranges::max_element(ends) / session_channels + 1;
  }

  void history() {
    Duration at = began;
    for (std::uint32_t i = 0; i < plan_.channels; ++i) {
      at = began + pace(i);
      Deed& c = add(at, Verb::create).set("channel", i).set("from", ends_[i].a * apps_ + i % apps_).set("to", ends_[i].b * apps_ + i % apps_);
      c.set("period_us", plan_.period / microseconds{1}).set("bytes", 64).set("delay_us", delay / microseconds{1});
      c.set("patience_ms", patience / milliseconds{1}).set("messages", plan_.messages).set("every_us", plan_.period / microseconds{1});
    }
    made_.set_up = at + calm;
    made_.standing = made_.set_up + plan_.plateau;
    add(made_.standing, Verb::judge);
    for (std::uint32_t i = 0; i < plan_.channels; ++i) {
      at = made_.standing + milliseconds{1} + pace(i);
      add(at, Verb::destroy).set("channel", i).set("receiver", i % 2);
    }
    made_.given_back = at + calm;
    add(made_.given_back + delay, Verb::judge);  // what was still due has passed
  }

  const ScalePlan& plan_;
  Random random_;
  ScaleScript made_;
  std::vector<Joint> ends_;               // hosts of each channel
  std::vector<std::uint32_t> through_;    // by host: channels
  std::uint32_t apps_ = 1;                // of each host
};

}  // namespace

ScaleScript make_scale_script(const ScalePlan& plan) { return Author{plan}.write(); }

ScaleReport run_scale(const ScalePlan& plan, const std::function<void(World&)>& at_plateau) {
  const ScaleScript made = make_scale_script(plan);
  ScaleReport report;
  report.neighbours = made.neighbours;
  report.lists = made.lists;
  report.plateau = plan.plateau;
  // Every fifth of a lease, less a random part of up to an eighth of that.
  report.refreshes = static_cast<double>(plan.plateau.count()) / (static_cast<double>(plan.lease.count()) / 5 * 15 / 16);
  World world{made.script};
  world.run_until(made.set_up);
  report.setting_up = world.watch().signals();
  world.run_until(made.standing);
  report.standing = world.watch().signals() - report.setting_up;
  for (const Channel& c : world.applications().channels()) {
    if (c.state == Channel::State::unknown) continue;
    ++report.asked;
    if (c.state != Channel::State::created) continue;
    report.setup_times.push_back(c.created_at - c.asked_at);
    if (!c.source_left && !c.sink_left && c.accepted) ++report.open_at_once;
    report.hops += world.routes().way(c.from_host, c.to_host).size() - 1;
  }
  std::ranges::sort(report.setup_times);
  if (at_plateau) at_plateau(world);
  const SignalTally before = world.watch().signals();
  world.run_until(made.given_back);
  report.giving_back = world.watch().signals() - before;
  report.outcome = world.run();
  return report;
}

}  // namespace rtchan::sim
