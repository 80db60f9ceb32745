// The guards that install nothing, and the choice between all of them.
#include "link/guard/guard.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "link/guard/htb.hpp"
#include "link/guard/share.hpp"
#include "link/interface.hpp"

namespace rtchan::link {

namespace {

// Linux's own numbers: 6 is "interactive", the first band of the default queueing discipline.
constexpr std::uint32_t priority_interactive = 6;
constexpr std::uint32_t ethernet_header_bytes = 14;

class Unguarded : public Guard {
 public:
  explicit Unguarded(const GuardConfig& config) : config_(config) {}
  std::optional<std::string> check(Instant, std::uint64_t) override { return std::nullopt; }
  std::uint32_t priority(TrafficClass cls) const override {
    return cls == TrafficClass::best_effort ? 0 : priority_interactive;
  }
  std::uint64_t guarded_bits_per_second() const override { return config_.bits_per_second; }
  std::uint64_t foreign_blocking_bytes() const override { return 0; }
  std::string condition() const override {
    return fmt::format("while no other program sends on {} (not checked)", config_.interface);
  }

 protected:
  GuardConfig config_;
};

class Shared final : public Unguarded {
 public:
  Shared(const GuardConfig& config, const Interface& interface)
      : Unguarded(config),
        index_(interface.index),
        burst_bytes_(config.share_burst_bytes != 0 ? config.share_burst_bytes
                                                   : interface.mtu_bytes + ethernet_header_bytes),
        watch_(config.share_bits_per_second, config.share_period) {}

  std::optional<std::string> check(Instant now, std::uint64_t our_bytes) override {
    const auto all = sent_bytes(index_);
    if (!all) return fmt::format("{} cannot be watched: {}", config_.interface, all.error().text);
    const auto excess = watch_.check(now, *all, our_bytes);
    if (!excess) return std::nullopt;
    return fmt::format("other programs sent {} on {} over {}, their share is {}",
                       format_bit_rate(excess->foreign_bits_per_second), config_.interface,
                       format_duration(excess->over), format_bit_rate(config_.share_bits_per_second));
  }
  std::uint64_t guarded_bits_per_second() const override {
    return left_by_share(config_.bits_per_second, config_.share_bits_per_second);
  }
  std::uint64_t foreign_blocking_bytes() const override { return burst_bytes_; }
  std::string condition() const override {
    return fmt::format("while other programs on {} send at most {} (checked over {}) and at most {} at once",
                       config_.interface, format_bit_rate(config_.share_bits_per_second),
                       format_duration(config_.share_period), format_bytes(burst_bytes_));
  }

 private:
  int index_;
  std::uint64_t burst_bytes_;
  ShareWatch watch_;
};

Error invalid(std::string text) {
  return {.code = Errc::invalid_argument, .text = std::move(text)};
}

}  // namespace

const char* name(GuardKind kind) noexcept {
  switch (kind) {
    case GuardKind::none:
      return "none";
    case GuardKind::share:
      return "share";
    case GuardKind::htb:
      return "htb";
  }
  return "unknown";
}

std::optional<GuardKind> parse_guard_kind(std::string_view text) noexcept {
  for (const GuardKind kind : {GuardKind::none, GuardKind::share, GuardKind::htb}) {
    if (text == name(kind)) return kind;
  }
  return std::nullopt;
}

std::expected<std::unique_ptr<Guard>, Error> make_guard(const GuardConfig& config) {
  if (config.kind == GuardKind::none) return std::make_unique<Unguarded>(config);
  const auto interface = interface_by_name(config.interface);
  if (!interface) return std::unexpected(interface.error());
  switch (config.kind) {
    case GuardKind::none:
      break;
    case GuardKind::share:
      if (config.share_bits_per_second == 0)
        return std::unexpected(invalid("guard share needs a share above 0"));
      return std::make_unique<Shared>(config, *interface);
    case GuardKind::htb:
      return install_htb(config, *interface);
  }
  return std::unexpected(invalid("unknown kind of guard"));
}

}  // namespace rtchan::link
