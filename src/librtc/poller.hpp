// What makes a session pollable: one epoll descriptor over the doorbells of its workers and a local event, the
// list of channels that have something to do, and the queue of notices. Costs what is active, not what is open.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "ipc/fd.hpp"
#include "ipc/layout.hpp"
#include <rtchan/channel.hpp>

namespace rtchan::api {

class Poller {
 public:
  // The descriptor; made, and the daemon asked to ring, at the first call. -1: could not be made (errno).
  int fd(ipc::SessionBlock& block, std::span<const ipc::Fd> doorbells);

  // Asks `look` for each channel that was reported or is still listed: nullopt: nothing to do, forget it.
  using Look = std::function<std::optional<ReadyChannel>(std::uint32_t channel)>;
  std::size_t ready(ipc::SessionBlock& block, std::span<const ipc::Fd> doorbells, std::span<ReadyChannel> out,
                    const Look& look) noexcept;
  // Something of this process's own doing may concern the poller (a new channel, the end).
  void poke() noexcept;

  void add(Notice notice);
  std::optional<Notice> next_notice();
  void close_in_child() noexcept;

 private:
  void list(std::uint32_t channel);
  void drain(std::span<const ipc::Fd> doorbells) noexcept;
  void signal(const ipc::Fd& event, bool& raised, bool wanted) noexcept;

  std::mutex mutex_;  // the descriptors and the list
  ipc::Fd epoll_;
  std::vector<bool> deaf_;  // doorbells whose other end is closed: no longer watched
  ipc::Fd again_;     // readable: call ready() again
  bool again_raised_ = false;
  std::deque<std::uint32_t> listed_;
  std::vector<bool> is_listed_ = std::vector<bool>(limits::channels_per_session);

  std::mutex notice_mutex_;
  ipc::Fd notice_event_;
  bool notice_raised_ = false;
  std::deque<Notice> notices_;
};

}  // namespace rtchan::api
