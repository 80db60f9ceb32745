// A binary min-heap whose entries can be re-keyed and removed where they are: the deadline queues of the CPU
// and link schedulers. Equal keys leave in the order in which they got that key, so that EDF among equal
// deadlines is FIFO and runs are reproducible. All memory is taken by the constructor.
#pragma once

#include <cassert>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace rtchan {

// Names one entry from push() until it is popped or removed; then the number is used again.
struct HeapHandle {
  std::uint32_t index{};
  friend constexpr bool operator==(const HeapHandle&, const HeapHandle&) = default;
};

template <class Key, class Value>
class Heap {
 public:
  using Handle = HeapHandle;

  explicit Heap(std::uint32_t capacity) : order_(), entries_(capacity), free_() {
    order_.reserve(capacity);
    free_.reserve(capacity);
    for (std::uint32_t i = capacity; i > 0; --i) free_.push_back(i - 1);
  }

  [[nodiscard]] bool empty() const noexcept { return order_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return entries_.size(); }

  // nullopt: full, nothing was taken.
  std::optional<Handle> push(const Key& key, Value value) {
    if (free_.empty()) return std::nullopt;
    const std::uint32_t index = free_.back();
    free_.pop_back();
    entries_[index] =
        Entry{key, next_sequence_++, static_cast<std::uint32_t>(order_.size()), std::move(value)};
    order_.push_back(index);
    sift_up(entries_[index].position);
    return Handle{index};
  }

  // The entry with the smallest key. The heap is not empty (asserted), here and in the next three.
  [[nodiscard]] Handle top() const noexcept {
    assert(!empty());
    return Handle{order_.front()};
  }
  [[nodiscard]] const Key& top_key() const noexcept { return key(top()); }
  [[nodiscard]] Value& top_value() noexcept { return value(top()); }
  [[nodiscard]] const Value& top_value() const noexcept { return value(top()); }
  Value pop() { return remove(top()); }

  [[nodiscard]] const Key& key(Handle h) const noexcept { return checked(h).key; }
  [[nodiscard]] Value& value(Handle h) noexcept { return const_cast<Entry&>(checked(h)).value; }
  [[nodiscard]] const Value& value(Handle h) const noexcept { return checked(h).value; }

  // Gives the entry a new key; among equals it counts as inserted now.
  void update(Handle h, const Key& key) {
    Entry& entry = const_cast<Entry&>(checked(h));
    entry.key = key;
    entry.sequence = next_sequence_++;
    settle(entry.position);
  }

  Value remove(Handle h) {
    Entry& entry = const_cast<Entry&>(checked(h));
    const std::uint32_t hole = entry.position;
    const std::uint32_t last = order_.back();
    order_.pop_back();
    if (last != h.index) {
      place(last, hole);
      settle(hole);
    }
    entry.position = nowhere;
    free_.push_back(h.index);
    return std::move(entry.value);
  }

  void clear() {
    while (!empty()) pop();
  }

 private:
  static constexpr std::uint32_t nowhere = UINT32_MAX;

  struct Entry {
    Key key{};
    std::uint64_t sequence{};
    std::uint32_t position = nowhere;  // in order_
    Value value{};
  };

  const Entry& checked(Handle h) const noexcept {
    assert(h.index < entries_.size() && entries_[h.index].position != nowhere);
    return entries_[h.index];
  }
  bool before(std::uint32_t a, std::uint32_t b) const noexcept {
    const Entry& x = entries_[a];
    const Entry& y = entries_[b];
    return x.key < y.key || (!(y.key < x.key) && x.sequence < y.sequence);
  }
  void place(std::uint32_t index, std::uint32_t position) noexcept {
    order_[position] = index;
    entries_[index].position = position;
  }
  void settle(std::uint32_t position) noexcept {
    if (!sift_up(position)) sift_down(position);
  }
  bool sift_up(std::uint32_t position) noexcept {
    const std::uint32_t index = order_[position];
    const std::uint32_t start = position;
    while (position > 0) {
      const std::uint32_t parent = (position - 1) / 2;
      if (!before(index, order_[parent])) break;
      place(order_[parent], position);
      position = parent;
    }
    place(index, position);
    return position != start;
  }
  void sift_down(std::uint32_t position) noexcept {
    const std::uint32_t index = order_[position];
    const auto count = static_cast<std::uint32_t>(order_.size());
    for (;;) {
      std::uint32_t child = 2 * position + 1;
      if (child >= count) break;
      if (child + 1 < count && before(order_[child + 1], order_[child])) ++child;
      if (!before(order_[child], index)) break;
      place(order_[child], position);
      position = child;
    }
    place(index, position);
  }

  std::vector<std::uint32_t> order_;  // heap of indices into entries_
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  std::uint64_t next_sequence_ = 0;
};

}  // namespace rtchan
