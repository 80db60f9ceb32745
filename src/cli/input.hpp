// Files and pipes at the ends of channels: read in the pieces that become messages, written completely.
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <rtchan/error.hpp>

namespace rtchan::cli {

// A descriptor that is closed at the end unless it is stdin or stdout.
class File {
 public:
  // "-" (or nothing) is stdin. Errors: Errc::system with the file's name.
  [[nodiscard]] static std::expected<File, Error> open_input(const std::string& path);
  // "-" (or nothing) is stdout; else the file is made or emptied.
  [[nodiscard]] static std::expected<File, Error> open_output(const std::string& path);
  File(File&& other) noexcept;
  File& operator=(File&&) = delete;
  ~File();

  [[nodiscard]] int fd() const noexcept { return fd_; }
  // Up to bytes.size() bytes; 0 at the end. Errors: Errc::system; Errc::closed when interrupted.
  [[nodiscard]] std::expected<std::size_t, Error> read(std::span<std::byte> bytes);
  [[nodiscard]] std::expected<void, Error> write(std::span<const std::byte> bytes);

 private:
  File(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  int fd_;
  std::string name_;
};

// Cuts an input into pieces. A piece is valid until the next call.
class PieceReader {
 public:
  explicit PieceReader(File& file, std::size_t largest) : file_(file), buffer_(2 * largest), largest_(largest) {}

  // The next line with its newline (the last may lack it); nullopt at the end. Errors as File::read, and
  // message_too_long (with the line's number) when it does not fit into `largest` bytes.
  std::expected<std::optional<std::span<const std::byte>>, Error> line();
  // Exactly `largest` bytes, fewer at the end; nullopt at the end.
  std::expected<std::optional<std::span<const std::byte>>, Error> block();

 private:
  std::expected<bool, Error> fill();  // false at the end of the input
  File& file_;
  std::vector<std::byte> buffer_;
  std::size_t largest_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t lines_ = 0;
};

}  // namespace rtchan::cli
