// Signalling from the network: the decoder on any bytes (what it accepts must survive being written again), and an
// engine that already knows the sender and holds a path, so that the handlers behind the decoder are reached.
#include <algorithm>
#include <cstdlib>
#include <span>
#include <vector>

#include "rtcop/engine.hpp"
#include "wire/signal.hpp"

using namespace rtchan;

namespace {

void check_round_trip(std::span<const std::byte> bytes) {
  const auto packet = wire::decode_signal(bytes);
  if (!packet) return;
  for (const auto& message : packet->messages) {
    auto again = wire::encode_head(1, 1);
    if (!wire::append_message(again, wire::encode_message(message.number, message.body))) std::abort();
    const auto back = wire::decode_signal(again);
    if (!back || wire::encode_message(message.number, back->messages.at(0).body) !=
                     wire::encode_message(message.number, message.body)) {
      std::abort();
    }
  }
}

// Gives every message of the input to an engine as if it came from a neighbour that is up.
void feed(std::span<const std::byte> bytes) {
  rtcop::EngineConfig config;
  config.self = {HostId{1}, 1};
  config.paths = 64;
  config.neighbours = 4;
  rtcop::Engine engine{config, 1};
  Instant now{std::chrono::seconds{1}};
  std::vector<rtcop::Action> out;
  const Endpoint from{*IpAddress::parse("10.0.0.2"), 7};
  const auto give = [&](std::vector<std::byte> packet) {
    engine.step(now, rtcop::Received{0, from, packet}, out);
    engine.flush(now, out);
  };
  const auto packet_with = [](std::uint64_t receiver, const wire::SignalBody& body) {
    auto packet = wire::encode_head(2, receiver);
    (void)wire::append_message(packet, wire::encode_message(0, body));
    return packet;
  };
  // Meet: ask, take the cookie from the answer, echo it.
  give(packet_with(0, wire::Hello{HostId{2}, 5, 0, false}));
  const auto answer = wire::decode_signal(std::get<rtcop::Transmit>(out.at(0)).bytes);
  give(packet_with(1, wire::Hello{HostId{2}, 0, std::get<wire::Hello>(answer->messages.at(0).body).nonce, false}));
  out.clear();

  for (std::size_t at = 0; at < bytes.size();) {
    // A message as long as it says it is.
    const std::size_t left = bytes.size() - at;
    const std::size_t said = left < 4 ? left : std::to_integer<std::size_t>(bytes[at + 2]) << 8 | std::to_integer<std::size_t>(bytes[at + 3]);
    const std::size_t size = std::min(left, std::max(said, wire::signal_message_header_bytes));
    auto packet = wire::encode_head(2, 1);
    if (wire::append_message(packet, bytes.subspan(at, size))) give(std::move(packet));
    at += size;
    // Answer what the engine asks, so that paths get on.
    for (std::size_t i = 0; i < out.size() && i < 200; ++i) {
      const rtcop::Action action = out[i];
      if (const auto* r = std::get_if<rtcop::Reserve>(&action)) {
        engine.step(now, rtcop::Reserved{r->setup.path, std::nullopt, r->setup.promised}, out);
      } else if (const auto* a = std::get_if<rtcop::Ask>(&action)) {
        engine.step(now, rtcop::Agreed{a->path}, out);
      } else if (const auto* o = std::get_if<rtcop::OpenClip>(&action)) {
        engine.step(now, rtcop::Opened{o->path, Label{1, 2}}, out);
      }
    }
    out.clear();
    now += std::chrono::milliseconds{100};
    engine.step(now, rtcop::Tick{}, out);
    engine.flush(now, out);
    out.clear();
  }
  if (!engine.reconciles()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes{reinterpret_cast<const std::byte*>(data), size};
  check_round_trip(bytes);
  if (size > 0 && size < 1024) feed(bytes);
  return 0;
}
