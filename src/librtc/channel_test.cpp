// The library against a daemon in miniature: set-up and refusal, messages, loans, time-outs, polling, and every way
// in which a channel ends.
#include <rtchan/channel.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmath>
#include <cstring>
#include <set>
#include <future>
#include <semaphore>
#include <thread>

#include "librtc/testing/fake_daemon.hpp"

namespace rtchan {
namespace {

using namespace std::chrono_literals;
using testing::FakeDaemon;

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto view = std::as_bytes(std::span{text});
  return {view.begin(), view.end()};
}
std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
template <class T>
Errc code_of(const std::expected<T, Error>& result) {
  return result ? Errc::ok : result.error().code;
}
bool readable(int fd) {
  pollfd waited{fd, POLLIN, 0};
  return poll(&waited, 1, 0) == 1;
}
template <class Condition>
bool eventually(const Condition& condition) {
  for (int i = 0; i < 5'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

class ChannelTest : public ::testing::Test {
 protected:
  void SetUp() override { daemon.start(); }
  Session open() {
    auto session = Session::open({.socket = daemon.path()});
    EXPECT_TRUE(session) << session.error().text;
    return std::move(*session);
  }
  // A pair of ends: what one sends the other receives.
  std::pair<Channel, Channel> pair(Session& sender, Session& receiver, Qos qos = contract) {
    auto listener = receiver.listen(0);
    EXPECT_TRUE(listener) << listener.error().text;
    auto out = sender.connect("10.0.0.2:" + std::to_string(listener->port()), qos);
    EXPECT_TRUE(out) << out.error().text;
    auto in = listener->accept(5s);
    EXPECT_TRUE(in) << in.error().text;
    return {std::move(*out), std::move(*in)};
  }
  static constexpr Qos contract{
      .max_rate = 1'000, .max_burst = 8, .max_message_bytes = 1'000, .max_delay = std::chrono::milliseconds{5}};
  FakeDaemon daemon;
};

// --- set-up --------------------------------------------------------------------------------------------------

TEST_F(ChannelTest, WithoutDaemonTheErrorNamesTheSocket) {
  const auto session = Session::open({.socket = "/nonexistent/rtcd.sock"});
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, Errc::no_daemon);
  EXPECT_THAT(session.error().text, ::testing::HasSubstr("/nonexistent/rtcd.sock"));
}

TEST_F(ChannelTest, BothEndsKnowTheContractAndEachOther) {
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  EXPECT_EQ(out.direction(), Direction::sending);
  EXPECT_EQ(in.direction(), Direction::receiving);
  EXPECT_EQ(in.qos(), contract);
  EXPECT_EQ(out.bound(), 5ms);
  EXPECT_EQ(in.bound(), 5ms);
  EXPECT_EQ(out.peer().address.text(), "10.0.0.2");
  EXPECT_EQ(in.peer().address.text(), "10.0.0.1");
}

TEST_F(ChannelTest, AFlawedContractIsNamedBeforeAnybodyIsAsked) {
  Session session = open();
  Qos qos = contract;
  qos.max_rate = std::nan("");
  const auto channel = session.connect("10.0.0.2:1", qos);
  ASSERT_FALSE(channel);
  EXPECT_EQ(channel.error().code, Errc::invalid_argument);
  EXPECT_THAT(channel.error().text, ::testing::HasSubstr("max_rate"));
  EXPECT_THAT(session.connect("10.0.0.2", contract).error().text, ::testing::HasSubstr("host:port"));
  EXPECT_THAT(session.connect("10.0.0.2:70000", contract).error().text, ::testing::HasSubstr("port"));
}

TEST_F(ChannelTest, ARefusalNamesHopResourceAndWhatWouldFit) {
  daemon.kill();
  daemon.refuse = [](const ipc::CreateChannel& m) -> std::optional<Error> {
    if (m.qos.max_delay > 1ms) return std::nullopt;
    return Error{Errc::refused, "10.0.0.9: the link to 10.0.0.2 cannot carry it", {"10.0.0.9", Resource::link, 3ms, 7ms, 250.5}};
  };
  daemon.start();
  Session session = open();
  Qos qos = contract;
  qos.max_delay = 1ms;
  const auto channel = session.connect("10.0.0.2:7000", qos);
  ASSERT_FALSE(channel);
  const Error& error = channel.error();
  EXPECT_EQ(error.code, Errc::refused);
  EXPECT_EQ(error.refusal.hop, "10.0.0.9");
  EXPECT_EQ(error.refusal.resource, Resource::link);
  EXPECT_EQ(error.refusal.binding_time, 3ms);
  EXPECT_EQ(error.refusal.fitting_delay, 7ms);
  EXPECT_EQ(error.refusal.fitting_rate, 250.5);
  EXPECT_THAT(error.text, ::testing::HasSubstr("cannot carry"));
}

TEST_F(ChannelTest, TheAgentSeesWhoAsksForWhatAndDecides) {
  Session there = open();
  Session here = open();
  std::vector<AgentCall> calls;
  auto listener = there.listen(7000, [&](const AgentCall& call) {
    calls.push_back(call);
    return call.qos.max_message_bytes <= 1'000;
  });
  ASSERT_TRUE(listener);
  EXPECT_EQ(listener->port(), 7000);
  Qos big = contract;
  big.max_message_bytes = 2'000;
  const ConnectOptions options{.extensions = {{0x8001, bytes_of("abc")}}};
  EXPECT_EQ(here.connect("10.0.0.2:7000", big, options).error().code, Errc::rejected_by_agent);
  EXPECT_TRUE(here.connect("10.0.0.2:7000", contract, options));
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[1].kind, AgentCall::Kind::setup);
  EXPECT_EQ(calls[1].source_uid, 1000u);
  EXPECT_EQ(calls[1].source.address.text(), "10.0.0.1");
  EXPECT_EQ(calls[1].qos, contract);
  EXPECT_EQ(calls[1].extensions, options.extensions);
}

TEST_F(ChannelTest, TheAgentHearsThatTheSetupWasAbortedAfterItsYes) {
  daemon.abort_after_yes = true;
  Session there = open();
  Session here = open();
  std::vector<std::pair<AgentCall::Kind, std::uint64_t>> calls;
  std::atomic<int> heard = 0;
  auto listener = there.listen(7000, [&](const AgentCall& call) {
    calls.emplace_back(call.kind, call.question);
    ++heard;
    return true;
  });
  EXPECT_EQ(here.connect("10.0.0.2:7000", contract).error().code, Errc::no_route);
  ASSERT_TRUE(eventually([&] { return heard == 2; }));
  EXPECT_EQ(calls[0].first, AgentCall::Kind::setup);
  EXPECT_EQ(calls[1].first, AgentCall::Kind::aborted);
  EXPECT_EQ(calls[0].second, calls[1].second);
  EXPECT_EQ(listener->try_accept().error().code, Errc::would_block);
}

TEST_F(ChannelTest, AnAgentThatThrowsHasSaidNo) {
  Session session = open();
  auto listener = session.listen(7000, [](const AgentCall&) -> bool { throw std::runtime_error("no memory"); });
  EXPECT_EQ(session.connect("10.0.0.2:7000", contract).error().code, Errc::rejected_by_agent);
}

TEST_F(ChannelTest, CallsThatWouldWaitRefuseInsideAnAgentFunction) {
  Session there = open();
  Session here = open();
  auto existing = pair(here, there);
  Channel& in = existing.second;
  std::vector<Errc> codes;
  auto listener = there.listen(7000, [&](const AgentCall&) {
    codes.push_back(there.connect("10.0.0.2:7001", contract).error().code);
    codes.push_back(there.listen(7001).error().code);
    codes.push_back(there.query("status").error().code);
    codes.push_back(in.receive_loan().error().code);
    codes.push_back(in.receive_loan(no_wait).error().code);
    return true;
  });
  ASSERT_TRUE(here.connect("10.0.0.2:7000", contract));
  EXPECT_EQ(codes, (std::vector{Errc::would_deadlock, Errc::would_deadlock, Errc::would_deadlock, Errc::would_deadlock,
                                Errc::would_block}));
}

TEST_F(ChannelTest, ASilentDaemonEndsInATimeOut) {
  daemon.silent = true;
  Session session = open();
  EXPECT_EQ(session.connect("10.0.0.2:7000", contract, {.timeout = 1ms}).error().code, Errc::timed_out);
  EXPECT_TRUE(session.alive());
}

TEST_F(ChannelTest, ATakenPortIsNamedAndAClosedOneIsFree) {
  Session session = open();
  auto first = session.listen(7000);
  ASSERT_TRUE(first);
  EXPECT_EQ(session.listen(7000).error().code, Errc::port_in_use);
  EXPECT_TRUE(first->close());
  EXPECT_EQ(first->accept().error().code, Errc::closed);
  EXPECT_TRUE(session.listen(7000));
  EXPECT_EQ(session.connect("10.0.0.2:7000", contract).error().code, Errc::no_listener);
}

TEST_F(ChannelTest, QueriesArriveInPages) {
  Session session = open();
  EXPECT_EQ(session.query("status").value(), "{\"what\":\"status\",\"pages\":2}");
}

// --- messages --------------------------------------------------------------------------------------------------

TEST_F(ChannelTest, TenThousandMessagesArriveInOrderThroughEightSlots) {
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  std::jthread sender([&out = out] {
    std::vector<std::byte> message(1'000);
    for (std::uint32_t i = 0; i < 10'000; ++i) {
      const std::size_t size = 4 + i % 997;
      std::memcpy(message.data(), &i, 4);
      std::memset(message.data() + 4, static_cast<int>(i), size - 4);
      ASSERT_TRUE(out.send(std::span{message}.first(size)));
    }
  });
  // The daemon drops what finds no slot, as the real one does; what arrives is in order and whole.
  std::vector<std::byte> message(1'000);
  std::int64_t last = -1;
  std::uint64_t received = 0;
  while (last < 9'990) {
    const auto size = in.receive(std::span{message}, 2s);
    if (!size) break;
    std::uint32_t number = 0;
    std::memcpy(&number, message.data(), 4);
    ASSERT_GT(static_cast<std::int64_t>(number), last);
    ASSERT_EQ(*size, 4 + number % 997);
    for (std::size_t at = 4; at < *size; ++at) ASSERT_EQ(message[at], static_cast<std::byte>(number));
    last = number;
    ++received;
  }
  EXPECT_GT(received, 8u);
  const Statistics s = in.statistics();
  EXPECT_EQ(s.messages, received);
  EXPECT_EQ(s.messages + s.lost, static_cast<std::uint64_t>(last) + 1);
}

TEST_F(ChannelTest, LoansAreHeldAndReturnedInAnyOrder) {
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  for (int round = 0; round < 50; ++round) {
    std::vector<ReceiveLoan> held;
    for (int i = 0; i < 8; ++i) {
      auto loan = out.loan(100, 5s);
      ASSERT_TRUE(loan);
      std::fill(loan->bytes().begin(), loan->bytes().end(), static_cast<std::byte>(round * 8 + i));
      ASSERT_TRUE(loan->commit(50));
      auto message = in.receive_loan(5s);
      ASSERT_TRUE(message);
      held.push_back(std::move(*message));
    }
    for (int i = 0; i < 8; ++i) {  // still what was sent, though eight slots are out at once
      ASSERT_EQ(held[i].bytes().size(), 50u);
      ASSERT_EQ(held[i].bytes()[49], static_cast<std::byte>(round * 8 + i));
      ASSERT_EQ(held[i].number(), static_cast<std::uint64_t>(round * 8 + i));
    }
    std::ranges::rotate(held, held.begin() + round % 8);
    while (!held.empty()) held.erase(held.begin() + static_cast<std::ptrdiff_t>(held.size() / 2));
  }
  EXPECT_EQ(in.statistics().lost, 0u);
  EXPECT_EQ(daemon.violations, 0u);
}

TEST_F(ChannelTest, AnAbandonedLoanSendsNothingAndItsRoomReturns) {
  daemon.hold = true;
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  std::vector<SendLoan> all;
  for (int i = 0; i < 8; ++i) all.push_back(std::move(out.loan(10, no_wait).value()));
  EXPECT_EQ(out.try_send(bytes_of("x")).error().code, Errc::would_block);
  std::jthread waiting([&out = out] { EXPECT_TRUE(out.send("waited", 5s)); });
  std::this_thread::sleep_for(10ms);
  all.clear();
  waiting.join();
  daemon.release_held();
  std::vector<std::byte> buffer;
  ASSERT_TRUE(in.receive(buffer, 5s));
  EXPECT_EQ(text_of(buffer), "waited");
  EXPECT_EQ(in.try_receive(std::span{buffer}).error().code, Errc::would_block);
}

TEST_F(ChannelTest, SizesOutsideTheContractAreRefusedAndLongMessagesStay) {
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  std::vector<std::byte> message(1'001);
  EXPECT_EQ(out.send(message).error().code, Errc::message_too_long);
  EXPECT_THAT(out.send(message).error().text, ::testing::HasSubstr("1000"));
  EXPECT_EQ(out.send(std::span<const std::byte>{}).error().code, Errc::invalid_argument);
  EXPECT_EQ(out.receive_loan(no_wait).error().code, Errc::invalid_argument);
  EXPECT_EQ(in.send("x").error().code, Errc::invalid_argument);
  ASSERT_TRUE(out.send("twelve bytes"));
  std::array<std::byte, 11> small{};
  const auto refused = in.receive(std::span{small}, 5s);
  EXPECT_EQ(refused.error().code, Errc::message_too_long);
  EXPECT_THAT(refused.error().text, ::testing::HasSubstr("12"));
  std::array<std::byte, 12> enough{};
  EXPECT_EQ(in.receive(std::span{enough}, no_wait).value(), 12u);
}

TEST_F(ChannelTest, TimeOutsEndBothWaits) {
  daemon.hold = true;
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  std::array<std::byte, 8> buffer{};
  EXPECT_EQ(in.receive(std::span{buffer}, 2ms).error().code, Errc::timed_out);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(out.send("x", no_wait));
  EXPECT_EQ(out.send("x", no_wait).error().code, Errc::would_block);
  EXPECT_EQ(out.send("x", 2ms).error().code, Errc::timed_out);
  EXPECT_EQ(out.statistics().queued, 8u);
  EXPECT_EQ(out.statistics().would_block, 2u);
}

TEST_F(ChannelTest, RefusePolicingSaysSoInsteadOfWaiting) {
  daemon.hold = true;
  Session here = open();
  auto listener = here.listen(0);
  auto out = here.connect(Endpoint{*IpAddress::parse("10.0.0.2"), listener->port()}, contract, {.policing = Policing::refuse});
  ASSERT_TRUE(out);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(out->send("x"));
  EXPECT_EQ(out->send("x").error().code, Errc::contract_exceeded);
}

TEST_F(ChannelTest, BestEffortGoesThroughTheSameCallsWithoutAPromise) {
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there, {.service = ServiceClass::best_effort, .max_burst = 4, .max_message_bytes = 100});
  ASSERT_TRUE(out.send("hello"));
  const auto message = in.receive_loan(5s);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->delay(), std::nullopt);
  EXPECT_EQ(out.bound(), 0ns);
  EXPECT_EQ(in.statistics().worst_delay, std::nullopt);
}

TEST_F(ChannelTest, StatisticsShowTheBoundBesideTheWorstSeen) {
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  for (const auto delay : {3ms, 7ms, 1ms}) {
    daemon.delay_ns = std::chrono::nanoseconds{delay}.count();
    ASSERT_TRUE(out.send("12345"));
    ASSERT_TRUE(in.receive_loan(5s));
  }
  daemon.void_all();
  EXPECT_TRUE(eventually([&in = in] { return in.statistics().voided; }));
  const Statistics s = in.statistics();
  EXPECT_EQ(s.bound, 5ms);
  EXPECT_EQ(s.worst_delay, 7ms);
  EXPECT_EQ(s.late, 1u);
  EXPECT_EQ(s.messages, 3u);
  EXPECT_EQ(s.bytes, 15u);
}

TEST_F(ChannelTest, SeveralThreadsShareEachEnd) {
  Session here = open();
  Session there = open();
  Qos qos = contract;
  qos.max_burst = 256;
  auto [out, in] = pair(here, there, qos);
  constexpr int per_thread = 500;
  std::atomic<std::uint64_t> sum = 0;
  std::atomic<int> left = 4 * per_thread;
  std::counting_semaphore<256> on_the_way(256);  // a receiver that is behind would lose messages
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < per_thread; ++i) {
          const int value = t * per_thread + i;
          on_the_way.acquire();
          EXPECT_TRUE(out.send(std::as_bytes(std::span{&value, 1}), forever));
        }
      });
      threads.emplace_back([&] {
        int value = 0;
        while (left.fetch_sub(1) > 0) {
          ASSERT_TRUE(in.receive(std::as_writable_bytes(std::span{&value, 1}), forever));
          on_the_way.release();
          sum += static_cast<std::uint64_t>(value);
        }
      });
    }
  }
  EXPECT_EQ(sum, 2'000u * 1'999u / 2);
  EXPECT_EQ(in.statistics().messages, 2'000u);
  EXPECT_EQ(daemon.dropped, 0u);
  EXPECT_EQ(daemon.violations, 0u);
}

