// Five hops with six real daemons: what a channel was promised holds over all of them while best effort fills every link,
// set-ups come through a wire that loses and damages, and nothing is left behind.
//
// Six daemons share the cores of one machine, and each of them is told so: its worker may run a fraction of each
// millisecond (duty), and admission counts with that supply. A late message is excused only as far as the machine itself was
// taken away from the probes; how many, is always shown.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <rtchan/channel.hpp>
#include <thread>

#include "system/rig.hpp"

namespace rtchan::system_test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr std::size_t hosts = 6;
constexpr std::size_t last = hosts - 1;

double in_ms(Duration d) { return static_cast<double>(d.count()) / 1e6; }

lab::DaemonOptions one_of_six(std::size_t host) {
  const unsigned cores = std::thread::hardware_concurrency() > 1 ? 2 : 1;
  lab::DaemonOptions options;
  options.core = static_cast<int>(host % cores);
  options.rate = "20Mbit";
  options.guard = "none";
  // 90 % of a core, shared by as many workers as there are on it; each may have to wait until the others have had theirs.
  options.worker_extra = fmt::format("duty = \"{}%\"", 90 * cores / hosts);
  options.link_extra = "propagation = \"500us\"";
  // Softirqs of all hosts are this machine's: what is left of them is in the duty.
  options.extra = "\n[costs]\nwakeup_latency = \"500us\"\n";
  return options;
}

class Line {
 public:
  // With a relay between hosts `relay` and `relay` + 1, if that is set.
  static std::unique_ptr<Line> make(const std::string& label, std::optional<std::size_t> relay, const std::string& relay_words) {
    auto line = std::make_unique<Line>();
    if (std::string why = line->build(label, relay, relay_words); !why.empty()) {
      ADD_FAILURE() << why;
      return nullptr;
    }
    return line;
  }

  Command rtc(std::size_t host, const std::string& words, const std::string& name) {
    lab::Argv argv = lab::words(words);
    argv.insert(argv.begin(), lab::program("rtc"));
    const auto out = file(name + ".out"), err = file(name + ".err");
    auto process = lab_->start(host, argv, {.output = lab::Output::file, .output_file = out, .error_file = err,
                                            .environment = {daemons_[host].environment()}});
    if (!process) throw std::runtime_error(process.error().text);
    return {std::move(*process), out, err};
  }
  Session session(std::size_t host) {
    auto opened = Session::open({.socket = daemons_[host].socket()});
    if (!opened) throw std::runtime_error(opened.error().text);
    return std::move(*opened);
  }
  json ask(std::size_t host, const char* what) {
    Session s = session(host);
    return json::parse(s.query(what).value_or("null"), nullptr, false);
  }
  // Its address toward the sender's side.
  [[nodiscard]] std::string address(std::size_t host) const { return lab_->host(host).interfaces.at(0).address; }
  [[nodiscard]] std::filesystem::path file(const std::string& name) const { return lab_->directory() / name; }
  [[nodiscard]] std::string log(std::size_t host) const { return daemons_[host].log(); }
  std::vector<lab::Gap> gaps() {
    std::vector<lab::Gap> all;
    for (lab::Canary& probe : probes_) {
      const lab::CanaryLog seen = probe.stop();
      all.insert(all.end(), seen.gaps.begin(), seen.gaps.end());
    }
    probes_.clear();
    return all;
  }
  json end_relay() {
    relay_->kill(SIGTERM);
    relay_->wait(5s);
    const std::string said = relay_->take_output();
    return json::parse(said.substr(said.find('{')), nullptr, false);
  }

  // Nothing is held anywhere: no channel, no path, no buffer; and the stages hold what they held in the beginning.
  void expect_clean() {
    const auto until = std::chrono::steady_clock::now() + 15s;
    std::string left;
    do {
      left.clear();
      for (std::size_t host = 0; host < hosts; ++host) left += leftovers(host);
      if (left.empty()) return;
      std::this_thread::sleep_for(100ms);
    } while (std::chrono::steady_clock::now() < until);
    ADD_FAILURE() << left;
  }

