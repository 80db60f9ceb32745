#include "librtc/poller.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>

#include "ipc/daemon_view.hpp"
#include "ipc/doorbell.hpp"

namespace rtchan::api {

namespace {

constexpr std::size_t notices_kept = 1'024;  // <rtchan/channel.hpp> promises it
constexpr std::uint32_t take_per_look = 4'096;

bool watch(const ipc::Fd& epoll, int fd) noexcept {
  epoll_event event{};
  event.events = EPOLLIN;
  return epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

int Poller::fd(ipc::SessionBlock& block, std::span<const ipc::Fd> doorbells) {
  const std::scoped_lock lock(mutex_, notice_mutex_);
  if (epoll_) return epoll_.get();
  ipc::Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  ipc::Fd again(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ipc::Fd notice(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  bool made = epoll && again && notice && watch(epoll, again.get()) && watch(epoll, notice.get());
  for (const ipc::Fd& bell : doorbells) made = made && watch(epoll, bell.get());
  if (!made) return -1;
  epoll_ = std::move(epoll);
  again_ = std::move(again);
  deaf_.assign(doorbells.size(), false);
  notice_event_ = std::move(notice);
  // From now on the daemon rings. What became ready before is found by the first look, which is asked for.
  block.app_sleeping.exchange(1, std::memory_order_seq_cst);
  signal(again_, again_raised_, true);
  signal(notice_event_, notice_raised_, !notices_.empty());
  return epoll_.get();
}

void Poller::signal(const ipc::Fd& event, bool& raised, bool wanted) noexcept {
  if (!event || raised == wanted) return;
  raised = wanted;
  std::uint64_t count = 1;
  if (wanted) {
    (void)!write(event.get(), &count, sizeof count);
  } else {
    (void)!read(event.get(), &count, sizeof count);
  }
}

// A doorbell whose other end is closed stays readable for ever: the worker is gone, and the control thread will hear of
// it, unless a loop around our descriptor leaves it no time. So it is not watched any more.
void Poller::drain(std::span<const ipc::Fd> doorbells) noexcept {
  for (std::size_t i = 0; i < doorbells.size(); ++i) {
    if (deaf_[i] || ipc::drain(doorbells[i].get())) continue;
    deaf_[i] = true;
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, doorbells[i].get(), nullptr);
  }
}

void Poller::list(std::uint32_t channel) {
  if (channel >= is_listed_.size() || is_listed_[channel]) return;
  is_listed_[channel] = true;
  listed_.push_back(channel);
}

// The sleeper's protocol of layout.hpp: empty the bells, announce, then look. What is published after the look
// rings. A channel stays listed until a look finds nothing to do there, and while any is listed the descriptor
// stays readable: nobody has to drain a channel at once.
std::size_t Poller::ready(ipc::SessionBlock& block, std::span<const ipc::Fd> doorbells, std::span<ReadyChannel> out,
                          const Look& look) noexcept {
  const std::scoped_lock lock(mutex_);
  if (epoll_) {
    drain(doorbells);
    block.app_sleeping.exchange(1, std::memory_order_seq_cst);
  }
  const std::uint32_t taken = ipc::take(block.to_app, take_per_look, [this](std::uint32_t channel) { list(channel); });
  std::size_t found = 0;
  for (std::size_t left = listed_.size(); left > 0 && found < out.size(); --left) {
    const std::uint32_t channel = listed_.front();
    listed_.pop_front();
    if (const auto event = look(channel)) {
      out[found++] = *event;
      listed_.push_back(channel);  // behind the others: with a small `out` everybody has a turn
    } else {
      is_listed_[channel] = false;
    }
  }
  signal(again_, again_raised_, !listed_.empty() || taken == take_per_look);
  return found;
}

void Poller::poke() noexcept {
  const std::scoped_lock lock(mutex_);
  signal(again_, again_raised_, true);
}

void Poller::add(Notice notice) {
  const std::scoped_lock lock(notice_mutex_);
  if (notices_.size() >= notices_kept) notices_.pop_front();
  notices_.push_back(std::move(notice));
  signal(notice_event_, notice_raised_, true);
}

std::optional<Notice> Poller::next_notice() {
  const std::scoped_lock lock(notice_mutex_);
  if (notices_.empty()) return std::nullopt;
  Notice first = std::move(notices_.front());
  notices_.pop_front();
  signal(notice_event_, notice_raised_, !notices_.empty());
  return first;
}

void Poller::close_in_child() noexcept {
  epoll_.reset();
  again_.reset();
  notice_event_.reset();
}

}  // namespace rtchan::api