// --- polling -----------------------------------------------------------------------------------------------------

TEST_F(ChannelTest, OneDescriptorReportsTheFewOfManyThatHaveSomethingToDo) {
  Session here = open();
  Session there = open();
  auto listener = there.listen(7000);
  Qos small{.max_rate = 1, .max_burst = 2, .max_message_bytes = 64, .max_delay = 1s};
  std::vector<Channel> outs, ins;
  for (std::uint64_t i = 0; i < 1'000; ++i) {
    outs.push_back(here.connect(Endpoint{{}, 7000}, small).value());
    ins.push_back(listener->accept(5s).value());
    ins.back().set_tag(i);
  }
  const int fd = there.fd();
  ASSERT_GE(fd, 0);
  EXPECT_TRUE(there.ready().empty());
  while (readable(fd)) EXPECT_TRUE(there.ready().empty());
  for (const int which : {3, 700, 999}) ASSERT_TRUE(outs[which].send("x"));
  std::vector<std::uint64_t> tags;
  ASSERT_TRUE(eventually([&] {
    if (!readable(fd)) return tags.size() == 3;
    for (const auto& event : there.ready()) {
      tags.push_back(event.tag);
      EXPECT_TRUE(ins[event.tag].receive_loan(no_wait));
    }
    return false;
  }));
  std::ranges::sort(tags);
  EXPECT_EQ(tags, (std::vector<std::uint64_t>{3, 700, 999}));
}

