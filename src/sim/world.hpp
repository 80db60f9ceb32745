// A whole simulated network and its history: machines, wires and applications under one virtual clock. It plays a script
// (script.hpp), lets observers (watch.hpp) see whatever crosses a boundary, and says in the end what they found.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/agenda.hpp"
#include "sim/applications.hpp"
#include "sim/machine.hpp"
#include "sim/outcome.hpp"
#include "sim/script.hpp"
#include "sim/topology.hpp"
#include "sim/watch.hpp"
#include "sim/wire.hpp"

namespace rtchan::sim {

class World {
 public:
  // `trace`: what happens is written there, a line each; nullptr: nowhere. Outlives the world, as does the script.
  explicit World(const Script& script, std::vector<std::string>* trace = nullptr);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Outcome run();
  // For tests that look in between: plays until `at`, counted from the beginning.
  void run_until(Duration at);
  // The instants at which anything happened, in order; call before anything has.
  void keep_instants(std::vector<Instant>& instants) noexcept { instants_ = &instants; }

  [[nodiscard]] Instant now() const noexcept { return now_; }
  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
  void enter(Instant at, What what, std::uint32_t a, std::uint32_t b = 0) { agenda_.enter(std::max(at, now_), what, a, b); }

  [[nodiscard]] const Routes& routes() const noexcept { return *routes_; }
  [[nodiscard]] Wire& wire(std::uint32_t number) noexcept { return wires_[number]; }
  [[nodiscard]] Wire& wire(std::uint32_t host, const Routes::Port& port) noexcept;
  [[nodiscard]] Wire& wire_between(std::uint32_t from, std::uint32_t to) noexcept;
  [[nodiscard]] bool joined(std::uint32_t a, std::uint32_t b) const noexcept;
  [[nodiscard]] std::span<const Wire> wires() const noexcept { return wires_; }
  [[nodiscard]] Endpoint endpoint(std::uint32_t link, std::uint32_t host) const noexcept;
  [[nodiscard]] std::optional<Duration> horizon(std::uint32_t link) const noexcept { return horizons_[link]; }
  // Where packets of this end go, by clips and labels; empty if they do not get to a receiving end.
  void adjust(node::WorkerSettings& worker) const;
  [[nodiscard]] Parcels& parcels() noexcept { return parcels_; }
  void fly(std::uint32_t parcel) {
    ++in_flight_;
    enter(parcels_[parcel].arrival, What::arrival, parcel);
  }
  [[nodiscard]] std::uint64_t in_flight() const noexcept { return in_flight_; }
  [[nodiscard]] std::uint64_t waiting_to_be_received() const noexcept;
  [[nodiscard]] bool workers() const noexcept { return workers_; }

  [[nodiscard]] Machine& machine(std::uint32_t host) noexcept { return *machines_[host]; }
  [[nodiscard]] std::uint32_t hosts() const noexcept { return static_cast<std::uint32_t>(machines_.size()); }
  [[nodiscard]] Applications& applications() noexcept { return *applications_; }
  [[nodiscard]] Watch& watch() noexcept { return *watch_; }
  [[nodiscard]] Totals& totals() noexcept { return totals_; }
  [[nodiscard]] Duration lease() const noexcept { return lease_; }

  void hear(std::uint32_t host, node::ReplyTo& reply) { applications_->hear(host, reply); }

  [[nodiscard]] bool tracing() const noexcept { return trace_ != nullptr; }
  void trace(const std::string& line);
  void trace_signal(std::uint32_t host, const std::string& link, std::span<const std::byte> bytes);

 private:
  void build(const Script& script);
  void happen(const Happening& what);
  void perform(const Deed& deed);
  void change_wire(std::uint32_t from, std::uint32_t to, const WireFaults& faults, bool cut);
  void boot(std::uint32_t host);
  void crash(std::uint32_t host);
  void heal();
  void probe();
  void stage(std::uint32_t number);
  void count_node(Machine& machine);
  Outcome outcome();

  const Script& script_;
  std::vector<Instant>* instants_ = nullptr;
  std::vector<std::string>* trace_;
  Instant now_{std::chrono::seconds{1}};
  std::uint64_t seed_ = 1;
  Duration lease_{}, settle_{}, longest_delay_{};
  bool over_ = false;
  bool workers_ = true;
  Duration work_{};
  std::uint64_t epochs_ = 0;
  Agenda agenda_;
  Parcels parcels_;
  std::uint64_t in_flight_ = 0;
  std::vector<Joint> joints_;
  std::vector<std::optional<Duration>> horizons_;
  std::unique_ptr<Routes> routes_;
  std::vector<Wire> wires_;  // 2 * link, + 1 from b to a
  Totals totals_;
  std::unique_ptr<Watch> watch_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::unique_ptr<Applications> applications_;
};

// Builds a world, runs it, tells the outcome.
[[nodiscard]] Outcome run(const Script& script, std::vector<std::string>* trace = nullptr);

}  // namespace rtchan::sim
