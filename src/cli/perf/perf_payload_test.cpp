#include "cli/perf/payload.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace rtchan::cli {
namespace {

std::vector<std::byte> written(bool checked) {
  std::vector<std::byte> message(200, std::byte{7});
  write_payload({PayloadKind::data, checked, 3, 1234567890123, Instant{Duration{11}}, Instant{Duration{22}}, 99}, message);
  return message;
}

TEST(Payload, ReadsBackWhatWasWritten) {
  const auto payload = read_payload(written(false));
  ASSERT_TRUE(payload);
  EXPECT_EQ(*payload, (Payload{PayloadKind::data, false, 3, 1234567890123, Instant{Duration{11}}, Instant{Duration{22}}, 99}));
}

TEST(Payload, EveryFlippedHeaderBitIsFound) {
  for (std::size_t bit = 0; bit < payload_bytes * 8; ++bit) {
    auto message = written(false);
    message[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(read_payload(message)) << "bit " << bit;
  }
}

TEST(Payload, FillerIsJudgedOnlyWhenAsked) {
  auto message = written(false);
  message.back() ^= std::byte{1};
  EXPECT_TRUE(read_payload(message));
  message = written(true);
  EXPECT_TRUE(read_payload(message));
  message.back() ^= std::byte{1};
  EXPECT_FALSE(read_payload(message));
}

TEST(Payload, ShortMessagesAreNotOurs) {
  auto message = written(false);
  for (std::size_t length = 0; length < payload_bytes; ++length) {
    EXPECT_FALSE(read_payload(std::span(message).first(length)));
  }
}

TEST(Payload, EchoTimesFollowTheHeader) {
  std::array<std::byte, echo_bytes> message{};
  write_echo_times({Instant{Duration{1}}, Instant{Duration{2}}, Instant{Duration{3}}, 4}, message);
  write_payload({.kind = PayloadKind::echo, .filler_checked = true}, message);
  ASSERT_TRUE(read_payload(message));
  EXPECT_EQ(read_echo_times(message).handed_back, Instant{Duration{3}});
  EXPECT_EQ(read_echo_times(message).clock, 4u);
}

TEST(ClockIdentity, IsStableOnOneMachine) {
  EXPECT_EQ(clock_identity(), clock_identity());
}

}  // namespace
}  // namespace rtchan::cli