TEST_F(ChannelTest, AChannelStaysReportedUntilItIsEmpty) {
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  const int fd = there.fd();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(out.send("x"));
  ASSERT_TRUE(eventually([&] { return !there.ready().empty(); }));
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(readable(fd));
    ASSERT_TRUE(eventually([&] { return there.ready().size() == 1; }));
    ASSERT_TRUE(in.receive_loan(5s));
  }
  ASSERT_TRUE(eventually([&] { return there.ready().empty() && !readable(fd); }));
}

TEST_F(ChannelTest, RoomAfterAFullQueueIsReported) {
  daemon.hold = true;
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  const int fd = here.fd();
  while (out.try_send(bytes_of("x"))) {
  }
  while (readable(fd)) EXPECT_TRUE(here.ready().empty());
  daemon.release_held();
  ASSERT_TRUE(eventually([&] { return readable(fd) && !here.ready().empty(); }));
  EXPECT_TRUE(out.try_send(bytes_of("x")));
  EXPECT_TRUE(eventually([&] { return here.ready().empty(); }));
}

TEST_F(ChannelTest, ListenersArePollableToo) {
  Session session = open();
  auto listener = session.listen(7000);
  EXPECT_FALSE(readable(listener->fd()));
  auto out = session.connect("10.0.0.2:7000", contract);
  ASSERT_TRUE(out);
  ASSERT_TRUE(eventually([&] { return readable(listener->fd()); }));
  auto in = listener->try_accept();
  EXPECT_TRUE(in);
  EXPECT_FALSE(readable(listener->fd()));
}

