#include "cli/common/console.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/text.hpp"

namespace rtchan::cli {

namespace {

volatile std::sig_atomic_t interrupt_seen = 0;

extern "C" void on_interrupt(int) { interrupt_seen = 1; }

std::string fits(const Refusal& refusal) {
  std::string text;
  if (refusal.fitting_delay > Duration{0}) text = fmt::format("a delay of {}", format_duration(refusal.fitting_delay));
  if (refusal.fitting_rate > 0) {
    text += fmt::format("{}a rate of {}", text.empty() ? "" : ", or ", format_rate(refusal.fitting_rate));
  }
  return text;
}

}  // namespace

ExitStatus status_of(Errc code) noexcept {
  switch (code) {
    case Errc::ok: return ExitStatus::ok;
    case Errc::invalid_argument:
    case Errc::message_too_long: return ExitStatus::usage;
    case Errc::no_daemon:
    case Errc::daemon_gone:
    case Errc::permission_denied:
    case Errc::version_mismatch:
    case Errc::exhausted:
    case Errc::system: return ExitStatus::unavailable;
    case Errc::refused:
    case Errc::rejected_by_agent:
    case Errc::no_listener:
    case Errc::port_in_use:
    case Errc::no_route:
    case Errc::timed_out:
    case Errc::would_block:
    case Errc::contract_exceeded:
    case Errc::closed:
    case Errc::peer_closed:
    case Errc::peer_gone:
    case Errc::channel_void:
    case Errc::protocol_error:
    case Errc::would_deadlock: return ExitStatus::failed;
  }
  return ExitStatus::failed;
}

std::string sentence(const Error& error) {
  std::string text = error.text.empty() ? std::string(name(error.code)) : error.text;
  while (!text.empty() && (text.back() == '.' || text.back() == '\n')) text.pop_back();
  const Refusal& refusal = error.refusal;
  if (error.code != Errc::refused) return text;
  if (!refusal.hop.empty() && text.find(refusal.hop) == std::string::npos) {
    text += fmt::format(" (at {}, {})", refusal.hop, name(refusal.resource));
  }
  const std::string fitting = fits(refusal);
  text += fitting.empty() ? "; no smaller request of this kind would fit now" : fmt::format("; would fit now: {}", fitting);
  return text;
}

nlohmann::json to_json(const Error& error) {
  nlohmann::json json{{"code", name(error.code)}, {"text", error.text}};
  if (error.code == Errc::refused) {
    const Refusal& r = error.refusal;
    json["refusal"] = {{"hop", r.hop},
                       {"resource", name(r.resource)},
                       {"binding_time_ns", r.binding_time.count()},
                       {"fitting_delay_ns", r.fitting_delay.count()},
                       {"fitting_rate", r.fitting_rate}};
  }
  return json;
}

Console::Console(std::string command, bool json)
    : command_(std::move(command)), json_(json), progress_(!json && isatty(STDERR_FILENO) != 0) {}

void Console::clear_progress() {
  if (progress_shown_) std::fputs("\r\033[K", stderr);
  progress_shown_ = false;
}

void Console::line(std::string_view text) {
  if (json_) return;
  clear_progress();
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

void Console::object(const nlohmann::json& value) {
  if (!json_) return;
  fmt::print("{}\n", value.dump());
  std::fflush(stdout);
}

void Console::progress(std::string_view text) {
  if (!progress_) return;
  fmt::print(stderr, "\r\033[K{}", text);
  std::fflush(stderr);
  progress_shown_ = true;
}

void Console::note(std::string_view text) {
  if (json_) return;
  clear_progress();
  fmt::print(stderr, "{}: {}\n", command_, text);
}

ExitStatus Console::fail(ExitStatus status, std::string_view text) {
  clear_progress();
  fmt::print(stderr, "{}: {}\n", command_, text);
  object({{"error", {{"text", text}}}});
  return status;
}

ExitStatus Console::fail(std::string_view doing, const Error& error) {
  clear_progress();
  fmt::print(stderr, "{}: {}: {}\n", command_, doing, sentence(error));
  nlohmann::json json = to_json(error);
  json["doing"] = doing;
  object({{"error", json}});
  return status_of(error.code);
}

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;  // without SA_RESTART: a blocking read returns
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() noexcept { return interrupt_seen != 0; }

bool Metronome::due(Instant now) noexcept {
  if (next_ == long_ago) next_ = now + period_;
  if (now < next_) return false;
  while (next_ <= now) next_ += period_;
  return true;
}

}  // namespace rtchan::cli
