#include "cli/pipe/frame.hpp"

#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "base/crc32c.hpp"

namespace rtchan::cli {

static_assert(std::endian::native == std::endian::little, "values are copied as they lie in memory");

namespace {

constexpr std::uint32_t magic = 0x70637472;          // "rtcp"
constexpr std::uint32_t receipt_magic = 0x72637472;  // "rtcr"

template <class T>
void put(std::span<std::byte> to, std::size_t offset, T value) noexcept {
  std::memcpy(to.data() + offset, &value, sizeof value);
}
template <class T>
T get(std::span<const std::byte> from, std::size_t offset) noexcept {
  T value;
  std::memcpy(&value, from.data() + offset, sizeof value);
  return value;
}

}  // namespace

void PipeWriter::head(PipeKind kind, std::span<std::byte> message) noexcept {
  put(message, 0, magic);
  put(message, 4, static_cast<std::uint32_t>(kind));
  put(message, 8, sequence_++);
}

std::size_t PipeWriter::hello(std::uint16_t reply_port, std::span<std::byte> message) noexcept {
  head(PipeKind::hello, message);
  put(message, pipe_header_bytes, std::uint64_t{reply_port});
  return pipe_header_bytes + 8;
}

std::size_t PipeWriter::chunk(std::size_t bytes, std::span<std::byte> message) noexcept {
  head(PipeKind::chunk, message);
  checksum_ = crc32c(message.subspan(pipe_header_bytes, bytes), checksum_);
  bytes_ += bytes;
  return pipe_header_bytes + bytes;
}

std::size_t PipeWriter::last(std::span<std::byte> message) noexcept {
  head(PipeKind::last, message);
  put(message, pipe_header_bytes, bytes_);
  put(message, pipe_header_bytes + 8, checksum_);
  return pipe_header_bytes + 12;
}

std::size_t PipeWriter::aborted(std::span<std::byte> message) noexcept {
  head(PipeKind::aborted, message);
  return pipe_header_bytes;
}

std::expected<std::span<const std::byte>, std::string> PipeReader::take(std::span<const std::byte> message) {
  if (message.size() < pipe_header_bytes || get<std::uint32_t>(message, 0) != magic) {
    return std::unexpected(std::string("the sender is not rtc pipe"));
  }
  const auto sequence = get<std::uint64_t>(message, 8);
  if (sequence != expected_) {
    if (sequence < expected_) return std::unexpected(fmt::format("message {} came after message {}", sequence, expected_ - 1));
    return std::unexpected(fmt::format("{} message{} lost after byte {}", sequence - expected_,
                                       sequence - expected_ == 1 ? " was" : "s were", bytes_));
  }
  ++expected_;
  const std::span<const std::byte> body = message.subspan(pipe_header_bytes);
  const auto kind = get<std::uint32_t>(message, 4);
  if (kind == static_cast<std::uint32_t>(PipeKind::chunk)) {
    checksum_ = crc32c(body, checksum_);
    bytes_ += body.size();
    return body;
  }
  if (kind == static_cast<std::uint32_t>(PipeKind::hello) && body.size() >= 8) {
    reply_port_ = static_cast<std::uint16_t>(get<std::uint64_t>(body, 0));
    return std::span<const std::byte>{};
  }
  if (kind == static_cast<std::uint32_t>(PipeKind::last)) return take_last(body);
  if (kind == static_cast<std::uint32_t>(PipeKind::aborted)) {
    return std::unexpected(fmt::format("the sender could not read its input to the end: the stream stops after {} bytes", bytes_));
  }
  return std::unexpected(fmt::format("message {} is of a kind that this version does not know", sequence));
}

std::expected<std::span<const std::byte>, std::string> PipeReader::take_last(std::span<const std::byte> body) {
  if (body.size() < 12) return std::unexpected(std::string("the last message is too short"));
  const auto bytes = get<std::uint64_t>(body, 0);
  const auto checksum = get<std::uint32_t>(body, 8);
  if (bytes != bytes_) return std::unexpected(fmt::format("{} bytes were sent, {} arrived", bytes, bytes_));
  if (checksum != checksum_) return std::unexpected(fmt::format("checksum of {} bytes differs: the content was changed", bytes));
  complete_ = true;
  return std::span<const std::byte>{};
}

void write_receipt(const PipeReceipt& receipt, std::span<std::byte, pipe_receipt_bytes> message) noexcept {
  put(message, 0, receipt_magic);
  put(message, 4, std::uint32_t{receipt.complete});
  put(message, 8, receipt.bytes);
  put(message, 16, std::uint64_t{receipt.checksum});
}

std::expected<PipeReceipt, std::string> read_receipt(std::span<const std::byte> message) {
  if (message.size() < pipe_receipt_bytes || get<std::uint32_t>(message, 0) != receipt_magic) {
    return std::unexpected(std::string("the receiver's confirmation is not understood"));
  }
  return PipeReceipt{get<std::uint32_t>(message, 4) == 1, get<std::uint64_t>(message, 8),
                     static_cast<std::uint32_t>(get<std::uint64_t>(message, 16))};
}

}  // namespace rtchan::cli
