// `rtc plan` as a script meets it: exit status, what is on stdout and what on stderr. Needs no daemon and no
// network.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lab/daemon.hpp"

namespace rtchan::system_test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class PlanCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "rtc-plan-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream{directory_ / name} << text;
    return directory_ / name;
  }
  // stdout alone, or with stderr.
  std::pair<int, std::string> rtc_plan(const std::string& arguments, bool with_errors = false) const {
    const std::string line =
        lab::program("rtc") + " plan " + arguments + (with_errors ? " 2>&1" : " 2>/dev/null");
    std::FILE* pipe = popen(line.c_str(), "r");
    std::string text;
    std::array<char, 4096> piece{};
    while (const std::size_t n = std::fread(piece.data(), 1, piece.size(), pipe))
      text.append(piece.data(), n);
    const int status = pclose(pipe);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text};
  }
  static std::string two_hosts(int count) {
    return "[[host]]\nname = \"a\"\n[[host]]\nname = \"b\"\n[[link]]\nbetween = [\"a\", \"b\"]\nrate = "
           "\"97Mbit\"\n"
           "[[channel]]\nfrom = \"a\"\nto = \"b\"\nrate = \"100/s\"\nsize = \"10KB\"\ndelay = "
           "\"50ms\"\ncount = " +
           std::to_string(count) + "\n";
  }
  std::filesystem::path directory_;
};

TEST_F(PlanCommand, StatusSaysWhetherAllIsAdmitted) {
  const std::string few = write("few.toml", two_hosts(2)), many = write("many.toml", two_hosts(50));
  const auto [good, text] = rtc_plan(few);
  EXPECT_EQ(good, 0);
  EXPECT_THAT(text, StartsWith("2 hosts, 1 link, 2 channels: 2 admitted, 0 refused\n"));
  const auto [full, refusal] = rtc_plan(many + " --brief");
  EXPECT_EQ(full, 1);
  EXPECT_THAT(refusal, HasSubstr("first refused: a-b"));
  EXPECT_THAT(refusal, testing::Not(HasSubstr("share of slack")));
}

TEST_F(PlanCommand, ABadFileIsNamedLineByLine) {
  const std::string bad = write("bad.toml", two_hosts(2) + "size = \"1KB\"\n");
  EXPECT_EQ(rtc_plan(bad).first, 2);
  const std::string wrong = write("wrong.toml", two_hosts(2) + "rates = \"1KB\"\n");
  const auto [status, text] = rtc_plan(wrong, true);
  EXPECT_EQ(status, 2);
  EXPECT_THAT(text, StartsWith(wrong + ":15: channel[0].rates: no such key; here are"));
  EXPECT_EQ(rtc_plan((directory_ / "none.toml").string()).first, 2);
  EXPECT_EQ(rtc_plan(write("x.toml", two_hosts(1)) + " --picture x.pdf").first, 2);
}

TEST_F(PlanCommand, AMinusIsStandardInput) {
  const std::string few = write("few.toml", two_hosts(2)), wrong = write("wrong.toml", "x = 1\n");
  const auto [status, text] = rtc_plan("- < " + few);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(text, StartsWith("2 hosts, 1 link, 2 channels: 2 admitted, 0 refused\n"));
  const auto [bad, why] = rtc_plan("- < " + wrong, true);
  EXPECT_EQ(bad, 2);
  EXPECT_THAT(why, HasSubstr("standard input:1: x: no such key"));
}

TEST_F(PlanCommand, HelpNamesEveryExitStatus) {
  const auto [status, text] = rtc_plan("--help");
  EXPECT_EQ(status, 0);
  for (const char* known : {"0 everything is admitted", "1 something is refused", "2 the file makes no sense", "3 the picture could not be written"})
    EXPECT_THAT(text, HasSubstr(known));
}

TEST_F(PlanCommand, JsonIsOneObjectEvenOfABadFile) {
  const auto good = rtc_plan(write("few.toml", two_hosts(3)) + " --json");
  EXPECT_EQ(nlohmann::json::parse(good.second)["admitted"], 3);
  const auto bad = rtc_plan(write("bad.toml", "x = 1\n") + " --json");
  EXPECT_EQ(bad.first, 2);
  EXPECT_THAT(nlohmann::json::parse(bad.second)["error"]["text"].get<std::string>(),
              HasSubstr("no such key"));
}

TEST_F(PlanCommand, PicturesAreWritten) {
  const std::string file = write("few.toml", two_hosts(2)), svg = directory_ / "p.svg",
                    png = directory_ / "p.png";
  EXPECT_EQ(rtc_plan(file + " --picture " + svg).first, 0);
  EXPECT_GT(std::filesystem::file_size(svg), 1'000u);
  const auto [status, text] = rtc_plan(file + " --picture " + png, true);
  if (status == 0) {
    EXPECT_GT(std::filesystem::file_size(png), 1'000u);
  } else {
    EXPECT_EQ(status, 3);
    EXPECT_THAT(text, HasSubstr("gnuplot"));
  }
  EXPECT_EQ(rtc_plan(file + " --picture /nowhere/p.svg").first, 3);
}

}  // namespace
}  // namespace rtchan::system_test