 private:
  std::string build(const std::string& label, std::optional<std::size_t> relay, const std::string& relay_words) {
    auto made = lab::Lab::create(label);
    if (!made) return made.error().text;
    lab_ = std::move(*made);
    const auto failed = [](const auto& result) { return result ? std::string{} : result.error().text; };
    for (std::size_t i = 0; i < hosts; ++i) {
      if (auto host = lab_->add_host(fmt::format("h{}", i)); !host) return host.error().text;
    }
    std::size_t middle = 0;
    if (relay) {
      auto host = lab_->add_host("relay");
      if (!host) return host.error().text;
      middle = *host;
    }
    for (std::size_t i = 0; i + 1 < hosts; ++i) {
      if (relay != i) {
        if (auto why = failed(lab_->connect_bare(i, i + 1)); !why.empty()) return why;
      } else {
        if (auto why = failed(lab_->connect_bare(i, middle)); !why.empty()) return why;
        if (auto why = failed(lab_->connect_bare(middle, i + 1)); !why.empty()) return why;
      }
      if (auto why = failed(lab_->give_address(i, fmt::format("10.77.{}.1", i))); !why.empty()) return why;
      if (auto why = failed(lab_->give_address(i + 1, fmt::format("10.77.{}.2", i))); !why.empty()) return why;
      if (auto why = failed(lab_->introduce(i, i + 1)); !why.empty()) return why;
    }
    if (std::string why = add_routes(); !why.empty()) return why;
    if (relay) {
      auto process = lab_->start(middle, lab::words(lab::program("lossy-relay") + " net0 net1 " + relay_words), {.output = lab::Output::pipe});
      if (!process) return process.error().text;
      relay_ = std::move(*process);
      if (relay_->read_line(5s) != "ready") return "the relay did not start";
    }
    const int cores = std::thread::hardware_concurrency() > 1 ? 2 : 1;
    for (int core = 0; core < cores; ++core) {
      auto probe = lab::Canary::start(core, file(fmt::format("probe{}.txt", core)));
      if (!probe) return probe.error().text;
      probes_.push_back(std::move(*probe));
    }
    for (std::size_t i = 0; i < hosts; ++i) {
      auto daemon = lab::Daemon::start(*lab_, i, one_of_six(i));
      if (!daemon) return daemon.error().text;
      daemons_.push_back(std::move(*daemon));
      at_rest_.push_back(entries(i));
    }
    return {};
  }

  std::string add_routes() {
    for (std::size_t i = 0; i < hosts; ++i) {
      for (std::size_t k = 0; k + 1 < hosts; ++k) {
        if (k == i || k + 1 == i) continue;
        const std::string via = k > i ? fmt::format("10.77.{}.2", i) : fmt::format("10.77.{}.1", i - 1);
        if (auto done = lab_->ip(i, fmt::format("route add 10.77.{}.0/24 via {}", k, via)); !done) return done.error().text;
      }
    }
    return {};
  }

  std::vector<std::size_t> entries(std::size_t host) {
    std::vector<std::size_t> all;
    for (const json& stage : ask(host, "status")["stages"]) all.push_back(stage["entries"].get<std::size_t>());
    return all;
  }
  std::string leftovers(std::size_t host) {
    const json status = ask(host, "status");
    std::string left;
    if (status["channels"] != 0 || status["paths"] != 0) left += fmt::format("h{}: {} channels, {} paths\n", host, status["channels"].dump(), status["paths"].dump());
    for (const json& pool : status["pools"]) {
      if (pool["used"] != 0) left += fmt::format("h{}: {} of {} used\n", host, pool["used"].dump(), pool["name"].dump());
    }
    if (entries(host) != at_rest_[host]) left += fmt::format("h{}: stages {}\n", host, status["stages"].dump());
    return left;
  }

  std::unique_ptr<lab::Lab> lab_;
  std::optional<lab::Process> relay_;
  std::vector<lab::Canary> probes_;
  std::vector<lab::Daemon> daemons_;
  std::vector<std::vector<std::size_t>> at_rest_;
};

// Between each two neighbours, as much as the link takes.
std::vector<Command> fill_every_link(Line& line, std::chrono::seconds duration) {
  std::vector<Command> all;
  for (std::size_t i = 0; i < last; ++i) {
    all.push_back(line.rtc(i + 1, "perf --listen 7100 --json", fmt::format("rest{}-in", i)));
  }
  std::this_thread::sleep_for(1s);
  for (std::size_t i = 0; i < last; ++i) {
    all.push_back(line.rtc(i, fmt::format("perf --to {}:7100 --json --best-effort --rate 4000/s --size 1000 --burst 64 --duration {}s --when-full drop",
                                          line.address(i + 1), duration.count()), fmt::format("rest{}-out", i)));
  }
  return all;
}

