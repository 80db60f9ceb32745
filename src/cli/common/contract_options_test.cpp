#include "cli/common/contract_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rtchan::cli {
namespace {

using namespace std::chrono_literals;

// What a command line means; the error text if it is refused.
std::expected<Qos, std::string> contract(std::vector<std::string> words) {
  CLI::App app;
  ContractOptions options;
  add_contract_options(app, options);
  std::reverse(words.begin(), words.end());
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    return std::unexpected(std::string(error.what()));
  }
  return qos_of(options);
}

TEST(ContractOptions, AreReadWithTheirUnits) {
  const auto qos = contract({"--rate", "10k/s", "--burst", "4", "--size", "30KB", "--delay", "5ms"});
  ASSERT_TRUE(qos) << qos.error();
  EXPECT_EQ(*qos, (Qos{.max_rate = 10'000, .max_burst = 4, .max_message_bytes = 30'000, .max_delay = 5ms}));
}

TEST(ContractOptions, BestEffortHasNoRateAndNoDelay) {
  const auto qos = contract({"--best-effort", "--size", "100"});
  ASSERT_TRUE(qos);
  EXPECT_EQ(qos->service, ServiceClass::best_effort);
  EXPECT_EQ(qos->max_rate, 0);
}

TEST(ContractOptions, SayWhichOptionIsWrongAndWhatIsAllowed) {
  EXPECT_THAT(contract({"--delay", "5"}).error(), testing::AllOf(testing::HasSubstr("--delay"), testing::HasSubstr("as in 5ms")));
  EXPECT_THAT(contract({"--size", "17MiB"}).error(), testing::HasSubstr("16MiB"));
  EXPECT_THAT(contract({"--rate", "fast"}).error(), testing::HasSubstr("--rate"));
  EXPECT_THAT(contract({"--rate", "11M/s"}).error(), testing::HasSubstr("--rate"));
  EXPECT_THAT(contract({"--delay", "2h"}).error(), testing::HasSubstr("--delay"));
  EXPECT_THAT(contract({"--burst", "0"}).error(), testing::HasSubstr("--burst"));
}

TEST(ContractOptions, AreDescribedInASentence) {
  EXPECT_EQ(describe({.max_rate = 500, .max_burst = 2, .max_message_bytes = 1000, .max_delay = 5ms}),
            "500/s of up to 1KB, bursts of 2, within 5ms");
}

}  // namespace
}  // namespace rtchan::cli
