#include "cli/inbox.hpp"

#include <array>

#include "cli/patience.hpp"

namespace rtchan::cli {

namespace {
constexpr int messages_per_visit = 64;  // of one channel, before the others are looked at again
}

std::expected<bool, Error> Inbox::accept_new() {
  bool any = false;
  while (true) {
    auto channel = listener_.try_accept();
    if (!channel) {
      const Errc code = channel.error().code;
      if (code == Errc::would_block || code == Errc::timed_out) return any;
      return std::unexpected(channel.error());
    }
    const std::uint64_t key = channels_.size();
    channel->set_tag(key);
    channels_.emplace_back(*std::move(channel));
    ++open_;
    any = true;
    handlers_.opened(key, *channels_.back());
    if (channels_[key]) drain(key);  // what came before the tag was set
  }
}

void Inbox::drain(std::uint64_t key) {
  for (int i = 0; i < messages_per_visit && key < channels_.size() && channels_[key]; ++i) {
    auto message = channels_[key]->receive_loan(no_wait);
    if (message) {
      handlers_.message(key, *message);
      continue;
    }
    const Errc code = message.error().code;
    if (code == Errc::would_block || code == Errc::timed_out) return;
    channels_[key].reset();
    --open_;
    handlers_.ended(key, message.error());
    return;
  }
}

bool Inbox::drain_ready() {
  std::array<ReadyChannel, 64> ready;
  const std::size_t count = session_.ready(ready);
  for (std::size_t i = 0; i < count; ++i) drain(ready[i].tag);
  handlers_.looked();
  return count > 0;
}

std::expected<void, Error> Inbox::turn(Duration timeout) {
  const auto accepted = accept_new();
  if (!accepted) return std::unexpected(accepted.error());
  if (drain_ready() || *accepted) return {};
  const std::array descriptors{session_.fd(), listener_.fd()};
  wait_readable(descriptors, timeout);
  if (!session_.alive()) return std::unexpected(Error{Errc::daemon_gone, "rtcd went away", {}});
  return {};
}

Channel Inbox::take(std::uint64_t key) {
  Channel channel = *std::move(channels_[key]);
  channels_[key].reset();
  --open_;
  channel.set_polled(false);
  return channel;
}

}  // namespace rtchan::cli
