#include "plan/nearest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>

#include "base/limits.hpp"

namespace rtchan::plan {
namespace {

// To three digits, toward the side that is easier to promise, and the double that is nearest to these digits. `value` > 0.
double rounded(double value, bool up) {
  const int exponent = static_cast<int>(std::floor(std::log10(value))) - 2;
  const double units = value / std::pow(10.0, exponent);
  double whole = std::round(units);
  if (std::abs(units - whole) >= 1e-9) whole = up ? std::ceil(units) : std::floor(units);
  return std::strtod(fmt::format("{:.0f}e{}", whole, exponent).c_str(), nullptr);
}

// Between a value that is refused and one that is admitted; halves the distance of their logarithms.
double bisect(double refused, double admitted, const std::function<bool(double)>& fits) {
  while (std::abs(refused / admitted - 1) > 1e-3) {
    const double middle = std::sqrt(refused * admitted);
    (fits(middle) ? admitted : refused) = middle;
  }
  return admitted;
}

// The value nearest to `asked` (refused) that fits, in the direction of `factor` and no farther than `limit`.
std::optional<double> nearest(double asked, double factor, double limit,
                              const std::function<bool(double)>& fits) {
  const bool up = factor > 1;
  double refused = asked, value = asked;
  while (true) {
    value = up ? std::min(value * factor, limit) : std::max(value * factor, limit);
    if (fits(value)) break;
    if (value == limit) return std::nullopt;
    refused = value;
  }
  const double exact = bisect(refused, value, fits);
  const double neat = rounded(exact, up);
  return neat > 0 && fits(neat) ? neat : exact;
}

}  // namespace

Nearest find_nearest(Fabric& fabric, const ChannelGroup& channel, const Error& why) {
  Nearest result;
  const auto fits = [&](const Qos& qos) { return fabric.attempt(channel, qos).has_value(); };
  const auto with_delay = [&](double ns) {
    Qos qos = channel.qos;
    qos.max_delay = Duration{std::llround(ns)};
    return qos;
  };
  const auto with_rate = [&](double rate) {
    Qos qos = channel.qos;
    qos.max_rate = rate;
    return qos;
  };
  const auto with_size = [&](double bytes) {
    Qos qos = channel.qos;
    qos.max_message_bytes = static_cast<std::uint32_t>(bytes);
    return qos;
  };
  if (!admitted(channel.qos.service) || why.code == Errc::no_route) return result;
  constexpr double longest = std::chrono::nanoseconds{limits::delay_max}.count();
  if (const auto ns = nearest(static_cast<double>(channel.qos.max_delay.count()), 1.5, longest,
                              [&](double value) { return fits(with_delay(value)); })) {
    result.delay = Duration{std::llround(*ns)};
    result.way_at_delay = fabric.attempt(channel, with_delay(*ns)).value_or(Way{});
  }
  result.rate = nearest(channel.qos.max_rate, 0.5, std::min(channel.qos.max_rate, limits::rate_min),
                        [&](double value) { return fits(with_rate(value)); });
  if (channel.qos.max_message_bytes > 1) {
    const auto bytes =
        nearest(channel.qos.max_message_bytes, 0.5, 1, [&](double value) { return fits(with_size(value)); });
    if (bytes) result.message_bytes = static_cast<std::uint32_t>(*bytes);
  }
  return result;
}

}  // namespace rtchan::plan
