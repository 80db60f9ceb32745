#include "base/crc32c.hpp"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace rtchan {

namespace {

constexpr std::uint32_t polynomial = 0x82f63b78;  // 0x1EDC6F41 with its bits reversed

using Table = std::array<std::uint32_t, 256>;

// table[k][b]: the state after byte b and then k zero bytes.
constexpr std::array<Table, 8> make_tables() {
  std::array<Table, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t state = byte;
    for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ ((state & 1) != 0 ? polynomial : 0);
    tables[0][byte] = state;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t state = tables[k - 1][byte];
      tables[k][byte] = (state >> 8) ^ tables[0][state & 0xff];
    }
  }
  return tables;
}

constexpr auto tables = make_tables();

// The instruction takes 3 cycles but one can start every cycle: three lanes of `lane_bytes` run side by side,
// and a lane's state is moved over the lanes behind it with this table of "append lane_bytes zero bytes",
// which is linear: the state's four bytes can be looked up apart.
constexpr std::size_t lane_bytes = 128;

constexpr std::array<Table, 4> make_lane_shift() {
  std::array<Table, 4> shift{};
  for (unsigned bit = 0; bit < 32; ++bit) {
    std::uint32_t state = std::uint32_t{1} << bit;
    for (std::size_t i = 0; i < lane_bytes; ++i) state = (state >> 8) ^ tables[0][state & 0xff];
    Table& table = shift[bit / 8];
    const std::size_t single = std::size_t{1} << (bit % 8);
    for (std::size_t below = 0; below < single; ++below) table[single + below] = state ^ table[below];
  }
  return shift;
}

}  // namespace

namespace detail {

std::uint32_t crc32c_table(std::span<const std::byte> bytes, std::uint32_t before) noexcept {
  std::uint32_t state = ~before;
  const std::byte* p = bytes.data();
  std::size_t left = bytes.size();
  const auto at = [&p](std::size_t i) { return std::to_integer<std::uint32_t>(p[i]); };
  for (; left >= 8; left -= 8, p += 8) {
    const std::uint32_t low = state ^ (at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24);
    state = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^ tables[5][(low >> 16) & 0xff] ^
            tables[4][low >> 24] ^ tables[3][at(4)] ^ tables[2][at(5)] ^ tables[1][at(6)] ^ tables[0][at(7)];
  }
  for (; left != 0; --left, ++p) state = (state >> 8) ^ tables[0][(state ^ at(0)) & 0xff];
  return ~state;
}

#if defined(__x86_64__)

namespace {

constexpr auto lane_shift = make_lane_shift();

std::uint64_t shifted(std::uint64_t state) noexcept {
  return lane_shift[0][state & 0xff] ^ lane_shift[1][(state >> 8) & 0xff] ^
         lane_shift[2][(state >> 16) & 0xff] ^ lane_shift[3][(state >> 24) & 0xff];
}

std::uint64_t load(const std::byte* p) noexcept {
  std::uint64_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

}  // namespace

__attribute__((target("sse4.2"))) std::uint32_t crc32c_hardware(std::span<const std::byte> bytes,
                                                                std::uint32_t before) noexcept {
  std::uint64_t state = ~before;
  const std::byte* p = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 3 * lane_bytes; left -= 3 * lane_bytes, p += 3 * lane_bytes) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < lane_bytes; i += 8) {
      state = _mm_crc32_u64(state, load(p + i));
      second = _mm_crc32_u64(second, load(p + lane_bytes + i));
      third = _mm_crc32_u64(third, load(p + 2 * lane_bytes + i));
    }
    state = shifted(shifted(state) ^ second) ^ third;
  }
  for (; left >= 8; left -= 8, p += 8) state = _mm_crc32_u64(state, load(p));
  auto narrow = static_cast<std::uint32_t>(state);
  for (; left != 0; --left, ++p) narrow = _mm_crc32_u8(narrow, std::to_integer<std::uint8_t>(*p));
  return ~narrow;
}

bool crc32c_has_hardware() noexcept {
  return __builtin_cpu_supports("sse4.2") != 0;
}

#else

std::uint32_t crc32c_hardware(std::span<const std::byte> bytes, std::uint32_t before) noexcept {
  return crc32c_table(bytes, before);
}
bool crc32c_has_hardware() noexcept {
  return false;
}

#endif

}  // namespace detail

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before) noexcept {
  static const bool hardware = detail::crc32c_has_hardware();
  return hardware ? detail::crc32c_hardware(bytes, before) : detail::crc32c_table(bytes, before);
}

}  // namespace rtchan
