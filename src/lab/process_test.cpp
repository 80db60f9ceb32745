// A child always ends, is always reaped, and tells what became of it.
#include "lab/process.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "lab/command.hpp"

namespace rtchan::lab {
namespace {

using std::chrono::seconds;

TEST(Process, ReportsExitStatusAndOutput) {
  auto process = Process::start({"sh", "-c", "echo out; echo err >&2; exit 3"}, {.output = Output::pipe});
  ASSERT_TRUE(process) << process.error().text;
  const auto exit = process->wait(seconds{20});
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->code, 3);
  EXPECT_EQ(process->take_output(), "out\nerr\n");
  EXPECT_FALSE(process->running());
}

TEST(Process, AProgramThatDoesNotExistIsAnErrorOfTheStartNotOfTheChild) {
  const auto process = Process::start({"no-such-program-anywhere"});
  ASSERT_FALSE(process);
  EXPECT_NE(process.error().text.find("no-such-program-anywhere"), std::string::npos);
}

TEST(Process, ATalkativeChildDoesNotBlockOnThePipe) {
  auto process = Process::start({"sh", "-c", "yes line | head -n 200000"}, {.output = Output::pipe});
  ASSERT_TRUE(process);
  ASSERT_TRUE(process->wait(seconds{20}));
  EXPECT_EQ(process->take_output().size(), 200'000u * 5);
}

TEST(Process, StopEndsAChildThatIgnoresTerm) {
  auto process = Process::start({"sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"},
                                {.output = Output::pipe});
  ASSERT_TRUE(process);
  ASSERT_EQ(process->read_line(seconds{20}), "ready");
  EXPECT_EQ(process->stop(std::chrono::milliseconds{100}).signal, SIGKILL);
}

TEST(Process, IsGoneWithItsOwner) {
  pid_t pid = 0;
  {
    auto process = Process::start({"sleep", "60"});
    ASSERT_TRUE(process);
    pid = process->pid();
    ASSERT_EQ(kill(pid, 0), 0);
  }
  EXPECT_NE(kill(pid, 0), 0) << "still there, or a zombie";
}

TEST(Command, AFailureCarriesTheCommandAndWhatItSaid) {
  const auto result = run({"sh", "-c", "echo because; false"});
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().text.find("because"), std::string::npos);
  EXPECT_NE(result.error().text.find("exited with 1"), std::string::npos);
}

TEST(Command, ATooSlowCommandIsEnded) {
  const auto result = run({"sleep", "60"}, std::chrono::milliseconds{50});
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().text.find("in time"), std::string::npos);
}

}  // namespace
}  // namespace rtchan::lab
