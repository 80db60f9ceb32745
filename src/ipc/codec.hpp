// The byte form of control messages: one list of fields per struct (requests.cpp) serves writing and reading, so
// the two cannot drift apart. Reading is strict: ranges are checked, and the first flaw is named.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/ids.hpp"

namespace rtchan::ipc {

class Writer {
 public:
  template <class T>
    requires std::is_arithmetic_v<T>
  void operator()(const char* /*name*/, const T& value) {
    const auto* from = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), from, from + sizeof value);
  }
  template <class Tag, class Rep>
  void operator()(const char* name, const Id<Tag, Rep>& id) { (*this)(name, id.value); }
  void operator()(const char* name, const std::chrono::nanoseconds& d) { (*this)(name, std::int64_t{d.count()}); }
  template <class Enum>
    requires std::is_enum_v<Enum>
  void one_of(const char* name, const Enum& value, Enum /*last*/) {
    (*this)(name, static_cast<std::uint8_t>(value));
  }
  void text(const char* name, const std::string& value, std::size_t most) {
    const std::size_t size = std::min(value.size(), most);  // a sentence that grew too long is cut, not refused
    (*this)(name, static_cast<std::uint32_t>(size));
    raw(value.data(), size);
  }
  template <std::size_t N>
  void array(const char* /*name*/, const std::array<std::uint8_t, N>& value) { raw(value.data(), N); }
  void bytes(const char* name, const std::vector<std::byte>& value, std::size_t /*most*/) {
    (*this)(name, static_cast<std::uint32_t>(value.size()));
    raw(value.data(), value.size());
  }
  std::uint32_t count(const char* name, std::size_t size, std::size_t /*most*/) {
    (*this)(name, static_cast<std::uint32_t>(size));
    return static_cast<std::uint32_t>(size);
  }
  template <class Flaw>
  void check(const Flaw& /*flaw*/) {}

  static constexpr bool reads = false;
  [[nodiscard]] std::vector<std::byte>& out() noexcept { return bytes_; }

 private:
  void raw(const void* from, std::size_t size) {
    const auto* p = static_cast<const std::byte*>(from);
    bytes_.insert(bytes_.end(), p, p + size);
  }
  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <class T>
    requires std::is_arithmetic_v<T>
  void operator()(const char* name, T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      std::uint8_t byte{};
      raw(name, &byte, 1);
      if (byte > 1) fail(name, "is neither 0 nor 1");
      value = byte == 1;
    } else {
      raw(name, &value, sizeof value);
    }
  }
  template <class Tag, class Rep>
  void operator()(const char* name, Id<Tag, Rep>& id) { (*this)(name, id.value); }
  void operator()(const char* name, std::chrono::nanoseconds& d) {
    std::int64_t count{};
    (*this)(name, count);
    d = std::chrono::nanoseconds{count};
  }
  template <class Enum>
    requires std::is_enum_v<Enum>
  void one_of(const char* name, Enum& value, Enum last) {
    std::uint8_t byte{};
    raw(name, &byte, 1);
    if (byte > static_cast<std::uint8_t>(last)) {
      fail(name, "has a value that is not defined");
    } else {
      value = static_cast<Enum>(byte);
    }
  }
  void text(const char* name, std::string& value, std::size_t most) {
    const auto part = take_part(name, most);
    value.assign(reinterpret_cast<const char*>(part.data()), part.size());
  }
  template <std::size_t N>
  void array(const char* name, std::array<std::uint8_t, N>& value) { raw(name, value.data(), N); }
  void bytes(const char* name, std::vector<std::byte>& value, std::size_t most) {
    const auto part = take_part(name, most);
    value.assign(part.begin(), part.end());
  }
  std::uint32_t count(const char* name, std::size_t /*size*/, std::size_t most) {
    std::uint32_t count{};
    (*this)(name, count);
    if (count <= most) return count;
    fail(name, "are more than " + std::to_string(most));
    return 0;
  }
  // `flaw` is asked only when everything so far could be read.
  template <class Flaw>
  void check(const Flaw& flaw) {
    if (flaw_.empty()) {
      if (auto found = flaw()) flaw_ = *std::move(found);
    }
  }
  void fail(const char* name, const std::string& what) {
    if (flaw_.empty()) flaw_ = std::string{name} + " " + what;
  }

  static constexpr bool reads = true;
  [[nodiscard]] const std::string& flaw() const noexcept { return flaw_; }
  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }

 private:
  void raw(const char* name, void* to, std::size_t size) {
    if (rest_.size() < size) {
      fail(name, "is cut off");
      rest_ = {};
      return;
    }
    std::memcpy(to, rest_.data(), size);
    rest_ = rest_.subspan(size);
  }
  std::span<const std::byte> take_part(const char* name, std::size_t most) {
    std::uint32_t size{};
    (*this)(name, size);
    if (size > most) fail(name, "is longer than " + std::to_string(most) + " bytes");
    if (size > rest_.size()) fail(name, "is cut off");
    if (!flaw_.empty()) return {};
    const auto part = rest_.first(size);
    rest_ = rest_.subspan(size);
    return part;
  }
  std::span<const std::byte> rest_;
  std::string flaw_;
};

}  // namespace rtchan::ipc
