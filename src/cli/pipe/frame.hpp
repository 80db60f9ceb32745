// How `rtc pipe` carries a byte stream in messages so that the receiver can prove it has all of it, in order and
// unchanged, or say what is missing.
//
//    0      4      5        8          16
//   +------+------+--------+----------+---------------------------------------------
//   |"rtcp"|kind  |zero (3)|sequence  |chunk: bytes | hello: reply port (8) | last: bytes (8), crc32c (4)
//   +------+------+--------+----------+---------------------------------------------
//
// Little endian. Sequence counts all messages from 0: hello, chunks, last. The checksum is that of all chunk bytes.
// Pure: bytes in, bytes out.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>

namespace rtchan::cli {

inline constexpr std::uint32_t pipe_header_bytes = 16;
inline constexpr std::uint32_t pipe_message_bytes_min = 64;  // hello and last fit, and a chunk worth its header

enum class PipeKind : std::uint8_t { hello = 0, chunk = 1, last = 2, aborted = 3 };

// Numbers and sums what leaves. Each function fills `message` and returns how many bytes of it are used.
class PipeWriter {
 public:
  // `reply_port`: where the receiver may confirm; 0: nowhere.
  std::size_t hello(std::uint16_t reply_port, std::span<std::byte> message) noexcept;
  // The chunk's bytes must lie at message[pipe_header_bytes ...] already: a read() can go there directly.
  std::size_t chunk(std::size_t bytes, std::span<std::byte> message) noexcept;
  std::size_t last(std::span<std::byte> message) noexcept;
  std::size_t aborted(std::span<std::byte> message) noexcept;  // the input failed: what came so far is not all

  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint32_t checksum() const noexcept { return checksum_; }

 private:
  void head(PipeKind kind, std::span<std::byte> message) noexcept;
  std::uint64_t sequence_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint32_t checksum_ = 0;
};

// Checks what arrives. The first error ends the stream: bytes after a hole are never passed on.
class PipeReader {
 public:
  // The chunk's bytes (empty for other kinds), valid as long as `message`. Errors are one sentence on what is wrong.
  std::expected<std::span<const std::byte>, std::string> take(std::span<const std::byte> message);

  [[nodiscard]] bool complete() const noexcept { return complete_; }  // `last` came and everything matched
  [[nodiscard]] std::uint16_t reply_port() const noexcept { return reply_port_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint32_t checksum() const noexcept { return checksum_; }
  [[nodiscard]] std::uint64_t messages() const noexcept { return expected_; }

 private:
  std::expected<std::span<const std::byte>, std::string> take_last(std::span<const std::byte> body);
  std::uint64_t expected_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint32_t checksum_ = 0;
  std::uint16_t reply_port_ = 0;
  bool complete_ = false;
};

// What the receiver answers on the reply port: one message.
struct PipeReceipt {
  bool complete = false;
  std::uint64_t bytes = 0;
  std::uint32_t checksum = 0;
  friend bool operator==(const PipeReceipt&, const PipeReceipt&) = default;
};
inline constexpr std::size_t pipe_receipt_bytes = 24;
void write_receipt(const PipeReceipt& receipt, std::span<std::byte, pipe_receipt_bytes> message) noexcept;
[[nodiscard]] std::expected<PipeReceipt, std::string> read_receipt(std::span<const std::byte> message);

}  // namespace rtchan::cli
