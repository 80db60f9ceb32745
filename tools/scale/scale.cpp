// sim_scale network | hops | refresh | memory: large networks in the simulator, and what signalling costs in them as they grow.
// `network` is one run with its figures; the others print a table each, a row per size, for gnuplot (growth.gp).
#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <map>

#include "sim/scale.hpp"
#include "sim/world.hpp"

namespace {

using namespace rtchan;
using namespace rtchan::sim;

const std::map<std::string, Shape> shapes{{"line", Shape::line}, {"star", Shape::star}, {"tree", Shape::tree}, {"random", Shape::random}};

double ms(Duration d) { return std::chrono::duration<double, std::milli>(d).count(); }
double peak_gib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / (1 << 20);
}
Duration quantile(const std::vector<Duration>& sorted, double q) {
  return sorted.empty() ? Duration{} : sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(q * static_cast<double>(sorted.size())))];
}
double part(std::uint64_t a, double b) { return b == 0 ? 0 : static_cast<double>(a) / b; }
double loss(const ScalePlan& plan) { return plan.loss_ppm / 1e6; }
// Of everything that is held on the heap.
std::size_t held_bytes() {
  const struct mallinfo2 all = mallinfo2();
  return all.uordblks + all.hblkhd;
}

int verdict(const ScaleReport& r) {
  for (const std::string& line : r.outcome.wrong) fmt::print(stderr, "WRONG at {}\n", line);
  return r.outcome.wrong.empty() ? 0 : 1;
}

int network(const ScalePlan& plan, const std::string& write) {
  if (!write.empty()) {
    std::ofstream file{write};
    file << to_text(make_scale_script(plan).script);
  }
  const Instant began = RawClock::now();
  const ScaleReport r = run_scale(plan);
  const double seconds = std::chrono::duration<double>(RawClock::now() - began).count();
  const Totals& t = r.outcome.totals;
  const auto created = static_cast<double>(r.setup_times.size()), hops = static_cast<double>(r.hops);
  const double lists = r.refreshes;
  fmt::print("{} hosts, {} links used, {} channels asked for, {:g} % of packets lost\n", r.outcome.hosts, r.neighbours, r.asked, 100 * loss(plan));
  fmt::print("created {}, refused {}; open at once {}; {:.2f} hops on average\n", t.created, t.refused, r.open_at_once, hops / created);
  fmt::print("set-up time: half within {:.1f} ms, 99 % within {:.1f} ms, all within {:.1f} ms\n", ms(quantile(r.setup_times, 0.5)),
             ms(quantile(r.setup_times, 0.99)), ms(quantile(r.setup_times, 1)));
  fmt::print("messages per set-up: {:.1f}, per set-up and hop {:.2f} (theory {:.2f}), acknowledgements included; {:.1f} packets of all kinds\n",
             part(r.setting_up.of_paths(), created), part(r.setting_up.of_paths(), hops), said_per_setup_and_hop(loss(plan)),
             part(r.setting_up.packets, created));
  fmt::print("messages per end: {:.1f}, per hop {:.2f} (theory {:.2f})\n", part(r.giving_back.of_paths(), created),
             part(r.giving_back.of_paths(), hops), said_per_end_and_hop(loss(plan)));
  fmt::print("refresh, every {:.2f} s: {:.2f} messages between two neighbours, both ways (theory {:.2f}); {:.4f} per channel and hop ({:.1f} channels to a message)\n",
             std::chrono::duration<double>(r.plateau).count() / lists, part(r.standing.of_lists(), r.neighbours * lists),
             part(r.lists, r.neighbours) * said_per_message(loss(plan)),
             part(r.standing.of_lists(), hops * lists), hops * lists / static_cast<double>(r.standing.of_lists()));
  fmt::print("while all are open: {:.1f} packets a second to a neighbour, {} messages about single paths\n",
             part(r.standing.packets, 2.0 * r.neighbours) / std::chrono::duration<double>(r.plateau).count(), r.standing.of_paths());
  fmt::print("{:.1f} simulated node-hours, {} events, {:.0f} a second, {:.0f} s; messages {}: {} delivered; packets {}: {} lost; peak memory {:.2f} GiB\n",
             static_cast<double>(t.node_ns) / 3.6e12, t.events, static_cast<double>(t.events) / seconds, seconds, t.messages, t.delivered,
             t.packets, t.lost, peak_gib());
  fmt::print("digest {:016x}\n{}\n", t.digest, r.outcome.wrong.empty() ? "clean" : "not clean");
  return verdict(r);
}

// What a node holds is what is freed with it.
double node_bytes(World& world, std::uint32_t host) {
  const std::size_t with = held_bytes();
  world.machine(host).take_node().reset();
  return static_cast<double>(with - held_bytes());
}

