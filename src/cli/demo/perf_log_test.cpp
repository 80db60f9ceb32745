// The load tool's log is read by the names of its columns, in pieces, and a damaged one is refused by line.
#include "cli/demo/perf_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rtchan::demo {
namespace {

constexpr const char* kHeader =
    "received_ns,sequence,intended_ns,handover_ns,readable_ns,delay_ns,colour,bytes\n";

TEST(PerfLog, ColumnsAreFoundByName) {
  RecordReader reader;
  const auto records = reader.read(std::string{kHeader} + "60,7,10,20,50,-9223372036854775808,3,1000\n");
  ASSERT_TRUE(records) << records.error().text;
  ASSERT_EQ(records->size(), 1u);
  const Record& r = records->front();
  EXPECT_EQ(r.sequence, 7u);
  EXPECT_EQ(r.intended, Instant{Duration{10}});
  EXPECT_EQ(r.handover, Instant{Duration{20}});
  EXPECT_EQ(r.readable, Instant{Duration{50}});
  EXPECT_EQ(r.received, Instant{Duration{60}});
  EXPECT_EQ(r.daemon_delay, Duration{INT64_MIN});
  EXPECT_EQ(r.bytes, 1000u);
}

TEST(PerfLog, AGrowingLogIsReadInPieces) {
  RecordReader reader;
  const std::string text = std::string{kHeader} + "60,7,10,20,50,30,3,1000\n61,8,11,21,51,30,3,1000\n";
  std::size_t count = 0;
  for (const char c : text) {
    const auto records = reader.read(std::string_view{&c, 1});
    ASSERT_TRUE(records);
    count += records->size();
  }
  EXPECT_EQ(count, 2u);
}

TEST(PerfLog, WhatWasNotAnnouncedIsRefused) {
  EXPECT_FALSE(RecordReader{}.read("sequence,intended_ns\n"));
  EXPECT_FALSE(RecordReader{}.read(std::string{kHeader} + "1,2,3\n"));
  const auto wrong = RecordReader{}.read(std::string{kHeader} + "60,7,10,20,fifty,30,3,1000\n");
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().text, testing::HasSubstr("fifty"));
}

TEST(PerfLog, TheSendersCountIsFoundInTheLastLineThatHasOne) {
  const auto sent = read_sent(
      R"({"progress":1,"offered":3,"handed_over":3})"
      "\n"
      R"({"seconds":20,"streams":[{"offered":60,"handed_over":20,"dropped":40},{"offered":5,"handed_over":3,"refused":1,"left_over":1}]})"
      "\nnot json\n");
  ASSERT_TRUE(sent) << sent.error().text;
  EXPECT_EQ(sent->offered, 65u);
  EXPECT_EQ(sent->accepted, 23u);
  EXPECT_EQ(sent->policed, 42u);
  EXPECT_TRUE(read_sent("{\n \"sent\": {\"offered\": 1, \"handed_over\": 1}\n}\n"));
  EXPECT_FALSE(read_sent("rtc perf: no daemon\n"));
  EXPECT_FALSE(read_sent(""));
}

}  // namespace
}  // namespace rtchan::demo