TEST_F(ChannelTest, NoticesMakeTheDescriptorReadable) {
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  const int fd = here.fd();
  while (readable(fd)) (void)here.ready();
  daemon.notice(ipc::Notice::Kind::contract_violated, "five times the contract");
  ASSERT_TRUE(eventually([&] { return readable(fd); }));
  const auto notice = here.next_notice();
  ASSERT_TRUE(notice);
  EXPECT_EQ(notice->kind, Notice::Kind::contract_violated);
  EXPECT_EQ(notice->channel, out.id());
  EXPECT_EQ(notice->text, "five times the contract");
  EXPECT_EQ(out.statistics().contract_violations, 1u);
  EXPECT_FALSE(here.next_notice());
}

// How often an event loop turns before the session's descriptor comes to rest.
int turns_until_rest(Session& session, int most) {
  const int fd = session.fd();
  int turns = 0;
  while (turns < most && readable(fd)) {
    ++turns;
    (void)session.ready();
    while (session.next_notice()) {
    }
  }
  return turns;
}

// A loop at real-time priority that never comes to rest would keep the control thread from telling it why.
TEST_F(ChannelTest, APollLoopComesToRestWhateverHappensToTheDoorbell) {
  constexpr int few = 8;
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  ASSERT_GE(there.fd(), 0);
  EXPECT_LT(turns_until_rest(there, few), few);

  daemon.flood_bells();
  EXPECT_TRUE(readable(there.fd()));
  constexpr int socket_buffer_over_one_look = 256;  // 212,992 bytes by default / 4,096, with room for another default
  EXPECT_LT(turns_until_rest(there, socket_buffer_over_one_look), socket_buffer_over_one_look);
  ASSERT_TRUE(out.send("x"));
  ASSERT_TRUE(eventually([&] { return readable(there.fd()) && there.ready().size() == 1; })) << "deaf after the flood";
  EXPECT_TRUE(in.receive_loan(5s));

  daemon.flood_bells();
  daemon.drop_bells();  // closed with bytes in it
  EXPECT_LT(turns_until_rest(there, socket_buffer_over_one_look), socket_buffer_over_one_look);
  EXPECT_TRUE(there.alive());
  EXPECT_FALSE(readable(there.fd()));
}

