// Scripts: text and back, the same events every time, made smaller, and those that are kept.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "sim/minimise.hpp"
#include "sim/scenario.hpp"
#include "sim/testing/story.hpp"

namespace rtchan::sim {
namespace {

TEST(Script, text_and_back) {
  const Script script = make_script({}, 5);
  const auto again = parse_script(to_text(script));
  ASSERT_TRUE(again) << again.error();
  EXPECT_EQ(to_text(*again), to_text(script));
}

TEST(Script, mistakes_are_named_with_their_line) {
  EXPECT_EQ(parse_script("settings\n@1 crash hots=3").error(), "line 2: crash has no \"hots\"");
  EXPECT_EQ(parse_script("@0.5 fall").error(), "line 1: \"fall\" is nothing that can happen");
  EXPECT_EQ(parse_script("crash host=1").error(), "line 1: crash takes an instant");
  EXPECT_EQ(parse_script("@1 link a=0 b=1").error(), "line 1: link does not take an instant");
  EXPECT_EQ(parse_script("@1.x crash").error(), "line 1: \"@1.x\" is no instant");
  EXPECT_EQ(parse_script("@1 crash host=one").error(), "line 1: host must be given as host=INTEGER");
}

// Event by event, packet by packet, and by way of the text.
TEST(Script, replays_identically) {
  for (std::uint64_t seed = 100; seed < 110; ++seed) {
    const Script script = make_script({}, seed);
    std::vector<std::string> first, second;
    const Outcome a = run(script, &first);
    const Outcome b = run(*parse_script(to_text(script)), &second);
    EXPECT_EQ(a.totals.digest, b.totals.digest);
    EXPECT_EQ(a.totals.events, b.totals.events);
    ASSERT_EQ(first, second);
    EXPECT_NE(a.totals.digest, run(make_script({}, seed + 1'000)).totals.digest);
  }
}

TEST(Script, is_made_as_small_as_its_failure_allows) {
  const Script script = make_script({}, 3);
  std::vector<std::int64_t> channels;
  for (const Deed& d : script) {
    if (d.verb == Verb::create) channels.push_back(d["channel"]);
  }
  std::uint32_t asked = 0;
  const auto fails = [&](const Script& s) {
    ++asked;
    const auto has = [&](std::int64_t channel) {
      return std::ranges::any_of(s, [&](const Deed& d) { return d.verb == Verb::create && d["channel"] == channel; });
    };
    return has(channels.front()) && has(channels[channels.size() / 2]);
  };
  ASSERT_TRUE(fails(script));
  const Script small = minimise(script, fails, 500);
  EXPECT_TRUE(fails(small));
  EXPECT_LE(std::ranges::count_if(small, [](const Deed& d) { return !d.timeless(); }), 3);
  EXPECT_LE(asked, 502U);
}

// What once failed, and what is worth keeping.
TEST(Script, every_one_that_is_kept_is_clean) {
  std::size_t played = 0;
  for (const auto& entry : std::filesystem::directory_iterator{RTCHAN_SOURCE_DIR "/src/sim/scripts"}) {
    std::stringstream text;
    text << std::ifstream{entry.path()}.rdbuf();
    const auto script = parse_script(text.str());
    ASSERT_TRUE(script) << entry.path() << ": " << script.error();
    for (const auto& line : run(*script).wrong) ADD_FAILURE() << entry.path() << ": " << line;
    ++played;
  }
  EXPECT_GE(played, 3U);
}

}  // namespace
}  // namespace rtchan::sim
