// One seed, one history: hosts, applications and faults chosen at random; in the end everything is healed and closed, and
// nothing may be left anywhere. The judge looks only at what applications were told and at what nodes show.
#pragma once

#include <string>

#include "node/testing/world.hpp"

namespace rtchan::node::testing {

struct Chaos {
  explicit Chaos(std::uint64_t seed) : random(seed ^ 0xc4a05), world(2 + random.below(3), seed) {
    restarts = random.below(3) == 0;
    world.watch_labels = !restarts;
    for (auto& cable : world.cables) {
      if (random.below(2) == 0) cable.loss_percent = static_cast<unsigned>(random.below(35));
      if (random.below(4) == 0) cable.copies = 3;
      if (random.below(2) == 0) cable.jitter = us(static_cast<std::int64_t>(1 + random.below(5'000)));
    }
    const unsigned failing = random.below(4) == 0 ? 10 : 0;
    world.opens = [this, failing](std::size_t, const clips::ClipSpec&) { return random.below(100) >= failing; };
    world.open_time = us(static_cast<std::int64_t>(10 + random.below(3'000)));
    world.close_time = us(static_cast<std::int64_t>(10 + random.below(3'000)));
  }

  // Empty: all is well. Otherwise what was wrong.
  std::string run() {
    for (int i = 0; i < 4; ++i) new_app();
    const int steps = 20 + static_cast<int>(random.below(40));
    for (int i = 0; i < steps; ++i) {
      act();
      world.run(us(static_cast<std::int64_t>(random.below(random.below(4) == 0 ? 400'000 : 3'000))));
      // Recomputing all books costs more than the history itself: now and then, and at the end.
      if (i % 16 == 15 && !world.reconciles()) return "books do not agree in the middle";
    }
    heal();
    world.run(std::chrono::seconds{12});  // every creation has been answered by now
    std::string wrong = unanswered();
    for (App* app : apps) world.kill(*app);
    world.run(2 * rtcop::Timing{}.lease + std::chrono::seconds{3});
    wrong += world.leftovers();
    for (const auto& v : world.violations) wrong += " " + v;
    return wrong;
  }

 private:
  void new_app() {
    const auto host = random.below(world.size());
    App& app = world.start(host, static_cast<std::uint32_t>(random.below(3)));
    world.ask(app, ipc::RegisterPort{UINT32_MAX, static_cast<std::uint16_t>(80 + host)});  // the first on each host gets it
    const auto mood = random.below(8);
    if (mood == 0) app.agent = [](const ipc::Asked&) { return std::optional{false}; };
    if (mood == 1) app.agent = [](const ipc::Asked&) { return std::optional<bool>{}; };
    apps.push_back(&app);
  }

  App& any_app() { return *apps[random.below(apps.size())]; }

  void act() {
    switch (random.below(14)) {
      case 0: new_app(); break;
      case 1: world.kill(any_app()); break;
      case 2:
      case 3: destroy(); break;
      case 4: {
        Cable& cable = world.cables[random.below(world.cables.size())];
        bool& cut = cable.cut[random.below(2)];
        cut = !cut;
        break;
      }
      case 5:
        if (restarts && random.below(3) == 0) world.boot(random.below(world.size()));
        break;
      default: {
        const int crowd = random.below(4) == 0 ? 10 : 1;
        for (int i = 0; i < crowd; ++i) create();
      }
    }
  }

  void create() {
    App& app = any_app();
    const auto to = random.below(world.size());
    Qos qos = guaranteed(static_cast<double>(1 + random.below(500)), static_cast<std::uint32_t>(1 + random.below(20'000)),
                         ms(static_cast<std::int64_t>(1 + random.below(60))), static_cast<std::uint32_t>(1 + random.below(5)));
    if (random.below(6) == 0) qos.service = ServiceClass::best_effort;
    const auto timeout = ms(static_cast<std::int64_t>(5 + random.below(10'000)));
    if (!app.alive) return;
    requests[&app].push_back(world.create(app, to, static_cast<std::uint16_t>(80 + to), qos, timeout));
  }

  void destroy() {
    App& app = any_app();
    if (!app.created.empty() && random.below(2) == 0) {
      world.destroy(app, app.created[random.below(app.created.size())].channel);
    } else if (!app.accepted.empty()) {
      world.destroy(app, app.accepted[random.below(app.accepted.size())].channel);
    }
  }

  void heal() {
    for (Cable& cable : world.cables) {
      cable.cut[0] = cable.cut[1] = false;
      cable.loss_percent = 0;
      cable.copies = 1;
    }
  }

  // Every request of an application that lives has exactly one answer; every yes of an agent too.
  std::string unanswered() {
    std::string wrong;
    for (const auto& [app, asked] : requests) {
      if (!app->alive) continue;
      for (const std::uint32_t request : asked) {
        const auto mine = [request](const auto& r) { return r.request == request; };
        const auto answers = std::ranges::count_if(app->created, mine) + std::ranges::count_if(app->failed, mine);
        if (answers != 1) wrong += " a creation has " + std::to_string(answers) + " answers";
      }
    }
    for (const App* app : apps) {
      if (!app->alive || app->agent) continue;  // those who say yes to everything
      for (const auto& asked : app->asked) {
        if (asked.teardown) continue;
        const auto mine = [&](const auto& r) { return r.question == asked.question; };
        const auto ends = std::ranges::count_if(app->accepted, mine) + std::ranges::count_if(app->aborted, mine);
        if (ends != 1) wrong += " a yes has " + std::to_string(ends) + " ends";
      }
    }
    return wrong;
  }

  rtcop::Random random;
  bool restarts = false;

 public:
  World world;
  std::vector<App*> apps;

 private:
  std::map<App*, std::vector<std::uint32_t>> requests;
};

}  // namespace rtchan::node::testing
