#include "cli/demo/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace rtchan::demo {
namespace {

double seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}

double factor_now(const Flow& flow, double at) {
  double factor = 1;
  for (const Phase& phase : flow.schedule) {
    if (phase.begin <= at) factor = phase.factor;
  }
  return factor;
}

}  // namespace

Follower::Seen Follower::look() {
  if (!in_.is_open()) in_.open(log_);
  if (!in_.is_open()) return {};
  in_.clear();  // the end seen last time may have moved
  const std::string more{std::istreambuf_iterator<char>{in_}, {}};
  Seen seen;
  const auto records = reader_.read(more);
  if (!records) return seen;  // the final reading tells
  const Duration period = flow_.contract.guaranteed ? flow_.contract.period() : Duration::zero();
  for (const Record& r : *records) {
    arrival_ = std::max(r.handover, arrival_ + period);
    ++seen.messages;
    seen.bits += 8.0 * r.bytes;
    seen.worst = std::max(seen.worst, r.readable - (flow_.contract.guaranteed ? arrival_ : r.handover));
  }
  return seen;
}

std::string progress_line(std::vector<Follower>& followers, Duration since_start, Duration span) {
  std::string text = fmt::format("{:4.0f} s", seconds(since_start));
  for (Follower& follower : followers) {
    const Follower::Seen seen = follower.look();
    const Flow& flow = follower.flow();
    const double factor = factor_now(flow, seconds(since_start));
    const std::string offer = factor > 1 ? fmt::format(" (offers {:g}x)", factor) : std::string{};
    if (flow.contract.guaranteed) {
      text += fmt::format(" | {} {:.0f}/s worst {:.2f} of {:g} ms{}", flow.name,
                          static_cast<double>(seen.messages) / seconds(span), seconds(seen.worst) * 1e3,
                          seconds(flow.contract.delay) * 1e3, offer);
    } else {
      text += fmt::format(" | {} {:.1f} Mbit/s{}", flow.name, seen.bits / seconds(span) / 1e6, offer);
    }
  }
  return text;
}

}  // namespace rtchan::demo
