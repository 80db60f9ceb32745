// Whether the interfaces under our links still are what their promises count on. The kernel says when something may have
// changed; then, and once a second in any case, they are looked at again. Control thread only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "ipc/fd.hpp"
#include "link/interface.hpp"

namespace rtchan::rtcd {

struct Link;

// What a link's promises count on.
struct InterfaceNeeds {
  IpAddress address{};
  std::uint32_t mtu_bytes = 0;        // packets are made for
  std::uint64_t bits_per_second = 0;  // admission counts on
};

// Why nothing can be promised any more, in a sentence; nullopt: `now` still has what is needed. A larger MTU or a higher
// speed takes nothing away. An address that the interface never listed (127.0.0.0/8 of `lo`) cannot be lost.
[[nodiscard]] std::optional<std::string> unfit(const link::Interface& promised, const link::Interface& now,
                                               const InterfaceNeeds& needs);

class LinkWatch {
 public:
  explicit LinkWatch(const std::vector<Link>& links);

  // Looks again if it is time. Never blocks for longer than the kernel needs to list its interfaces.
  void look(Instant now);
  // By the last look; empty: all is well.
  [[nodiscard]] const std::string& why_void(std::size_t link) const { return watched_[link].why; }
  // By the last look, nothing could leave: the interface is gone, set down or without carrier.
  [[nodiscard]] bool down(std::size_t link) const { return watched_[link].down; }

 private:
  struct Watched {
    link::Interface promised;
    InterfaceNeeds needs;
    std::string why;
    bool down = false;
  };
  bool something_happened();

  std::vector<Watched> watched_;
  ipc::Fd events_;                 // of interfaces and addresses; invalid: looked at by the clock alone
  Instant looked_ = long_ago;
};

}  // namespace rtchan::rtcd
