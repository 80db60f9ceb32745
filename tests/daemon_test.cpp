// Two real daemons on loopback addresses and applications that use the library: what a session may expect of its
// rtcd, in good days and when somebody dies.
#include <gtest/gtest.h>
#include <rtchan/channel.hpp>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "support/loopback_daemon.hpp"
#include "support/raw_client.hpp"

namespace rtchan {
namespace {

using namespace std::chrono_literals;
using rtchan::testing::LoopbackDaemon;
using rtchan::testing::RawClient;
using rtchan::testing::ScratchDirectory;

constexpr Qos control_loop{.max_rate = 500, .max_burst = 4, .max_message_bytes = 1024, .max_delay = 100ms};
constexpr std::uint16_t port = 7000;

std::uint16_t udp_port() { return static_cast<std::uint16_t>(20'000 + 3 * (getpid() % 10'000)); }

class Daemons : public ::testing::Test {
 protected:
  void SetUp() override { start({}); }
  void start(LoopbackDaemon::Options options) {
    options.port = udp_port();
    options.neighbours = {2};
    a_ = std::make_unique<LoopbackDaemon>(directory_.path(), 1, options);
    options.neighbours = {1};
    b_ = std::make_unique<LoopbackDaemon>(directory_.path(), 2, options);
    ASSERT_TRUE(a_->running() && b_->running()) << log();
  }
  void TearDown() override {
    if (HasFailure()) std::fprintf(stderr, "%s\n", log().c_str());
    for (auto* daemon : {&a_, &b_}) {
      if (!*daemon || !(*daemon)->running()) continue;
      if (HasFailure()) std::fprintf(stderr, "%s\n%s\n", ask(**daemon, "status").dump(1).c_str(), ask(**daemon, "channels").dump(1).c_str());
      EXPECT_EQ((*daemon)->end(SIGTERM), 0);
    }
  }
  [[nodiscard]] std::string log() const { return "--- a\n" + a_->log() + "--- b\n" + b_->log(); }

  [[nodiscard]] static std::expected<Session, Error> session(const LoopbackDaemon& daemon) {
    return Session::open({.socket = daemon.socket()});
  }
  [[nodiscard]] static std::string at_b() { return LoopbackDaemon::address(2) + ":" + std::to_string(port); }
  [[nodiscard]] static nlohmann::json ask(const LoopbackDaemon& daemon, const std::string& what) {
    auto asking = session(daemon);
    if (!asking) return {};
    const auto text = asking->query(what);
    return text ? nlohmann::json::parse(*text, nullptr, false) : nlohmann::json{};
  }
  [[nodiscard]] static std::size_t channels(const LoopbackDaemon& daemon) { return ask(daemon, "channels")["channels"].size(); }
  // Nothing is left of any channel, on both hosts.
  [[nodiscard]] bool clean(std::chrono::seconds patience = 15s) const {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (channels(*a_) + channels(*b_) != 0) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(20ms);
    }
    return true;
  }

  ScratchDirectory directory_;
  std::unique_ptr<LoopbackDaemon> a_, b_;
};

std::string received(Channel& channel) {
  std::vector<std::byte> buffer;
  if (auto got = channel.receive(buffer, 5s); !got) return "error: " + got.error().text;
  return {reinterpret_cast<const char*>(buffer.data()), buffer.size()};
}

// What a channel whose daemon has gone says, once the library has noticed: until then messages still fit its queue.
std::optional<Errc> refuses_soon(Channel& channel) {
  const auto end = std::chrono::steady_clock::now() + 10s;
  while (std::chrono::steady_clock::now() < end) {
    if (auto sent = channel.send("x", 1s); !sent && sent.error().code != Errc::timed_out) return sent.error().code;
    std::this_thread::sleep_for(1ms);
  }
  return std::nullopt;
}

