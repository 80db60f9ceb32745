// What people and programs get to see of a plan.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "cli/plan/picture.hpp"
#include "cli/plan/show.hpp"

namespace rtchan::cli {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

plan::Network example() {
  auto network = plan::load_network(RTCHAN_SOURCE_DIR "/examples/plan.toml");
  EXPECT_TRUE(network) << network.error().front();
  return network.value_or(plan::Network{});
}

TEST(PlanShown, TheExampleIsAsItsGuideSays) {
  const plan::Network network = example();
  const plan::Outcome outcome = plan::evaluate(network);
  EXPECT_EQ(network.hosts.size(), 6u);
  EXPECT_GT(outcome.admitted(), 10u);
  ASSERT_TRUE(outcome.first_refused) << "the guide explains a refusal with it";
}

TEST(PlanShown, JsonHasEveryChannelAndItsStagesAddUp) {
  const plan::Network network = example();
  const plan::Outcome outcome = plan::evaluate(network);
  const ordered_json value = ordered_json::parse(plan_json(network, outcome).dump());
  ASSERT_EQ(value["channels"].size(), outcome.verdicts.size());
  EXPECT_EQ(value["admitted"].get<std::size_t>() + value["refused"].get<std::size_t>(),
            outcome.verdicts.size());
  std::size_t admitted = 0;
  for (const auto& channel : value["channels"]) {
    ASSERT_EQ(channel["admitted"].get<bool>(), !channel.contains("refused"));
    if (!channel["admitted"].get<bool>()) {
      EXPECT_FALSE(channel["refused"]["text"].get<std::string>().empty());
      continue;
    }
    ++admitted;
    EXPECT_EQ(channel["way"].front(), channel["from"]);
    EXPECT_EQ(channel["way"].back(), channel["to"]);
    EXPECT_EQ(channel["buffers"].size(), channel["way"].size());
    if (channel["contract"]["service"] != "guaranteed") continue;
    EXPECT_EQ(channel["stages"].size(), 2 * channel["way"].size() - 1);
    std::int64_t sum = channel["propagation_ns"];
    for (const auto& stage : channel["stages"]) {
      EXPECT_EQ(stage["minimum_ns"].get<std::int64_t>() + stage["share_ns"].get<std::int64_t>(),
                stage["delay_ns"].get<std::int64_t>());
      EXPECT_EQ(stage.contains("link"), stage["stage"] == "link");
      sum += stage["delay_ns"].get<std::int64_t>();
    }
    EXPECT_EQ(sum, channel["total_ns"].get<std::int64_t>());
    EXPECT_LE(sum, channel["contract"]["delay_ns"].get<std::int64_t>());
  }
  EXPECT_EQ(admitted, value["admitted"]);
  ASSERT_EQ(value["links"].size(), 2 * network.links.size());
  for (const auto& link : value["links"]) {
    EXPECT_LE(link["promised_ppm"], link["limit_ppm"]);
    EXPECT_NE(link["from"], link["to"]);
  }
  EXPECT_EQ(value["hosts"].size(), network.hosts.size());
  const auto& refused = value["first_refused"];
  EXPECT_FALSE(value["channels"][refused["index"].get<std::size_t>()]["admitted"].get<bool>());
  EXPECT_EQ(value["channels"][refused["index"].get<std::size_t>()]["number"], refused["number"]);
  EXPECT_EQ(refused["refused"]["host"], "panel");
  EXPECT_EQ(refused["refused"]["resource"], "cpu");
  EXPECT_THAT(refused["refused"]["text"].get<std::string>(), HasSubstr("infeasible at panel"));
}

TEST(PlanShown, TextNamesEveryHostLinkAndChannel) {
  const plan::Network network = example();
  const std::string text = plan_text(network, plan::evaluate(network), true);
  for (const auto& host : network.hosts) EXPECT_THAT(text, HasSubstr(host.name));
  for (const auto& link : network.links) EXPECT_THAT(text, HasSubstr(link.name));
  for (const auto& channel : network.channels) EXPECT_THAT(text, HasSubstr(channel.name));
  EXPECT_THAT(text, HasSubstr("first refused: "));
}

// The boxes of all words in an SVG.
std::vector<std::pair<std::string, Box>> words_in(const std::string& svg) {
  static const std::regex text{
      "<text x=\"([-0-9.]+)\" y=\"([-0-9.]+)\" "
      "font-size=\"([0-9.]+)\"[^>]*text-anchor=\"([a-z]+)\"[^>]*>([^<]*)</text>"};
  std::vector<std::pair<std::string, Box>> all;
  for (std::sregex_iterator it{svg.begin(), svg.end(), text}, end; it != end; ++it) {
    const double x = std::stod((*it)[1]), y = std::stod((*it)[2]), size = std::stod((*it)[3]);
    const double width = width_of((*it)[5], size) * 0.9;
    const double left = (*it)[4] == "start" ? x : (*it)[4] == "end" ? x - width : x - width / 2;
    all.push_back({(*it)[5], {left, y - size * 0.8, width, size}});
  }
  return all;
}

TEST(PlanPicture, NoWordsCoverOthersAndAllAreInside) {
  const plan::Network network = example();
  const std::string svg = picture_of(network, plan::evaluate(network)).svg();
  std::smatch size;
  ASSERT_TRUE(std::regex_search(svg, size, std::regex{"width=\"([0-9]+)\" height=\"([0-9]+)\""}));
  const Box paper{0, 0, std::stod(size[1]), std::stod(size[2])};
  const auto words = words_in(svg);
  EXPECT_GT(words.size(), 6 * 2 + 5 * 3u);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const Box& b = words[i].second;
    EXPECT_TRUE(b.left >= 0 && b.top >= 0 && b.left + b.width <= paper.width &&
                b.top + b.height <= paper.height)
        << words[i].first;
    for (std::size_t j = 0; j < i; ++j)
      EXPECT_FALSE(b.overlaps(words[j].second)) << words[i].first << " and " << words[j].first;
  }
}

TEST(PlanPicture, NamesAreNoMarkup) {
  plan::Network named = example();
  named.hosts[0].name = "<a&b>";
  named.hosts[1].name = "it's";
  const Drawing drawing = picture_of(named, plan::evaluate(named));
  EXPECT_THAT(drawing.svg(), HasSubstr(">&lt;a&amp;b&gt;<"));
  EXPECT_THAT(drawing.gnuplot("x.png"), HasSubstr("'it''s'"));
}

}  // namespace
}  // namespace rtchan::cli
