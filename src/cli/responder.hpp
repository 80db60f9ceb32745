// Answers callers of round trips, each on a thread of its own.
#pragma once

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "cli/common/console.hpp"
#include "cli/inbox.hpp"
#include <rtchan/channel.hpp>

namespace rtchan::cli {

class Responder {
 public:
  // Both outlive it. The destructor waits for callers to go, or for an interrupt.
  Responder(Session& session, Console& console) : session_(session), console_(console) {}

  // If the message is a hello, takes its channel out of the inbox, answers from now on, and returns true.
  bool greet(Inbox& inbox, std::uint64_t key, const ReceiveLoan& message);

  // Callers that have not gone yet.
  [[nodiscard]] std::size_t talking() const noexcept { return talking_.load(); }

 private:
  Session& session_;
  Console& console_;
  std::mutex speaking_;  // the console is shared by the callers' threads
  std::atomic<std::size_t> talking_ = 0;
  std::vector<std::jthread> callers_;
};

}  // namespace rtchan::cli
