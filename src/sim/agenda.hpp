// What is to happen, by its instant; what falls on the same instant happens in the order in which it was entered, so a run
// is a function of its script. Entries are never taken back: whoever entered one knows whether it still means something.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

#include "base/time.hpp"

namespace rtchan::sim {

enum class What : std::uint8_t {
  deed,      // a: its place in the script
  arrival,   // a: parcel
  turn,      // a: host
  wake,      // a: host: its node's timer
  inbox,     // a: host: its control process looks at what its worker has reported
  clip,      // a: host, b: job: its housekeeper has opened or closed a clip
  word,      // a: index: a reply reaches an application
  send,      // a: channel: its application has something to say
  act,       // a: index: an application does what it has decided to do
  stage,     // a: of the run's end
};

struct Happening {
  Instant at{};
  std::uint64_t order = 0;
  What what{};
  std::uint32_t a = 0;
  std::uint32_t b = 0;
};

class Agenda {
 public:
  void enter(Instant at, What what, std::uint32_t a, std::uint32_t b = 0) {
    queue_.push(Happening{at, ++entered_, what, a, b});
  }
  [[nodiscard]] bool empty() const noexcept { return queue_.empty(); }
  [[nodiscard]] Instant next() const noexcept { return queue_.empty() ? never : queue_.top().at; }
  Happening take() {
    const Happening first = queue_.top();
    queue_.pop();
    return first;
  }

 private:
  struct Later {
    bool operator()(const Happening& x, const Happening& y) const noexcept {
      return x.at != y.at ? x.at > y.at : x.order > y.order;
    }
  };
  std::priority_queue<Happening, std::vector<Happening>, Later> queue_;
  std::uint64_t entered_ = 0;
};

}  // namespace rtchan::sim
