// Who asks for a long delay is not worse off than who asks for a short one: where what a long delay allows, packets that bunch and
// the buffers for them, does not fit, less is promised.
#include <gtest/gtest.h>

#include "base/text.hpp"
#include "node/testing/world.hpp"

namespace rtchan::node {
namespace {

using std::chrono::seconds;
using testing::App;
using testing::guaranteed;
using testing::ms;
using testing::us;
using testing::World;

// From end to end, of the channel that was set up last; nullopt: it is not, for the reason in `why`.
struct Given {
  std::optional<Duration> total;
  std::string why;
};
Given ask(World& world, App& sender, std::size_t to, const Qos& qos) {
  world.create(sender, to, 80, qos);
  world.run(ms(200));
  if (sender.created.empty()) return {std::nullopt, sender.failed.empty() ? "no answer" : sender.failed[0].error.text};
  Duration sum = us(200) * static_cast<std::int64_t>(to);
  for (std::size_t host = 0; host <= to; ++host) {
    const clips::ClipSpec& spec = world.clips(host).rbegin()->second.spec;  // the newest
    sum += spec.cpu_delay + spec.link_delay;
    EXPECT_EQ(spec.contract.message_bytes, qos.max_message_bytes) << "every node on its way holds it";
  }
  EXPECT_EQ(world.clips(0).rbegin()->second.spec.end_to_end, sum);
  EXPECT_TRUE(world.reconciles());
  return {sum, ""};
}

struct Scene {
  const char* name;
  std::size_t hops;
  void (*poor)(NodeConfig&);
};
void PrintTo(const Scene& scene, std::ostream* out) { *out << scene.name; }

class LessDelay : public ::testing::TestWithParam<Scene> {};

// From the least delay that is admitted on, every longer one is, with a promise that is no longer than was asked for.
TEST_P(LessDelay, whatever_is_admitted_with_a_delay_is_admitted_with_every_longer_one) {
  const Scene scene = GetParam();
  bool admitted = false, less = false;
  for (Duration delay = us(800); delay <= seconds{20}; delay = delay * 5 / 4) {
    World world{scene.hops + 1, 1, [&](NodeConfig& config) {
      if (config.name == "host" + std::to_string(scene.hops)) scene.poor(config);
    }};
    App& receiver = world.listen(scene.hops, 80);
    App& sender = world.start(0);
    App& impatient = world.start(scene.hops - 1);  // whose messages input must leave time for
    world.create(impatient, scene.hops, 80, guaranteed(100, 100, ms(25)));
    world.run(ms(100));
    ASSERT_EQ(impatient.created.size(), 1U);
    const Given given = ask(world, sender, scene.hops, guaranteed(400, 3'000, delay));
    if (admitted) {
      ASSERT_TRUE(given.total) << format_duration(delay) << ": " << given.why;
    }
    if (!given.total) continue;
    admitted = true;
    EXPECT_LE(*given.total, delay);
    less = less || *given.total < delay / 2;
    EXPECT_TRUE(world.violations.empty());
    world.destroy(sender, sender.created.back().channel);
    world.destroy(impatient, impatient.created.back().channel);
    for (const auto& accepted : receiver.accepted) world.destroy(receiver, accepted.channel);
    world.run(seconds{60});
    EXPECT_EQ(world.leftovers(), "");
  }
  EXPECT_TRUE(admitted);
  EXPECT_TRUE(less) << "nothing stood in the way of the longest: the scene shows nothing";
}

void slow_at_input(NodeConfig& c) {
  c.workers[0].costs.input_packet = us(150);
  c.workers[0].costs.best_effort_packets = 8;
}
void few_packets(NodeConfig& c) { c.workers[0].packet_buffers = 150; }
void little_memory(NodeConfig& c) { c.limits.memory_bytes = 300 << 10; }
void small_quota(NodeConfig& c) { c.limits.packet_buffers_per_uid = 150; }

INSTANTIATE_TEST_SUITE_P(Scenes, LessDelay,
                         ::testing::Values(Scene{"SlowAtInput", 1, slow_at_input}, Scene{"SlowAtInputOverRouters", 3, slow_at_input},
                                           Scene{"FewPackets", 1, few_packets}, Scene{"FewPacketsOverRouters", 3, few_packets},
                                           Scene{"LittleMemory", 1, little_memory}, Scene{"LittleMemoryOverRouters", 3, little_memory},
                                           Scene{"SmallQuota", 1, small_quota}, Scene{"SmallQuotaOverRouters", 3, small_quota}),
                         [](const auto& parameter) { return std::string{parameter.param.name}; });

}  // namespace
}  // namespace rtchan::node
