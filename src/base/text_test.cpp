#include "base/text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace rtchan {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(Text, ReadsDurations) {
  EXPECT_EQ(parse_duration("5ms"), 5ms);
  EXPECT_EQ(parse_duration("1.5 s"), 1500ms);
  EXPECT_EQ(parse_duration("250us"), 250us);
  EXPECT_EQ(parse_duration("250\xc2\xb5s"), 250us);
  EXPECT_EQ(parse_duration("2min"), 2min);
  EXPECT_EQ(parse_duration("1h"), 1h);
  EXPECT_EQ(parse_duration(" 7NS "), 7ns);
  EXPECT_EQ(parse_duration("0"), 0ns);
}

TEST(Text, ReadsSizes) {
  EXPECT_EQ(parse_bytes("30KB"), 30'000u);
  EXPECT_EQ(parse_bytes("30KiB"), 30'720u);
  EXPECT_EQ(parse_bytes("1400"), 1'400u);
  EXPECT_EQ(parse_bytes("1400B"), 1'400u);
  EXPECT_EQ(parse_bytes("1.5MiB"), 1'572'864u);
  EXPECT_EQ(parse_bytes("2gb"), 2'000'000'000u);
}

TEST(Text, ReadsBitRates) {
  EXPECT_EQ(parse_bit_rate("97Mbit"), 97'000'000u);
  EXPECT_EQ(parse_bit_rate("4Mbit/s"), 4'000'000u);
  EXPECT_EQ(parse_bit_rate("1.5 Gbit"), 1'500'000'000u);
  EXPECT_EQ(parse_bit_rate("64000"), 64'000u);
}

TEST(Text, ReadsRates) {
  EXPECT_EQ(parse_rate("500/s"), 500.0);
  EXPECT_EQ(parse_rate("500"), 500.0);
  EXPECT_EQ(parse_rate("10k/s"), 10'000.0);
  EXPECT_EQ(parse_rate("30/min"), 0.5);
}

TEST(Text, RefusesAndSaysWhatIsAllowed) {
  for (const char* text : {"", "5", "5 parsecs", "ms", "-5ms", "5ms5", "1e3ms", "0x5ms", "nan s", "inf s",
                           "5 m s", "-0ms", "1,5ms", "99999999999h"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
  EXPECT_THAT(parse_duration("5 parsecs").error(), HasSubstr("\"5 parsecs\" is not a duration"));
  EXPECT_THAT(parse_duration("5").error(), HasSubstr("ns, us, ms, s, min, h"));
  EXPECT_FALSE(parse_bytes("30Kbit"));
  EXPECT_THAT(parse_bytes("x").error(), HasSubstr("KiB"));
  EXPECT_FALSE(parse_bytes("18446744073709551616"));
  EXPECT_FALSE(parse_bit_rate("97Mb")) << "megabits or megabytes? ask";
  EXPECT_FALSE(parse_bit_rate("97MB"));
  EXPECT_THAT(parse_bit_rate("97Mb").error(), HasSubstr("Mbit"));
  EXPECT_FALSE(parse_rate("500/day"));
}

TEST(Text, WritesTheShortestForm) {
  EXPECT_EQ(format_duration(5ms), "5ms");
  EXPECT_EQ(format_duration(1250ns), "1.25us");
  EXPECT_EQ(format_duration(-3ns), "-3ns");
  EXPECT_EQ(format_duration(0ns), "0ns");
  EXPECT_EQ(format_duration(999'999'999ns), "1s") << "three decimals of milliseconds would say 1000ms";
  EXPECT_EQ(format_duration(90min), "5400s");
  EXPECT_EQ(format_bytes(30'000), "30KB");
  EXPECT_EQ(format_bytes(17), "17B");
  EXPECT_EQ(format_bytes(1'400), "1.4KB");
  EXPECT_EQ(format_bit_rate(97'000'000), "97Mbit/s");
  EXPECT_EQ(format_rate(500), "500/s");
  EXPECT_EQ(format_rate(0.5), "0.5/s");
  EXPECT_EQ(format_rate(10'000), "10k/s");
}

TEST(Text, ReadsBackWhatItWrote) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 10'000; ++i) {
    const auto n = random() >> (random() % 40 + 10);
    const auto tolerance = static_cast<double>(n) * 5e-4 + 1;
    EXPECT_NEAR(static_cast<double>(parse_bytes(format_bytes(n)).value()), static_cast<double>(n), tolerance);
    EXPECT_NEAR(static_cast<double>(parse_bit_rate(format_bit_rate(n)).value()), static_cast<double>(n),
                tolerance);
    const Duration d{static_cast<std::int64_t>(n)};
    EXPECT_NEAR(static_cast<double>(parse_duration(format_duration(d)).value().count()),
                static_cast<double>(n), tolerance);
    EXPECT_NEAR(parse_rate(format_rate(static_cast<double>(n))).value(), static_cast<double>(n), tolerance);
  }
}

}  // namespace
}  // namespace rtchan