TEST_F(ChannelTest, APollLoopComesToRestAfterTheDaemonsDeathAndTheSessionsEnd) {
  constexpr int few = 8;
  daemon.hold = true;
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  while (out.try_send(bytes_of("x"))) {
  }
  ASSERT_TRUE(here.fd() >= 0 && there.fd() >= 0);
  daemon.kill();
  ASSERT_TRUE(eventually([&] { return !here.alive(); }));
  EXPECT_LT(turns_until_rest(here, few), few);
  there.close();
  EXPECT_LT(turns_until_rest(there, few), few);
}

// A thread of its own waits for a channel's messages: the event loop is not to turn until that thread has them.
TEST_F(ChannelTest, AChannelThatIsNotPolledIsNotReported) {
  constexpr int few = 8;
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  ASSERT_GE(there.fd(), 0);
  in.set_polled(false);
  ASSERT_TRUE(out.send("x"));
  EXPECT_TRUE(in.receive_loan(5s));
  ASSERT_TRUE(out.send("y"));
  ASSERT_TRUE(eventually([&] { return daemon.delivered == 2; }));
  EXPECT_LT(turns_until_rest(there, few), few);
  in.set_polled(true);  // the message that waits is reported now
  EXPECT_TRUE(readable(there.fd()));
  EXPECT_EQ(there.ready().size(), 1u);
  EXPECT_TRUE(in.receive_loan(no_wait));
}

