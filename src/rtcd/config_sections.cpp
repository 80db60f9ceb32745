#include "rtcd/config_sections.hpp"

#include <fmt/format.h>

#include <array>

#include "base/limits.hpp"

namespace rtchan::rtcd {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;

constexpr Duration none{0};

void read_guard(ConfigTable& t, LinkSection& l) {
  static constexpr std::array guards{"none"sv, "share"sv, "htb"sv};
  std::size_t choice = 0;
  if (t.word("guard", guards, choice)) l.guard = static_cast<Guard>(choice);
  if (t.bit_rate("foreign", 0, 400'000'000'000, l.foreign_bits_per_second) && l.guard != Guard::share) {
    t.fail("foreign", "says what other programs may send with guard = \"share\" only");
  }
}

void read_handler(ConfigTable& t, const std::string& direction, admission::HandlerCost& cost) {
  t.duration(direction + "_fixed", none, 10ms, cost.fixed);
  t.duration(direction + "_first_packet", none, 10ms, cost.first_packet);
  t.duration(direction + "_other_packet", none, 10ms, cost.other_packet);
  Duration kilobyte{cost.picoseconds_per_byte};  // ns per 1000 bytes are ps per byte
  t.duration(direction + "_per_kilobyte", none, 1ms, kilobyte);
  cost.picoseconds_per_byte = kilobyte.count();
}

// Keys of a stage's admission; `prefix` is "" where the table is the stage's own.
void read_policy(ConfigTable& t, const std::string& prefix, StagePolicy& p) {
  static constexpr std::array policies{"edf"sv, "d_order"sv, "utilisation"sv};
  static constexpr std::array classes{"none"sv, "controlled_load"sv, "statistical"sv};
  std::size_t choice = 0;
  if (t.word(prefix + "policy", policies, choice)) p.policy = policies[choice];
  if (std::uint32_t ppm = 0; t.share(prefix + "limit", 10'000, 1'000'000, ppm)) p.limit_ppm = ppm;
  if (t.word(prefix + "below", classes, choice)) p.below = classes[choice];
}

void read_below(ConfigTable& t, StagePolicy& p) {
  if (std::uint32_t ppm = 0; t.share("controlled_share", 1'000, 1'000'000, ppm)) p.controlled_share_ppm = ppm;
  if (Duration burst{}; t.duration("controlled_burst", 1us, 10s, burst)) p.controlled_burst = burst;
  if (std::uint32_t ppm = 0; t.share("statistical_target", 1, 500'000, ppm)) p.statistical_target_ppm = ppm;
}

}  // namespace

StagePolicy merged(const StagePolicy& own, const StagePolicy& general) {
  const auto either = [](const auto& mine, const auto& theirs) { return mine ? mine : theirs; };
  return {.policy = either(own.policy, general.policy),
          .limit_ppm = either(own.limit_ppm, general.limit_ppm),
          .below = either(own.below, general.below),
          .controlled_share_ppm = either(own.controlled_share_ppm, general.controlled_share_ppm),
          .controlled_burst = either(own.controlled_burst, general.controlled_burst),
          .statistical_target_ppm = either(own.statistical_target_ppm, general.statistical_target_ppm)};
}

void read_limits(ConfigTable t, LimitsSection& l) {
  constexpr std::uint64_t mib = 1 << 20;
  t.number("sessions", 1, limits::sessions_per_worker, l.sessions);
  t.number("sessions_per_uid", 1, limits::sessions_per_worker, l.sessions_per_uid);
  t.number("channels_per_uid", 1, 1'000'000, l.channels_per_uid);
  t.bytes("memory_per_uid", mib, mib << 24, l.memory_per_uid_bytes);
  t.bytes("memory", mib, mib << 24, l.memory_bytes);
  t.number("clips_per_worker", 16, limits::clips_per_worker, l.clips_per_worker);
  t.number("packet_buffers", 256, 1 << 20, l.packet_buffers);
  t.number("packet_buffers_per_uid", 16, 1 << 20, l.packet_buffers_per_uid);
  t.finish();
}

void read_worker(ConfigTable t, WorkerSection& w, std::int64_t cores) {
  std::uint32_t core = 0;
  if (t.number("core", 0, cores - 1, core)) w.core = core;
  static constexpr std::array classes{"auto"sv, "fifo"sv, "other"sv};
  std::size_t choice = 0;
  if (t.word("scheduling", classes, choice)) w.scheduling = static_cast<Scheduling>(choice);
  t.number("priority", 1, 98, w.priority);
  t.duration("spin", none, 1ms, w.spin);
  t.share("duty", 100'000, 940'000, w.duty_ppm);
  read_policy(t, "", w.admission);
  read_below(t, w.admission);
  t.finish();
}

void read_capacity(ConfigTable& t, LinkSection& l) {
  t.bit_rate("rate", 64'000, 400'000'000'000, l.bits_per_second);
  if (t.number("mtu", 1, limits::mtu_bytes_max, l.mtu_bytes) && l.mtu_bytes < limits::mtu_bytes_min) {
    t.fail("mtu", fmt::format("must be at least {}, as for IPv6: signalling packets have up to {} bytes and headers, and "
                              "are never fragmented", limits::mtu_bytes_min, limits::signal_bytes));
  }
  read_guard(t, l);
  t.number("worker", 0, limits::workers - 1, l.worker);
  if (Duration horizon{}; t.duration("horizon", none, limits::horizon_max, horizon)) l.horizon = horizon;
  t.duration("propagation", none, 10s, l.propagation);
  read_policy(t, "", l.admission);
  read_below(t, l.admission);
}

void read_costs(ConfigTable t, admission::CostModel& c) {
  read_handler(t, "send", c.send);
  read_handler(t, "receive", c.receive);
  t.duration("handler_switch", none, 10ms, c.handler_switch);
  t.duration("turn", none, 10ms, c.turn);
  t.duration("input_packet", none, 10ms, c.input_packet);
  t.duration("wakeup_latency", none, 100ms, c.wakeup_latency);
  t.duration("transmit_packet", none, 10ms, c.transmit_packet);
  t.number("packets_per_step", 1, 1024, c.packets_per_step);
  t.number("best_effort_packets", 1, 1024, c.best_effort_packets);
  t.duration("best_effort_period", 100us, 1s, c.best_effort_period);
  t.duration("best_effort_delay", 100us, 60s, c.best_effort_delay);
  if (c.best_effort_delay <= c.best_effort_period) t.fail("best_effort_delay", "must be longer than best_effort_period");
  t.duration("interrupt_burst", none, 10ms, c.core.loss_burst);
  t.share("interrupt_share", 0, 900'000, c.core.loss_ppm);
  t.finish();
}

void read_admission(ConfigTable t, AdmissionSection& a) {
  read_policy(t, "cpu_", a.cpu);
  read_policy(t, "link_", a.link);
  StagePolicy both;
  read_below(t, both);
  a.cpu = merged(both, a.cpu);
  a.link = merged(both, a.link);
  t.finish();
}

}  // namespace rtchan::rtcd
