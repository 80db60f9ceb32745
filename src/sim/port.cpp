#include "sim/port.hpp"

#include <algorithm>
#include <cstring>

#include "sim/world.hpp"
#include "wire/data_packet.hpp"

namespace rtchan::sim {
namespace {

constexpr std::size_t receive_packets = 4'096;  // a socket's receive buffer, per class
constexpr Duration device_most = std::chrono::milliseconds{100};

}  // namespace

Endpoint Machine::Port::peer() const {
  const Routes::Port& port = machine_.world_.routes().ports(machine_.host_)[number_];
  return machine_.world_.endpoint(port.link, port.peer);
}

void Machine::Port::put_on_wire(link::TrafficClass cls, std::span<const std::byte> bytes) {
  World& world = machine_.world_;
  Wire& wire = world.wire(machine_.host_, world.routes().ports(machine_.host_)[number_]);
  world.watch().handed_over(machine_, wire.settings().number, bytes);
  wire.transmit(world.parcels(), cls, bytes, machine_.truth(), [&](std::uint32_t parcel) { world.fly(parcel); });
}

std::size_t Machine::Port::transmit(link::TrafficClass cls, std::span<const link::TxPacket> packets) {
  World& world = machine_.world_;
  const Wire& wire = world.wire(machine_.host_, world.routes().ports(machine_.host_)[number_]);
  std::size_t taken = 0;
  for (const link::TxPacket& packet : packets) {
    if (wire.waiting(machine_.truth()) > device_most) break;
    put_on_wire(cls, packet.bytes);
    ++taken;
  }
  machine_.work(machine_.costs().transmit_packet * static_cast<std::int64_t>(taken));
  handed_over_ += taken;
  return taken;
}

void Machine::Port::give_back_lent(std::size_t cls) {
  for (const std::uint32_t parcel : lent_[cls]) machine_.world_.parcels().give(parcel);
  lent_[cls].clear();
}

std::size_t Machine::Port::receive(link::TrafficClass cls, Instant, std::span<link::RxPacket> out) {
  const auto c = static_cast<std::size_t>(cls);
  give_back_lent(c);
  std::size_t n = 0;
  while (n < out.size() && !waiting_[c].empty()) {
    const std::uint32_t number = waiting_[c].front();
    waiting_[c].pop_front();
    Parcel& parcel = machine_.world_.parcels()[number];
    ++machine_.world_.wire(parcel.wire).tally.delivered;
    machine_.world_.watch().taken_in(machine_, parcel);
    out[n++] = {peer(), std::span<const std::byte>(parcel.bytes).first(parcel.length), machine_.clock_.local(parcel.arrival), true};
    lent_[c].push_back(number);
  }
  machine_.work(machine_.costs().input_packet * static_cast<std::int64_t>(n));
  return n;
}

bool Machine::Port::arrived(std::uint32_t number) {
  World& world = machine_.world_;
  const Parcel& parcel = world.parcels()[number];
  auto& waiting = waiting_[static_cast<std::size_t>(parcel.cls)];
  WireTally& tally = world.wire(parcel.wire).tally;
  if (machine_.up() && waiting.size() < receive_packets) {
    waiting.push_back(number);
    return true;
  }
  ++(machine_.up() ? tally.receiver_full : tally.nobody_there);
  world.parcels().give(number);
  return false;
}

void Machine::Port::drop_all() {
  for (const std::size_t cls : {0U, 1U}) {
    give_back_lent(cls);
    for (const std::uint32_t parcel : waiting_[cls]) {
      ++machine_.world_.wire(machine_.world_.parcels()[parcel].wire).tally.nobody_there;
      machine_.world_.parcels().give(parcel);
    }
    waiting_[cls].clear();
  }
  handed_over_ = 0;
}

void Machine::Port::send_alone(std::span<const std::byte> signal) {
  std::array<std::byte, limits::signal_bytes + wire::header_bytes + wire::trailer_bytes> bytes{};
  const auto packet = std::span(bytes).first(wire::header_bytes + signal.size() + wire::trailer_bytes);
  wire::DataHeader header;
  header.type = wire::PacketType::signal;
  header.packet_number = signals_++;
  wire::encode_header(header, packet);
  std::memcpy(packet.data() + wire::header_bytes, signal.data(), signal.size());
  wire::seal(packet);
  put_on_wire(link::TrafficClass::real_time, packet);
}

void Machine::Port::read_alone() {
  std::array<link::RxPacket, 1> one;
  while (receive(link::TrafficClass::real_time, Instant{}, one) == 1) {
    const auto decoded = wire::decode(one[0].bytes);
    machine_.world_.watch().decoded_alone(machine_, decoded.has_value());
    if (decoded) machine_.signal_received(number_, one[0].from, decoded->body, Instant{});
  }
}

}  // namespace rtchan::sim
