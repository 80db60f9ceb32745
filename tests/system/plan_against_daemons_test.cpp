// `rtc plan` says beforehand what real daemons say: the same channels are asked for, one after the other, of
// a plan and of rtcd on each host of a line (neighbours, and ends with one router or three between them), until one is refused. The same number is admitted, with the same
// local delays and buffers, and the refusal is the same to the nanosecond.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>
#include <rtchan/channel.hpp>

#include "lab/daemon.hpp"
#include "lab/topology.hpp"
#include "plan/outcome.hpp"

namespace rtchan::system_test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr std::uint16_t port = 7000;
constexpr int many = 400;  // more than any of these series gets

struct Series {
  const char* name;
  std::vector<Qos> kinds;   // in turn
  const char* tables = "";  // of both hosts
  const char* scheduling = "other";
  const char* guard = "share";
  std::size_t hosts = 2;  // in a line
};
// Packets of who may take seconds bunch more than the others can wait for: where they stand in the way, less is promised.
constexpr const char* slow_input = "[costs]\ninput_packet = \"40us\"\nbest_effort_packets = 16\n";
void PrintTo(const Series& series, std::ostream* out) { *out << series.name; }

Qos qos(double rate, std::uint32_t bytes, Duration delay, std::uint32_t burst = 1) {
  return {.max_rate = rate, .max_burst = burst, .max_message_bytes = bytes, .max_delay = delay};
}

// What both sides are judged by.
struct Answer {
  std::vector<std::vector<std::int64_t>> admitted;  // at each host: delay on CPU and link, memory
  std::string text;                                 // of the refusal
  Resource resource = Resource::none;
  std::int64_t binding_time = 0, fitting_delay = 0, fitting_rate_nano = 0;
  friend bool operator==(const Answer&, const Answer&) = default;
};

std::string host_name(std::size_t which) {
  return fmt::format("h{}", which);
}

// Addresses become names; a link is called differently at its two ends in reality, and not in a plan.
void fill(Answer& answer, const Error& error, const std::string& host) {
  answer.text = std::regex_replace(error.text, std::regex{"at 10[.0-9]+"}, "at " + host);
  answer.text = std::regex_replace(answer.text, std::regex{"link net[0-9]"}, "link");
  answer.resource = error.refusal.resource;
  answer.binding_time = error.refusal.binding_time.count();
  answer.fitting_delay = error.refusal.fitting_delay.count();
  answer.fitting_rate_nano = std::llround(error.refusal.fitting_rate * 1e9);
}

class AgainstDaemons : public ::testing::TestWithParam<Series> {
 protected:
  void SetUp() override {
    auto lab = lab::line("plan", GetParam().hosts);
    ASSERT_TRUE(lab) << lab.error().text;
    lab_ = std::move(*lab);
    lab::DaemonOptions options;
    options.worker_extra = fmt::format("scheduling = \"{}\"", GetParam().scheduling);
    options.extra = GetParam().tables;
    options.guard = GetParam().guard;
    for (std::size_t host = 0; host < GetParam().hosts; ++host) {
      auto daemon = lab::Daemon::start(*lab_, host, options);
      ASSERT_TRUE(daemon) << daemon.error().text;
      daemons_.push_back(std::move(*daemon));
    }
  }

  Session session(std::size_t which) {
    auto opened = Session::open({.socket = daemons_[which].socket()});
    if (!opened) throw std::runtime_error(opened.error().text);
    return std::move(*opened);
  }

  // By the real daemons, through the library that applications use.
  Answer reality() {
    Session sender = session(0), receiver = session(daemons_.size() - 1);
    const std::string destination =
        lab_->host(daemons_.size() - 1).interfaces.at(0).address + ":" + std::to_string(port);
    auto listener = receiver.listen(port);
    EXPECT_TRUE(listener) << listener.error().text;
    std::vector<Channel> held, accepted;
    Answer answer;
    for (int i = 0; i < many; ++i) {
      const auto& kinds = GetParam().kinds;
      auto channel = sender.connect(destination, kinds[static_cast<std::size_t>(i) % kinds.size()]);
      if (!channel) {
        fill(answer, channel.error(), host_of(channel.error().refusal.hop));
        break;
      }
      held.push_back(std::move(*channel));
      auto other = listener->accept(5s);
      EXPECT_TRUE(other) << other.error().text;
      if (other) accepted.push_back(std::move(*other));
    }
    std::vector<std::map<std::string, json>> ends;
    for (std::size_t host = 0; host < daemons_.size(); ++host) {
      Session any = session(host);
      ends.push_back(by_path(any));
    }
    answer.admitted.resize(held.size());
    for (const auto& [path, entry] : ends.front()) {
      const auto number = static_cast<std::size_t>(
          std::ranges::find(held, entry["channel"].get<std::uint32_t>(), &Channel::id) - held.begin());
      for (const auto& end : ends) {
        const json& here = end.at(path);
        for (const char* key : {"cpu_bound_ns", "link_bound_ns", "memory_bytes"})
          answer.admitted.at(number).push_back(here[key]);
      }
    }
    return answer;
  }

  std::string host_of(const std::string& address) const {
    for (std::size_t host = 0; host < daemons_.size(); ++host) {
      for (const lab::Interface& interface : lab_->host(host).interfaces) {
        if (interface.address == address) return host_name(host);
      }
    }
    return address;
  }

  static std::map<std::string, json> by_path(Session& session) {
    const auto text = session.query("channels");
    std::map<std::string, json> all;
    const json list = json::parse(text.value_or("[]"));
    for (const json& entry : list.is_array() ? list : list["channels"]) all[entry["path"]] = entry;
    return all;
  }

  bool real_time() {
    Session any = session(0);
    return json::parse(any.query("status").value_or("{}"))["workers"][0]["real_time"].get<bool>();
  }

