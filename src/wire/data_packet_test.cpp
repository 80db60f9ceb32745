#include "wire/data_packet.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <random>
#include <string_view>
#include <vector>

#include "base/crc32c.hpp"
#include "base/limits.hpp"

namespace rtchan::wire {
namespace {

using namespace std::chrono_literals;
using Bytes = std::vector<std::byte>;

Bytes hex(std::string_view text) {
  Bytes out;
  int high = -1;
  for (const char c : text) {
    if (!std::isxdigit(static_cast<unsigned char>(c))) continue;
    const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
    if (high < 0) {
      high = digit;
    } else {
      out.push_back(static_cast<std::byte>(high * 16 + digit));
      high = -1;
    }
  }
  return out;
}

void put16(Bytes& packet, std::size_t at, unsigned value) {
  packet[at] = static_cast<std::byte>(value >> 8);
  packet[at + 1] = static_cast<std::byte>(value);
}
void put32(Bytes& packet, std::size_t at, std::uint32_t value) {
  put16(packet, at, value >> 16);
  put16(packet, at + 2, value & 0xffff);
}

Bytes records(std::initializer_list<std::string_view> messages) {
  Bytes body;
  for (const auto message : messages) {
    body.push_back(static_cast<std::byte>(message.size() >> 8));
    body.push_back(static_cast<std::byte>(message.size()));
    for (const char c : message) body.push_back(static_cast<std::byte>(c));
  }
  return body;
}

Bytes packet_of(const DataHeader& header, const Bytes& body) {
  const std::size_t before = header_bytes + (header.type == PacketType::fragment ? fragment_bytes : 0);
  Bytes packet(before + body.size() + trailer_bytes);
  std::copy(body.begin(), body.end(), packet.begin() + static_cast<long>(before));
  encode_header(header, packet);
  seal(packet);
  return packet;
}

DataHeader messages_header() {
  return {.type = PacketType::messages,
          .label = {0x01020304, 0xa1a2a3a4},
          .packet_number = 0x11121314,
          .rem = 5ms,
          .first_message = 0x21222324};
}

DataHeader fragment_header() {
  DataHeader header = messages_header();
  header.type = PacketType::fragment;
  header.offset = 1000;
  header.message_length = 30'000;
  return header;
}

Drop drop_of(const Bytes& packet) {
  const auto decoded = decode(packet);
  EXPECT_FALSE(decoded);
  return decoded ? Drop{255} : decoded.error();
}

// Changes a valid packet and seals it again, so that only the change is wrong.
Bytes resealed(Bytes packet, auto&& change) {
  change(packet);
  seal(packet);
  return packet;
}

TEST(DataPacket, OfMessagesHasTheseBytes) {
  EXPECT_EQ(packet_of(messages_header(), records({"hello", "rt"})), hex("11 00 0033"
                                                                        "01020304 a1a2a3a4"
                                                                        "11121314"
                                                                        "0004c4b4"  // 5 ms / 16 ns = 312,500
                                                                        "21222324"
                                                                        "0005 68656c6c6f"
                                                                        "0002 7274"
                                                                        "ac8eec97 000000000000000000000000"));
}

TEST(DataPacket, OfAFragmentHasTheseBytes) {
  DataHeader header = fragment_header();
  header.flags = flag_best_effort;
  header.rem = -1us;
  EXPECT_EQ(packet_of(header, hex("c0ffee")), hex("12 01 0033"
                                                  "01020304 a1a2a3a4"
                                                  "11121314"
                                                  "ffffffc2"  // -62.5 units, rounded up to -62
                                                  "21222324"
                                                  "000003e8 00007530"
                                                  "c0ffee"
                                                  "ec98e797 000000000000000000000000"));
}

TEST(DataPacket, OfASignalHasTheseBytes) {
  EXPECT_EQ(packet_of({.type = PacketType::signal}, hex("01")), hex("13 00 0029"
                                                                    "00000000 00000000"
                                                                    "00000000 00000000 00000000"
                                                                    "01"
                                                                    "619bb8fb 000000000000000000000000"));
}

TEST(DataPacket, SurvivesTheWire) {
  const Bytes messages = packet_of(messages_header(), records({"a", "bc"}));
  const auto decoded = decode(messages);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->header.type, PacketType::messages);
  EXPECT_EQ(decoded->header.flags, 0);
  EXPECT_EQ(decoded->header.label, messages_header().label);
  EXPECT_EQ(decoded->header.packet_number, 0x11121314u);
  EXPECT_EQ(decoded->header.rem, 5ms);
  EXPECT_EQ(decoded->header.first_message, 0x21222324u);

