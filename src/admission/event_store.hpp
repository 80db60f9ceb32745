// Who has a deadline (or input) when: every flow of a set, and the events of those buckets that were looked at one by
// one, kept in order, since questions come back to the same tight stretches of time again and again. What has come and gone
// since is noted, and worked in when somebody looks, who goes through all of them anyway.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "admission/demand_sums.hpp"
#include "admission/time_grid.hpp"

namespace rtchan::admission {

class EventStore {
 public:
  static constexpr std::size_t bucket_events_max = 1'000'000;  // of a bucket: more are not listed

  struct Event {
    std::int64_t at;
    std::int64_t work;  // of a deadline; input: negative
    [[nodiscard]] bool deadline() const noexcept { return work > 0; }
    friend auto operator<=>(const Event&, const Event&) = default;
  };

  explicit EventStore(const TimeGrid& grid);

  void add(const Flow& flow);
  void remove(const Flow& flow);
  // `count` events of the flow, the first at `at`, come to or go from bucket k: what is kept of it follows.
  void come(std::uint32_t k, const Flow& flow, std::int64_t at, std::int64_t count) {
    if (known_at_[k] < known_max) note(k, flow, at, count, true);
  }
  void go(std::uint32_t k, const Flow& flow, std::int64_t at, std::int64_t count) {
    if (known_at_[k] < known_max) note(k, flow, at, count, false);
  }

  // In order of time. Valid until the next call. If there are more than `most` or bucket_events_max, a few more than that,
  // of no use but to be counted.
  [[nodiscard]] const std::vector<Event>& events_in(std::uint32_t k, bool empty, std::size_t most) const;
  // The same by counting anew, out of order; keeps nothing.
  [[nodiscard]] const std::vector<Event>& recount(std::uint32_t k, std::size_t most = bucket_events_max) const;
  // Calls visit(flow) for every flow.
  template <class Visit>
  void each_flow(Visit&& visit) const {
    for (const FlowClass& c : flows_) {
      for (std::size_t i = 0; i < c.offset.size(); ++i) {
        const bool deadline = c.work[i] > 0;
        visit(Flow{c.offset[i], c.period[i], deadline ? c.work[i] : -c.work[i], c.owner[i] / 2, deadline});
      }
    }
  }
 private:
  struct FlowClass {  // columns: an expansion reads offset, period and inverse of everything
    std::vector<std::int64_t> offset, period;
    std::vector<std::uint64_t> inverse;  // floor(2^64 / period)
    std::vector<std::int64_t> work;  // as in Event
    std::vector<std::uint32_t> owner;  // entry * 2 + (deadline ? 1 : 0)
  };
  struct Known {  // a bucket's events
    std::uint32_t bucket = TimeGrid::buckets;
    std::uint64_t used = 0;  // when, for throwing out the oldest
    std::vector<Event> events;  // in order
    std::vector<Event> come, gone;  // since
  };
  // 32 MiB at most beside what is noted, which is less than half of it.
  static constexpr std::size_t known_max = 1'024;
  static constexpr std::size_t known_events_max = 65'536;  // of one bucket: larger ones are not kept
  static constexpr std::size_t kept_events_max = 2'000'000;  // of all
  static constexpr std::size_t noted_max = 256;              // or a quarter of the bucket's events; then they are worked in

  void enumerate(const FlowClass& flows, std::int64_t from, std::int64_t to, std::size_t most) const;
  void note(std::uint32_t k, const Flow& flow, std::int64_t at, std::int64_t count, bool comes);
  void work_in(Known& known) const;
  void forget(Known& known) const;
  [[nodiscard]] Known& room_for(std::size_t events) const;

  TimeGrid grid_;
  std::array<FlowClass, TimeGrid::classes> flows_;  // by octave of their offset
  std::vector<std::array<std::uint32_t, 2>> place_;  // per owner: index in its class; [1] deadlines, [0] input
  mutable std::vector<Event> events_;               // of the bucket being looked at
  mutable std::vector<Known> known_;
  mutable std::size_t kept_ = 0;                  // events of all of them
  mutable std::vector<std::uint16_t> known_at_;  // per bucket: place in known_, known_max if none
  mutable std::uint64_t clock_ = 0;              // counts uses of known_
};

}  // namespace rtchan::admission
