#include "cli/common/table.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace rtchan::cli {
namespace {

TEST(Table, AlignsNumbersRightAndTextLeft) {
  Table table({"name", "rate", "state"});
  table.row({"control", "500/s", "open"});
  table.row({"v\xc2\xb5", "10k/s", "-"});
  EXPECT_EQ(table.text(),
            "name      rate  state\n"
            "control  500/s  open\n"
            "v\xc2\xb5       10k/s  -\n");
}

TEST(Render, ShowsScalarsListsAndCountersOfAnyStatus) {
  const auto status = nlohmann::ordered_json::parse(R"({
    "name": "hostA", "round_trip_ns": 1500000, "stages": [{"kind": "cpu", "utilisation_ppm": 123400}],
    "neighbours": [], "counters": [["packets dropped: label unknown", 3]], "limits": {"message_bytes": 30000}})");
  const std::string text = render(status);
  EXPECT_NE(text.find("round trip  1.5ms"), std::string::npos) << text;
  EXPECT_NE(text.find("12.34%"), std::string::npos) << text;
  EXPECT_NE(text.find("neighbours: none"), std::string::npos) << text;
  EXPECT_NE(text.find("3  packets dropped: label unknown"), std::string::npos) << text;
  EXPECT_NE(text.find("message bytes  30KB"), std::string::npos) << text;
}

TEST(Render, ToleratesShapesThatItDoesNotKnow) {
  for (const char* text : {"null", "3", "\"x\"", "[]", "[1,[2,{}]]", "{}", "[{},{\"a\":1}]", "{\"a_ns\":\"text\",\"b_ppm\":null}"}) {
    EXPECT_NO_THROW(render(nlohmann::ordered_json::parse(text))) << text;
  }
}

}  // namespace
}  // namespace rtchan::cli
