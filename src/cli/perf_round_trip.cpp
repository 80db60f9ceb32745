// rtc perf --round-trip: how long a message takes there and back, how many go through, and where the time goes; beside
// plain UDP, in turns, if asked.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "cli/patience.hpp"
#include "cli/perf/comparison.hpp"
#include "cli/perf/report.hpp"
#include "cli/perf_ends.hpp"
#include "cli/udp_peer.hpp"

namespace rtchan::cli {

namespace {

constexpr Duration measure_for = std::chrono::milliseconds{300};  // a rate or a series of round trips, in each round
constexpr Duration answer_within = std::chrono::seconds{1};
constexpr std::uint32_t setting_up = 50;  // round trips before the first that counts
// Paced round trips keep clear of their contract: at exactly its rate every jitter of the caller would be held back, and
// the policing would be measured, not the way.
constexpr double pace_of_contract = 0.8;
constexpr double rate_if_unanswered = 0.4;  // there and back may share a processor

// The five parts of a round trip, when both ends read the same clock.
struct Parts {
  std::array<Histogram, 5> of;
  static constexpr std::array names{"hand-over to readable there", "readable to read there", "the responder's turn",
                                    "hand-back to readable here", "readable to read here"};
  void add(const RoundTrip& t) {
    of[0].add(t.there.readable - t.handed_over);
    of[1].add(t.there.read - t.there.readable);
    of[2].add(t.there.handed_back - t.there.read);
    of[3].add(t.readable - t.there.handed_back);
    of[4].add(t.read - t.readable);
  }
};

// The figures of one message size.
struct Size {
  std::uint32_t bytes;
  Comparison paced_p50;
  Comparison paced_p99;
  Comparison back_to_back;
  Comparison rate;
  Parts paced_parts{};
  Parts back_to_back_parts{};
};

Size size_of(std::uint32_t bytes, double pace) {
  using enum Comparison::Unit;
  const std::string what = format_bytes(bytes);
  return {bytes,
          {fmt::format("{} round trip, {}, guaranteed, p50", what, format_rate(pace)), nanoseconds},
          {fmt::format("{} round trip, {}, guaranteed, p99", what, format_rate(pace)), nanoseconds},
          {fmt::format("{} round trip, back to back, best effort, p50", what), nanoseconds},
          {fmt::format("{} delivered, best effort", what), per_second}};
}

class Course {
 public:
  Course(const PerfOptions& options, Session& session, Console& console)
      : options_(options), session_(session), console_(console) {}