int hops(ScalePlan plan) {
  fmt::print("# hops messages_per_setup theory p50_ms p99_ms\n");
  for (plan.hops = 1; plan.hops < limits::hops; ++plan.hops) {
    const ScaleReport r = run_scale(plan);
    if (verdict(r) != 0) return 1;
    fmt::print("{} {:.3f} {:.3f} {:.3f} {:.3f}\n", plan.hops, part(r.setting_up.of_paths(), static_cast<double>(r.setup_times.size())),
               plan.hops * said_per_setup_and_hop(loss(plan)), ms(quantile(r.setup_times, 0.5)), ms(quantile(r.setup_times, 0.99)));
    std::fflush(stdout);
  }
  return 0;
}

const std::vector<std::uint32_t> sizes{10, 30, 100, 300, 1'000, 3'000, 10'000, 30'000, 100'000, 300'000, 1'000'000};

int refresh(ScalePlan plan, std::uint32_t most) {
  fmt::print("# channels messages_per_refresh theory packets_per_second\n");
  plan.hops = 1;
  for (const std::uint32_t channels : sizes) {
    if (channels > most) break;
    plan.channels = channels;
    const ScaleReport r = run_scale(plan);
    if (verdict(r) != 0 || r.open_at_once != channels) return 1;
    fmt::print("{} {:.3f} {:.3f} {:.3f}\n", channels, part(r.standing.of_lists(), r.refreshes), static_cast<double>(r.lists) * said_per_message(loss(plan)),
               part(r.standing.packets, 2 * std::chrono::duration<double>(r.plateau).count()));
    std::fflush(stdout);
  }
  return 0;
}

// A pair of neighbours with so many channels between them, all open: what each node holds of them (its tables of a fixed size apart),
// and the whole program, simulation included.
int memory(ScalePlan plan, std::uint32_t most) {
  fmt::print("# channels bytes_per_channel_and_node bytes_per_node process_GiB\n");
  plan.hops = 1;
  double empty = 0;
  for (const std::uint32_t channels : sizes) {
    if (channels > most) break;
    plan.channels = channels;
    const ScaleScript made = make_scale_script(plan);
    World world{made.script};
    if (empty == 0) {
      World nobody{made.script};
      empty = node_bytes(nobody, 0);
    }
    world.run_until(made.standing);
    std::uint64_t open = 0;
    for (const Channel& c : world.applications().channels()) open += c.accepted && c.state == Channel::State::created;
    if (open != channels || !world.watch().wrongs().empty()) return 1;
    const double bytes = (node_bytes(world, 0) + node_bytes(world, 1)) / 2;
    fmt::print("{} {:.0f} {:.0f} {:.2f}\n", channels, (bytes - empty) / channels, bytes, peak_gib());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Large networks in the simulator."};
  ScalePlan plan;
  std::string write;
  double loss_percent = 5;
  std::uint32_t plateau_s = 30, lease_s = 5, most = 100'000, work_ns = 0, period_ms = 10'000;
  app.require_subcommand(1);
  const auto common = [&](CLI::App* c, std::uint32_t channels, std::uint32_t rate) {
    plan.channels = channels;
    c->add_option("--channels", plan.channels);
    c->add_option("--rate", plan.setups_a_second, "set-ups a second");
    c->add_option("--loss", loss_percent, "per cent of packets");
    c->add_option("--plateau", plateau_s, "seconds for which all stay open");
    c->add_option("--lease", lease_s, "seconds");
    c->add_option("--period-ms", period_ms, "between two messages of a channel");
    c->add_option("--work-ns", work_ns, "of a handler for a message; 0: what admission counts with");
    c->add_option("--seed", plan.seed);
    c->preparse_callback([&plan, channels, rate](std::size_t) { plan.channels = channels, plan.setups_a_second = rate; });
  };
  CLI::App* one = app.add_subcommand("network", "one run");
  common(one, 100'000, 1'000);
  one->add_option("--hosts", plan.hosts);
  one->add_option("--shape", plan.shape)->transform(CLI::CheckedTransformer(shapes));
  one->add_option("--messages", plan.messages, "of each channel; with workers then");
  one->add_option("--write", write, "the run as a script, for rtc sim");
  CLI::App* by_hops = app.add_subcommand("hops", "messages and time of a set-up by hops");
  common(by_hops, 1'000, 100);
  CLI::App* by_channels = app.add_subcommand("refresh", "messages of a refresh by channels with a neighbour");
  common(by_channels, 0, 1'000);
  by_channels->add_option("--most", most);
  CLI::App* bytes = app.add_subcommand("memory", "bytes by channels with a neighbour");
  common(bytes, 0, 1'000);
  bytes->add_option("--most", most);
  CLI11_PARSE(app, argc, argv);
  plan.loss_ppm = static_cast<std::uint32_t>(loss_percent * 10'000);
  plan.plateau = std::chrono::seconds{plateau_s};
  plan.lease = std::chrono::seconds{lease_s};
  plan.work = Duration{work_ns};
  plan.period = std::chrono::milliseconds{period_ms};
  if (*one) return network(plan, write);
  if (*by_hops) return hops(plan);
  return *by_channels ? refresh(plan, most) : memory(plan, most);
}
