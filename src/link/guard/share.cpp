#include "link/guard/share.hpp"

#include <algorithm>

namespace rtchan::link {

ShareWatch::ShareWatch(std::uint64_t bits_per_second, Duration period)
    : allowed_(bits_per_second), period_(std::max(period, Duration{std::chrono::milliseconds{1}})) {}

std::optional<ShareWatch::Excess> ShareWatch::check(Instant now, std::uint64_t interface_bytes,
                                                    std::uint64_t our_bytes) {
  const Sample sample{now, interface_bytes, our_bytes};
  // Counters that go backwards belong to another life of the interface or of our worker: start again.
  if (!last_ || interface_bytes < last_->interface_bytes || our_bytes < last_->our_bytes) {
    last_ = sample;
    return verdict_ = std::nullopt;
  }
  const Duration over = now - last_->at;
  if (over < period_) return verdict_;
  const std::uint64_t all = interface_bytes - last_->interface_bytes;
  const std::uint64_t ours = our_bytes - last_->our_bytes;
  last_ = sample;
  // What we have handed over may not have reached the interface's counter yet: then it is ours, not theirs.
  const std::uint64_t foreign = all - std::min(all, ours);
  const auto rate =
      static_cast<std::uint64_t>(static_cast<double>(foreign) * 8e9 / static_cast<double>(over.count()));
  verdict_ = rate <= allowed_ ? std::nullopt : std::optional(Excess{rate, over});
  return verdict_;
}

}  // namespace rtchan::link
