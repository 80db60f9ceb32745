#include "cli/responder.hpp"

#include <fmt/format.h>

#include "cli/common/contract_options.hpp"
#include "cli/echo.hpp"
#include "cli/patience.hpp"

namespace rtchan::cli {

bool Responder::greet(Inbox& inbox, std::uint64_t key, const ReceiveLoan& message) {
  const auto payload = read_payload(message.bytes());
  if (!payload || payload->kind != PayloadKind::hello || payload->sequence == 0 || payload->sequence > UINT16_MAX) return false;
  const auto port = static_cast<std::uint16_t>(payload->sequence);
  ++talking_;
  callers_.emplace_back([this, port, channel = inbox.take(key)]() mutable {
    no_timer_slack();
    const std::string caller = channel.peer().text();
    const std::string contract = describe(channel.qos());
    const auto answered = respond(session_, std::move(channel), port);
    const std::lock_guard lock(speaking_);
    if (answered) {
      console_.note(fmt::format("{} answers to {} ({})", *answered, caller, contract));
    } else {
      console_.note(fmt::format("cannot answer {}: {}", caller, sentence(answered.error())));
    }
    --talking_;
  });
  return true;
}

}  // namespace rtchan::cli