// Each host has its own UDP ports: promised traffic and signalling to the neighbour's port, best effort to the one after.
TEST_F(Daemons, NeighboursOnOtherPortsAreReachedByBestEffortToo) {
  EXPECT_EQ(a_->end(SIGTERM), 0);
  EXPECT_EQ(b_->end(SIGTERM), 0);
  const auto other_port = static_cast<std::uint16_t>(udp_port() + 100);
  a_ = std::make_unique<LoopbackDaemon>(directory_.path(), 1,
                                        LoopbackDaemon::Options{.port = udp_port(), .neighbour_port = other_port, .neighbours = {2}});
  b_ = std::make_unique<LoopbackDaemon>(directory_.path(), 2,
                                        LoopbackDaemon::Options{.port = other_port, .neighbour_port = udp_port(), .neighbours = {1}});
  ASSERT_TRUE(a_->running() && b_->running()) << log();
  auto receiving = session(*b_), sending = session(*a_);
  ASSERT_TRUE(receiving && sending);
  auto listener = receiving->listen(port);
  ASSERT_TRUE(listener) << listener.error().text;
  for (const ServiceClass service : {ServiceClass::guaranteed, ServiceClass::best_effort}) {
    Qos qos = control_loop;
    qos.service = service;
    auto to_b = sending->connect(at_b(), qos);
    ASSERT_TRUE(to_b) << to_b.error().text;
    auto from_a = listener->accept(5s);
    ASSERT_TRUE(from_a) << from_a.error().text;
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(to_b->send("message " + std::to_string(i), 5s));
      ASSERT_EQ(received(*from_a), "message " + std::to_string(i));
    }
  }
}

// What the daemon tells of its links and of every packet that it dropped.
TEST_F(Daemons, StatusNamesShortcomingsBlockingAndEachReasonToDrop) {
  const auto worker = ask(*a_, "status")["workers"][0];
  const auto link = worker["links"][0];
  EXPECT_TRUE(link["shortcomings"].is_array());
  EXPECT_EQ(link["foreign_blocking_ns"], 0) << "no guard: nobody else sends";
  for (const char* reason : {"short_packet", "bad_version", "bad_type", "bad_length", "bad_checksum", "bad_record", "bad_offset",
                             "bad_flags", "unknown_label", "wrong_generation", "wrong_queue", "wrong_class"}) {
    EXPECT_EQ(worker["domain"][std::string{"dropped_"} + reason], 0) << reason;
  }
}

TEST_F(Daemons, AMessageTravelsAndBothEndsSeeItsBound) {
  auto receiving = session(*b_), sending = session(*a_);
  ASSERT_TRUE(receiving && sending);
  auto listener = receiving->listen(port);
  ASSERT_TRUE(listener) << listener.error().text;
  auto to_b = sending->connect(at_b(), control_loop);
  ASSERT_TRUE(to_b) << to_b.error().text;
  auto from_a = listener->accept(5s);
  ASSERT_TRUE(from_a) << from_a.error().text;
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(to_b->send("message " + std::to_string(i), 5s));
    ASSERT_EQ(received(*from_a), "message " + std::to_string(i));
  }
  EXPECT_EQ(from_a->statistics().lost, 0u);

  const auto sender = ask(*a_, "channels")["channels"], receiver = ask(*b_, "channels")["channels"];
  ASSERT_EQ(sender.size(), 1u);
  ASSERT_EQ(receiver.size(), 1u);
  EXPECT_EQ(sender[0]["role"], "sending");
  EXPECT_EQ(sender[0]["counters"]["delivered"], 300);
  EXPECT_EQ(receiver[0]["bound_ns"], 100'000'000);
  EXPECT_EQ(receiver[0]["counters"]["delivered"], 300);
  EXPECT_GT(receiver[0]["worst_delay_ns"], 0);
  EXPECT_EQ(receiver[0]["class"], "conditional");
  EXPECT_FALSE(receiver[0]["conditions"].empty());
  const auto worker = ask(*a_, "workers")["workers"][0];
  EXPECT_EQ(worker["scheduling"], "SCHED_OTHER");
  EXPECT_EQ(worker["supply"], "what other programs leave: not bounded");
  EXPECT_NE(worker["weaker_because"], "");

  ASSERT_TRUE(to_b->close());
  EXPECT_EQ(received(*from_a), "error: peer closed");
  ASSERT_TRUE(from_a->close());
  EXPECT_TRUE(clean());
}

