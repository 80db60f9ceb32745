// Big-endian integers in bounded byte spans: what encoders and decoders of signalling share. A reader that runs
// past the end turns bad and yields zeros; the decoder asks once, at the end. A writer likewise refuses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace rtchan::wire {

class ByteWriter {
 public:
  explicit ByteWriter(std::span<std::byte> out) noexcept : out_(out) {}

  template <class T>
  void put(T value) noexcept {
    static_assert(std::is_unsigned_v<T>);
    if (!room(sizeof(T))) return;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      out_[at_ + i] = static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * (sizeof(T) - 1 - i)) & 0xff);
    }
    at_ += sizeof(T);
  }
  void bytes(std::span<const std::byte> b) noexcept {
    if (!room(b.size())) return;
    if (!b.empty()) std::memcpy(out_.data() + at_, b.data(), b.size());
    at_ += b.size();
  }
  // Seven bits a byte, least first, high bit: more follow.
  void varint(std::uint64_t value) noexcept {
    while (value >= 0x80) {
      put(static_cast<std::uint8_t>(value | 0x80));
      value >>= 7;
    }
    put(static_cast<std::uint8_t>(value));
  }
  void patch16(std::size_t at, std::uint16_t value) noexcept {
    out_[at] = static_cast<std::byte>(value >> 8);
    out_[at + 1] = static_cast<std::byte>(value & 0xff);
  }
  [[nodiscard]] std::size_t size() const noexcept { return at_; }
  [[nodiscard]] bool good() const noexcept { return good_; }

 private:
  bool room(std::size_t n) noexcept { return good_ = good_ && out_.size() - at_ >= n; }

  std::span<std::byte> out_;
  std::size_t at_ = 0;
  bool good_ = true;
};

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> in) noexcept : in_(in) {}

  template <class T>
  T get() noexcept {
    static_assert(std::is_unsigned_v<T>);
    const auto b = bytes(sizeof(T));
    std::uint64_t value = 0;
    for (const std::byte x : b) value = value << 8 | std::to_integer<std::uint64_t>(x);
    return static_cast<T>(value);
  }
  // Empty and bad if fewer are left.
  std::span<const std::byte> bytes(std::size_t n) noexcept {
    if (!good_ || left() < n) {
      good_ = false;
      return {};
    }
    const auto b = in_.subspan(at_, n);
    at_ += n;
    return b;
  }
  // At most ten bytes, no padding (one number has one form).
  std::uint64_t varint() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto b = get<std::uint8_t>();
      if (!good_) return 0;
      if ((shift == 63 && b > 1) || (b == 0 && shift > 0)) break;
      value |= static_cast<std::uint64_t>(b & 0x7f) << shift;
      if ((b & 0x80) == 0) return value;
    }
    good_ = false;
    return 0;
  }
  void fail() noexcept { good_ = false; }
  [[nodiscard]] std::size_t left() const noexcept { return in_.size() - at_; }
  [[nodiscard]] bool good() const noexcept { return good_; }

 private:
  std::span<const std::byte> in_;
  std::size_t at_ = 0;
  bool good_ = true;
};

}  // namespace rtchan::wire
