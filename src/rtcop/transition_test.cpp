// The table that people read is the switch that runs.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "rtcop/path.hpp"
#include "rtcop/untaken.hpp"

namespace rtchan::rtcop {
namespace {

std::string trim(std::string s) {
  const auto first = s.find_first_not_of(' ');
  if (first == std::string::npos) return "";
  return s.substr(first, s.find_last_not_of(' ') - first + 1);
}

std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> out;
  std::stringstream in{line.substr(1)};
  for (std::string cell; std::getline(in, cell, '|');) out.push_back(trim(cell));
  return out;
}

// (state, event) -> "next: deed"; empty: stays, nothing happens.
std::map<std::pair<std::string, std::string>, std::string> table_of_the_document() {
  std::ifstream file{RTCHAN_SOURCE_DIR "/docs/protocol/rtcop.md"};
  EXPECT_TRUE(file.good());
  std::map<std::pair<std::string, std::string>, std::string> table;
  std::vector<std::string> events;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("| | setup ")) {
      events = cells(line);
    } else if (!events.empty() && line.starts_with("| ")) {
      const auto row = cells(line);
      for (std::size_t i = 1; i < row.size() && i < events.size(); ++i) table[{row[0], events[i]}] = row[i];
    } else if (!events.empty() && line.empty()) {
      break;
    }
  }
  return table;
}

TEST(Transitions, document_and_switch_agree_on_every_cell) {
  const auto table = table_of_the_document();
  EXPECT_EQ(table.size(), path_states * path_events);
  for (std::size_t s = 0; s < path_states; ++s) {
    for (std::size_t e = 0; e < path_events; ++e) {
      const auto state = static_cast<PathState>(s);
      const auto event = static_cast<PathEvent>(e);
      const Transition t = transition(state, event);
      std::string expected;
      if (t.next != state || t.deed != Deed::ignore) expected = std::string{name(t.next)} + ": " + name(t.deed);
      if (untaken(state, event)) expected += " †";
      const auto found = table.find({name(state), name(event)});
      ASSERT_NE(found, table.end()) << name(state) << " " << name(event);
      EXPECT_EQ(found->second, expected) << name(state) << " " << name(event);
    }
  }
}

TEST(Transitions, from_every_state_that_holds_something_a_path_can_end) {
  for (std::size_t s = 1; s < path_states; ++s) {
    for (const PathEvent way_out : {PathEvent::teardown, PathEvent::close, PathEvent::expire}) {
      EXPECT_EQ(transition(static_cast<PathState>(s), way_out).next, PathState::none);
    }
  }
}

}  // namespace
}  // namespace rtchan::rtcop
