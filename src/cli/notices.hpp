// What rtcd has to say of this session's channels while a command works: told to the person at once, and remembered
// for the exit status.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>

#include "cli/common/console.hpp"
#include <rtchan/channel.hpp>

namespace rtchan::cli {

class Notices {
 public:
  Notices(Session& session, Console& console) : session_(session), console_(console) {}

  // Costs a lock when nothing is there. Ends of channels are not told: calls on the channel say those.
  void look() {
    while (const auto notice = session_.next_notice()) {
      switch (notice->kind) {
        case Notice::Kind::contract_violated: ++violations_; break;  // our commands read as fast as they can: no news
        case Notice::Kind::voided:
          voided_ = notice->text;
          console_.note(fmt::format("the promise no longer holds: {}", notice->text));
          break;
        case Notice::Kind::peer_closed:
        case Notice::Kind::peer_gone:
        case Notice::Kind::torn_down:
        case Notice::Kind::daemon_gone: ended_ = *notice; break;
      }
    }
  }
  [[nodiscard]] std::uint64_t violations() const noexcept { return violations_; }
  [[nodiscard]] const std::optional<std::string>& voided() const noexcept { return voided_; }
  [[nodiscard]] const std::optional<Notice>& ended() const noexcept { return ended_; }  // the last channel that did

 private:
  Session& session_;
  Console& console_;
  std::uint64_t violations_ = 0;
  std::optional<std::string> voided_;
  std::optional<Notice> ended_;
};

}  // namespace rtchan::cli
