#include "base/crc32c.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string_view>
#include <vector>

namespace rtchan {
namespace {

std::vector<std::byte> bytes(std::size_t n, auto value_at) {
  std::vector<std::byte> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::byte>(value_at(i));
  return out;
}

// RFC 3720 appendix B.4 prints the checksums as bytes in the order sent, least significant first.
void expect_rfc_values(auto crc) {
  EXPECT_EQ(crc(bytes(32, [](auto) { return 0; })), 0x8a9136aau);
  EXPECT_EQ(crc(bytes(32, [](auto) { return 0xff; })), 0x62a8ab43u);
  EXPECT_EQ(crc(bytes(32, [](auto i) { return i; })), 0x46dd794eu);
  EXPECT_EQ(crc(bytes(32, [](auto i) { return 31 - i; })), 0x113fdb5cu);
  const std::vector<std::uint8_t> scsi_read = {
      0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
      0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0,    0};
  EXPECT_EQ(crc(bytes(48, [&](auto i) { return scsi_read[i]; })), 0xd9963a56u);
}

TEST(Crc32c, HasTheCheckValuesOfRfc3720) {
  expect_rfc_values([](const auto& b) { return crc32c(b); });
  expect_rfc_values([](const auto& b) { return detail::crc32c_table(b, 0); });
  EXPECT_EQ(crc32c({}), 0u);
  const std::string_view digits = "123456789";
  EXPECT_EQ(crc32c(std::as_bytes(std::span(digits))), 0xe3069283u);
}

TEST(Crc32c, IsTheSameByTableAndByInstruction) {
  if (!detail::crc32c_has_hardware()) GTEST_SKIP() << "this processor has no CRC32C instruction";
  std::mt19937 random(1);
  const auto data = bytes(3000, [&](auto) { return random(); });
  for (std::size_t length = 0; length < 1600;
       ++length) {  // across one, three and several lanes, each alignment
    const auto part = std::span(data).subspan(length % 13, length);
    const auto before = static_cast<std::uint32_t>(random());
    ASSERT_EQ(detail::crc32c_table(part, before), detail::crc32c_hardware(part, before)) << length;
  }
}

TEST(Crc32c, ContinuesWhereItStopped) {
  std::mt19937 random(2);
  const auto data = bytes(1000, [&](auto) { return random(); });
  const auto whole = crc32c(data);
  for (std::size_t cut = 0; cut <= data.size(); cut += 7) {
    EXPECT_EQ(crc32c(std::span(data).subspan(cut), crc32c(std::span(data).first(cut))), whole);
  }
}

}  // namespace
}  // namespace rtchan
