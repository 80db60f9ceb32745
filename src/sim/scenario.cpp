#include "sim/scenario.hpp"

#include <algorithm>

#include "rtcop/random.hpp"

namespace rtchan::sim {
namespace {

using rtcop::Random;

class Author {
 public:
  Author(const Sketch& sketch, std::uint64_t seed) : sketch_(sketch), random_(seed ^ 0x5ce0a7105ULL), seed_(seed) {}

  Script write() {
    settings();
    network();
    applications();
    history();
    std::ranges::stable_sort(script_, {}, [](const Deed& d) { return d.timeless() ? Duration{-1} : d.at; });
    return std::move(script_);
  }

 private:
  std::int64_t in(const Span& s) { return s.least + static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(s.most - s.least + 1))); }
  std::uint32_t below(std::size_t n) { return static_cast<std::uint32_t>(random_.below(n)); }
  bool percent(std::uint32_t p) { return random_.below(100) < p; }
  // Small values as likely as large ones.
  std::int64_t even(const Span& s) { return percent(50) ? in(s) : in({s.least, s.least + (s.most - s.least) / 10}); }
  Deed& add(Verb verb) { return script_.emplace_back(Duration{0}, verb); }
  Deed& add(Duration at, Verb verb) { return script_.emplace_back(at, verb); }
  static Duration us(std::int64_t n) { return std::chrono::microseconds{n}; }