TEST(FiveHops, APromiseHoldsWhileBestEffortFillsEveryLink) {
  auto line = Line::make("hops", std::nullopt, "");
  ASSERT_TRUE(line);
  auto rest = fill_every_link(*line, 14s);
  std::this_thread::sleep_for(1s);
  Command receiver = line->rtc(last, fmt::format("perf --listen 7000 --json --log {}", line->file("stream.csv").string()), "in");
  std::this_thread::sleep_for(500ms);
  Command sender = line->rtc(0, fmt::format("perf --to {}:7000 --json --rate 100/s --burst 2 --size 1000 --delay 200ms --duration 8s", line->address(last)), "out");
  std::this_thread::sleep_for(4s);
  std::vector<std::string> roles;
  for (std::size_t host = 1; host < last; ++host) {
    const json channels = line->ask(host, "channels");
    for (const json& c : channels["channels"]) {
      if (c["service"] == "guaranteed") roles.push_back(c["role"]);
    }
  }
  EXPECT_EQ(roles, std::vector<std::string>(hosts - 2, "forwarding"));
  EXPECT_EQ(sender.wait(30s), 0) << sender.complaints();
  receiver.wait(10s);
  const json result = receiver.result();
  ASSERT_TRUE(result.is_object() && result["streams"].size() == 1) << receiver.complaints() << sender.complaints();
  const json stream = result["streams"][0];
  const auto gaps = line->gaps();
  const Duration bound{stream["bound_ns"].get<std::int64_t>()};
  std::size_t late = 0, truly_late = 0;
  Duration worst{}, worst_seen{};
  for (const LoggedMessage& m : read_message_log(line->file("stream.csv"))) {
    // All hosts have one clock here: how long it took is known without their account of it.
    const Duration seen = m.readable - m.handed_over;
    worst = std::max(worst, m.delay);
    worst_seen = std::max(worst_seen, seen);
    if (m.delay > bound) {
      ++late;
      EXPECT_TRUE(excused(m.readable, m.delay, bound, gaps)) << "message " << m.sequence << " after " << m.delay.count() << " ns";
    }
    // A message may have stood behind one more of its burst.
    if (seen > bound + 10ms) {
      ++truly_late;
      EXPECT_TRUE(excused(m.readable, seen, bound + 10ms, gaps)) << "message " << m.sequence << " took " << seen.count() << " ns";
    }
  }
  fmt::print("five hops: {} messages, bound {:.1f} ms, worst by account {:.1f} ms, worst by the clock {:.1f} ms; late {} ({} by the clock), each excused by a gap; {} gaps\n",
             stream["received"].dump(), in_ms(bound), in_ms(worst), in_ms(worst_seen), late, truly_late, gaps.size());
  EXPECT_EQ(stream["lost"], 0);
  EXPECT_EQ(stream["out_of_order"], 0);
  EXPECT_EQ(stream["duplicates"], 0);
  EXPECT_GT(stream["received"].get<int>(), 700);
  for (std::size_t i = 0; i < last; ++i) {
    rest[last + i].wait(20s);
    rest[i].wait(10s);
    const json filled = rest[i].result();
    ASSERT_TRUE(filled.is_object() && filled["streams"].size() == 1) << i << rest[i].complaints() << rest[last + i].complaints();
    fmt::print("  best effort on hop {}: {:.0f} messages/s\n", i + 1, filled["streams"][0]["messages_per_second"].get<double>());
    EXPECT_GT(filled["streams"][0]["messages_per_second"].get<double>(), 300) << "real cross traffic";
  }
  line->expect_clean();
}

struct SetUps {
  std::vector<Duration> times;
  int failed = 0;
};

// One after the other. `pause` before each: signalling of a link is a channel with a rate of its own, a crowd waits for it.
SetUps set_up(Line& line, int count, Duration patience, Duration pause = {}) {
  Session sender = line.session(0), receiver = line.session(last);
  auto listener = receiver.listen(7001);
  EXPECT_TRUE(listener) << listener.error().text;
  SetUps all;
  const std::string to = line.address(last) + ":7001";
  const Qos qos{.max_rate = 10, .max_burst = 1, .max_message_bytes = 500, .max_delay = 200ms};
  for (int i = 0; i < count; ++i) {
    std::this_thread::sleep_for(pause);
    const Instant begin = RawClock::now();
    auto channel = sender.connect(to, qos, {.timeout = patience});
    if (!channel) {
      ++all.failed;
      fmt::print(stderr, "set-up {}: {}\n", i, channel.error().text);
      continue;
    }
    all.times.push_back(RawClock::now() - begin);
    if (auto accepted = listener->accept(10s)) (void)accepted->close();
    (void)channel->close();
  }
  std::ranges::sort(all.times);
  return all;
}

