#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/text.hpp"
#include "cli/inbox.hpp"
#include "cli/patience.hpp"
#include "cli/perf/payload.hpp"
#include "cli/perf/report.hpp"
#include "cli/perf_ends.hpp"
#include "cli/responder.hpp"
#include "cli/udp_peer.hpp"

namespace rtchan::cli {

namespace {

// One line a message, flushed a few times a second for whoever reads along.
class MessageLog {
 public:
  static std::expected<MessageLog, Error> open(const std::string& path) {
    MessageLog log;
    if (path.empty()) return log;
    log.file_.reset(std::fopen(path.c_str(), "we"));
    if (!log.file_) return std::unexpected(Error{Errc::system, "cannot write " + path, {}});
    fmt::print(log.file_.get(), "stream,sequence,bytes,intended_ns,handover_ns,readable_ns,delay_ns,received_ns\n");
    return log;
  }
  // Best effort has no delay from logical arrival: 0.
  void write(std::uint64_t stream, const Arrival& a) {
    if (!file_) return;
    const auto ns = [](Instant at) { return at.time_since_epoch().count(); };
    fmt::print(file_.get(), "{},{},{},{},{},{},{},{}\n", stream, a.sequence, a.bytes, ns(a.intended), ns(a.handed_over),
               ns(a.readable), a.from_logical.value_or(Duration{0}).count(), ns(a.read));
  }
  void flush() {
    if (file_) std::fflush(file_.get());
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
};

class PerfReceiver {
 public:
  PerfReceiver(const PerfOptions& options, Console& console, MessageLog log)
      : options_(options), console_(console), log_(std::move(log)) {}

  ExitStatus run(Session& session, Listener& listener) {
    Responder responder(session, console_);
    Inbox inbox(session, listener,
                {.opened = [this](std::uint64_t key, Channel& channel) { opened(key, channel); },
                 .message =
                     [&](std::uint64_t key, const ReceiveLoan& message) {
                       if (!take(key, message) && responder.greet(inbox, key, message)) streams_.erase(key);
                     },
                 .ended = [this](std::uint64_t key, const Error& why) { ended(key, why); }});
    while (!over(inbox, responder)) {
      if (const auto turned = inbox.turn(std::chrono::milliseconds{50}); !turned) {
        report();
        return console_.fail("receiving", turned.error());
      }
      beat();
    }
    return report();
  }

 private:
  struct Stream {
    std::uint32_t number = 0;  // the sender's own
    std::string source;
    Tally tally;
    std::optional<Error> broken{};
    Summary before{};          // at the last progress line
  };

  bool over(const Inbox& inbox, const Responder& responder) const {
    if (interrupted() || messages_ >= options_.count) return true;
    if (options_.duration && first_ && RawClock::now() - *first_ >= *options_.duration) return true;
    return first_ && inbox.open() == 0 && responder.talking() == 0 && !options_.keep;
  }

  void opened(std::uint64_t key, const Channel& channel) {
    if (!first_) first_ = RawClock::now();
    streams_.emplace(key, std::make_unique<Stream>(Stream{0, channel.peer().text(), Tally(channel.qos())}));
    if (streams_.size() <= streams_shown) {
      console_.note(fmt::format("channel from {}: {}", channel.peer().text(), describe(channel.qos())));
    }
  }

  // False: not a load message; a hello perhaps.
  bool take(std::uint64_t key, const ReceiveLoan& message) {
    const Instant read = RawClock::now();
    Stream& stream = *streams_.at(key);
    const auto payload = read_payload(message.bytes());
    if (payload && payload->kind == PayloadKind::hello) return false;
    if (!payload) {
      stream.tally.add_damaged();
      return true;
    }
    stream.number = payload->stream;
    if (payload->kind == PayloadKind::end) {
      stream.tally.finish(payload->sequence);
      return true;
    }
    ++messages_;
    const Arrival arrival{.stream = payload->stream,
                          .sequence = payload->sequence,
                          .bytes = static_cast<std::uint32_t>(message.bytes().size()),
                          .intended = payload->intended,
                          .handed_over = payload->handed_over,
                          .readable = Instant{message.readable()},
                          .read = read,
                          .from_logical = message.delay(),
                          .same_clock = comparable(payload->clock)};
    stream.tally.add(arrival);
    log_.write(key, arrival);
    return true;
  }