// --- ends ---------------------------------------------------------------------------------------------------------

TEST_F(ChannelTest, AClosedSenderDeliversWhatWasAcceptedThenTheReceiverHears) {
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(out.send("x"));
  EXPECT_TRUE(out.close());
  EXPECT_EQ(out.send("x").error().code, Errc::closed);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(in.receive_loan(5s));
  EXPECT_EQ(in.receive_loan(5s).error().code, Errc::peer_closed);
  ASSERT_TRUE(eventually([&] { return there.next_notice().has_value(); }));
  EXPECT_TRUE(in.close());
  EXPECT_EQ(daemon.channels_open, 0u);
}

TEST_F(ChannelTest, ClosingWakesTheThreadThatWaits) {
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  std::jthread waiting([&in = in] { EXPECT_EQ(in.receive_loan().error().code, Errc::closed); });
  std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(in.close());
  waiting.join();
  EXPECT_TRUE(eventually([&] { return daemon.channels_open == 1; }));
}

TEST_F(ChannelTest, AHeldLoanKeepsTheChannelsMemoryUntilItIsReturned) {
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  ASSERT_TRUE(out.send("still here"));
  {
    auto loan = in.receive_loan(5s);
    ASSERT_TRUE(loan);
    EXPECT_TRUE(in.close());
    EXPECT_EQ(daemon.channels_open, 2u);
    EXPECT_EQ(text_of(loan->bytes()), "still here");
  }
  EXPECT_TRUE(eventually([&] { return daemon.channels_open == 1; }));
}

