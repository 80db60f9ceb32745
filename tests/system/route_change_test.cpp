// A route is switched under a running channel, with real daemons: it goes on over the other router and loses nothing, or both
// ends are told where the other router has no room. And what is on the wire between routers is marked.
//
//          .-- r1 --.
//        a            b   (10.99.0.1, on lo)
//          '-- r2 --'
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <rtchan/channel.hpp>
#include <thread>

#include "system/rig.hpp"
#include "system/wire_tap.hpp"

namespace rtchan::system_test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr std::size_t a = 0, r1 = 1, r2 = 2, b = 3, hosts = 4;
constexpr const char* destination = "10.99.0.1";

double in_ms(Duration d) { return static_cast<double>(d.count()) / 1e6; }

class Diamond {
 public:
  static std::unique_ptr<Diamond> make(const std::string& rate_of_r2) {
    auto diamond = std::make_unique<Diamond>();
    if (std::string why = diamond->build(rate_of_r2); !why.empty()) {
      ADD_FAILURE() << why;
      return nullptr;
    }
    return diamond;
  }
  Session session(std::size_t host) {
    auto opened = Session::open({.socket = daemons_[host].socket()});
    if (!opened) throw std::runtime_error(opened.error().text);
    return std::move(*opened);
  }
  json channels(std::size_t host) {
    Session s = session(host);
    return json::parse(s.query("channels").value_or("null"), nullptr, false)["channels"];
  }
  void lead_over(std::size_t router) {
    const auto done = lab_->ip(a, fmt::format("route replace {}/32 via 10.77.{}.2", destination, router - r1));
    EXPECT_TRUE(done) << done.error().text;
  }
  // Promised packets with messages that reach the receiver through a router.
  std::unique_ptr<WireTap> tap(std::size_t router) {
    auto opened = WireTap::open(lab_->host(b).netns, lab_->host(b).interfaces.at(router - r1).name, 7747, 900);
    EXPECT_TRUE(opened) << opened.error();
    return opened ? std::move(*opened) : nullptr;
  }
  // What the observer by a clock outside saw of a core that was taken away.
  std::vector<lab::Gap> gaps() {
    std::vector<lab::Gap> all;
    for (lab::Canary& probe : probes_) {
      const auto seen = probe.stop();
      all.insert(all.end(), seen.gaps.begin(), seen.gaps.end());
    }
    probes_.clear();
    return all;
  }
  [[nodiscard]] std::string log(std::size_t host) const { return daemons_[host].log(); }

 private:
  std::string build(const std::string& rate_of_r2) {
    auto made = lab::Lab::create("diamond");
    if (!made) return made.error().text;
    lab_ = std::move(*made);
    for (const char* name : {"a", "r1", "r2", "b"}) {
      if (auto host = lab_->add_host(name); !host) return host.error().text;
    }
    for (const auto& [left, right] : {std::pair{a, r1}, {a, r2}, {r1, b}, {r2, b}}) {
      if (auto done = lab_->connect(left, right); !done) return done.error().text;
    }
    for (const auto& [host, words] : {std::pair{b, "address add 10.99.0.1/32 dev lo"},
                                      {a, "route add 10.99.0.1/32 via 10.77.0.2"},
                                      {r1, "route add 10.99.0.1/32 via 10.77.2.2"},
                                      {r2, "route add 10.99.0.1/32 via 10.77.3.2"}}) {
      if (auto done = lab_->ip(host, words); !done) return done.error().text;
    }
    const int cores = std::thread::hardware_concurrency() > 1 ? 2 : 1;
    for (int core = 0; core < cores; ++core) {
      auto probe = lab::Canary::start(core, lab_->directory() / fmt::format("probe{}.txt", core));
      if (!probe) return probe.error().text;
      probes_.push_back(std::move(*probe));
    }
    for (std::size_t i = 0; i < hosts; ++i) {
      lab::DaemonOptions options;  // four daemons share the cores, and each is told so
      options.core = static_cast<int>(i) % cores;
      options.rate = i == r2 ? rate_of_r2 : "20Mbit";
      options.guard = "none";
      options.worker_extra = fmt::format("duty = \"{}%\"", 90 * cores / static_cast<int>(hosts));
      options.link_extra = "propagation = \"500us\"";
      options.extra = "\n[costs]\nwakeup_latency = \"500us\"\n";
      auto daemon = lab::Daemon::start(*lab_, i, options);
      if (!daemon) return daemon.error().text;
      daemons_.push_back(std::move(*daemon));
    }
    return {};
  }

  std::unique_ptr<lab::Lab> lab_;
  std::vector<lab::Canary> probes_;
  std::vector<lab::Daemon> daemons_;
};

const Qos stream{.max_rate = 200, .max_burst = 4, .max_message_bytes = 1000, .max_delay = 60ms};

struct Read {
  std::vector<std::uint64_t> numbers;  // as the sender counted
  Duration longest_silence{};
  std::string end;
};

// Until the channel ends, or nothing comes for two seconds.
Read read_all(Channel& channel) {
  Read read;
  std::vector<std::byte> buffer;
  Instant last = RawClock::now();
  for (;;) {
    if (const auto got = channel.receive(buffer, 2s); !got) {
      read.end = got.error().text;
      return read;
    }
    const Instant now = RawClock::now();
    if (!read.numbers.empty()) read.longest_silence = std::max(read.longest_silence, now - last);
    last = now;
    std::uint64_t number = 0;
    std::memcpy(&number, buffer.data(), sizeof number);
    read.numbers.push_back(number);
  }
}