  std::expected<void, Error> run() {
    std::vector<std::uint32_t> bytes{128, 1024, 30'000};
    if (!options_.sizes.empty()) bytes = options_.sizes;
    for (const std::uint32_t b : bytes) {
      if (auto done = measure(std::max(b, echo_bytes)); !done) return done;
    }
    return {};
  }

  void report() const {
    std::vector<Comparison> all;
    nlohmann::json list = nlohmann::json::array();
    for (const Size& s : sizes_) {
      for (const Comparison* c : {&s.paced_p50, &s.paced_p99, &s.back_to_back, &s.rate}) {
        if (c->ours.empty()) continue;
        all.push_back(*c);
        list.push_back(to_json(*c));
      }
    }
    console_.line(comparison_table(all));
    for (const Size& s : sizes_) {
      console_.line(where_time_goes(s.bytes, "guaranteed", s.paced_parts));
      console_.line(where_time_goes(s.bytes, "best effort, back to back", s.back_to_back_parts));
    }
    console_.object({{"comparisons", list}, {"where_time_goes", parts_json()}, {"spin_ns", options_.spin.count()}});
  }

 private:
  // A contract for the round trips of one size. If the one asked for is refused, the hint is followed once.
  std::expected<Conversation, Error> guaranteed(std::uint32_t bytes, double& pace) {
    Qos qos{.max_rate = options_.contract.rate, .max_burst = options_.contract.burst, .max_message_bytes = bytes,
            .max_delay = options_.contract.delay};
    auto made = call(session_, options_.to, qos, std::chrono::seconds{5}, extensions_of(options_.contract));
    if (!made && made.error().code == Errc::timed_out) {
      qos.max_rate *= rate_if_unanswered;
      console_.note(fmt::format("{}; trying {}", sentence(made.error()), describe(qos)));
      made = call(session_, options_.to, qos, std::chrono::seconds{5}, extensions_of(options_.contract));
    } else if (!made && made.error().code == Errc::refused) {
      const Refusal& hint = made.error().refusal;
      if (hint.fitting_delay > Duration{0}) {
        qos.max_delay = hint.fitting_delay * 3 / 2;
      } else if (hint.fitting_rate > 1) {
        qos.max_rate = hint.fitting_rate * rate_if_unanswered;
      } else {
        return made;
      }
      console_.note(fmt::format("not admitted as asked ({}); taking {}", sentence(made.error()), describe(qos)));
      made = call(session_, options_.to, qos, std::chrono::seconds{5}, extensions_of(options_.contract));
    }
    pace = qos.max_rate * pace_of_contract;
    return made;
  }

  std::expected<void, Error> measure(std::uint32_t bytes) {
    // First: it is never refused, and the responder stays while somebody talks to it.
    auto loose = call(session_, options_.to, {.service = ServiceClass::best_effort, .max_burst = 64, .max_message_bytes = bytes},
                      std::chrono::seconds{5});
    if (!loose) return std::unexpected(loose.error());
    double pace = 0;
    auto promised = guaranteed(bytes, pace);
    if (!promised) return std::unexpected(promised.error());
    std::optional<UdpCaller> udp;
    if (options_.beside_udp) {
      auto made = UdpCaller::connect(promised->out.peer());
      if (!made) return std::unexpected(made.error());
      udp.emplace(*std::move(made));
    }
    Size& size = sizes_.emplace_back(size_of(bytes, pace));
    for (std::uint32_t i = 0; i < setting_up; ++i) {
      const auto trip = round_trip(*loose, sequence_++, bytes, answer_within);
      if (!trip && trip.error().code != Errc::timed_out) return std::unexpected(trip.error());
      if (udp) static_cast<void>(udp->round_trip(sequence_++, bytes, answer_within));
    }
    for (std::uint32_t round = 0; round < options_.rounds && !interrupted(); ++round) {
      console_.progress(fmt::format("{}: round {} of {}", format_bytes(bytes), round + 1, options_.rounds));
      if (const auto done = one_round(size, *promised, *loose, udp, pace); !done) return done;
    }
    return {};
  }

  std::expected<void, Error> one_round(Size& size, Conversation& promised, Conversation& loose, std::optional<UdpCaller>& udp,
                                       double pace) {
    const Duration gap{std::llround(1e9 / pace)};
    const auto ours = [&](Conversation& c, Parts& parts) {
      return [&](std::uint64_t sequence) -> std::expected<Duration, Error> {
        const auto trip = round_trip(c, sequence, size.bytes, answer_within);
        if (!trip) return std::unexpected(trip.error());
        if (trip->there.clock == clock_identity()) parts.add(*trip);
        return trip->read - trip->handed_over;
      };
    };
    const auto theirs = [&](std::uint64_t sequence) { return udp->round_trip(sequence, size.bytes, answer_within); };

    const auto paced = series(ours(promised, size.paced_parts), gap);
    if (!paced) return std::unexpected(paced.error());
    note(size.paced_p50.ours, size.paced_p99.ours, *paced);
    if (udp) {
      const auto plain = series(theirs, gap);
      if (!plain) return std::unexpected(plain.error());
      note(size.paced_p50.theirs, size.paced_p99.theirs, *plain);
    }
    const auto tight = series(ours(loose, size.back_to_back_parts), Duration{0});
    if (!tight) return std::unexpected(tight.error());
    size.back_to_back.ours.push_back(median(*tight));
    if (udp) {
      const auto plain = series(theirs, Duration{0});
      if (!plain) return std::unexpected(plain.error());
      size.back_to_back.theirs.push_back(median(*plain));
    }
    const auto burst_here = burst(loose, ++test_, size.bytes, measure_for);
    if (!burst_here) return std::unexpected(burst_here.error());
    size.rate.ours.push_back(burst_here->received_per_second);
    if (udp) {
      const auto burst_udp = udp->burst(++test_, size.bytes, measure_for);
      if (!burst_udp) return std::unexpected(burst_udp.error());
      size.rate.theirs.push_back(burst_udp->received_per_second);
    }
    return {};
  }

  // Round trips for a while, one every `gap`; those without answer count as the time that was waited.
  template <class Trip>
  std::expected<Histogram, Error> series(Trip&& trip, Duration gap) {
    Histogram times;
    const Instant start = RawClock::now();
    Instant next = start;
    while (RawClock::now() - start < measure_for && !interrupted()) {
      const auto time = trip(sequence_++);
      if (!time && time.error().code != Errc::timed_out) return std::unexpected(time.error());
      times.add(time ? *time : answer_within);
      next += gap;
      if (gap > Duration{0}) wait_readable({}, next - RawClock::now());
    }
    return times;
  }

  static double median(const Histogram& h) { return static_cast<double>(h.quantile(0.5).count()); }
  static void note(std::vector<double>& p50, std::vector<double>& p99, const Histogram& h) {
    p50.push_back(median(h));
    p99.push_back(static_cast<double>(h.quantile(0.99).count()));
  }

  static std::string where_time_goes(std::uint32_t bytes, const std::string& how, const Parts& parts) {
    if (parts.of[0].count() == 0) return fmt::format("{}, {}: the parts cannot be told: two clocks", format_bytes(bytes), how);
    std::string text = fmt::format("{}, {}: where the time goes, p50 (p99):", format_bytes(bytes), how);
    for (std::size_t i = 0; i < parts.of.size(); ++i) {
      text += fmt::format("{} {} {} ({})", i == 0 ? "" : ",", Parts::names[i], format_duration(parts.of[i].quantile(0.5)),
                          format_duration(parts.of[i].quantile(0.99)));
    }
    return text;
  }

  [[nodiscard]] nlohmann::json parts_json() const {
    nlohmann::json list = nlohmann::json::array();
    for (const Size& s : sizes_) {
      for (std::size_t i = 0; i < s.paced_parts.of.size(); ++i) {
        list.push_back({{"bytes", s.bytes},
                        {"part", Parts::names[i]},
                        {"guaranteed", to_json(s.paced_parts.of[i])},
                        {"best_effort", to_json(s.back_to_back_parts.of[i])}});
      }
    }
    return list;
  }

  const PerfOptions& options_;
  Session& session_;
  Console& console_;
  std::vector<Size> sizes_;
  std::uint64_t sequence_ = 1;
  std::uint32_t test_ = 0;
};

}  // namespace

ExitStatus perf_round_trip(const PerfOptions& options, Console& console) {
  if (const auto qos = qos_of(options.contract); !qos) return console.fail(ExitStatus::usage, qos.error());
  auto session = open_session(options.common, options.spin);
  if (!session) return no_session(console, session.error());
  Course course(options, *session, console);
  const auto done = course.run();
  course.report();
  if (!done) return console.fail("measuring round trips to " + options.to, done.error());
  return ExitStatus::ok;
}

}  // namespace rtchan::cli
