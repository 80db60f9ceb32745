// A first-in first-out queue of fixed capacity for one thread: std::deque allocates while it is used, this
// allocates in the constructor and then never.
#pragma once

#include <cassert>
#include <cstddef>
#include <utility>
#include <vector>

namespace rtchan {

template <class T>
class Fifo {
 public:
  explicit Fifo(std::size_t capacity) : slots_(capacity) {}

  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] bool full() const noexcept { return count_ == slots_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return slots_.size(); }

  // False: full, nothing was taken.
  bool push(T item) {
    if (full()) return false;
    slots_[place(count_++)] = std::move(item);
    return true;
  }
  // The i-th oldest, i < size().
  [[nodiscard]] T& operator[](std::size_t i) noexcept {
    assert(i < count_);
    return slots_[place(i)];
  }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept {
    assert(i < count_);
    return slots_[place(i)];
  }
  [[nodiscard]] T& front() noexcept { return (*this)[0]; }
  [[nodiscard]] const T& front() const noexcept { return (*this)[0]; }
  T pop() {
    assert(count_ > 0);
    T item = std::move(slots_[head_]);
    head_ = place(1);
    --count_;
    return item;
  }

 private:
  [[nodiscard]] std::size_t place(std::size_t i) const noexcept {
    const std::size_t at = head_ + i;
    return at < slots_.size() ? at : at - slots_.size();
  }

  std::vector<T> slots_;
  std::size_t head_ = 0;
  std::size_t count_ = 0;
};

}  // namespace rtchan
