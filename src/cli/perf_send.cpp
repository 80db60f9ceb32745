#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <array>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "cli/patience.hpp"
#include "cli/perf/payload.hpp"
#include "cli/perf/report.hpp"
#include "cli/perf_ends.hpp"

namespace rtchan::cli {

namespace {

// While a stream waits for room, how long until it asks again even if nobody says that there is some.
constexpr Duration ask_again = std::chrono::microseconds{500};
// `end` messages of a stream: any of them will do, in case one is lost.
constexpr int end_messages = 3;

// Messages of all streams, on channels of one session.
class ChannelOutlet : public Outlet {
 public:
  ChannelOutlet(std::vector<Channel> channels, bool check_filler)
      : channels_(std::move(channels)), check_filler_(check_filler) {}

  void start_at(Instant start) noexcept { start_ = start; }

  Result offer(std::uint32_t stream, const Schedule::Due& due) override {
    auto message = channels_[stream].loan(due.bytes, no_wait);
    if (!message) return result_of(message.error());
    if (check_filler_) std::memset(message->bytes().data(), static_cast<int>(due.sequence & 0xff), due.bytes);
    write_payload({.filler_checked = check_filler_,
                   .stream = stream,
                   .sequence = due.sequence,
                   .intended = start_ + due.intended,
                   .handed_over = RawClock::now(),
                   .clock = clock_},
                  message->bytes());
    const auto sent = message->commit();
    return sent ? Result::taken : result_of(sent.error());
  }

  // Says on every channel how many messages it carried, then closes it.
  void finish(const std::vector<StreamCounts>& counts) {
    for (int round = 0; round < end_messages && !interrupted(); ++round) {
      if (round > 0) wait_readable({}, std::chrono::milliseconds{20});
      for (std::uint32_t s = 0; s < channels_.size(); ++s) {
        if (counts[s].broken) continue;
        std::array<std::byte, payload_bytes> end{};
        write_payload({.kind = PayloadKind::end, .stream = s, .sequence = counts[s].handed_over, .clock = clock_}, end);
        static_cast<void>(send(channels_[s], end, drain_time(channels_[s].qos())));
      }
    }
    for (Channel& channel : channels_) {
      if (const auto closed = channel.close(); !closed && broken_because_.empty()) broken_because_ = sentence(closed.error());
    }
  }

  [[nodiscard]] const std::string& broken_because() const noexcept { return broken_because_; }

 private:
  // A full buffer needs so long to make room, at the contracted rate.
  static Duration drain_time(const Qos& qos) {
    const double burst = qos.max_rate > 0 ? qos.max_burst / qos.max_rate : 0;
    return qos.max_delay + Duration{static_cast<std::int64_t>(std::min(burst, 60.0) * 1e9)} + std::chrono::seconds{2};
  }

  Result result_of(const Error& error) {
    if (error.code == Errc::would_block || error.code == Errc::timed_out) return Result::full;
    if (error.code == Errc::contract_exceeded) return Result::refused;
    broken_because_ = sentence(error);
    return Result::broken;
  }

  std::vector<Channel> channels_;
  bool check_filler_;
  std::uint64_t clock_ = clock_identity();
  Instant start_{};
  std::string broken_because_;
};

// The clock and the sleeping around the generator, which has neither.
class LoadRun {
 public:
  LoadRun(const PerfOptions& options, Session& session, LoadGenerator& generator, ChannelOutlet& outlet, Console& console)
      : options_(options), session_(session), generator_(generator), outlet_(outlet), console_(console) {}

  // Returns how long it lasted.
  Duration run(Duration length) {
    start_ = RawClock::now();
    outlet_.start_at(start_);
    while (!interrupted() && session_.alive()) {
      const Duration now = RawClock::now() - start_;
      if (now >= length) break;
      const LoadGenerator::Next next = generator_.step(now);
      if (next.finished && nothing_to_wait_for()) break;
      show_progress();
      if (next.wake > now) sleep_until(std::min(next.wake, length), next.blocked);
    }
    const Duration lasted = std::min(RawClock::now() - start_, length);
    generator_.stop(lasted);
    return lasted;
  }

  [[nodiscard]] std::uint64_t violations() const noexcept { return violations_; }

 private:
  // A run by time lasts its time, even if its schedule ends with a pause: the channels stay open.
  [[nodiscard]] bool nothing_to_wait_for() const {
    const auto& counts = generator_.counts();
    return options_.count != UINT64_MAX || std::all_of(counts.begin(), counts.end(), [](const auto& c) { return c.broken; });
  }

  void sleep_until(Duration wake, bool blocked) {
    Duration wait = std::min<Duration>(wake - (RawClock::now() - start_), patience_slice);
    if (blocked) wait = std::min(wait, ask_again);
    if (wait <= Duration{0}) return;
    if (blocked) {
      const std::array descriptors{session_.fd()};
      wait_readable(descriptors, wait);
      std::array<ReadyChannel, 64> ready;  // which channel has room does not matter: the generator asks all that wait
      static_cast<void>(session_.ready(ready));
    } else {
      wait_readable({}, wait);
    }
    while (const auto notice = session_.next_notice()) {
      violations_ += notice->kind == Notice::Kind::contract_violated ? 1 : 0;
    }
  }

