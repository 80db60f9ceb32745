// Conservation: what one side hands over is taken in by the other, or dropped by a cause with a name, or under way; and what a
// worker takes in is a signal, a packet of one of its clips, or dropped with a name. Packets are read here by the drawing
// in docs/protocol/data-packet.md, not by the parser.
#include <fmt/format.h>

#include <algorithm>

#include "sim/watch.hpp"
#include "sim/world.hpp"

namespace rtchan::sim {
namespace {

std::uint32_t word_at(std::span<const std::byte> p, std::size_t at) {
  std::uint32_t w = 0;
  for (std::size_t i = 0; i < 4; ++i) w = w << 8 | std::to_integer<std::uint32_t>(p[at + i]);
  return w;
}
unsigned type_of(std::span<const std::byte> p) { return std::to_integer<unsigned>(p[0]) & 15U; }
constexpr unsigned signal_type = 3;
constexpr std::size_t byte_drops = 8;         // the causes that are in a packet's bytes come first
constexpr std::size_t signal_rate_drop = 14;

}  // namespace

Watch::HostBooks& Watch::books(const Machine& machine) { return books_[machine.host()]; }

void Watch::handed_over(const Machine&, std::uint32_t wire, std::span<const std::byte> packet) {
  note(wire);
  note(packet);
  if (type_of(packet) == signal_type) signals_.count(packet);
}

void Watch::taken_in(const Machine& machine, const Parcel& parcel) {
  HostBooks& b = books(machine);
  ++b.taken_in;
  if (parcel.damaged) {
    ++b.damaged;
    return;
  }
  const auto packet = std::span<const std::byte>(parcel.bytes).first(parcel.length);
  if (type_of(packet) == signal_type) {
    ++b.signals;
    return;
  }
  const auto found = b.hops.find(word_at(packet, 4));
  if (found == b.hops.end() || found->second.generation != word_at(packet, 8)) return;
  Hop& hop = found->second;
  ++hop.packets;
  if (hop.here.empty() || word_at(packet, 20) > *hop.here.begin()) hop.here.insert(word_at(packet, 20));
  hop.most_here = std::max(hop.most_here, static_cast<std::uint32_t>(hop.here.size()));
}

void Watch::decoded_alone(const Machine& machine, bool good) { books(machine).bad_alone += good ? 0 : 1; }

void Watch::opened(const Machine& machine, const node::OpenClip& open) {
  HostBooks& b = books(machine);
  Hop hop;
  hop.generation = open.spec.generation;
  hop.session = open.session;
  if (open.queue.slots != 0) {
    hop.queue_begin = open.queue.offset;
    hop.queue_end = open.queue.offset + std::uint64_t{open.queue.slots} * open.queue.slot_bytes;
    if (b.hops.size() < 500) {  // more are too many to compare
      for (const auto& [slot, other] : b.hops) {
        if (other.session == hop.session && hop.queue_begin < other.queue_end && other.queue_begin < hop.queue_end) {
          wrong(fmt::format("host{}: the queues of slots {} and {} overlap", machine.host(), slot, open.spec.slot.value));
        }
      }
    }
  }
  b.hops[open.spec.slot.value] = hop;
  stretches_[{machine.host(), open.spec.slot.value, open.spec.generation}] = {
      .opened = world_.now(), .last = open.spec.role == clips::Role::incoming, .next_hop = {}, .next = {}};
}

void Watch::connected(const Machine& machine, const End& end) {
  Stretch& stretch = stretches_[{machine.host(), end.spec.slot.value, end.spec.generation}];
  stretch.next_hop = end.next_hop;
  stretch.next = end.next_label;
}

std::vector<WayPoint> Watch::way_of(std::uint32_t host, const End& from) const {
  std::vector<WayPoint> way;
  for (ClipName clip{host, from.spec.slot.value, from.spec.generation};;) {
    const auto found = stretches_.find(clip);
    if (found == stretches_.end() || way.size() > world_.hosts()) return {};
    const Stretch& stretch = found->second;
    way.push_back({host, stretch.opened});
    if (stretch.last) return way;
    const auto ports = world_.routes().ports(host);
    const auto port = std::ranges::find_if(
        ports, [&](const Routes::Port& p) { return world_.endpoint(p.link, p.peer) == stretch.next_hop; });
    if (port == ports.end()) return {};
    host = port->peer;
    clip = {host, stretch.next.slot, stretch.next.generation};
  }
}

// Its worker has done with it: what it counted is what came.
void Watch::clip_over(const Machine& machine, const End& end, const clips::ClipCounters& counters) {
  const auto found = books(machine).hops.find(end.spec.slot.value);
  if (found == books(machine).hops.end()) return wrong("a clip ends that was never opened");
  const Hop& hop = found->second;
  if (end.spec.role != clips::Role::incoming) return;
  if (counters.packets > hop.packets) {
    wrong(fmt::format("host{}: a clip has counted {} packets of {} that came", machine.host(), counters.packets, hop.packets));
  }
  if (end.said == nothing || end.spec.service == ServiceClass::best_effort) return;
  parted(end.said);
  const Channel& c = world_.applications().channels()[end.said];
  if (excused(c, Instant{}, world_.now(), false)) return;
  if (counters.no_buffer != 0 || counters.no_slot != 0) {
    wrong(fmt::format("channel {}: {} packets found no buffer, {} messages no slot", end.said, counters.no_buffer, counters.no_slot));
  }
  // floor((d_prev + H_prev + pi + d) / T) + 1 messages, one of which may be half here.
  const Duration period = end.spec.contract.period;
  const Duration held = end.spec.upstream_rem + end.spec.upstream_propagation + end.spec.cpu_delay + tolerance(c);
  const auto bound = static_cast<std::uint64_t>(held / period) + 2;
  if (hop.most_here > bound) {
    wrong(fmt::format("channel {}: {} messages were in its receiver's buffers at once, {} may", end.said, hop.most_here, bound));
  }
}

void Watch::closed(const Machine& machine, ClipSlot slot) { books(machine).hops.erase(slot.value); }

void Watch::contract_violated(const Machine& machine, ClipSlot slot) { note(std::uint64_t{machine.host()} << 32 | slot.value); }

void Watch::settle_packets(const Machine& machine) {
  const HostBooks& b = books(machine);
  if (b.taken_in == 0) return;
  if (world_.workers()) {
    const clips::DomainCounters& c = machine.domain_counters();
    std::uint64_t by_bytes = 0;
    for (std::size_t i = 0; i < byte_drops; ++i) by_bytes += c.dropped[i];
    if (c.input_packets != b.taken_in) wrong(fmt::format("host{} has counted {} packets of {}", machine.host(), c.input_packets, b.taken_in));
    if (by_bytes != b.damaged) {
      wrong(fmt::format("host{} has dropped {} packets for their bytes, {} were damaged", machine.host(), by_bytes, b.damaged));
    }
    if (c.signals_in + c.dropped[signal_rate_drop] != b.signals) {
      wrong(fmt::format("host{} has taken in {} signals of {}", machine.host(), c.signals_in, b.signals));
    }
  } else if (b.bad_alone != b.damaged) {
    wrong(fmt::format("host{} has refused {} packets for their bytes, {} were damaged", machine.host(), b.bad_alone, b.damaged));
  }
}

void Watch::crashed(const Machine& machine) {
  settle_packets(machine);
  books_[machine.host()] = {};
}

void Watch::every_packet() {
  for (std::uint32_t h = 0; h < world_.hosts(); ++h) {
    if (world_.machine(h).up()) settle_packets(world_.machine(h));
  }
  std::uint64_t unaccounted = 0;
  for (const Wire& wire : world_.wires()) {
    const WireTally& t = wire.tally;
    const std::uint64_t over = t.delivered + t.lost + t.cut + t.nobody_there + t.receiver_full;
    if (t.handed_over + t.copied < over) wrong(fmt::format("wire {} has more packets at its end than at its beginning", wire.settings().number));
    unaccounted += t.handed_over + t.copied - over;
  }
  if (unaccounted != world_.in_flight() + world_.waiting_to_be_received()) {
    wrong(fmt::format("{} packets are unaccounted for, {} are under way", unaccounted, world_.in_flight()));
  }
}

}  // namespace rtchan::sim
