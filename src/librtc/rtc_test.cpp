// The C API against a daemon in miniature: the paper's nine routines, from a C program's point of view.
#include <rtchan/rtc.h>

#include <gtest/gtest.h>
#include <poll.h>

#include <string>
#include <thread>

#include "librtc/testing/fake_daemon.hpp"

namespace {

constexpr rtcQos contract{RTC_GUARANTEED, 500, 8, 1'024, 5'000'000};

struct Heard {
  int setups = 0;
  rtcAgentCall last{};
  std::string extension;
  int nested = 0;
};
int agent(const rtcAgentCall* call, void* context) {
  auto& heard = *static_cast<Heard*>(context);
  ++heard.setups;
  heard.last = *call;
  if (call->extension_count == 1) {
    heard.extension.assign(static_cast<const char*>(call->extensions[0].value), call->extensions[0].length);
  }
  heard.nested = rtcCreateConnection("10.0.0.2", 1, &contract, nullptr);
  return call->qos.max_burst <= 8;
}

class RtcTest : public ::testing::Test {
 protected:
  void SetUp() override {
    daemon.start();
    ASSERT_EQ(rtcInit(daemon.path().c_str()), RTC_OK);
  }
  void TearDown() override { rtcFinish(); }
  rtchan::testing::FakeDaemon daemon;
};

TEST_F(RtcTest, TheNineRoutinesMakeOneConversation) {
  Heard heard;
  ASSERT_EQ(rtcRegisterPort(7000, agent, &heard), 7000);
  const rtcExtension extension{0x8001, 3, "abc"};
  rtcOptions options = RTC_OPTIONS_INIT;
  options.extensions = &extension;
  options.extension_count = 1;
  const int out = rtcCreateConnection("10.0.0.2", 7000, &contract, &options);
  ASSERT_GE(out, 0) << rtcLastError()->text;
  EXPECT_EQ(heard.setups, 1);
  EXPECT_EQ(heard.last.kind, RTC_SETUP);
  EXPECT_EQ(heard.last.qos.max_message_bytes, 1'024u);
  EXPECT_STREQ(heard.last.source.host, "10.0.0.1");
  EXPECT_EQ(heard.extension, "abc");
  EXPECT_EQ(heard.nested, RTC_EDEADLOCK);
  rtcRemote remote{};
  const int in = rtcAcceptConnection(7000, &remote);
  ASSERT_GE(in, 0);
  EXPECT_STREQ(remote.host, "10.0.0.1");

  EXPECT_EQ(rtcSendMessage(out, "hello", 5), RTC_OK);
  char buffer[16];
  EXPECT_EQ(rtcRecvMessage(in, buffer, 3), RTC_EMSGSIZE);
  ASSERT_EQ(rtcRecvMessage(in, buffer, sizeof buffer), 5);
  EXPECT_EQ(std::string(buffer, 5), "hello");

  std::int64_t value = 0;
  EXPECT_EQ(rtcGetParameter(in, RTC_MESSAGES, &value), RTC_OK);
  EXPECT_EQ(value, 1);
  EXPECT_EQ(rtcGetParameter(out, RTC_BOUND, &value), RTC_OK);
  EXPECT_EQ(value, 5'000'000);
  EXPECT_EQ(rtcGetParameter(out, RTC_MAX_RATE, &value), RTC_OK);
  EXPECT_EQ(value, 500'000'000);
  EXPECT_EQ(rtcGetParameter(in, RTC_WORST_DELAY, &value), RTC_OK);
  EXPECT_EQ(value, 1'000);

  EXPECT_EQ(rtcDestroyConnection(out), RTC_OK);
  EXPECT_EQ(rtcRecvMessage(in, buffer, sizeof buffer), RTC_EPEERCLOSED);
  EXPECT_EQ(rtcDestroyConnection(in), RTC_OK);
  EXPECT_EQ(rtcUnRegisterPort(7000), RTC_OK);
}

TEST_F(RtcTest, ErrorsAreCodesWithDetailsPerThread) {
  EXPECT_EQ(rtcInit(nullptr), RTC_EINVAL);
  EXPECT_EQ(rtcSendMessage(99, "x", 1), RTC_EINVAL);
  EXPECT_EQ(rtcCreateConnection("10.0.0.2", 7, &contract, nullptr), RTC_ENOLISTENER);
  EXPECT_EQ(rtcLastError()->code, RTC_ENOLISTENER);
  EXPECT_STRNE(rtcLastError()->text, "");
  std::thread([] { EXPECT_EQ(rtcLastError()->code, RTC_OK); }).join();
  rtcQos bad = RTC_QOS_INIT;
  EXPECT_EQ(rtcCreateConnection("10.0.0.2", 7, &bad, nullptr), RTC_EINVAL);
  EXPECT_NE(std::string(rtcLastError()->text).find("max_message_bytes"), std::string::npos);
  EXPECT_STREQ(rtcErrorName(RTC_ETIMEDOUT), "timed out");
  EXPECT_STREQ(rtcErrorName(-99), "unknown error");
  Heard heard;
  ASSERT_EQ(rtcRegisterPort(7000, agent, &heard), 7000);
  rtcQos bursty = contract;
  bursty.max_burst = 9;
  EXPECT_EQ(rtcCreateConnection("10.0.0.2", 7000, &bursty, nullptr), RTC_EREJECTED);
}

TEST_F(RtcTest, RefusalsCarryHopResourceAndWhatWouldFit) {
  rtcFinish();
  daemon.kill();
  daemon.refuse = [](const rtchan::ipc::CreateChannel&) {
    return rtchan::Error{rtchan::Errc::refused, "no", {"10.0.0.9", rtchan::Resource::cpu, {}, std::chrono::milliseconds{7}, 12.5}};
  };
  daemon.start();
  ASSERT_EQ(rtcInit(daemon.path().c_str()), RTC_OK);
  EXPECT_EQ(rtcCreateConnection("10.0.0.2", 7, &contract, nullptr), RTC_EREFUSED);
  EXPECT_STREQ(rtcLastError()->hop, "10.0.0.9");
  EXPECT_STREQ(rtcLastError()->resource, "cpu");
  EXPECT_EQ(rtcLastError()->fitting_delay_ns, 7'000'000);
  EXPECT_EQ(rtcLastError()->fitting_rate, 12.5);
}

TEST_F(RtcTest, TimeOutsAndPolling) {
  ASSERT_EQ(rtcRegisterPort(7000, nullptr, nullptr), 7000);
  EXPECT_EQ(rtcAcceptConnectionTimed(7000, nullptr, RTC_NO_WAIT), RTC_EWOULDBLOCK);
  EXPECT_EQ(rtcAcceptConnectionTimed(7000, nullptr, 1'000'000), RTC_ETIMEDOUT);
  const int out = rtcCreateConnection("10.0.0.2", 7000, &contract, nullptr);
  pollfd waited{rtcPortFd(7000), POLLIN, 0};
  ASSERT_EQ(poll(&waited, 1, 5'000), 1);
  const int in = rtcAcceptConnectionTimed(7000, nullptr, RTC_NO_WAIT);
  ASSERT_GE(in, 0);
  char buffer[8];
  EXPECT_EQ(rtcRecvMessageTimed(in, buffer, sizeof buffer, RTC_NO_WAIT), RTC_EWOULDBLOCK);
  EXPECT_EQ(rtcRecvMessageTimed(in, buffer, sizeof buffer, 1'000'000), RTC_ETIMEDOUT);
  waited.fd = rtcSessionFd();
  int channels[4];
  EXPECT_EQ(rtcReady(channels, 4), 0);
  ASSERT_EQ(rtcSendMessageTimed(out, "x", 1, RTC_NO_WAIT), RTC_OK);
  do {
    ASSERT_EQ(poll(&waited, 1, 5'000), 1);
  } while (rtcReady(channels, 4) == 0);
  EXPECT_EQ(channels[0], in);
  EXPECT_EQ(rtcRecvMessageTimed(in, buffer, sizeof buffer, RTC_NO_WAIT), 1);
  daemon.notice(rtchan::ipc::Notice::Kind::voided, "the guard is lost");
  rtcNotice notice{};
  while (rtcNextNotice(&notice) == 0) ASSERT_EQ(poll(&waited, 1, 5'000), 1);
  EXPECT_EQ(notice.kind, RTC_VOIDED);
  EXPECT_STREQ(notice.text, "the guard is lost");
}

TEST_F(RtcTest, FinishWakesWhoWaitsAndInitBeginsAnew) {
  ASSERT_EQ(rtcRegisterPort(7000, nullptr, nullptr), 7000);
  ASSERT_GE(rtcCreateConnection("10.0.0.2", 7000, &contract, nullptr), 0);
  const int in = rtcAcceptConnection(7000, nullptr);
  std::thread waiting([in] {
    char buffer[8];
    const int code = rtcRecvMessage(in, buffer, sizeof buffer);
    EXPECT_TRUE(code == RTC_ECLOSED || code == RTC_EPEERCLOSED || code == RTC_EINVAL) << code;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds{5});
  rtcFinish();
  waiting.join();
  EXPECT_EQ(rtcRegisterPort(7000, nullptr, nullptr), RTC_EINVAL);
  EXPECT_EQ(rtcInit(daemon.path().c_str()), RTC_OK);
  EXPECT_EQ(rtcRegisterPort(7000, nullptr, nullptr), 7000);
}

}  // namespace