  void settings() {
    add(Verb::settings)
        .set("seed", static_cast<std::int64_t>(seed_))
        .set("lease_ms", in(sketch_.lease_ms))
        .set("workers", percent(sketch_.workers_percent) ? 1 : 0)
        .set("busy_permille", percent(25) ? 1'000 : in({0, 900}))
        .set("settle_ms", 11'500);
  }

  void network() {
    if (sketch_.links.empty()) {
      hosts_ = static_cast<std::uint32_t>(in(sketch_.hosts));
      joints_ = joints(sketch_.shapes[below(sketch_.shapes.size())], hosts_, random_);
    }
    for (const FixedLink& link : sketch_.links) {
      joints_.push_back(link.joint);
      hosts_ = std::max({hosts_, link.joint.a + 1, link.joint.b + 1});
    }
    const std::int64_t rate = even(sketch_.rate_kbit);
    for (std::uint32_t l = 0; l < joints_.size(); ++l) {
      Deed& link = add(Verb::link);
      link.set("link", l).set("a", joints_[l].a).set("b", joints_[l].b);
      link.set("rate_kbit", percent(70) ? rate : even(sketch_.rate_kbit)).set("delay_us", even(sketch_.link_delay_us));
      if (!sketch_.links.empty()) link.set("rate_kbit", sketch_.links[l].rate_kbit).set("delay_us", sketch_.links[l].delay_us);
      if (percent(20)) link.set("horizon_us", in({0, 2'000}));
    }
    for (std::uint32_t h = 0; h < hosts_; ++h) {
      add(Verb::host).set("host", h).set("control_us", in({5, 300}));
    }
  }

  void applications() {
    for (std::uint32_t h = 0; h < hosts_; ++h) {
      for (std::int64_t n = in(sketch_.applications); n > 0; --n) start(h, us(0));
    }
  }

  void start(std::uint32_t host, Duration at) {
    const std::uint32_t mood = percent(88) ? 0 : 1 + below(2);
    add(at, Verb::start).set("app", static_cast<std::int64_t>(apps_.size())).set("host", host).set("uid", 1'000 + below(3)).set("mood", mood);
    apps_.push_back(host);
  }

  void history() {
    const std::int64_t setups = in(sketch_.setups);
    const std::int64_t gap = in(sketch_.setup_gap_us);
    Duration at = us(1'000);
    while (channels_ < setups) {
      const std::int64_t crowd = percent(10) ? std::min<std::int64_t>(setups - channels_, 2 + below(10)) : 1;
      create(at, crowd);
      if (percent(30)) destroy(at + us(in({0, 60'000})));
      at += us(percent(20) ? in({0, 4 * gap}) : in({0, gap}));
    }
    const auto end = std::max<std::int64_t>(at / us(1), 50'000);
    for (std::int64_t n = in(sketch_.faults); n > 0; --n) fault(end);
  }

  void create(Duration at, std::int64_t crowd) {
    const std::uint32_t from = below(apps_.size());
    std::uint32_t to = below(apps_.size());
    while (apps_[to] == apps_[from]) to = (to + 1) % static_cast<std::uint32_t>(apps_.size());
    const std::int64_t period = percent(10) ? in({200, 2'000}) : in({2'000, 50'000});
    const std::int64_t burst = percent(60) ? 1 : in({2, 5});
    Deed& c = add(at, Verb::create);
    c.set("channel", channels_).set("from", from).set("to", to).set("crowd", crowd);
    c.set("best_effort", percent(sketch_.best_effort_percent) ? 1 : 0).set("refuse", percent(15) ? 1 : 0);
    c.set("period_us", period).set("burst", burst).set("bytes", percent(80) ? in({16, 1'300}) : in({16, 12'000}));
    c.set("delay_us", percent(10) ? in({100, 5'000}) : in({5'000, 150'000})).set("patience_ms", in({5, 5'000}));
    // Half keep their contract to the letter, some less than that, some do not keep it.
    const std::int64_t pace = percent(50) ? period : percent(60) ? 2 * period : period / 3 + 1;
    c.set("messages", in(sketch_.messages)).set("every_us", burst > 1 && percent(50) ? pace * burst : pace);
    c.set("at_once", burst > 1 ? in({1, burst}) : 1);
    channels_ += crowd;
  }

  void destroy(Duration at) {
    add(at, Verb::destroy).set("channel", in({0, channels_ - 1})).set("receiver", below(2));
  }

  // Some time in the first nine tenths of the history, for a while.
  void fault(std::int64_t end) {
    const Duration at = us(in({0, end * 9 / 10}));
    const Duration until = at + us(percent(50) ? in({1'000, 100'000}) : in({1'000, 1'500'000}));
    const std::string& kind = sketch_.kinds[below(sketch_.kinds.size())];
    const std::uint32_t host = below(hosts_);
    const Joint& link = joints_[below(joints_.size())];
    const bool back = percent(50);
    const std::uint32_t a = back ? link.b : link.a, b = back ? link.a : link.b;
    if (kind == "loss") {
      wire(at, until, a, b, {{"loss_ppm", even({10'000, 350'000})}});
    } else if (kind == "corruption") {
      wire(at, until, a, b, {{"corrupt_ppm", even({10'000, 350'000})}});
    } else if (kind == "duplication") {
      wire(at, until, a, b, {{"double_ppm", even({10'000, 1'000'000})}, {"copies", in({1, 3})}});
    } else if (kind == "reordering") {
      wire(at, until, a, b, {{"hold_ppm", in({10'000, 500'000})}, {"hold_us", even({100, 8'000})}});
    } else if (kind == "partition" || kind == "one_way") {
      add(at, Verb::cut).set("from", a).set("to", b);
      add(until, Verb::mend).set("from", a).set("to", b);
      if (kind == "one_way") return;
      add(at, Verb::cut).set("from", b).set("to", a);
      add(until, Verb::mend).set("from", b).set("to", a);
    } else if (kind == "crash" || kind == "restart") {
      add(at, Verb::crash).set("host", host);
      const Duration back_at = kind == "restart" ? at + us(in({0, 50'000})) : until;
      add(back_at, Verb::boot).set("host", host);
      start(host, back_at + us(100));
    } else if (kind == "stall") {
      add(at, Verb::stall).set("host", host).set("for_us", percent(70) ? in({500, 60'000}) : in({60'000, 1'000'000}));
    } else if (kind == "memory") {
      add(at, Verb::memory).set("host", host).set("fails_percent", in({10, 100}));
      add(until, Verb::memory).set("host", host);
    } else if (kind == "void") {
      add(at, Verb::void_link).set("host", a).set("neighbour", b);
      add(until, Verb::restore).set("host", a).set("neighbour", b);
    } else if (kind == "kill") {
      add(at, Verb::kill).set("app", below(apps_.size()));
    } else if (kind == "shut_down") {
      add(at, Verb::shut_down).set("host", host);
      add(until, Verb::crash).set("host", host);
      add(until + us(1'000), Verb::boot).set("host", host);
      start(host, until + us(1'100));
    } else if (kind == "drift") {
      for (Deed& deed : script_) {
        if (deed.verb == Verb::host && percent(70)) deed.set("drift_ppb", in({-100'000, 100'000}));
      }
    }
  }

  void wire(Duration at, Duration until, std::uint32_t a, std::uint32_t b,
            std::initializer_list<std::pair<std::string_view, std::int64_t>> values) {
    Deed& deed = add(at, Verb::faults).set("from", a).set("to", b);
    for (const auto& [key, value] : values) deed.set(key, value);
    add(until, Verb::mend).set("from", a).set("to", b);
  }

  const Sketch& sketch_;
  Random random_;
  std::uint64_t seed_;
  Script script_;
  std::uint32_t hosts_ = 0;
  std::vector<Joint> joints_;
  std::vector<std::uint32_t> apps_;  // their hosts
  std::int64_t channels_ = 0;
};

}  // namespace

Script make_script(const Sketch& sketch, std::uint64_t seed) { return Author{sketch, seed}.write(); }

}  // namespace rtchan::sim