TEST_F(ChannelTest, AThousandChannelsInARowLeakNothing) {
  Session here = open();
  Session there = open();
  auto listener = there.listen(7000);
  for (int i = 0; i < 1'000; ++i) {
    auto out = here.connect("10.0.0.2:7000", contract);
    ASSERT_TRUE(out) << out.error().text;
    ASSERT_LT(out->id(), 8u);  // numbers are used again
    auto in = listener->accept(5s);
    ASSERT_TRUE(in);
    ASSERT_TRUE(out->send("x"));
    ASSERT_TRUE(in->receive_loan(5s));
  }
  EXPECT_TRUE(eventually([&] { return daemon.channels_open == 0; }));
}

TEST_F(ChannelTest, DaemonDeathWakesEverybodyAtOnceAndReconnectingWorks) {
  daemon.hold = true;
  Session here = open();
  Session there = open();
  auto [out, in] = pair(here, there);
  auto listener = there.listen(7000);
  while (out.try_send(bytes_of("x"))) {
  }
  const int fd = here.fd();
  daemon.silent = true;
  {
    std::vector<std::jthread> blocked;
    for (int i = 0; i < 3; ++i) {
      blocked.emplace_back([&out = out] { EXPECT_EQ(out.send("x").error().code, Errc::daemon_gone); });
      blocked.emplace_back([&in = in] { EXPECT_EQ(in.receive_loan().error().code, Errc::daemon_gone); });
    }
    blocked.emplace_back([&] { EXPECT_EQ(listener->accept().error().code, Errc::daemon_gone); });
    blocked.emplace_back([&] { EXPECT_EQ(here.connect("10.0.0.2:7", contract).error().code, Errc::daemon_gone); });
    std::this_thread::sleep_for(20ms);
    daemon.kill();
  }
  EXPECT_FALSE(here.alive());
  EXPECT_TRUE(readable(fd));
  EXPECT_EQ(here.next_notice()->kind, Notice::Kind::daemon_gone);
  EXPECT_EQ(out.close().error().code, Errc::daemon_gone);
  EXPECT_EQ(here.connect("10.0.0.2:7", contract).error().code, Errc::daemon_gone);

  daemon.hold = daemon.silent = false;
  daemon.start();
  here = open();
  there = open();
  auto again = pair(here, there);
  ASSERT_TRUE(again.first.send("back"));
  EXPECT_TRUE(again.second.receive_loan(5s));
}

TEST_F(ChannelTest, ADestroyedSessionEndsItsChannelsHereAndAtThePeer) {
  Session there = open();
  auto here = std::make_unique<Session>(open());
  auto [out, in] = pair(*here, there);
  auto loan = out.loan(10);
  ASSERT_TRUE(loan);
  here.reset();
  EXPECT_EQ(out.send("x").error().code, Errc::closed);
  EXPECT_FALSE(loan->commit());  // the mapping lives as long as the loan: an error, not a fault
  EXPECT_EQ(in.receive_loan(5s).error().code, Errc::peer_closed);
  EXPECT_TRUE(eventually([&] { return daemon.sessions_open == 1; }));
}

