// Two hosts, two daemons, applications: what they see when channels come and go.
#include "node/node.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "node/testing/world.hpp"
#include "wire/data_packet.hpp"

namespace rtchan::node {
namespace {

using std::chrono::seconds;
using testing::App;
using testing::guaranteed;
using testing::ms;
using testing::us;
using testing::World;

const Qos control = guaranteed(500, 1'000, ms(5));

// After this, capacity that was given up must be back.
constexpr Duration settle = seconds{2};

TEST(Channel, is_set_up_and_both_ends_have_their_half) {
  World world{2};
  App& receiver = world.listen(1, 80);
  App& sender = world.start(0);
  world.create(sender, 1, 80, control);
  world.run(ms(10));

  ASSERT_EQ(sender.created.size(), 1U);
  ASSERT_EQ(receiver.accepted.size(), 1U);
  EXPECT_EQ(sender.created[0].bound, ms(5));
  EXPECT_EQ(receiver.accepted[0].qos, control);
  EXPECT_EQ(receiver.accepted[0].source.address, testing::address_of(0));
  EXPECT_EQ(receiver.asked[0].source_uid, 1000U);

  ASSERT_EQ(world.clips(0).size(), 1U);
  ASSERT_EQ(world.clips(1).size(), 1U);
  const auto& out = world.clips(0).begin()->second;
  const auto& in = world.clips(1).begin()->second;
  EXPECT_TRUE(out.connected);
  // The shares of the promise: source CPU, link, propagation, destination CPU.
  EXPECT_EQ(out.spec.cpu_delay + out.spec.link_delay + us(200) + in.spec.cpu_delay, ms(5));
  EXPECT_EQ(in.spec.end_to_end, ms(5));
  EXPECT_EQ(in.spec.upstream_rem, out.spec.link_delay + out.spec.horizon);
  EXPECT_EQ(in.spec.upstream_propagation, us(200));
  EXPECT_TRUE(world.violations.empty());
  EXPECT_TRUE(world.reconciles());
}

TEST(Channel, refused_where_nobody_listens) {
  World world{2};
  App& sender = world.start(0);
  world.create(sender, 1, 80, control);
  world.run(ms(10));
  ASSERT_EQ(sender.failed.size(), 1U);
  EXPECT_EQ(sender.failed[0].error.code, Errc::no_listener);
  EXPECT_EQ(sender.failed[0].error.refusal.hop, "10.0.0.2");
  world.run(settle);
  EXPECT_EQ(world.leftovers(), "");
}

TEST(Channel, below_guaranteed_is_served_where_configured_and_keeps_its_share) {
  const auto with_class = [](NodeConfig& config) {
    for (auto& worker : config.workers) worker.below.policy = "controlled_load";
    for (auto& link : config.links) link.below.policy = "controlled_load";
  };
  World world{2, 1, with_class};
  App& receiver = world.listen(1, 80);
  App& sender = world.start(0);
  Qos loose = guaranteed(500, 1'000, ms(100));
  loose.service = ServiceClass::controlled_load;
  world.create(sender, 1, 80, loose);
  world.run(ms(50));
  ASSERT_EQ(sender.created.size(), 1U) << (sender.failed.empty() ? "" : sender.failed[0].error.text);
  EXPECT_EQ(sender.created[0].bound, Duration{0}) << "nothing is promised of a message";
  EXPECT_EQ(receiver.accepted[0].qos.service, ServiceClass::controlled_load);
  EXPECT_EQ(world.clips(0).begin()->second.spec.service, ServiceClass::controlled_load);

  // Beyond the share of a gigabit: refused, and what is named as fitting fits.
  loose.max_rate = 5'000;
  loose.max_message_bytes = 9'000;
  world.create(sender, 1, 80, loose);
  world.run(ms(50));
  ASSERT_EQ(sender.failed.size(), 1U);
  EXPECT_EQ(sender.failed[0].error.code, Errc::refused);
  // A model that no stage has.
  loose = guaranteed(10, 1'000, ms(100));
  loose.service = ServiceClass::statistical;
  world.create(sender, 1, 80, loose);
  world.run(ms(50));
  ASSERT_EQ(sender.failed.size(), 2U);
  EXPECT_NE(sender.failed[1].error.text.find("serves no statistical class"), std::string::npos) << sender.failed[1].error.text;
  EXPECT_TRUE(world.reconciles());
}

TEST(Channel, that_is_seldom_active_is_admitted_beyond_the_sum_of_peaks_and_keeps_that) {
  const auto with_class = [](NodeConfig& config) {
    for (auto& worker : config.workers) {
      worker.below.policy = "statistical";
      worker.costs.best_effort_packets = 200;  // input is counted by peaks: not what refuses here
    }
    for (auto& link : config.links) link.below.policy = "statistical", link.model.bits_per_second = 100'000'000;
  };
  // How many of the same contract fit, and at their peaks how much of the link they are.
  Qos qos = guaranteed(500, 1'000, ms(200));
  const auto fitting = [&](World& world, ServiceClass service, std::vector<Extension> extensions) {
    App& sender = world.start(0);
    qos.service = service;
    while (sender.failed.empty() && sender.created.size() < 100) {
      world.create(sender, 1, 80, qos, ms(1'000), extensions);
      world.run(ms(50));
    }
    EXPECT_EQ(sender.failed.size(), 1U);
    for (const auto& failed : sender.failed) EXPECT_EQ(failed.error.code, Errc::refused) << failed.error.text;
    return sender.created.size();
  };
  World all_peaks{2, 1, with_class};
  all_peaks.listen(1, 80);
  const auto guaranteed_fit = fitting(all_peaks, ServiceClass::guaranteed, {});
  const std::size_t peaks = 100'000'000 / (500 * (1'000 + 130) * 8);
  EXPECT_LE(guaranteed_fit, peaks);

  World always{2, 1, with_class};
  always.listen(1, 80);
  EXPECT_LE(fitting(always, ServiceClass::statistical, {}), peaks) << "who does not say how often it sends always sends";

  World seldom{2, 1, with_class};
  seldom.listen(1, 80);
  const auto seldom_fit = fitting(seldom, ServiceClass::statistical, {activity(200'000)});
  EXPECT_GT(seldom_fit, peaks);
  EXPECT_LT(seldom_fit, peaks * 5) << "not even their means would fit";
  // What they were told is not taken from them: the class above gets less than in an empty network.
  EXPECT_LT(fitting(seldom, ServiceClass::guaranteed, {}), guaranteed_fit);
  EXPECT_TRUE(seldom.reconciles());
  // An activity that nobody understands is no activity of 0.
  App& wrong = seldom.start(0);
  qos.service = ServiceClass::statistical;
  seldom.create(wrong, 1, 80, qos, ms(1'000), {activity(0)});
  seldom.run(ms(50));
  ASSERT_EQ(wrong.failed.size(), 1U);
  EXPECT_EQ(wrong.failed[0].error.code, Errc::invalid_argument);
}

TEST(Channel, without_a_fixed_horizon_packets_leave_as_soon_as_they_are_made) {
  World world{2, 1, [](NodeConfig& config) { config.links[0].horizon.reset(); }};
  world.listen(1, 80);
  App& sender = world.start(0);
  world.create(sender, 1, 80, guaranteed(500, 1'000, ms(5)));
  world.run(ms(50));
  ASSERT_EQ(sender.created.size(), 1U);
  const auto& out = world.clips(0).begin()->second.spec;
  const auto& in = world.clips(1).begin()->second.spec;
  EXPECT_EQ(out.horizon, out.cpu_delay);
  EXPECT_EQ(in.upstream_rem, out.cpu_delay + out.link_delay) << "to the receiver they are one stage";
  EXPECT_EQ(out.cpu_delay + out.link_delay + us(200) + in.cpu_delay, ms(5));
  EXPECT_LT(in.contract.period, out.contract.period) << "downstream a little is left to catch up with";
}

TEST(Channel, refused_at_the_sender_says_what_would_fit_and_that_fits) {
  World world{2};
  App& receiver = world.listen(1, 80);
  App& sender = world.start(0);
  world.create(sender, 1, 80, guaranteed(1000, 200'000, ms(20)));  // 1.7 Gbit/s on a link of 1
  world.run(ms(10));
  ASSERT_EQ(sender.failed.size(), 1U);
  const Error error = sender.failed[0].error;
  EXPECT_EQ(error.code, Errc::refused);
  EXPECT_EQ(error.refusal.hop, "10.0.0.1");
  EXPECT_NE(error.refusal.resource, Resource::none);
  EXPECT_GT(error.refusal.fitting_rate, 0);
  EXPECT_TRUE(receiver.asked.empty());
  // The hint fits every stage of the host that gave it; only the other host may want less still, once.
  Qos fitting = guaranteed(error.refusal.fitting_rate, 200'000, ms(20));
  world.create(sender, 1, 80, fitting);
  world.run(ms(10));
  if (sender.failed.size() > 1U) {
    EXPECT_EQ(sender.failed[1].error.refusal.hop, "10.0.0.2");
    fitting.max_rate = sender.failed[1].error.refusal.fitting_rate;
    world.create(sender, 1, 80, fitting);
    world.run(ms(10));
  }
  EXPECT_EQ(sender.created.size(), 1U) << sender.failed.back().error.text;
}

// Requests that fit neither the wire nor the processor nor the buffers, at either end: whoever refuses names a rate at which
// it does not refuse again, and a tenth more is refused.
TEST(Channel, a_rate_that_is_said_to_fit_does_fit_at_the_host_that_said_so) {
  struct Story {
    std::size_t host;  // that is short of something
    std::function<void(NodeConfig&)> poor;
    Qos asked;
  };
  const Story stories[] = {
      {0, [](NodeConfig& c) { c.links[0].limit_ppm = 100'000; }, guaranteed(2'000, 50'000, ms(40))},
      {0, [](NodeConfig& c) { c.workers[0].costs.send.picoseconds_per_byte = 300'000; }, guaranteed(500, 20'000, ms(40))},
      {0, [](NodeConfig& c) { c.limits.memory_bytes = 100 << 10; }, guaranteed(3'000, 9'000, ms(400))},
      {0, [](NodeConfig& c) { c.workers[0].packet_buffers = 10; }, guaranteed(3'000, 9'000, ms(400))},
      {1, [](NodeConfig& c) { c.workers[0].costs.receive.picoseconds_per_byte = 400'000; }, guaranteed(1'000, 10'000, ms(20))},
      {1, [](NodeConfig& c) { c.workers[0].costs.input_packet = us(300); }, guaranteed(1'500, 9'000, ms(40))},
      {1, [](NodeConfig& c) { c.limits.memory_bytes = 640 << 10; }, guaranteed(3'000, 9'000, ms(400))},
      {1, [](NodeConfig& c) { c.workers[0].packet_buffers = 40; }, guaranteed(3'000, 9'000, ms(400))},
  };
  for (const Story& story : stories) {
    const std::string name = "host" + std::to_string(story.host);
    World world{2, 1, [&](NodeConfig& config) {
      if (config.name == name) story.poor(config);
    }};
    world.listen(1, 80);
    App& sender = world.start(0);
    const auto at = [&](double rate) {
      Qos qos = story.asked;
      qos.max_rate = rate;
      world.create(sender, 1, 80, qos);
      world.run(ms(100));
    };
    at(story.asked.max_rate);
    ASSERT_EQ(sender.failed.size(), 1U) << name << ": " << story.asked.max_rate;
    const Error first = sender.failed[0].error;
    ASSERT_EQ(first.refusal.hop, "10.0.0." + std::to_string(story.host + 1)) << first.text;
    ASSERT_GT(first.refusal.fitting_rate, 0) << first.text;
    ASSERT_LT(first.refusal.fitting_rate, story.asked.max_rate) << first.text;
    world.run(settle);
    at(std::min(first.refusal.fitting_rate * 1.1, story.asked.max_rate));
    EXPECT_EQ(sender.failed.size(), 2U) << "more would have fitted: " << first.text;
    world.run(settle);
    at(first.refusal.fitting_rate);
    EXPECT_EQ(sender.created.size(), 1U) << first.text << ", then " << sender.failed.back().error.text;
    EXPECT_TRUE(world.reconciles());
  }
}

TEST(Channel, refused_at_the_receiver_frees_the_sender_and_names_the_hop) {
  World world{2, 1, [](NodeConfig& config) {
    if (config.name == "host1") config.workers[0].costs.receive.picoseconds_per_byte = 400'000;  // a very slow host
  }};
  world.listen(1, 80);
  App& sender = world.start(0);
  world.create(sender, 1, 80, guaranteed(1000, 10'000, ms(20)));
  world.run(ms(10));
  ASSERT_EQ(sender.failed.size(), 1U);
  const Error error = sender.failed[0].error;
  EXPECT_EQ(error.code, Errc::refused);
  EXPECT_EQ(error.refusal.hop, "10.0.0.2");
  EXPECT_EQ(error.refusal.resource, Resource::cpu);
  EXPECT_GT(error.refusal.fitting_rate, 0);
  EXPECT_LT(error.refusal.fitting_rate, 1000);
  world.run(settle);
  EXPECT_EQ(world.leftovers(), "");
}

// Three applications ask at one instant for more than there is, the same each: nobody's request is lost, nobody gets
// more than one channel more than another, and as much is admitted as if they had asked one after the other.
TEST(Channel, requests_at_one_instant_are_served_in_turn_and_waste_nothing) {
  constexpr int each = 30;
  const Qos qos = guaranteed(300, 10'000, ms(40));
  std::size_t in_sequence = 0;
  {
    World world{2};
    world.listen(1, 80);
    App& alone = world.start(0);
    for (int i = 0; i < 3 * each; ++i) {
      world.create(alone, 1, 80, qos);
      world.run(ms(100));
    }
    in_sequence = alone.created.size();
    ASSERT_GT(in_sequence, 6U);
    ASSERT_LT(in_sequence, 3U * each);
  }
  World world{2};
  world.listen(1, 80);
  std::vector<App*> apps;
  for (const std::uint32_t uid : {1000U, 1000U, 1001U}) apps.push_back(&world.start(0, uid));
  for (int i = 0; i < each; ++i) {
    for (App* app : apps) world.create(*app, 1, 80, qos);
  }
  world.run(seconds{12});
  std::size_t least = each, most = 0, all = 0;
  for (const App* app : apps) {
    EXPECT_EQ(app->created.size() + app->failed.size(), static_cast<std::size_t>(each)) << "every request is answered";
    least = std::min(least, app->created.size());
    most = std::max(most, app->created.size());
    all += app->created.size();
  }
  EXPECT_LE(most - least, 1U);
  EXPECT_EQ(all, in_sequence);
  EXPECT_TRUE(world.reconciles());
}

TEST(Channel, delay_that_is_too_short_is_answered_by_one_that_is_not) {
  World world{2};
  world.listen(1, 80);
  App& sender = world.start(0);
  world.create(sender, 1, 80, guaranteed(500, 1'000, us(300)));
  world.run(ms(10));
  ASSERT_EQ(sender.failed.size(), 1U);
  const Error error = sender.failed[0].error;
  EXPECT_EQ(error.refusal.resource, Resource::delay);
  ASSERT_GT(error.refusal.fitting_delay, us(300));
  world.create(sender, 1, 80, guaranteed(500, 1'000, error.refusal.fitting_delay));
  world.run(ms(10));
  EXPECT_EQ(sender.created.size(), 1U);
}

// Over two routers, which others use too: what a refusal names is what the route needs if no stage has more than it must.
TEST(Channel, the_delay_that_a_refusal_names_can_be_kept_over_the_whole_route) {
  World world{4};
  world.listen(3, 80);
  App& others = world.start(1);
  for (int i = 0; i < 6; ++i) world.create(others, 3, 80, guaranteed(900 + 100 * i, 600, ms(20)));
  world.run(ms(50));
  ASSERT_EQ(others.created.size(), 6U);
  App& sender = world.start(0);
  std::size_t created = 0;
  for (const double rate : {100.0, 1'000.0, 3'000.0}) {
    for (const std::uint32_t bytes : {100U, 1'400U, 9'000U}) {
      Duration asked = us(300);
      for (int attempt = 0; attempt < 2 && sender.created.size() == created; ++attempt) {
        sender.failed.clear();
        world.create(sender, 3, 80, guaranteed(rate, bytes, asked));
        world.run(ms(300));
        if (sender.failed.empty()) continue;
        const Refusal& why = sender.failed[0].error.refusal;
        ASSERT_EQ(why.resource, Resource::delay) << sender.failed[0].error.text;
        ASSERT_GT(why.fitting_delay, asked);
        asked = why.fitting_delay;
      }
      ASSERT_EQ(sender.created.size(), ++created) << rate << "/s of " << bytes << " bytes";
      world.destroy(sender, sender.created.back().channel);  // at its least delays it leaves others nothing
      world.run(settle);
    }
  }
}

TEST(Channel, agent_says_no) {
  World world{2};
  App& receiver = world.listen(1, 80);
  receiver.agent = [](const ipc::Asked&) { return std::optional{false}; };
  App& sender = world.start(0);
  world.create(sender, 1, 80, control);
  world.run(ms(10));
  ASSERT_EQ(sender.failed.size(), 1U);
  EXPECT_EQ(sender.failed[0].error.code, Errc::rejected_by_agent);
  world.run(settle);
  EXPECT_EQ(world.leftovers(), "");
}

TEST(Channel, agent_that_answers_too_late_is_told_so) {
  World world{2};
  App& receiver = world.listen(1, 80);
  receiver.agent = [](const ipc::Asked&) { return std::optional<bool>{}; };
  App& sender = world.start(0);
  world.create(sender, 1, 80, control, seconds{30});
  world.run(ms(5'100));
  ASSERT_EQ(sender.failed.size(), 1U);
  EXPECT_EQ(sender.failed[0].error.code, Errc::timed_out);
  world.ask(receiver, ipc::Decision{receiver.asked[0].question, true});
  ASSERT_EQ(receiver.aborted.size(), 1U);
  EXPECT_EQ(receiver.aborted[0].question, receiver.asked[0].question);
  world.run(settle);
  EXPECT_EQ(world.leftovers(), "");
}

TEST(Channel, commit_that_fails_after_the_yes_is_heard_as_aborted) {
  for (const std::size_t failing : {0U, 1U}) {
    World world{2};
    world.opens = [failing](std::size_t host, const clips::ClipSpec&) { return host != failing; };
    App& receiver = world.listen(1, 80);
    App& sender = world.start(0);
    world.create(sender, 1, 80, control);
    world.run(ms(100));
    ASSERT_EQ(sender.failed.size(), 1U) << failing;
    EXPECT_EQ(sender.failed[0].error.code, Errc::exhausted);
    ASSERT_EQ(receiver.aborted.size(), 1U) << failing;
    EXPECT_TRUE(receiver.accepted.empty());
    world.run(settle);
    EXPECT_EQ(world.leftovers(), "") << failing;
  }
}

TEST(Channel, sender_destroys_after_its_messages_have_left_and_the_receiver_drains) {
  World world{2};
  App& receiver = world.listen(1, 80);
  App& sender = world.start(0);
  world.create(sender, 1, 80, control);
  world.run(ms(10));
  world.close_time = ms(3);
  world.destroy(sender, sender.created[0].channel);
  world.run(ms(2));
  EXPECT_TRUE(sender.done.empty());  // still draining; the path is still there
  EXPECT_EQ(world.node(1).status().paths, 1U);
  world.run(ms(2));
  EXPECT_EQ(sender.done.size(), 1U);
  ASSERT_EQ(receiver.asked.size(), 2U);
  EXPECT_TRUE(receiver.asked[1].teardown);
  EXPECT_TRUE(receiver.notices.empty());
  EXPECT_FALSE(world.clips(1).begin()->second.closing);  // the last packets may be under way for 5 ms
  world.run(ms(15));
  ASSERT_EQ(receiver.notices.size(), 1U);
  EXPECT_EQ(receiver.notices[0].kind, ipc::Notice::Kind::peer_closed);
  EXPECT_EQ(receiver.marks[receiver.accepted[0].queue.offset], static_cast<std::uint32_t>(Errc::peer_closed));
  EXPECT_GT(world.node(1).status().pools[0].used + world.node(1).channels()[0].memory_bytes, 0U);  // still to be read
  world.destroy(receiver, receiver.accepted[0].channel);
  world.run(settle);
  EXPECT_EQ(receiver.done.size(), 1U);
  EXPECT_EQ(world.leftovers(), "");
  EXPECT_TRUE(world.violations.empty());
}

TEST(Channel, receiver_destroys_and_the_sender_is_told) {
  World world{2};
  App& receiver = world.listen(1, 80);
  App& sender = world.start(0);
  world.create(sender, 1, 80, control);
  world.run(ms(10));
  world.destroy(receiver, receiver.accepted[0].channel);
  world.run(ms(10));
  EXPECT_EQ(receiver.done.size(), 1U);
  ASSERT_EQ(sender.notices.size(), 1U);
  EXPECT_EQ(sender.notices[0].kind, ipc::Notice::Kind::peer_closed);
  world.destroy(sender, sender.created[0].channel);
  world.run(settle);
  EXPECT_EQ(sender.done.size(), 1U);
  EXPECT_EQ(world.leftovers(), "");
}

TEST(Channel, both_destroy_at_once) {
  World world{2};
  App& receiver = world.listen(1, 80);
  App& sender = world.start(0);
  world.create(sender, 1, 80, control);
  world.run(ms(10));
  world.destroy(receiver, receiver.accepted[0].channel);
  world.destroy(sender, sender.created[0].channel);
  world.run(settle);
  EXPECT_EQ(sender.done.size(), 1U);
  EXPECT_EQ(receiver.done.size(), 1U);
  EXPECT_EQ(world.leftovers(), "");
}

TEST(Channel, application_dies_at_every_moment_of_its_life) {
  for (int moment = 0; moment < 2'500; moment += 20) {
    for (const bool sending : {true, false}) {
      World world{2, 3};
      App& receiver = world.listen(1, 80);
      App& sender = world.start(0);
      world.create(sender, 1, 80, control);
      world.later(ms(1), [&] {
        if (!sender.created.empty()) world.destroy(sender, sender.created[0].channel);
      });
      world.run(us(moment));
      world.kill(sending ? sender : receiver);
      world.run(ms(100));  // at once: no lease has to run out
      EXPECT_EQ(world.node(0).status().paths + world.node(1).status().paths, 0U) << moment << sending;
      EXPECT_TRUE(world.clips(0).empty() && world.clips(1).empty()) << moment << sending;
      world.kill(sending ? receiver : sender);
      world.run(settle);
      EXPECT_EQ(world.leftovers(), "") << moment << sending;
    }
  }
}

TEST(Channel, daemon_restarts_at_every_moment_and_nothing_is_left_behind) {
  for (int moment = 0; moment < 1'500; moment += 50) {
    for (const std::size_t host : {0U, 1U}) {
      World world{2, 9};
      world.watch_labels = false;
      App& receiver = world.listen(1, 80);
      App& sender = world.start(0);
      world.create(sender, 1, 80, control, seconds{2});
      world.run(us(moment));
      world.boot(host);
      world.run(rtcop::Timing{}.lease + seconds{3});
      for (App* app : {&sender, &receiver}) {
        const bool had_one = !app->created.empty() || !app->accepted.empty();
        EXPECT_TRUE(!had_one || !app->alive || app->notices.size() == 1U) << moment;
        world.kill(*app);
      }
      world.run(settle);
      EXPECT_EQ(world.leftovers(), "") << moment << host;
    }
  }
}

// The sender never hears the commit and the router is restarted: the sender sends its set-up anew, and the receiver, told of the
// restart by the same router a moment before, is still giving back what it held for the same set-up.
TEST(Channel, set_up_anew_that_meets_its_own_old_end_is_turned_away_and_tried_again) {
  for (const Duration closing : {us(50), ms(2), ms(20)}) {
    World world{3, 5};
    world.watch_labels = false;
    world.close_time = closing;
    App& receiver = world.listen(2, 80);
    App& sender = world.start(0);
    receiver.agent = [&](const ipc::Asked&) {
      world.cables[0].cut[1] = receiver.asked.size() == 1;
      return true;
    };
    world.create(sender, 2, 80, guaranteed(500, 1'000, ms(10)), seconds{5});
    world.run(ms(1));
    ASSERT_EQ(receiver.asked.size(), 1U);
    ASSERT_TRUE(world.clips(2).begin()->second.ready);
    world.boot(1);
    world.cables[0].cut[1] = false;
    world.create(sender, 2, 80, guaranteed(500, 1'000, ms(10)), seconds{5});  // so hosts 0 and 2 hear of the restart
    world.run(seconds{3});
    EXPECT_EQ(receiver.aborted.size(), 1U);
    ASSERT_EQ(sender.created.size(), 2U) << (sender.failed.empty() ? "" : sender.failed[0].error.text);
    ASSERT_EQ(receiver.accepted.size(), 2U);
    for (std::size_t host = 0; host < 3; ++host) EXPECT_EQ(world.clips(host).size(), 2U) << host;
    EXPECT_TRUE(world.reconciles());
    EXPECT_TRUE(world.violations.empty()) << world.violations.front();
    world.kill(sender);
    world.kill(receiver);
    world.run(settle);
    EXPECT_EQ(world.leftovers(), "");
  }
}

TEST(Channel, best_effort_takes_the_same_way_without_a_promise) {
  World world{2};
  App& receiver = world.listen(1, 80);
  App& sender = world.start(0);
  Qos qos;
  qos.service = ServiceClass::best_effort;
  qos.max_message_bytes = 1'000;
  const auto before = world.node(0).status().stages;
  world.create(sender, 1, 80, qos);
  world.run(ms(10));
  ASSERT_EQ(sender.created.size(), 1U);
  ASSERT_EQ(receiver.accepted.size(), 1U);
  EXPECT_EQ(receiver.accepted[0].qos, qos);
  const auto after = world.node(0).status().stages;
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(before[i].utilisation_ppm, after[i].utilisation_ppm);
  world.destroy(sender, sender.created[0].channel);
  world.kill(receiver);
  world.run(settle);
  EXPECT_EQ(world.leftovers(), "");
}

TEST(Channel, to_this_very_host_is_refused_in_words) {
  World world{2};
  App& app = world.listen(0, 80);
  world.create(app, 0, 80, control);
  ASSERT_EQ(app.failed.size(), 1U);
  EXPECT_EQ(app.failed[0].error.code, Errc::no_route);
  EXPECT_THAT(app.failed[0].error.text, ::testing::HasSubstr("is this host"));
}

TEST(Channel, over_three_hops_shares_its_delay_among_seven_stages) {
  World world{4};
  App& receiver = world.listen(3, 80);
  App& sender = world.start(0);
  world.create(sender, 3, 80, guaranteed(500, 1'000, ms(10)));
  world.run(ms(50));
  ASSERT_EQ(sender.created.size(), 1U) << (sender.failed.empty() ? "" : sender.failed[0].error.text);
  ASSERT_EQ(receiver.accepted.size(), 1U);
  Duration sum = 3 * us(200);
  Duration rem{};
  for (std::size_t host = 0; host < 4; ++host) {
    const auto& spec = world.clips(host).begin()->second.spec;
    sum += spec.cpu_delay + spec.link_delay;
    EXPECT_EQ(spec.upstream_rem, rem);  // each knows exactly what its neighbour was given
    rem = spec.link_delay + spec.horizon;
  }
  EXPECT_EQ(sum, ms(10));
  EXPECT_TRUE(world.violations.empty());
  world.destroy(sender, sender.created[0].channel);
  world.kill(receiver);
  world.run(settle);
  EXPECT_EQ(world.leftovers(), "");
}

// Routers pass packets on as they are: what the narrowest link takes is learnt from its refusal, and all nodes count with it.
TEST(Channel, over_links_of_different_mtu_is_cut_to_the_narrowest) {
  World world{4, 1, [](NodeConfig& config) {
    static const std::uint32_t payload[] = {8'000, 1'400, 1'200};  // of the links between hosts 0-1, 1-2, 2-3
    const auto host = config.host.value - 100;
    for (LinkSettings& link : config.links) link.model.format.payload_per_packet_bytes = payload[link.name == "up" ? host : host - 1];
  }};
  App& receiver = world.listen(3, 80);
  App& sender = world.start(0);
  world.create(sender, 3, 80, guaranteed(100, 6'000, ms(20)));
  world.run(seconds{1});
  ASSERT_EQ(sender.created.size(), 1U) << (sender.failed.empty() ? "" : sender.failed[0].error.text);
  ASSERT_EQ(receiver.accepted.size(), 1U);
  for (std::size_t host = 0; host < 4; ++host) {
    ASSERT_EQ(world.clips(host).size(), 1U);
    const clips::ClipSpec& spec = world.clips(host).begin()->second.spec;
    EXPECT_EQ(spec.packets_per_message, 5U) << host << ": of 1,200 bytes each";
    if (host == 0) {
      EXPECT_EQ(spec.packet_bytes, 1'200U + static_cast<std::uint32_t>(rtchan::wire::fragment_overhead_bytes));
    }
  }
}

TEST(Channel, over_a_link_whose_guard_is_lost_becomes_void_at_both_ends_and_no_other_is_promised) {
  World world{3};
  App& receiver = world.listen(2, 80);
  world.listen(1, 80);
  App& sender = world.start(0);
  world.create(sender, 2, 80, guaranteed(500, 1'000, ms(20)));
  world.run(ms(20));
  ASSERT_EQ(sender.created.size(), 1U);
  world.give(0, LinkVoided{0, "the guard was removed"});
  world.run(ms(10));
  ASSERT_EQ(receiver.notices.size(), 1U);
  EXPECT_EQ(receiver.notices[0].kind, ipc::Notice::Kind::voided);
  EXPECT_NE(world.node(2).channels()[0].voided, false);
  EXPECT_EQ(receiver.marks[receiver.accepted[0].queue.offset], 0U) << "it lives on";
  ASSERT_EQ(sender.notices.size(), 1U);
  EXPECT_EQ(sender.notices[0].kind, ipc::Notice::Kind::voided);
  EXPECT_TRUE(world.node(0).channels()[0].voided);
  world.create(sender, 1, 80, control);
  world.run(ms(10));
  ASSERT_EQ(sender.failed.size(), 1U);
  EXPECT_EQ(sender.failed[0].error.refusal.resource, Resource::link);
  world.give(0, LinkRestored{0});
  world.create(sender, 1, 80, control);
  world.run(ms(10));
  EXPECT_EQ(sender.created.size(), 2U);
}

TEST(Channel, that_breaks_its_contract_or_the_rules_is_told_or_evicted) {
  World world{2};
  world.listen(1, 80);
  App& sender = world.start(0);
  world.create(sender, 1, 80, control);
  world.run(ms(10));
  const ClipSlot slot{world.clips(0).begin()->first};
  world.give(0, ContractViolated{0, slot});
  ASSERT_EQ(sender.notices.size(), 1U);
  EXPECT_EQ(sender.notices[0].kind, ipc::Notice::Kind::contract_violated);
  std::vector<Action> out;
  world.node(0).step(world.now, ClientViolated{0, slot}, out);
  EXPECT_TRUE(std::ranges::any_of(out, [](const Action& a) { return std::holds_alternative<EvictSession>(a); }));
}

TEST(Ports, are_given_out_once) {
  World world{2};
  App& a = world.listen(0, 80, 1);
  App& b = world.start(0, 2);
  world.ask(b, ipc::RegisterPort{7, 80});
  ASSERT_EQ(b.failed.size(), 1U);
  EXPECT_EQ(b.failed[0].error.code, Errc::port_in_use);
  world.ask(b, ipc::UnregisterPort{8, 80});
  EXPECT_EQ(b.failed.size(), 2U);  // not its own
  world.ask(b, ipc::RegisterPort{9, 0});
  world.ask(b, ipc::RegisterPort{10, 0});
  ASSERT_EQ(b.registered.size(), 2U);
  EXPECT_NE(b.registered[0].port, b.registered[1].port);
  world.kill(a);
  world.ask(b, ipc::RegisterPort{11, 80});
  EXPECT_EQ(b.registered.size(), 3U);
}

TEST(Quota, one_user_asks_for_a_million_channels_and_gets_its_share) {
  World world{2, 1, [](NodeConfig& config) { config.limits.channels_per_uid = 100; }};
  App& receiver = world.listen(1, 80, 7);
  App& greedy = world.start(0, 1);
  App& modest = world.start(0, 2);
  for (int i = 0; i < 1'000'000; ++i) {
    world.create(greedy, 1, 80, guaranteed(1, 100, ms(500)));
    if (i % 1000 == 0) world.run(ms(1));
    if (greedy.failed.size() > 100) greedy.failed.resize(1);
  }
  world.run(seconds{1});
  EXPECT_EQ(greedy.created.size(), 100U);
  EXPECT_EQ(greedy.failed[0].error.code, Errc::permission_denied);
  EXPECT_EQ(greedy.failed[0].error.refusal.resource, Resource::quota);
  world.create(modest, 1, 80, guaranteed(1, 100, ms(500)));
  world.run(seconds{1});
  EXPECT_EQ(modest.created.size(), 0U);  // the receiving user is at its quota as well
  ASSERT_EQ(modest.failed.size(), 1U);
  EXPECT_EQ(modest.failed[0].error.refusal.hop, "10.0.0.2");
  world.kill(greedy);
  world.kill(receiver);
  App& other = world.listen(1, 80, 8);
  world.run(settle);
  world.create(modest, 1, 80, guaranteed(1, 100, ms(500)));
  world.run(ms(20));
  EXPECT_EQ(modest.created.size(), 1U);
  EXPECT_EQ(other.accepted.size(), 1U);
}

TEST(Quota, memory_of_one_user_is_bounded) {
  World world{2, 1, [](NodeConfig& config) { config.limits.memory_per_uid_bytes = 1 << 20; }};
  world.listen(1, 80, 7);
  App& sender = world.start(0, 1);
  world.create(sender, 1, 80, guaranteed(1, 4 << 20, seconds{2}));
  world.run(seconds{1});
  ASSERT_EQ(sender.failed.size(), 1U);
  EXPECT_EQ(sender.failed[0].error.code, Errc::permission_denied);
  world.run(settle);
  EXPECT_EQ(world.leftovers(), "");
}

TEST(Quota, packet_buffers_of_one_user_leave_some_to_the_others) {
  World world{2, 1, [](NodeConfig& config) { config.limits.packet_buffers_per_uid = 100; }};
  world.listen(1, 80, 7);
  App& greedy = world.start(0, 1);
  for (int i = 0; i < 8; ++i) world.create(greedy, 1, 80, {.service = ServiceClass::best_effort, .max_message_bytes = 100});
  world.run(seconds{1});
  EXPECT_EQ(greedy.created.size(), 3U);  // 32 each
  ASSERT_EQ(greedy.failed.size(), 5U);
  EXPECT_EQ(greedy.failed[0].error.refusal.resource, Resource::quota);
  App& modest = world.start(0, 2);
  world.create(modest, 1, 80, {.service = ServiceClass::best_effort, .max_message_bytes = 100});
  world.run(seconds{1});
  EXPECT_TRUE(world.node(0).reconciles());
  for (const auto& channel : greedy.created) world.destroy(greedy, channel.channel);
  world.run(settle);
  world.create(greedy, 1, 80, {.service = ServiceClass::best_effort, .max_message_bytes = 100});
  world.run(seconds{1});
  EXPECT_EQ(greedy.created.size(), 4U);
  EXPECT_TRUE(world.node(0).reconciles() && world.node(1).reconciles());
}

TEST(ShutDown, tells_everybody_and_becomes_quiet) {
  World world{2};
  App& receiver = world.listen(1, 80);
  App& sender = world.start(0);
  for (int i = 0; i < 20; ++i) world.create(sender, 1, 80, guaranteed(10, 1'000, ms(50)));
  world.run(ms(50));
  ASSERT_EQ(sender.created.size(), 20U);
  world.give(0, ShutDown{});
  EXPECT_FALSE(world.node(0).quiet());
  world.run(ms(200));
  EXPECT_TRUE(world.node(0).quiet());
  EXPECT_EQ(receiver.notices.size(), 20U);
  EXPECT_EQ(receiver.notices[0].kind, ipc::Notice::Kind::peer_gone);
  ASSERT_EQ(sender.notices.size(), 20U);
  EXPECT_EQ(sender.notices[0].kind, ipc::Notice::Kind::torn_down);  // its own daemon goes: nothing is wrong with the peer
  EXPECT_EQ(sender.marks[sender.created[0].queue.offset], static_cast<std::uint32_t>(Errc::daemon_gone));
  world.create(sender, 1, 80, control);
  EXPECT_EQ(sender.failed.size(), 1U);
}

TEST(Status, is_json_with_every_stage) {
  World world{2};
  world.listen(1, 80);
  App& sender = world.start(0);
  world.create(sender, 1, 80, control);
  world.run(ms(10));
  const std::string status = to_json(world.node(0).status());
  for (const char* part : {"cpu of worker 0", "link up", "message buffers", "10.0.0.2:7000", "\"paths\":1"}) {
    EXPECT_THAT(status, ::testing::HasSubstr(part));
  }
  EXPECT_THAT(to_json(world.node(0).channels()), ::testing::HasSubstr("\"state\":\"open\""));
}

}  // namespace
}  // namespace rtchan::node