  void show_progress() {
    const Instant now = RawClock::now();
    if (!metronome_.due(now)) return;
    std::uint64_t offered = 0;
    std::uint64_t handed_over = 0;
    for (const StreamCounts& c : generator_.counts()) {
      offered += c.offered;
      handed_over += c.handed_over;
    }
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const auto rate = [](std::uint64_t a, std::uint64_t b) { return format_rate(static_cast<double>(a - b)); };
    console_.progress(fmt::format("{:.0f} s: {} offered, {} handed over", seconds, rate(offered, offered_before_),
                                  rate(handed_over, handed_over_before_)));
    if (options_.progress_json) {
      console_.object({{"progress", seconds}, {"offered_so_far", offered}, {"handed_over_so_far", handed_over}});
    }
    offered_before_ = offered;
    handed_over_before_ = handed_over;
  }

  const PerfOptions& options_;
  Session& session_;
  LoadGenerator& generator_;
  ChannelOutlet& outlet_;
  Console& console_;
  Metronome metronome_;
  Instant start_{};
  std::uint64_t violations_ = 0;
  std::uint64_t offered_before_ = 0;
  std::uint64_t handed_over_before_ = 0;
};

std::expected<std::vector<Channel>, Error> open_channels(Session& session, const PerfOptions& options, const Qos& qos) {
  const ConnectOptions connect{.policing = options.contract.refuse_excess ? Policing::refuse : Policing::shape,
                               .extensions = extensions_of(options.contract)};
  std::vector<Channel> channels;
  for (std::uint32_t i = 0; i < options.streams && !interrupted(); ++i) {
    auto channel = session.connect(options.to, qos, connect);
    if (!channel) {
      Error error = channel.error();
      if (options.streams > 1) error.text = fmt::format("channel {} of {}: {}", i + 1, options.streams, error.text);
      return std::unexpected(error);
    }
    channels.push_back(*std::move(channel));
  }
  return channels;
}

// The sizes that fit the contract, or which one does not.
std::expected<std::vector<std::uint32_t>, std::string> sizes_of(const PerfOptions& options) {
  if (options.contract.bytes < payload_bytes) {
    return std::unexpected(fmt::format("--size: at least {} bytes are needed to measure", payload_bytes));
  }
  if (options.sizes.empty()) return std::vector{options.contract.bytes};
  const std::uint32_t largest = *std::max_element(options.sizes.begin(), options.sizes.end());
  if (largest > options.contract.bytes) {
    return std::unexpected(fmt::format("--sizes: {} bytes are more than --size allows ({})", largest, options.contract.bytes));
  }
  return options.sizes;
}

}  // namespace

ExitStatus perf_send(const PerfOptions& options, Console& console) {
  const auto qos = qos_of(options.contract);
  if (!qos) return console.fail(ExitStatus::usage, qos.error());
  const auto sizes = sizes_of(options);
  if (!sizes) return console.fail(ExitStatus::usage, sizes.error());
  auto session = open_session(options.common, options.spin);
  if (!session) return no_session(console, session.error());
  auto channels = open_channels(*session, options, *qos);
  if (!channels) return console.fail(fmt::format("cannot open a channel to {} ({})", options.to, describe(*qos)), channels.error());

  const Duration length = options.duration.value_or(options.count == UINT64_MAX ? Duration{std::chrono::seconds{10}} : Duration::max());
  const ScheduleOptions schedule{.rate = options.contract.rate,
                                 .at_once = options.at_once,
                                 .offer = options.offer,
                                 .sizes = *sizes,
                                 .duration = length,
                                 .count = options.count};
  ChannelOutlet outlet(*std::move(channels), options.check_filler);
  LoadGenerator generator(std::vector(options.streams, Schedule(schedule)), outlet, options.when_full);
  LoadRun run(options, *session, generator, outlet, console);
  const double seconds = std::chrono::duration<double>(run.run(length)).count();
  outlet.finish(generator.counts());

  nlohmann::json streams = nlohmann::json::array();
  for (const StreamCounts& counts : generator.counts()) streams.push_back(to_json(counts, seconds));
  console.object({{"seconds", seconds}, {"contract", to_json(*qos)}, {"violation_notices", run.violations()}, {"streams", streams}});
  console.line(fmt::format("to {}, {}: {:.3f} s", options.to, describe(*qos), seconds));
  console.line(sent_report(generator.counts(), seconds));
  if (!session->alive()) return console.fail(ExitStatus::unavailable, "rtcd went away");
  if (!outlet.broken_because().empty()) return console.fail(ExitStatus::failed, outlet.broken_because());
  return ExitStatus::ok;
}

}  // namespace rtchan::cli