  bool comparable(std::uint64_t clock) {
    const bool same = clock != 0 && clock == clock_;
    foreign_clock_ = foreign_clock_ || !same;
    return same || options_.clocks_synchronised;
  }

  void ended(std::uint64_t key, const Error& why) {
    const auto stream = streams_.find(key);
    if (stream != streams_.end() && why.code != Errc::peer_closed && why.code != Errc::closed) stream->second->broken = why;
  }

  void beat() {
    const Instant now = RawClock::now();
    if (flush_.due(now)) log_.flush();
    if (!first_ || !metronome_.due(now)) return;
    const double seconds = std::chrono::duration<double>(now - *first_).count();
    nlohmann::json list = nlohmann::json::array();
    double rate = 0;
    double bits = 0;
    std::uint64_t lost = 0;
    std::uint64_t late = 0;
    Duration worst{};
    for (auto& [key, stream] : streams_) {
      const Summary s = stream->tally.summary();
      const auto messages = static_cast<double>(s.received - stream->before.received);
      const auto bytes = static_cast<double>(s.bytes - stream->before.bytes);
      const Duration worst_here = stream->tally.delays().from_logical.max();
      if (options_.progress_json) {
        list.push_back({{"stream", stream->number}, {"messages_per_second", messages}, {"bits_per_second", bytes * 8},
                        {"received", s.received}, {"lost", s.lost}, {"late", s.late}, {"worst_ns", worst_here.count()}});
      }
      stream->before = s;
      rate += messages;
      bits += bytes * 8;
      lost += s.lost;
      late += s.late;
      worst = std::max(worst, worst_here);
    }
    console_.progress(fmt::format("{:.0f} s: {} streams, {}, {}, {} lost, {} late, worst {}", seconds, streams_.size(),
                                  format_rate(rate), format_bit_rate(static_cast<std::uint64_t>(bits)), lost, late,
                                  format_duration(worst)));
    if (options_.progress_json) console_.object({{"progress", seconds}, {"streams", list}});
  }

  ExitStatus report() {
    log_.flush();
    const Clocks clocks = !foreign_clock_ ? Clocks::same_host
                          : options_.clocks_synchronised ? Clocks::synchronised
                                                         : Clocks::apart;
    std::vector<ReceivedStream> received;
    bool all_kept = true;
    nlohmann::json list = nlohmann::json::array();
    for (const auto& [key, stream] : streams_) {
      received.push_back({stream->number, stream->source, stream->tally.summary(), &stream->tally.delays()});
      all_kept = all_kept && kept(received.back().summary) && !stream->broken;
      list.push_back(to_json(received.back(), clocks));
      if (stream->broken) list.back()["broken"] = sentence(*stream->broken);
    }
    console_.object({{"clocks", sentence(clocks)}, {"kept", all_kept}, {"streams", list}});
    if (received.empty()) return ExitStatus::ok;  // it answered round trips only, or was ended before anybody came
    console_.line(received_report(received, clocks));
    for (const auto& [key, stream] : streams_) {
      if (stream->broken) return console_.fail(fmt::format("stream {} from {}", stream->number, stream->source), *stream->broken);
    }
    return all_kept ? ExitStatus::ok : ExitStatus::failed;
  }

  const PerfOptions& options_;
  Console& console_;
  MessageLog log_;
  std::uint64_t clock_ = clock_identity();
  bool foreign_clock_ = false;
  std::map<std::uint64_t, std::unique_ptr<Stream>> streams_;
  std::uint64_t messages_ = 0;
  std::optional<Instant> first_;
  Metronome metronome_;
  Metronome flush_{std::chrono::milliseconds{200}};
};

}  // namespace

ExitStatus perf_receive(const PerfOptions& options, Console& console) {
  auto log = MessageLog::open(options.log);
  if (!log) return console.fail("--log", log.error());
  auto session = open_session(options.common, options.spin);
  if (!session) return no_session(console, session.error());
  auto listener = session->listen(*options.listen);
  if (!listener) return console.fail(fmt::format("cannot listen on port {}", *options.listen), listener.error());
  std::optional<UdpResponder> udp;
  if (options.beside_udp) {
    auto made = UdpResponder::start(listener->port());
    if (!made) return console.fail("answering over plain UDP", made.error());
    udp.emplace(*std::move(made));
  }
  console.note(fmt::format("listening on port {}", listener->port()));
  return PerfReceiver(options, console, *std::move(log)).run(*session, *listener);
}

}  // namespace rtchan::cli
