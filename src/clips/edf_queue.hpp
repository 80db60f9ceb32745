// Work ordered by urgency, in three states:
//
//   waiting --eligible--> early --logical arrival--> current
//
// Current work is served earliest deadline first. Early work may be served ahead of its time when nothing
// current is left (it is ordered by logical arrival). Waiting work may not be served yet. Both the CPU
// scheduler (handlers) and the link scheduler (clips by their head packet) are made of this.
//
// Each item is in at most one state, at one place; all costs are O(log n) in what is queued.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstdint>

#include "base/heap.hpp"
#include "base/time.hpp"

namespace rtchan::clips {

struct Urgency {
  Instant eligible{};  // not served before
  Instant logical{};   // current from here on; `never`: served only when nothing else is left (best effort)
  Instant deadline{};
};

// Where an item is; a member `edf` of every item. Written by EdfQueue only.
struct EdfPlace {
  enum class State : std::uint8_t { absent, waiting, early, current };
  State state = State::absent;
  HeapHandle handle{};
  Urgency urgency{};
};

template <class T>
class EdfQueue {
 public:
  explicit EdfQueue(std::uint32_t capacity) : waiting_(capacity), early_(capacity), current_(capacity) {}

  // Puts the item where its urgency belongs, from wherever it was.
  void place(T& item, const Urgency& urgency, Instant now) noexcept {
    using enum EdfPlace::State;
    item.edf.urgency = urgency;
    enter(item, urgency.logical <= now ? current : urgency.eligible <= now ? early : waiting);
  }

  void remove(T& item) noexcept {
    if (item.edf.state == EdfPlace::State::absent) return;
    heap(item.edf.state).remove(item.edf.handle);
    item.edf.state = EdfPlace::State::absent;
  }

  // Time has moved on to `now`: what has become eligible or current changes state.
  void promote(Instant now) noexcept {
    while (!waiting_.empty() && waiting_.top_key() <= now) {
      T& item = *waiting_.top_value();
      place(item, item.edf.urgency, now);
    }
    while (!early_.empty() && early_.top_key() <= now) {
      T& item = *early_.top_value();
      enter(item, EdfPlace::State::current);
    }
  }

  // nullptr: none.
  [[nodiscard]] T* current() noexcept { return current_.empty() ? nullptr : current_.top_value(); }
  [[nodiscard]] T* early() noexcept { return early_.empty() ? nullptr : early_.top_value(); }
  // The next instant at which promote() will do something; `never` if there is none.
  [[nodiscard]] Instant next_eligible() const noexcept { return waiting_.empty() ? never : waiting_.top_key(); }
  [[nodiscard]] Instant next_current() const noexcept { return early_.empty() ? never : early_.top_key(); }

 private:
  using Queue = Heap<Instant, T*>;

  Queue& heap(EdfPlace::State state) noexcept {
    return state == EdfPlace::State::waiting ? waiting_ : state == EdfPlace::State::early ? early_ : current_;
  }
  static Instant key(const Urgency& u, EdfPlace::State state) noexcept {
    return state == EdfPlace::State::waiting  ? u.eligible
           : state == EdfPlace::State::early ? u.logical
                                              : u.deadline;
  }
  void enter(T& item, EdfPlace::State state) noexcept {
    const Instant k = key(item.edf.urgency, state);
    if (item.edf.state == state) {
      // Of equal deadlines the one in service goes on (a message's packets stay together); best effort takes turns.
      if (k != never && heap(state).key(item.edf.handle) == k) return;
      heap(state).update(item.edf.handle, k);
      return;
    }
    remove(item);
    const auto handle = heap(state).push(k, &item);
    assert(handle);  // capacity is the number of items
    item.edf.handle = *handle;
    item.edf.state = state;
  }

  Queue waiting_, early_, current_;
};

}  // namespace rtchan::clips
