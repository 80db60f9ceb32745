#include "cli/patience.hpp"

#include <poll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>

#include "cli/common/console.hpp"

namespace rtchan::cli {

namespace {

// Calls `attempt(slice)` until it does something else than time out.
template <class Attempt>
auto in_slices(Duration timeout, Attempt&& attempt) -> decltype(attempt(timeout)) {
  const Instant start = RawClock::now();
  while (true) {
    const Duration left = timeout == forever ? patience_slice : timeout - (RawClock::now() - start);
    auto result = attempt(std::clamp(left, Duration{0}, patience_slice));
    const bool over = left <= patience_slice && timeout != forever;
    const bool waited = !result && (result.error().code == Errc::timed_out || result.error().code == Errc::would_block);
    if (!waited) return result;
    if (over) return std::unexpected(Error{Errc::timed_out, result.error().text, {}});
    if (interrupted()) return std::unexpected(Error{Errc::closed, "interrupted", {}});
  }
}

}  // namespace

std::expected<void, Error> send(Channel& channel, std::span<const std::byte> message, Duration timeout) {
  return in_slices(timeout, [&](Duration slice) { return channel.send(message, slice); });
}

std::expected<SendLoan, Error> loan(Channel& channel, std::size_t bytes, Duration timeout) {
  return in_slices(timeout, [&](Duration slice) { return channel.loan(bytes, slice); });
}

std::expected<ReceiveLoan, Error> receive(Channel& channel, Duration timeout) {
  return in_slices(timeout, [&](Duration slice) { return channel.receive_loan(slice); });
}

std::expected<Channel, Error> accept(Listener& listener, Duration timeout) {
  return in_slices(timeout, [&](Duration slice) { return listener.accept(slice); });
}

bool wait_readable(std::span<const int> descriptors, Duration timeout) noexcept {
  std::array<pollfd, 4> set{};
  const std::size_t count = std::min(descriptors.size(), set.size());
  for (std::size_t i = 0; i < count; ++i) set[i] = {descriptors[i], POLLIN, 0};  // poll skips negative descriptors
  const Duration wait = std::max(timeout, Duration{0});
  const timespec ts{wait.count() / 1'000'000'000, wait.count() % 1'000'000'000};
  return ppoll(set.data(), count, &ts, nullptr) > 0;
}

void no_timer_slack() noexcept { prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); }

}  // namespace rtchan::cli
