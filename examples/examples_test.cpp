// The README's programs and the C example against two real daemons: what they print is what was sent, at the pace
// that was asked for.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "lab/daemon.hpp"
#include "lab/topology.hpp"

namespace rtchan {
namespace {

using namespace std::chrono_literals;

class Examples : public ::testing::Test {
 protected:
  void SetUp() override {
    auto hosts = lab::direct_pair("examples");
    ASSERT_TRUE(hosts) << hosts.error().text;
    hosts_ = std::move(*hosts);
    for (const std::size_t host : {hosts_.a, hosts_.b}) {
      auto daemon = lab::Daemon::start(*hosts_.lab, host);
      ASSERT_TRUE(daemon) << daemon.error().text;
      daemons_.push_back(std::move(*daemon));
    }
  }
  lab::Process start(std::size_t host, std::vector<std::string> argv, const std::filesystem::path& output) {
    lab::ProcessOptions options{.output = lab::Output::file, .output_file = output};
    options.environment = {daemons_[host].environment()};
    auto process = hosts_.lab->start(host == 0 ? hosts_.a : hosts_.b, argv, options);
    EXPECT_TRUE(process) << process.error().text;
    return std::move(*process);
  }
  std::filesystem::path file(const char* name) const { return hosts_.lab->directory() / name; }
  static bool contains(const std::filesystem::path& path, const std::string& text) {
    std::ifstream in(path);
    return std::string{std::istreambuf_iterator<char>{in}, {}}.find(text) != std::string::npos;
  }
  template <class Condition>
  static bool eventually(const Condition& condition) {
    for (int i = 0; i < 1'000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }
  lab::TwoHosts hosts_;
  std::vector<lab::Daemon> daemons_;
};

TEST_F(Examples, SenderAndReceiverOfTheReadmeLoseNothingAndKeepThePace) {
  auto receiver = start(1, {EXAMPLES "/receiver"}, file("received"));
  std::this_thread::sleep_for(300ms);  // it registers its port
  const auto begin = std::chrono::steady_clock::now();
  auto sender = start(0, {EXAMPLES "/sender", hosts_.address_b() + ":7000"}, file("sent"));
  const auto sent = sender.wait(40s);
  const auto took = std::chrono::steady_clock::now() - begin;
  ASSERT_TRUE(sent && sent->ok()) << sent.value_or(lab::Exit{}).text();
  const auto got = receiver.wait(10s);  // ends when the sender's end is closed
  ASSERT_TRUE(got && got->ok());
  std::ifstream in(file("received"));
  std::string line;
  int lines = 0;
  for (; std::getline(in, line); ++lines) ASSERT_EQ(line, "position " + std::to_string(lines));
  EXPECT_EQ(lines, 5'000);
  // 5,000 messages at 500 a second, offered as fast as possible: shaped by rtcd, never faster than the contract.
  EXPECT_GE(took, 4'998 * 2ms);
}

TEST_F(Examples, ThePollingProgramApprovesCountsAndNotices) {
  auto polling = start(1, {EXAMPLES "/poll_c", "7000"}, file("polling"));
  ASSERT_TRUE(eventually([&] { return contains(file("polling"), "listening on port 7000"); }));
  auto sender = start(0, {EXAMPLES "/sender", hosts_.address_b() + ":7000"}, file("sent"));
  const auto sent = sender.wait(40s);
  ASSERT_TRUE(sent && sent->ok());
  EXPECT_TRUE(eventually([&] { return contains(file("polling"), "5000 messages, 0 lost"); }));
  daemons_[1].process().kill(SIGKILL);
  const auto ended = polling.wait(5s);  // it hears at once that its daemon is gone
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 1);
}

}  // namespace
}  // namespace rtchan
