#include "cli/pipe/frame.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

namespace rtchan::cli {
namespace {

using Message = std::vector<std::byte>;

// A stream of `chunks` random chunks with its hello and last message.
std::vector<Message> stream(int chunks, Message* content = nullptr) {
  std::mt19937 random(7);
  PipeWriter writer;
  std::vector<Message> messages;
  Message buffer(1000);
  const auto keep = [&](std::size_t used) { messages.emplace_back(buffer.begin(), buffer.begin() + static_cast<long>(used)); };
  keep(writer.hello(4711, buffer));
  for (int i = 0; i < chunks; ++i) {
    const std::size_t bytes = 1 + random() % 900;
    for (std::size_t b = 0; b < bytes; ++b) buffer[pipe_header_bytes + b] = static_cast<std::byte>(random());
    if (content) content->insert(content->end(), buffer.begin() + pipe_header_bytes, buffer.begin() + static_cast<long>(pipe_header_bytes + bytes));
    keep(writer.chunk(bytes, buffer));
  }
  keep(writer.last(buffer));
  return messages;
}

// The sentence the reader ends with; empty: complete.
std::string outcome(const std::vector<Message>& messages, Message* out = nullptr) {
  PipeReader reader;
  for (const Message& message : messages) {
    const auto bytes = reader.take(message);
    if (!bytes) return bytes.error();
    if (out) out->insert(out->end(), bytes->begin(), bytes->end());
  }
  return reader.complete() ? "" : "not complete";
}

TEST(Pipe, CarriesEveryByteInOrder) {
  Message sent;
  Message received;
  const auto messages = stream(50, &sent);
  EXPECT_EQ(outcome(messages, &received), "");
  EXPECT_EQ(received, sent);
}

TEST(Pipe, AnEmptyStreamIsComplete) { EXPECT_EQ(outcome(stream(0)), ""); }

TEST(Pipe, TellsItsReplyPort) {
  PipeReader reader;
  ASSERT_TRUE(reader.take(stream(0).front()));
  EXPECT_EQ(reader.reply_port(), 4711);
}

TEST(Pipe, NamesWhatWasLostAndPassesNothingBehindTheHole) {
  Message sent;
  Message received;
  auto messages = stream(10, &sent);
  messages.erase(messages.begin() + 4, messages.begin() + 6);
  EXPECT_THAT(outcome(messages, &received), testing::HasSubstr("2 messages were lost after byte"));
  ASSERT_LT(received.size(), sent.size());
  EXPECT_TRUE(std::equal(received.begin(), received.end(), sent.begin()));
}

TEST(Pipe, EverySingleLossIsFound) {
  for (std::size_t i = 0; i < 12; ++i) {
    auto messages = stream(10);
    messages.erase(messages.begin() + static_cast<long>(i));
    EXPECT_NE(outcome(messages), "") << "message " << i;
  }
}

TEST(Pipe, FindsChangedContentReorderingAndDuplicates) {
  auto changed = stream(3);
  changed[2][pipe_header_bytes] ^= std::byte{1};
  EXPECT_THAT(outcome(changed), testing::HasSubstr("the content was changed"));
  auto swapped = stream(3);
  std::swap(swapped[1], swapped[2]);
  EXPECT_NE(outcome(swapped), "");
  auto twice = stream(3);
  twice.insert(twice.begin() + 2, twice[1]);
  EXPECT_THAT(outcome(twice), testing::HasSubstr("message 1 came after message 1"));
}

TEST(Pipe, TruncationOfAChunkIsFound) {
  auto cut = stream(3);
  cut[2].pop_back();
  EXPECT_THAT(outcome(cut), testing::HasSubstr("bytes were sent"));
}

TEST(Pipe, SaysWhenTheInputFailed) {
  PipeWriter writer;
  PipeReader reader;
  Message buffer(100);
  ASSERT_TRUE(reader.take(std::span(buffer).first(writer.hello(0, buffer))));
  const auto end = reader.take(std::span(buffer).first(writer.aborted(buffer)));
  ASSERT_FALSE(end);
  EXPECT_THAT(end.error(), testing::HasSubstr("could not read its input"));
  EXPECT_FALSE(reader.complete());
}

TEST(Pipe, ForeignBytesNeverCrashIt) {
  std::mt19937 random(3);
  for (int i = 0; i < 20'000; ++i) {
    auto messages = stream(2);
    Message& victim = messages[random() % messages.size()];
    for (int flips = 0; flips < 3; ++flips) victim[random() % victim.size()] ^= std::byte{1} << (random() % 8);
    victim.resize(random() % (victim.size() + 1));
    outcome(messages);
  }
}

TEST(PipeReceipt, ReadsBack) {
  std::array<std::byte, pipe_receipt_bytes> message{};
  const PipeReceipt receipt{true, 123456789012, 0xdeadbeef};
  write_receipt(receipt, message);
  EXPECT_EQ(*read_receipt(message), receipt);
  EXPECT_FALSE(read_receipt(std::span(message).first(23)));
}

}  // namespace
}  // namespace rtchan::cli