TEST(FiveHops, SetUpsAreQuickAndLeaveNothingBehind) {
  auto line = Line::make("hops", std::nullopt, "");
  ASSERT_TRUE(line);
  (void)set_up(*line, 1, 10s);  // neighbours are introduced
  for (const Duration pause : {50ms, 0ms}) {
    const SetUps quick = set_up(*line, 100, 10s, pause);
    EXPECT_EQ(quick.failed, 0);
    ASSERT_GE(quick.times.size(), 90u);
    const double p50 = in_ms(quick.times[quick.times.size() / 2]), p99 = in_ms(quick.times[quick.times.size() * 99 / 100]);
    fmt::print("five hops: set-up p50 {:.2f} ms, p99 {:.2f} ms; per hop p50 {:.2f} ms (aim: 1 ms); {}\n", p50, p99, p50 / last,
               pause > 0ms ? "now and then" : "one at the heels of the other");
  }
  line->expect_clean();
}

TEST(FiveHops, SetUpsCompleteThroughAWireThatLosesAndDamages) {
  auto line = Line::make("lossy", 2, "--loss 30 --corrupt 20 --seed 11");
  ASSERT_TRUE(line);
  const SetUps slow = set_up(*line, 60, 20s);
  EXPECT_EQ(slow.failed, 0);
  line->expect_clean();
  const json relay = line->end_relay();
  ASSERT_FALSE(slow.times.empty());
  fmt::print("through 30 % loss and 20 % damage each way: {} of 60 set up, p50 {:.0f} ms, worst {:.0f} ms; relay {}\n", slow.times.size(),
             in_ms(slow.times[slow.times.size() / 2]), in_ms(slow.times.back()), relay.dump());
  EXPECT_GT(relay["lost"].get<int>(), 100);
  EXPECT_GT(relay["damaged"].get<int>(), 50);
}

// What message `number` of a stream says, to the last byte.
std::vector<std::byte> content(std::uint32_t number, std::size_t bytes) {
  std::vector<std::byte> all(bytes);
  std::memcpy(all.data(), &number, sizeof number);
  std::minstd_rand random(number + 1);
  for (std::size_t i = sizeof number; i < bytes; ++i) all[i] = static_cast<std::byte>(random());
  return all;
}

// So many packets with a broken checksum, or broken otherwise, a host has dropped.
std::uint64_t dropped_as_broken(Line& line, std::size_t host) {
  std::uint64_t all = 0;
  const json status = line.ask(host, "status");
  for (const json& worker : status["workers"]) {
    for (const char* why : {"short_packet", "bad_version", "bad_type", "bad_length", "bad_checksum", "bad_record", "bad_offset", "bad_flags"}) {
      all += worker["domain"][fmt::format("dropped_{}", why)].get<std::uint64_t>();
    }
  }
  return all;
}

// Messages of three packets each, through a wire that loses, damages and repeats: what arrives is whole, in order and once;
// each broken packet is counted where it arrived; the channel lives on.
TEST(FiveHops, WhatAWireDamagesIsDroppedAndCountedAndNothingComesTwice) {
  auto line = Line::make("lossy", 2, "--loss 4 --corrupt 4 --repeat 10 --seed 12");
  ASSERT_TRUE(line);
  constexpr std::uint32_t messages = 500;
  constexpr std::size_t bytes = 3'500;
  std::uint32_t whole = 0, next = 0;
  {
    Session sender = line->session(0), receiver = line->session(last);
    auto listener = receiver.listen(7003);
    ASSERT_TRUE(listener) << listener.error().text;
    auto out = sender.connect(line->address(last) + ":7003", {.max_rate = 80, .max_burst = 2, .max_message_bytes = bytes, .max_delay = 250ms}, {.timeout = 20s});
    ASSERT_TRUE(out) << out.error().text;
    auto in = listener->accept(10s);
    ASSERT_TRUE(in) << in.error().text;
    std::jthread talking([&] {
      for (std::uint32_t i = 0; i < messages; ++i) {
        if (auto sent = out->send(std::span<const std::byte>{content(i, bytes)}, 5s); !sent) ADD_FAILURE() << i << ": " << sent.error().text;
      }
    });
    std::vector<std::byte> message;
    for (auto got = in->receive(message, 5s); got; got = in->receive(message, 2s)) {
      std::uint32_t number = messages;
      ASSERT_EQ(message.size(), bytes);
      std::memcpy(&number, message.data(), sizeof number);
      ASSERT_LT(number, messages);
      ASSERT_GE(number, next) << "twice, or out of order";
      ASSERT_EQ(message, content(number, bytes)) << "damaged";
      next = number + 1;
      ++whole;
    }
    talking.join();
    const json channels = line->ask(last, "channels");
    ASSERT_EQ(channels["channels"].size(), 1u) << "the channel lives on";
    const json& counters = channels["channels"][0]["counters"];
    EXPECT_EQ(whole + counters["lost"].get<std::uint32_t>(), next) << "what did not arrive is counted as lost\n" << counters.dump();
    (void)in->close();
    (void)out->close();
  }
  line->expect_clean();
  const std::uint64_t broken = dropped_as_broken(*line, 2) + dropped_as_broken(*line, 3);
  const json relay = line->end_relay();
  fmt::print("through 4 % loss, 4 % damage and 10 % repetition: {} of {} messages of 3 packets arrived, whole and once; {} broken packets dropped; relay {}\n",
             whole, messages, broken, relay.dump());
  EXPECT_GT(whole, messages * 2 / 3);
  EXPECT_LT(whole, messages);
  // A damaged packet may come twice; one whose damage is in its UDP header is not made.
  EXPECT_GE(broken, relay["damaged"].get<std::uint64_t>());
  EXPECT_LE(broken, relay["damaged"].get<std::uint64_t>() + relay["repeated"].get<std::uint64_t>());
}

