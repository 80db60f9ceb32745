// Every datagram from the network goes through wire::decode first. The input is tried as it came and again
// with a right length and checksum, so that the fuzzer gets past them to the body's rules. What decode lets
// pass must keep what receivers rely on, and must encode to the same bytes again.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/limits.hpp"
#include "wire/data_packet.hpp"

namespace {

using namespace rtchan;

void require(bool holds) {
  if (!holds) std::abort();
}

void check_records(std::span<const std::byte> body) {
  wire::RecordReader reader(body);
  std::span<const std::byte> message;
  std::size_t total = 0;
  while (reader.next(message)) {
    require(!message.empty());
    require(message.data() >= body.data() && message.data() + message.size() <= body.data() + body.size());
    total += wire::record_bytes + message.size();
  }
  require(total == body.size());
}

void check(std::span<const std::byte> bytes) {
  const auto packet = wire::decode(bytes);
  if (!packet) {
    require(static_cast<std::size_t>(packet.error()) < wire::drop_reasons);
    return;
  }
  const auto& header = packet->header;
  require(!packet->body.empty());
  require(packet->body.data() >= bytes.data() &&
          packet->body.data() + packet->body.size() + wire::trailer_bytes == bytes.data() + bytes.size());
  if (header.type == wire::PacketType::messages) check_records(packet->body);
  if (header.type == wire::PacketType::fragment) {
    require(header.message_length <= limits::message_bytes);
    require(header.offset < header.message_length);
    require(packet->body.size() <= header.message_length - header.offset);
  }
  std::vector<std::byte> again(bytes.begin(), bytes.end());
  wire::encode_header(header, again);
  wire::seal(again);
  require(std::ranges::equal(again, bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  check(bytes);
  if (size < wire::header_bytes + wire::trailer_bytes || size > UINT16_MAX) return 0;
  std::vector<std::byte> sealed(bytes.begin(), bytes.end());
  sealed[2] = static_cast<std::byte>(size >> 8);
  sealed[3] = static_cast<std::byte>(size);
  wire::seal(sealed);
  check(sealed);
  return 0;
}