  Answer on_paper() {
    const Series& series = GetParam();
    const std::string worker =
        fmt::format("[[host.worker]]\nscheduling = \"{}\"\n", real_time() ? "fifo" : "other");
    std::string text = series.tables;
    for (std::size_t host = 0; host < series.hosts; ++host)
      text += fmt::format("\n[[host]]\nname = \"{}\"\n{}", host_name(host), worker);
    for (std::size_t host = 1; host < series.hosts; ++host) {
      text += fmt::format(
          "[[link]]\nname = \"net{}\"\nbetween = [\"{}\", \"{}\"]\nrate = \"97Mbit\"\nguard = \"{}\"\n", host,
          host_name(host - 1), host_name(host), series.guard);
    }
    for (int i = 0; i < many; ++i) {
      const Qos& kind = series.kinds[static_cast<std::size_t>(i) % series.kinds.size()];
      text += fmt::format(
          "[[channel]]\nfrom = \"h0\"\nto = \"{}\"\nrate = \"{}/s\"\nsize = \"{}B\"\nburst = {}\ndelay = "
          "\"{}ns\"\n",
          host_name(series.hosts - 1), kind.max_rate, kind.max_message_bytes, kind.max_burst,
          kind.max_delay.count());
    }
    auto network = plan::parse_network(text, "plan.toml");
    EXPECT_TRUE(network) << network.error().front();
    Answer answer;
    const plan::Outcome whole = plan::evaluate(*network);
    if (!whole.first_refused) return answer;
    // Later channels may be smaller and fit; reality stops at the first refusal, and so do the delays
    // compared.
    for (std::size_t i = 0; i < *whole.first_refused; ++i) {
      auto& admitted = answer.admitted.emplace_back();
      less_ += whole.verdicts[i].total() < network->channels[whole.verdicts[i].group].qos.max_delay;
      for (const plan::Passage& p : whole.verdicts[i].way) {
        for (const std::int64_t value :
             {p.cpu_delay.count(), p.link_delay.count(), static_cast<std::int64_t>(p.memory_bytes)})
          admitted.push_back(value);
      }
    }
    const Error& error = *whole.verdicts[*whole.first_refused].refused;
    fill(answer, error, error.refusal.hop);
    return answer;
  }

  int less_ = 0;  // of the plan's channels
  std::unique_ptr<lab::Lab> lab_;
  std::vector<lab::Daemon> daemons_;
};

TEST_P(AgainstDaemons, AdmitTheSameChannelsAndRefuseTheSameOneForTheSameReason) {
  const Answer real = reality();
  const Answer paper = on_paper();
  fmt::print("{}: {} admitted, {} of them with less than they asked for; then {}\n", GetParam().name, real.admitted.size(), less_, real.text);
  if (GetParam().tables == slow_input) {
    EXPECT_GT(less_, 0) << "the series shows nothing of that";
  }
  ASSERT_FALSE(real.text.empty()) << "the series was too short to be refused";
  EXPECT_GT(real.admitted.size(), 0u);
  EXPECT_EQ(paper.admitted.size(), real.admitted.size());
  EXPECT_EQ(paper.admitted, real.admitted);
  EXPECT_EQ(paper.text, real.text);
  EXPECT_EQ(paper.resource, real.resource);
  EXPECT_EQ(paper.binding_time, real.binding_time);
  EXPECT_EQ(paper.fitting_delay, real.fitting_delay);
  EXPECT_EQ(paper.fitting_rate_nano, real.fitting_rate_nano);
}

INSTANTIATE_TEST_SUITE_P(
    Series, AgainstDaemons,
    ::testing::Values(Series{"Control", {qos(500, 200, 20ms)}}, Series{"Bulk", {qos(100, 30'000, 60ms, 2)}},
                      Series{"Tight", {qos(100, 1'000, 5ms)}},
                      Series{"Mixed", {qos(500, 1'000, 20ms), qos(25, 60'000, 150ms, 3), qos(10, 100, 12ms)}},
                      Series{"RealTimeClass", {qos(1'000, 1'400, 40ms)}, "", "auto"},
                      Series{"OtherPoliciesAndCosts",
                             {qos(200, 3'000, 50ms)},
                             "[costs]\nsend_fixed = \"9us\"\nreceive_per_kilobyte = "
                             "\"4us\"\n[admission]\ncpu_policy = \"d_order\"\nlink_limit = \"60%\"\n"},
                      Series{"Memory", {qos(4, 100'000, 300ms)}, "[limits]\nmemory = \"2MiB\"\n"},
                      Series{"OverARouter", {qos(500, 1'000, 30ms), qos(25, 60'000, 250ms, 3), qos(10, 100, 20ms)}, "", "other", "share", 3},
                      Series{"OverThreeRouters", {qos(200, 1'000, 40ms), qos(50, 9'000, 120ms, 2)}, "", "other", "share", 5},
                      Series{"LessThanAskedFor", {qos(500, 200, 15ms), qos(100, 2'000, 2'000ms, 2)}, slow_input},
                      Series{"LessThanAskedForOverARouter", {qos(500, 200, 30ms), qos(100, 2'000, 2'000ms, 2)}, slow_input, "other", "share", 3},
                      Series{"LessThanAskedForOverThreeRouters", {qos(500, 200, 60ms), qos(100, 2'000, 4'000ms, 2)}, slow_input, "other", "share", 5},
                      Series{"NobodyElse", {qos(100, 1'000, 5ms)}, "", "other", "none"},
                      Series{"OthersBehindUs", {qos(100, 1'000, 6ms)}, "", "other", "htb"}),
    [](const auto& parameter) { return std::string{parameter.param.name}; });

}  // namespace
}  // namespace rtchan::system_test