// h0 reaches h3 by h1, and at a larger metric by h2. The link of h1 to h3 is too slow for what is asked: the set-up takes the
// other way, nothing is held on the first, and what fits the first still takes it.
TEST(TwoWays, ARefusedSetUpTakesTheOther) {
  auto made = lab::Lab::create("ways");
  ASSERT_TRUE(made) << made.error().text;
  lab::Lab& lab = **made;
  for (const char* name : {"h0", "h1", "h2", "h3"}) ASSERT_TRUE(lab.add_host(name));
  for (const auto& [left, right] : {std::pair{0, 1}, {0, 2}, {1, 3}, {2, 3}}) {  // subnets 10.77.0 ... 3
    ASSERT_TRUE(lab.connect(static_cast<std::size_t>(left), static_cast<std::size_t>(right)));
  }
  const std::string to = "10.88.0.3";
  ASSERT_TRUE(lab.ip(3, "addr add 10.88.0.3/32 dev lo"));
  ASSERT_TRUE(lab.ip(0, "route add 10.88.0.3/32 via 10.77.0.2 metric 10"));
  ASSERT_TRUE(lab.ip(0, "route add 10.88.0.3/32 via 10.77.1.2 metric 20"));
  ASSERT_TRUE(lab.ip(1, "route add 10.88.0.3/32 via 10.77.2.2"));
  ASSERT_TRUE(lab.ip(2, "route add 10.88.0.3/32 via 10.77.3.2"));
  std::vector<lab::Daemon> daemons;
  for (std::size_t host = 0; host < 4; ++host) {
    lab::DaemonOptions options;
    options.rate = host == 1 ? "5Mbit" : "50Mbit";
    options.guard = "none";
    options.core = static_cast<int>(host % 2);
    options.worker_extra = "duty = \"40%\"";
    auto daemon = lab::Daemon::start(lab, host, options);
    ASSERT_TRUE(daemon) << daemon.error().text;
    daemons.push_back(std::move(*daemon));
  }
  auto sender = Session::open({.socket = daemons[0].socket()});
  auto receiver = Session::open({.socket = daemons[3].socket()});
  ASSERT_TRUE(sender && receiver);
  auto listener = receiver->listen(7002);
  ASSERT_TRUE(listener) << listener.error().text;
  const auto passing = [&](std::size_t host) {
    auto any = Session::open({.socket = daemons[host].socket()});
    return json::parse(any->query("channels").value_or("{}"))["channels"].size();
  };
  auto large = sender->connect(to + ":7002", {.max_rate = 1000, .max_message_bytes = 1200, .max_delay = 200ms});
  ASSERT_TRUE(large) << large.error().text;
  EXPECT_EQ(passing(1), 0u) << "nothing is held on the way that was refused";
  EXPECT_EQ(passing(2), 1u);
  auto small = sender->connect(to + ":7002", {.max_rate = 100, .max_message_bytes = 200, .max_delay = 200ms});
  ASSERT_TRUE(small) << small.error().text;
  EXPECT_EQ(passing(1), 1u) << "the kernel's own choice, where it does";
  auto too_large = sender->connect(to + ":7002", {.max_rate = 10'000, .max_message_bytes = 1200, .max_delay = 200ms});
  ASSERT_FALSE(too_large);
  EXPECT_EQ(passing(0), 2u);
  EXPECT_EQ(passing(1), 1u);
  EXPECT_EQ(passing(2), 1u);
}

}  // namespace
}  // namespace rtchan::system_test
