#include "cli/input.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>
#include <thread>

namespace rtchan::cli {
namespace {

// A pipe whose other end writes `text` in pieces of `piece` bytes.
struct Source {
  explicit Source(std::string text, std::size_t piece) {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) std::abort();
    writer = std::thread([fd = ends[1], text = std::move(text), piece] {
      for (std::size_t i = 0; i < text.size(); i += piece) {
        const std::string part = text.substr(i, piece);
        EXPECT_EQ(write(fd, part.data(), part.size()), static_cast<ssize_t>(part.size()));
      }
      close(fd);
    });
    path = "/proc/self/fd/" + std::to_string(ends[0]);
    read_end = ends[0];
  }
  ~Source() {
    writer.join();
    close(read_end);
  }
  std::string path;
  int read_end;
  std::thread writer;
};

std::string text(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::vector<std::string> lines(const std::string& input, std::size_t largest, std::size_t piece = 3) {
  Source source(input, piece);
  auto file = File::open_input(source.path);
  PieceReader reader(*file, largest);
  std::vector<std::string> result;
  while (true) {
    const auto line = reader.line();
    if (!line) return {"error: " + line.error().text};
    if (!*line) return result;
    result.push_back(text(**line));
  }
}

TEST(Lines, KeepTheirNewlinesSoThatTheOutputEqualsTheInput) {
  EXPECT_EQ(lines("one\n\nthree", 10), (std::vector<std::string>{"one\n", "\n", "three"}));
  EXPECT_EQ(lines("", 10), std::vector<std::string>{});
  EXPECT_EQ(lines("\n", 1), std::vector<std::string>{"\n"});
}

TEST(Lines, MayBeAsLongAsAMessageButNotLonger) {
  EXPECT_EQ(lines("123456789\nx\n", 10), (std::vector<std::string>{"123456789\n", "x\n"}));
  EXPECT_THAT(lines("ok\n1234567890\n", 10), testing::ElementsAre(testing::HasSubstr("line 2 is longer")));
  EXPECT_THAT(lines("12345678901234567890123456789", 10), testing::ElementsAre(testing::HasSubstr("line 1 is longer")));
}

TEST(Blocks, AreFullButTheLast) {
  Source source(std::string(25, 'x'), 4);
  auto file = File::open_input(source.path);
  PieceReader reader(*file, 10);
  std::vector<std::size_t> sizes;
  for (auto block = reader.block(); block && *block; block = reader.block()) sizes.push_back((*block)->size());
  EXPECT_EQ(sizes, (std::vector<std::size_t>{10, 10, 5}));
}

TEST(File, SaysWhichFileAndWhy) {
  const auto file = File::open_input("/does/not/exist");
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().text, testing::AllOf(testing::HasSubstr("/does/not/exist"), testing::HasSubstr("No such file")));
}

}  // namespace
}  // namespace rtchan::cli
