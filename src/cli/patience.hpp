// Waiting on channels in a way that Ctrl-C can end: the library's calls in slices, asking between them whether an
// interrupt has come.
#pragma once

#include <span>

#include "base/time.hpp"
#include <rtchan/channel.hpp>

namespace rtchan::cli {

inline constexpr Duration patience_slice = std::chrono::milliseconds{100};

// As the library's calls, but they end with Errc::closed ("interrupted") after SIGINT or SIGTERM.
[[nodiscard]] std::expected<void, Error> send(Channel& channel, std::span<const std::byte> message, Duration timeout = forever);
[[nodiscard]] std::expected<SendLoan, Error> loan(Channel& channel, std::size_t bytes, Duration timeout = forever);
[[nodiscard]] std::expected<ReceiveLoan, Error> receive(Channel& channel, Duration timeout = forever);
[[nodiscard]] std::expected<Channel, Error> accept(Listener& listener, Duration timeout = forever);

// Sleeps until a descriptor is readable or the time is over. -1 is skipped. True: one is readable.
bool wait_readable(std::span<const int> descriptors, Duration timeout) noexcept;

// The kernel may wake a thread late by its timer slack (50 us by default): ask for none, for this thread.
void no_timer_slack() noexcept;

}  // namespace rtchan::cli