  const Bytes body(1000, std::byte{7});
  const Bytes fragment = packet_of(fragment_header(), body);
  const auto part = decode(fragment);
  ASSERT_TRUE(part);
  EXPECT_EQ(part->header.offset, 1000u);
  EXPECT_EQ(part->header.message_length, 30'000u);
  EXPECT_TRUE(std::ranges::equal(part->body, body));
  EXPECT_EQ(part->body.data(), fragment.data() + header_bytes + fragment_bytes) << "no copy";
}

TEST(DataPacket, GivesItsRecordsInOrder) {
  const Bytes packet = packet_of(messages_header(), records({"one", "2", "three"}));
  RecordReader reader(decode(packet)->body);
  std::vector<std::string> seen;
  std::span<const std::byte> message;
  while (reader.next(message))
    seen.emplace_back(reinterpret_cast<const char*>(message.data()), message.size());
  EXPECT_EQ(seen, (std::vector<std::string>{"one", "2", "three"}));
  EXPECT_FALSE(reader.next(message));
}

TEST(DataPacket, RecordReaderStopsAtABrokenRecord) {
  std::span<const std::byte> message;
  for (const auto* body : {"", "00", "0002 aa", "ffff"}) {
    const Bytes bytes = hex(body);
    RecordReader reader(bytes);
    EXPECT_FALSE(reader.next(message)) << body;
  }
}

TEST(DataPacket, RemIsRoundedUpAndLimited) {
  const auto sent = [](Duration rem) {
    DataHeader header = messages_header();
    header.rem = rem;
    return decode(packet_of(header, records({"x"})))->header.rem;
  };
  EXPECT_EQ(sent(0ns), 0ns);
  EXPECT_EQ(sent(1ns), 16ns);
  EXPECT_EQ(sent(16ns), 16ns);
  EXPECT_EQ(sent(17ns), 32ns);
  EXPECT_EQ(sent(-1ns), 0ns);
  EXPECT_EQ(sent(-16ns), -16ns);
  EXPECT_EQ(sent(-17ns), -16ns);
  EXPECT_EQ(sent(limits::delay_max + limits::horizon_max), 31s);  // the longest that a contract can lead to
  const Duration most{std::int64_t{INT32_MAX} * 16};
  EXPECT_EQ(sent(1h), most);
  EXPECT_EQ(sent(-1h), Duration{std::int64_t{INT32_MIN} * 16});
  EXPECT_EQ(sent(Duration::max()), most);
  EXPECT_EQ(sent(Duration::min()), Duration{std::int64_t{INT32_MIN} * 16});
}

TEST(DataPacket, SetsRemAtHandOverAndNothingElse) {
  Bytes packet = packet_of(messages_header(), records({"x", "y"}));
  DataHeader later = messages_header();
  later.rem = 123us;
  set_rem_and_seal(packet, 123us);
  EXPECT_EQ(packet, packet_of(later, records({"x", "y"})));
}

TEST(DataPacket, RefusesShortPackets) {
  const Bytes whole = packet_of(messages_header(), records({"hello"}));
  for (std::size_t n = 0; n < header_bytes + trailer_bytes; ++n) {
    EXPECT_EQ(drop_of(Bytes(whole.begin(), whole.begin() + static_cast<long>(n))), Drop::short_packet);
  }
}

TEST(DataPacket, RefusesOtherVersionsTypesAndFlags) {
  const Bytes good = packet_of(messages_header(), records({"hello"}));
  for (unsigned first = 0; first < 256; ++first) {
    const auto changed = resealed(good, [&](Bytes& p) { p[0] = static_cast<std::byte>(first); });
    if (first >> 4 != version) {
      EXPECT_EQ(drop_of(changed), Drop::bad_version);
    } else if ((first & 15) == 0 || (first & 15) > 3) {
      EXPECT_EQ(drop_of(changed), Drop::bad_type) << "parity and resend are reserved, not carried";
    }
  }
  constexpr unsigned two_classes = flag_best_effort | flag_middle;
  for (const unsigned flags : {8u, 16u, 32u, 64u, 128u, two_classes}) {
    EXPECT_EQ(drop_of(resealed(good, [&](Bytes& p) { p[1] = static_cast<std::byte>(flags); })),
              Drop::bad_flags);
  }
}

TEST(DataPacket, RefusesALengthThatIsNotTheDatagrams) {
  const Bytes good = packet_of(messages_header(), records({"hello"}));
  for (const unsigned length : {0u, 40u, 46u, 48u, 65'535u}) {
    EXPECT_EQ(drop_of(resealed(good, [&](Bytes& p) { put16(p, 2, length); })), Drop::bad_length) << length;
  }
  Bytes longer = good;
  longer.push_back(std::byte{0});
  EXPECT_EQ(drop_of(longer), Drop::bad_length);
}

TEST(DataPacket, RefusesEverySingleFlippedBit) {
  for (const Bytes& good : {packet_of(messages_header(), records({"hello", "rt"})),
                            packet_of(fragment_header(), Bytes(20, std::byte{1}))}) {
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
      Bytes bad = good;
      bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
      EXPECT_FALSE(decode(bad)) << "bit " << bit;
    }
  }
}

TEST(DataPacket, RefusesAKeyedTagThatItCannotVerify) {
  DataHeader header = messages_header();
  header.flags = flag_keyed;
  EXPECT_EQ(drop_of(packet_of(header, records({"x"}))), Drop::bad_checksum);
}

TEST(DataPacket, RefusesATrailerWithAnythingBehindTheChecksum) {
  Bytes packet = packet_of(messages_header(), records({"x"}));
  packet.back() = std::byte{1};
  EXPECT_EQ(drop_of(packet), Drop::bad_checksum);
}

TEST(DataPacket, RefusesBrokenRecords) {
  for (const auto* body : {"",               // no record
                           "00",             // half a length
                           "0000",           // an empty message
                           "0002 aa",        // past the end
                           "ffff aa",        // far past the end
                           "0001 aa 0001",   // second one past the end
                           "0001 aa 0000",   // second one empty
                           "0001 aa bb"}) {  // a byte too many
    EXPECT_EQ(drop_of(packet_of(messages_header(), hex(body))), Drop::bad_record) << body;
  }
}

TEST(DataPacket, RefusesSignalsAndFragmentsWithoutBytes) {
  EXPECT_EQ(drop_of(packet_of({.type = PacketType::signal}, {})), Drop::bad_record);
  EXPECT_EQ(drop_of(packet_of(fragment_header(), {})), Drop::bad_record);
  // Too short even for offset and message length.
  EXPECT_EQ(drop_of(resealed(packet_of(messages_header(), hex("0001aa")),
                             [](Bytes& p) { p[0] = std::byte{0x12}; })),
            Drop::bad_record);
}

TEST(DataPacket, RefusesFragmentsOutsideTheirMessage) {
  const Bytes good = packet_of(fragment_header(), Bytes(1000, std::byte{1}));
  const auto with = [&](std::uint32_t offset, std::uint32_t length) {
    return resealed(good, [&](Bytes& p) {
      put32(p, 24, offset);
      put32(p, 28, length);
    });
  };
  EXPECT_TRUE(decode(with(0, 1000)));
  EXPECT_TRUE(decode(with(limits::message_bytes - 1000, limits::message_bytes)));
  EXPECT_EQ(drop_of(with(0, 999)), Drop::bad_offset);
  EXPECT_EQ(drop_of(with(1, 1000)), Drop::bad_offset);
  EXPECT_EQ(drop_of(with(0, limits::message_bytes + 1)), Drop::bad_offset);
  EXPECT_EQ(drop_of(with(0xffffffff, 500)), Drop::bad_offset) << "the sum must not wrap";
  EXPECT_EQ(drop_of(with(0xfffffc18, limits::message_bytes)), Drop::bad_offset);
  EXPECT_EQ(drop_of(with(0, 0)), Drop::bad_offset);
}

TEST(DataPacket, NamesEveryReasonDifferently) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < drop_reasons; ++i) names.emplace_back(name(static_cast<Drop>(i)));
  EXPECT_EQ(std::ranges::count(names, "unknown"), 0);
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

// Random bytes never pass; valid ones with a random part replaced and sealed again pass or are refused, and
// what passes keeps every promise that a receiver relies on.
TEST(DataPacket, KeepsItsPromisesOverRandomInput) {
  std::mt19937 random(5);
  std::size_t passed = 0;
  for (int i = 0; i < 200'000; ++i) {
    Bytes packet = i % 2 == 0 ? packet_of(messages_header(), records({"hello", "rt", "x"}))
                              : packet_of(fragment_header(), Bytes(30, std::byte{1}));
    for (auto changes = 1 + random() % 3; changes > 0; --changes) {
      packet[random() % packet.size()] = static_cast<std::byte>(random());
    }
    seal(packet);
    const auto decoded = decode(packet);
    if (!decoded) continue;
    ++passed;
    ASSERT_FALSE(decoded->body.empty());
    if (decoded->header.type == PacketType::fragment) {
      ASSERT_LE(decoded->header.offset + std::uint64_t{decoded->body.size()}, decoded->header.message_length);
      ASSERT_LE(decoded->header.message_length, limits::message_bytes);
    } else if (decoded->header.type == PacketType::messages) {
      RecordReader reader(decoded->body);
      std::span<const std::byte> message;
      std::size_t total = 0;
      while (reader.next(message)) total += record_bytes + message.size();
      ASSERT_EQ(total, decoded->body.size());
    }
  }
  EXPECT_GT(passed, 1000u);
}

}  // namespace
}  // namespace rtchan::wire
