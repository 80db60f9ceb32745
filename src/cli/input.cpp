#include "cli/input.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cli/common/console.hpp"

namespace rtchan::cli {

namespace {

Error system_error(std::string_view doing, const std::string& name) {
  return {Errc::system, fmt::format("{} {}: {}", doing, name, std::strerror(errno)), {}};
}

}  // namespace

std::expected<File, Error> File::open_input(const std::string& path) {
  if (path.empty() || path == "-") return File(STDIN_FILENO, "standard input");
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::unexpected(system_error("cannot open", path));
  return File(fd, path);
}

std::expected<File, Error> File::open_output(const std::string& path) {
  if (path.empty() || path == "-") return File(STDOUT_FILENO, "standard output");
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return std::unexpected(system_error("cannot write", path));
  return File(fd, path);
}

File::File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), name_(std::move(other.name_)) {}

File::~File() {
  if (fd_ > STDERR_FILENO) close(fd_);
}

std::expected<std::size_t, Error> File::read(std::span<std::byte> bytes) {
  while (true) {
    const ssize_t got = ::read(fd_, bytes.data(), bytes.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return std::unexpected(system_error("cannot read", name_));
    if (interrupted()) return std::unexpected(Error{Errc::closed, "interrupted", {}});
  }
}

std::expected<void, Error> File::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd_, bytes.data(), bytes.size());
    if (put >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(put));
    } else if (errno != EINTR) {
      return std::unexpected(system_error("cannot write", name_));
    } else if (interrupted()) {
      return std::unexpected(Error{Errc::closed, "interrupted", {}});
    }
  }
  return {};
}

std::expected<bool, Error> PieceReader::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  const auto got = file_.read(std::span(buffer_).subspan(end_));
  if (!got) return std::unexpected(got.error());
  end_ += *got;
  return *got > 0;
}

std::expected<std::optional<std::span<const std::byte>>, Error> PieceReader::line() {
  ++lines_;
  std::size_t searched = 0;
  while (true) {
    const std::span<const std::byte> held(buffer_.data() + begin_, end_ - begin_);
    const auto newline = std::find(held.begin() + static_cast<std::ptrdiff_t>(searched), held.end(), std::byte{'\n'});
    std::size_t length = static_cast<std::size_t>(newline - held.begin()) + 1;
    const bool complete = newline != held.end();
    if ((complete ? length : held.size()) > largest_) {
      return std::unexpected(Error{Errc::message_too_long,
                                   fmt::format("line {} is longer than --size allows ({} bytes)", lines_, largest_), {}});
    }
    if (!complete) {
      searched = held.size();
      const auto more = fill();
      if (!more) return std::unexpected(more.error());
      if (*more) continue;
      if (searched == 0) return std::nullopt;
      length = searched;
    }
    const std::span<const std::byte> piece(buffer_.data() + begin_, length);
    begin_ += length;
    return piece;
  }
}

std::expected<std::optional<std::span<const std::byte>>, Error> PieceReader::block() {
  while (end_ - begin_ < largest_) {
    const auto more = fill();
    if (!more) return std::unexpected(more.error());
    if (!*more) break;
  }
  const std::size_t length = std::min(end_ - begin_, largest_);
  if (length == 0) return std::nullopt;
  const std::span<const std::byte> piece(buffer_.data() + begin_, length);
  begin_ += length;
  return piece;
}

}  // namespace rtchan::cli