TEST(RouteChange, AChannelGoesOnOverTheOtherRouterAndLosesNothing) {
  auto diamond = Diamond::make("20Mbit");
  ASSERT_TRUE(diamond);
  Session receiving = diamond->session(b), sending = diamond->session(a);
  auto listener = receiving.listen(7000);
  ASSERT_TRUE(listener);
  auto channel = sending.connect(fmt::format("{}:7000", destination), stream);
  ASSERT_TRUE(channel) << channel.error().text;
  auto accepted = listener->accept(5s);
  ASSERT_TRUE(accepted);
  auto first = diamond->tap(r1), second = diamond->tap(r2);
  ASSERT_TRUE(first && second);
  Read read;
  std::jthread reader{[&] { read = read_all(*accepted); }};

  constexpr std::uint64_t messages = 1'000;
  constexpr std::uint64_t switches = 3;
  std::uint64_t blocked = 0;
  for (std::uint64_t number = 0; number < messages; ++number) {
    if (number % (messages / (switches + 1)) == messages / (switches + 1) - 1 && number + 1 < messages) {
      diamond->lead_over(number / (messages / (switches + 1)) % 2 == 0 ? r2 : r1);
    }
    std::array<std::byte, 900> message{};
    std::memcpy(message.data(), &number, sizeof number);
    const Instant begin = RawClock::now();
    const auto sent = channel->send(message, 3s);
    ASSERT_TRUE(sent) << number << ": " << sent.error().text << diamond->log(a);
    blocked += RawClock::now() - begin > 1ms;
    std::this_thread::sleep_for(6ms);  // a little less than it may
  }
  std::this_thread::sleep_for(1s);
  const json at_a = diamond->channels(a), at_b = diamond->channels(b);
  ASSERT_EQ(at_a.size(), 1u) << diamond->log(a);
  ASSERT_EQ(at_b.size(), 1u);
  EXPECT_EQ(at_a[0]["reroutes"], switches) << at_a;
  EXPECT_EQ(at_b[0]["reroutes"], switches) << at_b;
  EXPECT_EQ(diamond->channels(r1).size(), 0u);
  EXPECT_EQ(diamond->channels(r2).size(), 1u);
  EXPECT_EQ(at_b[0]["counters"]["lost"], 0) << at_b;
  EXPECT_EQ(at_b[0]["counters"]["delivered"], messages) << "counted on over all its routes: " << at_b;
  EXPECT_TRUE(channel->close());
  reader.join();

  ASSERT_EQ(read.numbers.size(), messages) << read.end;
  for (std::uint64_t number = 0; number < messages; ++number) ASSERT_EQ(read.numbers[number], number) << "in order, once";
  for (const auto& tap : {first.get(), second.get()}) {
    const Capture wire = tap->stop();
    ASSERT_GT(wire.times.size(), messages / 4);
    EXPECT_EQ(wire.marks, (std::map<unsigned, std::uint64_t>{{46, wire.times.size()}})) << "expedited forwarding, also as a router sends it";
  }
  const auto stolen = diamond->gaps();
  fmt::print("route change: {} switches of {} messages: none lost, twice or out of order; longest silence {:.1f} ms (promised delay {:.0f} ms); "
             "{} sends waited for room; {} gaps\n", switches, messages, in_ms(read.longest_silence), in_ms(stream.max_delay), blocked, stolen.size());
}

TEST(RouteChange, WhereTheOtherRouterHasNoRoomBothEndsAreToldWhy) {
  auto diamond = Diamond::make("2Mbit");
  ASSERT_TRUE(diamond);
  Session receiving = diamond->session(b), sending = diamond->session(a);
  auto listener = receiving.listen(7000);
  ASSERT_TRUE(listener);
  auto channel = sending.connect(fmt::format("{}:7000", destination), stream);
  ASSERT_TRUE(channel) << channel.error().text;
  auto accepted = listener->accept(5s);
  ASSERT_TRUE(accepted);
  diamond->lead_over(r2);
  const Instant changed = RawClock::now();
  const auto told = [](Session& session) -> std::optional<Notice> {
    for (int i = 0; i < 1'000; ++i, std::this_thread::sleep_for(10ms)) {
      if (auto notice = session.next_notice()) return notice;
    }
    return std::nullopt;
  };
  const auto sender_told = told(sending);
  const Duration after = RawClock::now() - changed;
  const auto receiver_told = told(receiving);
  ASSERT_TRUE(sender_told) << diamond->log(a);
  ASSERT_TRUE(receiver_told) << diamond->log(b);
  EXPECT_EQ(sender_told->kind, Notice::Kind::peer_gone);
  EXPECT_EQ(receiver_told->kind, Notice::Kind::peer_gone);
  EXPECT_NE(sender_told->text.find("the route has changed"), std::string::npos) << sender_told->text;
  std::array<std::byte, 10> message{};
  EXPECT_FALSE(channel->send(message, 1s));
  fmt::print("route change without room: the sender is told after {:.1f} s: \"{}\"; the receiver: \"{}\"\n", in_ms(after) / 1e3,
             sender_told->text, receiver_told->text);
  EXPECT_TRUE(channel->close());
  EXPECT_TRUE(accepted->close());
  EXPECT_EQ(diamond->channels(r1).size(), 0u);
  EXPECT_EQ(diamond->channels(r2).size(), 0u);
}

}  // namespace
}  // namespace rtchan::system_test