TEST_F(ChannelTest, TheEndOfASessionWaitsForMessagesOfChannelsClosedBeforeIt) {
  Session there = open();
  std::optional<Channel> in;
  {
    daemon.hold = true;
    Session here = open();
    auto both = pair(here, there);
    in = std::move(both.second);
    Channel out = std::move(both.first);
    for (int i = 0; i < 8; ++i) ASSERT_TRUE(out.send("x"));
    daemon.release_held();
  }
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(in->receive_loan(5s));
}

TEST_F(ChannelTest, AnUnacceptedChannelEndsWithItsListener) {
  Session session = open();
  auto listener = session.listen(7000);
  auto out = session.connect("10.0.0.2:7000", contract);
  ASSERT_TRUE(out);
  EXPECT_TRUE(listener->close());
  EXPECT_TRUE(eventually([&] { return code_of(out->send("x")) == Errc::peer_closed; }));
}

TEST_F(ChannelTest, WhoComesAgainAtOnceFindsItsPortFree) {
  for (int i = 0; i < 200; ++i) {
    Session session = open();
    auto listener = session.listen(7000);
    ASSERT_TRUE(listener) << listener.error().text;
    ASSERT_TRUE(session.connect("10.0.0.2:7000", contract));
  }
}

// The test would not end otherwise.
TEST_F(ChannelTest, AHungDaemonDoesNotKeepTheEndOfASession) {
  Session session = open();
  std::promise<void> hung, began;
  daemon.post([&began, awake = hung.get_future().share()] {
    began.set_value();
    awake.wait();
  });
  began.get_future().wait();
  session.close();
  EXPECT_FALSE(session.alive());
  EXPECT_EQ(daemon.sessions_open, 1u);
  hung.set_value();
  EXPECT_TRUE(eventually([&] { return daemon.sessions_open == 0; }));
}

// --- the process around it ------------------------------------------------------------------------------------------

TEST_F(ChannelTest, AForkedChildHasNeitherMappingNorConnection) {
  auto here = std::make_unique<Session>(open());
  Session there = open();
  auto [out, in] = pair(*here, there);
  auto loan = out.loan(10);
  ASSERT_TRUE(loan);
  std::byte* const shared = loan->bytes().data();
  int blocking[2];
  ASSERT_EQ(pipe2(blocking, O_CLOEXEC), 0);
  const pid_t child = fork();
  if (child == 0) {
    // Calls fail; the mapping is not there (mincore of an unmapped page: ENOMEM); the descriptors are closed.
    close(blocking[1]);
    unsigned char resident = 0;
    auto* page = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(shared) & ~std::uintptr_t{4'095});
    const bool unmapped = mincore(page, 4'096, &resident) != 0 && errno == ENOMEM;
    const bool fails = code_of(out.send("x")) == Errc::daemon_gone && !here->alive();
    char byte = 0;
    (void)!read(blocking[0], &byte, 1);
    _exit(unmapped && fails ? 0 : 1);
  }
  close(blocking[0]);
  // The child lives on; the parent's end is seen by the daemon all the same.
  here.reset();
  EXPECT_TRUE(eventually([&] { return daemon.sessions_open == 1; }));
  close(blocking[1]);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_F(ChannelTest, EveryDescriptorClosesOnExec) {
  std::set<int> before;
  for (int fd = 3; fd < 256; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) before.insert(fd);
  }
  Session session = open();
  auto listener = session.listen(0);
  (void)session.fd();
  int opened = 0;
  for (int fd = 3; fd < 256; ++fd) {
    const int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || before.contains(fd)) continue;
    ++opened;
    EXPECT_TRUE(flags & FD_CLOEXEC) << "descriptor " << fd;
  }
  EXPECT_GE(opened, 4);  // control, wake-up, doorbell, listener
}

}  // namespace
}  // namespace rtchan
