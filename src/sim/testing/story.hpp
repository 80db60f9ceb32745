// Scripts written in a test: text, with what a test says in general filled in.
#pragma once

#include <gtest/gtest.h>
#include <fmt/format.h>

#include <string>

#include "sim/world.hpp"

namespace rtchan::sim::testing {

inline Script story(const std::string& text) {
  auto script = parse_script(text);
  EXPECT_TRUE(script.has_value()) << script.error();
  return script.value_or(Script{});
}

// `hosts` in a line, 100 Mbit/s each, one application on each.
inline std::string line_of(std::uint32_t hosts, const std::string& settings) {
  std::string text = "settings " + settings + "\n";
  for (std::uint32_t l = 0; l + 1 < hosts; ++l) text += fmt::format("link link={} a={} b={} rate_kbit=100000\n", l, l, l + 1);
  for (std::uint32_t h = 0; h < hosts; ++h) text += fmt::format("@0 start app={} host={}\n", h, h);
  return text;
}

inline std::string on_every_wire(std::uint32_t hosts, const std::string& at, const std::string& faults) {
  std::string text;
  for (std::uint32_t l = 0; l + 1 < hosts; ++l) {
    text += fmt::format("@{} faults from={} to={} {}\n@{} faults from={} to={} {}\n", at, l, l + 1, faults, at, l + 1, l, faults);
  }
  return text;
}

inline void expect_clean(const Outcome& outcome) {
  for (const std::string& line : outcome.wrong) ADD_FAILURE() << line;
}

}  // namespace rtchan::sim::testing