// --- one channel over and over, and many at once ---------------------------------------------------------------

struct Footprint {
  std::size_t descriptors = 0, kilobytes = 0;
};
Footprint footprint(const LoopbackDaemon& daemon) {
  Footprint sum{rtchan::testing::open_descriptors(daemon.pid()), rtchan::testing::resident_kilobytes(daemon.pid())};
  for (const int worker : rtchan::testing::children(daemon.pid())) {
    sum.descriptors += rtchan::testing::open_descriptors(worker);
    sum.kilobytes += rtchan::testing::resident_kilobytes(worker);
  }
  return sum;
}

TEST_F(Daemons, CreatingAndDestroyingInARowLeaksNothing) {
  const int rounds = std::getenv("RTCHAN_ROUNDS") != nullptr ? std::atoi(std::getenv("RTCHAN_ROUNDS")) : 400;
  auto receiving = session(*b_), sending = session(*a_);
  ASSERT_TRUE(receiving && sending);
  auto listener = receiving->listen(port);
  ASSERT_TRUE(listener);
  Footprint before[2];
  for (int i = 0; i < rounds; ++i) {
    if (i == rounds / 4) {  // tables and caches have their size by now
      before[0] = footprint(*a_);
      before[1] = footprint(*b_);
    }
    auto to_b = sending->connect(at_b(), control_loop);
    ASSERT_TRUE(to_b) << "round " << i << ": " << to_b.error().text;
    auto from_a = listener->accept(5s);
    ASSERT_TRUE(from_a) << "round " << i << ": " << from_a.error().text;
    if (i % 16 == 0) {
      ASSERT_TRUE(to_b->send("x", 5s));
      ASSERT_EQ(received(*from_a), "x");
    }
    ASSERT_TRUE(to_b->close());
    ASSERT_TRUE(from_a->close());
  }
  EXPECT_TRUE(clean());
  for (const auto& [was, daemon] : {std::pair{before[0], a_.get()}, std::pair{before[1], b_.get()}}) {
    Footprint now = footprint(*daemon);
    for (int i = 0; i < 100 && now.descriptors != was.descriptors; ++i) {  // sessions that asked are being forgotten
      std::this_thread::sleep_for(20ms);
      now = footprint(*daemon);
    }
    EXPECT_EQ(now.descriptors, was.descriptors);
#ifndef __SANITIZE_ADDRESS__  // which keeps freed memory for a while
    EXPECT_LE(now.kilobytes, was.kilobytes + 4'096) << was.kilobytes << " -> " << now.kilobytes;
#endif
  }
  for (const auto* daemon : {a_.get(), b_.get()}) {
    const auto status = ask(*daemon, "status");
    EXPECT_EQ(status["paths"], 0);
    for (const auto& pool : status["pools"]) EXPECT_EQ(pool["used"], 0) << pool.dump();
  }
}

TEST_F(Daemons, AThousandChannelsCostNoDescriptors) {
  a_->end(SIGTERM);
  b_->end(SIGTERM);
  start({.lease = "5s"});  // as shipped, default costs included
  auto receiving = session(*b_), sending = session(*a_);
  ASSERT_TRUE(receiving && sending);
  auto listener = receiving->listen(port);
  ASSERT_TRUE(listener);
  const int count = std::getenv("RTCHAN_CHANNELS") != nullptr ? std::atoi(std::getenv("RTCHAN_CHANNELS")) : 1'000;
  const Qos slow{.max_rate = 0.1, .max_burst = 1, .max_message_bytes = 64, .max_delay = 2s};
  std::vector<Channel> to_b, from_a;
  const Footprint before = footprint(*a_);
  for (int i = 0; i < count; ++i) {
    auto channel = sending->connect(at_b(), slow, {.timeout = 20s});
    ASSERT_TRUE(channel) << "channel " << i << ": " << channel.error().text;
    to_b.push_back(std::move(*channel));
    auto accepted = listener->accept(10s);
    ASSERT_TRUE(accepted) << i;
    from_a.push_back(std::move(*accepted));
  }
  EXPECT_EQ(footprint(*a_).descriptors, before.descriptors);
  for (int i = 0; i < count; ++i) ASSERT_TRUE(to_b[static_cast<std::size_t>(i)].send(std::to_string(i), 5s));
  for (int i = 0; i < count; ++i) ASSERT_EQ(received(from_a[static_cast<std::size_t>(i)]), std::to_string(i));
  EXPECT_EQ(channels(*a_), static_cast<std::size_t>(count));
  sending->close();
  receiving->close();
  EXPECT_TRUE(clean(30s));
}

// --- somebody dies -----------------------------------------------------------------------------------------------

// Runs `steps` of an application in a process of its own that then waits to be killed.
template <class F>
int application(F&& steps) {
  int ready[2];
  if (pipe(ready) != 0) return -1;
  const int pid = fork();
  if (pid == 0) {
    steps();
    (void)!write(ready[1], "x", 1);
    for (;;) pause();
  }
  close(ready[1]);
  char byte = 0;
  (void)!read(ready[0], &byte, 1);
  close(ready[0]);
  return pid;
}

void kill_and_wait(int pid) {
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

TEST_F(Daemons, AnApplicationKilledAtAnyStepLeavesNothing) {
  auto receiving = session(*b_);
  ASSERT_TRUE(receiving);
  auto listener = receiving->listen(port);
  ASSERT_TRUE(listener);
  const auto connections = [&] { return ask(*a_, "status")["connected_applications"].get<int>(); };
  const std::string socket = a_->socket();
  for (int steps = 0; steps <= 6; ++steps) {
    const int pid = application([&] {
      auto* client = new RawClient;
      client->connect(socket);
      if (steps >= 1) client->hello();
      if (steps >= 2) client->mapped();
      if (steps >= 3) client->listen(7500);
      if (steps == 4) {  // asks, and does not wait for the answer
        client->send(ipc::CreateChannel{.request = 77, .destination = *Endpoint::parse(at_b()), .qos = control_loop, .refuse_excess = false, .timeout = 5s, .extensions = {}});
      }
      if (steps < 5) return;
      const auto created = client->create(at_b(), control_loop);
      if (steps == 6 && created) {
        auto* end = new ipc::SendEnd{client->arena(), created->queue};
        const std::array<std::byte, 8> message{};
        for (int i = 0; i < 4; ++i) client->publish(*end, *created, message);
      }
    });
    kill_and_wait(pid);
    while (auto accepted = listener->accept(300ms)) accepted->close();
    const auto end = std::chrono::steady_clock::now() + 10s;
    int left = connections();  // the one that asks, and perhaps the one that asked before
    for (; left != 1 && std::chrono::steady_clock::now() < end; left = connections()) std::this_thread::sleep_for(10ms);
    EXPECT_EQ(left, 1) << "after step " << steps;
    EXPECT_TRUE(clean()) << "after step " << steps;
    EXPECT_EQ(ask(*a_, "status")["listeners"], 0);
  }
}

TEST_F(Daemons, AForkedChildDoesNotKeepItsParentsSessionAlive) {
  const std::string socket = a_->socket();
  int child_pipe[2];
  ASSERT_EQ(pipe(child_pipe), 0);
  const int pid = application([&] {
    auto* client = new RawClient;
    client->open(socket);
    client->listen(7600);
    const int child = fork();  // inherits socket, arena and doorbell
    if (child == 0) {
      for (;;) pause();
    }
    (void)!write(child_pipe[1], &child, sizeof child);
  });
  int child = 0;
  ASSERT_EQ(read(child_pipe[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  EXPECT_EQ(ask(*a_, "status")["listeners"], 1);
  kill_and_wait(pid);
  const auto end = std::chrono::steady_clock::now() + 10s;
  while (ask(*a_, "status")["listeners"] != 0 && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(ask(*a_, "status")["listeners"], 0);
  EXPECT_EQ(kill(child, 0), 0) << "the child still lives";
  kill(child, SIGKILL);
  close(child_pipe[0]);
  close(child_pipe[1]);
}

TEST_F(Daemons, SigtermTearsEveryChannelDownAndEndsWell) {
  auto receiving = session(*b_), sending = session(*a_);
  ASSERT_TRUE(receiving && sending);
  auto listener = receiving->listen(port);
  auto to_b = sending->connect(at_b(), control_loop);
  ASSERT_TRUE(to_b) << to_b.error().text;
  auto from_a = listener->accept(5s);
  ASSERT_TRUE(from_a);
  EXPECT_EQ(a_->end(SIGTERM), 0);
  EXPECT_FALSE(std::filesystem::exists(a_->socket()));
  std::vector<std::byte> buffer;
  const auto end = from_a->receive(buffer, 10s);  // told, not timed out by a lease
  ASSERT_FALSE(end);
  EXPECT_NE(end.error().code, Errc::timed_out);
  EXPECT_TRUE(refuses_soon(*to_b));
  for (int i = 0; i < 1'000 && sending->alive(); ++i) std::this_thread::sleep_for(10ms);  // the queue's end is seen first
  EXPECT_FALSE(sending->alive());
  EXPECT_TRUE(receiving->alive());
}

TEST_F(Daemons, AKilledDaemonIsReplacedAndTheOtherHostIsFreed) {
  auto receiving = session(*b_), sending = session(*a_);
  ASSERT_TRUE(receiving && sending);
  auto listener = receiving->listen(port);
  auto to_b = sending->connect(at_b(), control_loop);
  ASSERT_TRUE(to_b) << to_b.error().text;
  auto from_a = listener->accept(5s);
  ASSERT_TRUE(from_a);
  const std::vector<int> workers = rtchan::testing::children(a_->pid());
  ASSERT_EQ(workers.size(), 1u);
  EXPECT_EQ(a_->end(SIGKILL), 128 + SIGKILL);
  EXPECT_TRUE(std::filesystem::exists(a_->socket())) << "a killed daemon leaves its socket's file";
  EXPECT_EQ(refuses_soon(*to_b), Errc::daemon_gone);
  for (int i = 0; i < 500 && kill(workers[0], 0) == 0; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_NE(kill(workers[0], 0), 0) << "its worker outlived it";

  a_->start();
  ASSERT_TRUE(a_->running());
  auto again = session(*a_);
  ASSERT_TRUE(again) << again.error().text;
  auto anew = again->connect(at_b(), control_loop, {.timeout = 10s});
  ASSERT_TRUE(anew) << anew.error().text;
  auto accepted = listener->accept(5s);
  ASSERT_TRUE(accepted);
  ASSERT_TRUE(anew->send("after the restart", 5s));
  EXPECT_EQ(received(*accepted), "after the restart");
  std::vector<std::byte> buffer;
  const auto old = from_a->receive(buffer, 15s);  // by the new epoch, at the latest by its lease
  ASSERT_FALSE(old);
  EXPECT_NE(old.error().code, Errc::timed_out);
}

TEST_F(Daemons, AWorkersDeathEndsItsDaemonAndIsSaid) {
  auto sending = session(*a_);
  ASSERT_TRUE(sending);
  const std::vector<int> workers = rtchan::testing::children(a_->pid());
  ASSERT_EQ(workers.size(), 1u);
  kill(workers[0], SIGKILL);
  for (int i = 0; i < 500 && a_->running(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_FALSE(a_->running());
  EXPECT_EQ(a_->end(0), 1);
  EXPECT_NE(a_->log().find("worker 0 killed by signal 9"), std::string::npos) << a_->log();
  EXPECT_FALSE(sending->alive() && sending->query("status", 2s));
}

// --- applications that do not behave -----------------------------------------------------------------------------

TEST_F(Daemons, WhoNeverReadsItsSocketIsEvictedAndOthersAreServed) {
  RawClient deaf;
  ASSERT_TRUE(deaf.open(a_->socket()));
  for (std::uint32_t i = 1; i <= 400'000 && deaf.send(ipc::Query{i, "nonsense"}); ++i) {
  }
  EXPECT_TRUE(deaf.evicted(10s));
  EXPECT_TRUE(session(*a_));
}

TEST_F(Daemons, QuestionsOutOfOrderAndForeignVersionsEndTheSession) {
  RawClient early;
  ASSERT_TRUE(early.connect(a_->socket()));
  early.send(ipc::Query{1, "status"});
  EXPECT_TRUE(early.evicted(5s));
  RawClient foreign;
  ASSERT_TRUE(foreign.connect(a_->socket()));
  foreign.send(ipc::Hello{ipc::protocol_version + 1});
  const auto failed = foreign.await<ipc::Failed>();
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->error.code, Errc::version_mismatch);
}

// Long answers are made for whoever asks, but never at the price of leases: those who ask more than their part wait.
TEST_F(Daemons, NoCrowdOfQuestionsKeepsControlFromItsLeases) {
  auto receiver = session(*b_);
  auto sender = session(*a_);
  ASSERT_TRUE(receiver && sender);
  auto listener = receiver->listen(port);
  ASSERT_TRUE(listener);
  std::vector<Channel> held;
  for (int i = 0; i < 300; ++i) {
    auto channel = sender->connect(at_b(), {.service = ServiceClass::best_effort, .max_message_bytes = 100});
    ASSERT_TRUE(channel) << channel.error().text;
    held.push_back(std::move(*channel));
  }
  std::atomic<bool> enough = false;
  std::atomic<int> answers = 0;
  std::vector<std::thread> crowd;
  for (int i = 0; i < 8; ++i) {
    crowd.emplace_back([&] {
      auto asking = session(*a_);
      while (asking && !enough) answers += asking->query("channels").has_value() ? 1 : 0;
    });
  }
  std::this_thread::sleep_for(4s);  // two leases
  const auto another = sender->connect(at_b(), control_loop);
  EXPECT_TRUE(another) << another.error().text;
  enough = true;
  for (std::thread& one : crowd) one.join();
  EXPECT_GE(answers, 8) << "as many as ask: the crowd is slowed down, not shut out";
  EXPECT_EQ(channels(*a_), 301u);
  for (const auto* daemon : {a_.get(), b_.get()}) {
    EXPECT_EQ(ask(*daemon, "status")["counters"]["paths released because their lease ran out"], 0);
  }
}

TEST_F(Daemons, SessionsOfOneUserAreCountedAndTheRefusalSaysWhichLimit) {
  a_->end(SIGTERM);
  b_->end(SIGTERM);
  start({.extra = "[limits]\nsessions_per_uid = 5\n"});
  std::vector<Session> held;
  std::optional<Error> refusal;
  for (int i = 0; i < 8; ++i) {
    auto next = session(*a_);
    if (!next) {
      refusal = next.error();
      break;
    }
    held.push_back(std::move(*next));
  }
  ASSERT_TRUE(refusal);
  EXPECT_EQ(held.size(), 5u);
  EXPECT_EQ(refusal->code, Errc::exhausted);
  EXPECT_NE(refusal->text.find("limits.sessions_per_uid"), std::string::npos) << refusal->text;
  // However many ask at once, each is told.
  std::vector<std::future<std::string>> crowd;
  for (int i = 0; i < 32; ++i) {
    crowd.push_back(std::async(std::launch::async, [&] {
      const auto one = session(*a_);
      return one ? std::string{"admitted"} : one.error().text;
    }));
  }
  for (auto& answer : crowd) {
    const std::string said = answer.get();
    EXPECT_NE(said.find("limits.sessions_per_uid"), std::string::npos) << said;
  }
  held.pop_back();
  const auto again = session(*a_);
  EXPECT_TRUE(again) << "a place that is free again is given out again: " << again.error().text;
}

// The end of a session is orderly: what it had is free when close() returns.
TEST_F(Daemons, WhoRestartsFindsItsPortAndItsPlaceFree) {
  a_->end(SIGTERM);
  b_->end(SIGTERM);
  start({.extra = "[limits]\nsessions_per_uid = 1\n"});
  for (auto* daemon : {a_.get(), b_.get()}) {  // who looked whether it accepts may still count
    for (int i = 0; i < 500 && !session(*daemon); ++i) std::this_thread::sleep_for(10ms);
  }
  for (int i = 0; i < 100; ++i) {
    auto sending = session(*a_);
    ASSERT_TRUE(sending) << sending.error().text;
    auto receiving = session(*b_);
    ASSERT_TRUE(receiving) << receiving.error().text;
    auto listener = receiving->listen(port);
    ASSERT_TRUE(listener) << listener.error().text;
    if (i % 10 != 0) continue;
    auto out = sending->connect(at_b(), control_loop);
    ASSERT_TRUE(out) << out.error().text;
    auto in = listener->accept(5s);
    ASSERT_TRUE(in) << in.error().text;
    ASSERT_TRUE(out->send("x"));
    EXPECT_EQ(received(*in), "x");
  }
}

// --- other shapes of a daemon ------------------------------------------------------------------------------------

TEST_F(Daemons, AChannelIsServedByTheWorkerOfItsLink) {
  a_->end(SIGTERM);
  b_->end(SIGTERM);
  start({.workers = 2});
  auto receiving = session(*b_), sending = session(*a_);
  ASSERT_TRUE(receiving && sending);
  auto listener = receiving->listen(port);
  auto to_b = sending->connect(at_b(), control_loop);
  ASSERT_TRUE(to_b) << to_b.error().text;
  auto from_a = listener->accept(5s);
  ASSERT_TRUE(from_a);
  ASSERT_TRUE(to_b->send("over worker 1", 5s));
  EXPECT_EQ(received(*from_a), "over worker 1");
  EXPECT_EQ(ask(*a_, "channels")["channels"][0]["worker"], 1);
}

TEST_F(Daemons, WorkersCanBeThreads) {
  a_->end(SIGTERM);
  b_->end(SIGTERM);
  start({.daemon_extra = "workers = \"threads\"\n"});
  EXPECT_TRUE(rtchan::testing::children(a_->pid()).empty());
  auto receiving = session(*b_), sending = session(*a_);
  ASSERT_TRUE(receiving && sending);
  auto listener = receiving->listen(port);
  auto to_b = sending->connect(at_b(), control_loop);
  ASSERT_TRUE(to_b) << to_b.error().text;
  auto from_a = listener->accept(5s);
  ASSERT_TRUE(from_a);
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(to_b->send(std::to_string(i), 5s));
    ASSERT_EQ(received(*from_a), std::to_string(i));
  }
}

TEST_F(Daemons, ASecondDaemonDoesNotTakeTheSocketOfALivingOne) {
  const std::string command = std::string{RTCD_PROGRAM} + " --config " + (directory_.path() / "1.toml").string() + " 2>&1";
  FILE* out = popen(command.c_str(), "r");
  std::string text(4096, '\0');
  text.resize(fread(text.data(), 1, text.size(), out));
  EXPECT_EQ(WEXITSTATUS(pclose(out)), 1);
  EXPECT_NE(text.find("another rtcd already listens on " + a_->socket()), std::string::npos) << text;
  EXPECT_TRUE(session(*a_));
}

}  // namespace
}  // namespace rtchan
