#include "cli/pipe/contract.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/pipe/frame.hpp"

namespace rtchan::cli {
namespace {

using namespace std::chrono_literals;

double stream_bits(const Qos& qos) { return qos.max_rate * (qos.max_message_bytes - pipe_header_bytes) * 8; }

TEST(StreamContract, CarriesExactlyTheRateItWasGiven) {
  for (const std::uint64_t rate : {8'000ull, 4'000'000ull, 90'000'000ull, 5'000'000'000ull}) {
    for (const Duration delay : {Duration{1ms}, Duration{50ms}, Duration{2s}}) {
      const auto qos = stream_contract({rate, delay});
      ASSERT_TRUE(qos) << qos.error();
      EXPECT_NEAR(stream_bits(*qos), static_cast<double>(rate), static_cast<double>(rate) * 1e-9);
      EXPECT_EQ(qos->max_delay, delay);
    }
  }
}

TEST(StreamContract, FillingAChunkTakesAtMostAQuarterOfTheDelayUnlessChunksWouldBeTiny) {
  const auto qos = stream_contract({4'000'000, 50ms});
  ASSERT_TRUE(qos);
  EXPECT_LE(1 / qos->max_rate, 0.0125 + 1e-9);
  EXPECT_GE(stream_contract({64'000, 1ms})->max_message_bytes, 512u);
}

TEST(StreamContract, TheBurstHoldsWhatAPipePoursOut) {
  const auto qos = stream_contract({4'000'000, 50ms});
  ASSERT_TRUE(qos);
  EXPECT_GT((qos->max_burst + 1) * (qos->max_message_bytes - pipe_header_bytes), 64u * 1024);
}

TEST(StreamContract, TakesWhatIsSaidExplicitly) {
  const auto qos = stream_contract({.bits_per_second = 8'000'000, .delay = 10ms, .chunk_bytes = 1000, .burst = 7});
  ASSERT_TRUE(qos);
  EXPECT_DOUBLE_EQ(qos->max_rate, 1000);
  EXPECT_EQ(qos->max_burst, 7u);
  EXPECT_EQ(qos->max_message_bytes, 1016u);
}

TEST(StreamContract, NamesWhatIsOutOfRange) {
  EXPECT_THAT(stream_contract({0, 5ms}).error(), testing::HasSubstr("0 bit/s"));
  EXPECT_THAT(stream_contract({1000, 0ms}).error(), testing::HasSubstr("delay"));
  EXPECT_THAT(stream_contract({.bits_per_second = 1000, .delay = 5ms, .chunk_bytes = 3}).error(), testing::HasSubstr("chunk"));
  EXPECT_THAT(stream_contract({.bits_per_second = 1, .delay = 5ms, .chunk_bytes = 1 << 20}).error(),
              testing::HasSubstr("messages a second"));
}

}  // namespace
}  // namespace rtchan::cli
