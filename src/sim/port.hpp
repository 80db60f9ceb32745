// A machine's end of a link, as its domain sees it: the driver.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "link/driver.hpp"
#include "sim/machine.hpp"

namespace rtchan::sim {

class Machine::Port final : public link::Driver {
 public:
  Port(Machine& machine, std::uint32_t number) : machine_(machine), number_(number) {}

  // link::Driver
  std::size_t transmit(link::TrafficClass cls, std::span<const link::TxPacket> packets) override;
  std::size_t receive(link::TrafficClass cls, Instant now, std::span<link::RxPacket> out) override;
  std::size_t completed() override { return std::exchange(handed_over_, 0); }
  [[nodiscard]] std::size_t payload_bytes() const override { return sim::payload_bytes; }
  [[nodiscard]] int fd(link::TrafficClass) const override { return -1; }
  [[nodiscard]] Counters counters() const override { return {}; }

  // False: nobody is there, or there is no room.
  bool arrived(std::uint32_t parcel);
  void drop_all();
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_[0].size() + waiting_[1].size(); }

  // Without a worker: one signal out, and everything in.
  void send_alone(std::span<const std::byte> signal);
  void read_alone();

 private:
  void put_on_wire(link::TrafficClass cls, std::span<const std::byte> bytes);
  void give_back_lent(std::size_t cls);
  [[nodiscard]] Endpoint peer() const;

  Machine& machine_;
  std::uint32_t number_;
  std::size_t handed_over_ = 0;
  std::uint32_t signals_ = 0;
  std::array<std::deque<std::uint32_t>, link::traffic_classes> waiting_;
  std::array<std::vector<std::uint32_t>, link::traffic_classes> lent_;
};

}  // namespace rtchan::sim
