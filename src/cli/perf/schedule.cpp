#include "cli/perf/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/limits.hpp"

namespace rtchan::cli {

namespace {

constexpr double factor_max = 1e6;

std::optional<double> parse_number(std::string_view text) {
  double value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value) || value < 0) return std::nullopt;
  return value;
}

std::expected<double, std::string> parse_factor(std::string_view text) {
  if (text == "max") return std::numeric_limits<double>::infinity();
  const auto value = parse_number(text);
  if (!value || *value > factor_max) {
    return std::unexpected(fmt::format("\"{}\" is not a factor: a number from 0 to 1000000, or max", text));
  }
  return *value;
}

}  // namespace

std::expected<Offer, std::string> parse_offer(std::string_view factor) {
  const auto value = parse_factor(factor);
  if (!value) return std::unexpected(value.error());
  return Offer{{Duration{0}, *value}};
}

std::expected<Offer, std::string> parse_offer_schedule(std::string_view steps) {
  Offer offer;
  while (true) {
    const std::size_t comma = steps.find(',');
    const std::string_view step = steps.substr(0, comma);
    const std::size_t colon = step.find(':');
    const auto from = parse_number(step.substr(0, colon));
    if (colon == std::string_view::npos || !from || *from > 1e9) {
      return std::unexpected(fmt::format("\"{}\" is not a step: seconds:factor, as in 10:5", step));
    }
    const auto factor = parse_factor(step.substr(colon + 1));
    if (!factor) return std::unexpected(factor.error());
    const Duration at{std::llround(*from * 1e9)};
    if (offer.empty() && at > Duration{0}) offer.push_back({Duration{0}, 1.0});
    if (!offer.empty() && at <= offer.back().from) {
      return std::unexpected(fmt::format("step \"{}\" does not come after the one before it", step));
    }
    offer.push_back({at, *factor});
    if (comma == std::string_view::npos) return offer;
    steps.remove_prefix(comma + 1);
  }
}

std::expected<std::vector<std::uint32_t>, std::string> parse_sizes(std::string_view text, std::uint32_t smallest) {
  std::vector<std::uint32_t> sizes;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = text.find('\n');
    std::string_view word = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    while (!word.empty() && (word.back() == ' ' || word.back() == '\r' || word.back() == '\t')) word.remove_suffix(1);
    if (word.empty() || word.front() == '#') continue;
    std::uint32_t size{};
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), size);
    if (error != std::errc{} || stop != word.data() + word.size() || size < smallest || size > limits::message_bytes) {
      return std::unexpected(fmt::format("line {}: \"{}\" is not a message size in bytes from {} to {}", line, word,
                                         smallest, limits::message_bytes));
    }
    sizes.push_back(size);
  }
  if (sizes.empty()) return std::unexpected(std::string("no message size in it"));
  return sizes;
}

Duration Schedule::step_end() const {
  const bool last = step_ + 1 == options_.offer.size();
  return last ? options_.duration : std::min(options_.duration, options_.offer[step_ + 1].from);
}

Duration Schedule::batch_time() const {
  const OfferStep& step = options_.offer[step_];
  const double per_second = options_.rate * step.factor / options_.at_once;
  if (per_second <= 0) return Duration::max();
  const double offset = (1 - phase_ + static_cast<double>(batches_)) / per_second * 1e9;
  if (offset > 9e18) return Duration::max();
  return step.from + Duration{std::llround(offset)};
}

void Schedule::enter_next_step() {
  const OfferStep& step = options_.offer[step_];
  if (std::isinf(step.factor)) {
    phase_ = 0;
  } else {
    const double seconds = std::chrono::duration<double>(step_end() - step.from).count();
    phase_ += seconds * options_.rate * step.factor / options_.at_once - static_cast<double>(batches_);
    phase_ = std::clamp(phase_, 0.0, 1.0);
  }
  batches_ = 0;
  ++step_;
}

std::optional<Schedule::Due> Schedule::peek(Duration now) {
  while (sequence_ < options_.count) {
    const OfferStep& step = options_.offer[step_];
    const Duration intended = std::isinf(step.factor) ? std::max(now, step.from) : batch_time();
    if (intended < step_end()) {
      return Due{intended, sequence_, options_.sizes[sequence_ % options_.sizes.size()]};
    }
    if (step_ + 1 == options_.offer.size()) return std::nullopt;
    if (options_.offer[step_ + 1].from >= options_.duration) return std::nullopt;
    enter_next_step();
  }
  return std::nullopt;
}

void Schedule::pop() {
  ++sequence_;
  if (++in_batch_ < options_.at_once && !std::isinf(options_.offer[step_].factor)) return;
  in_batch_ = 0;
  ++batches_;
}

std::uint64_t Schedule::skip_until(Duration now) {
  std::uint64_t skipped = 0;
  for (auto due = peek(now); due && due->intended < now; due = peek(now)) {
    pop();
    ++skipped;
  }
  return skipped;
}

}  // namespace rtchan::cli
