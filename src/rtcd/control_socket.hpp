// The socket where applications connect: bound once, never beside another daemon's, and gone when the daemon is.
#pragma once

#include <expected>
#include <filesystem>
#include <string>

#include "ipc/fd.hpp"

namespace rtchan::rtcd {

class ControlSocket {
 public:
  // A file that a killed daemon left behind is replaced; a living daemon's is not (a lock file beside it tells).
  static std::expected<ControlSocket, std::string> open(const std::filesystem::path& path, unsigned mode);
  ControlSocket(ControlSocket&& other) noexcept = default;
  ControlSocket& operator=(ControlSocket&&) = delete;
  ~ControlSocket();

  // Lets applications in: only when everything behind it is ready.
  [[nodiscard]] std::expected<void, std::string> listen() const;
  [[nodiscard]] int get() const noexcept { return socket_.get(); }
  [[nodiscard]] int lock() const noexcept { return lock_.get(); }

 private:
  ControlSocket(std::filesystem::path path, ipc::Fd lock, ipc::Fd socket)
      : path_(std::move(path)), lock_(std::move(lock)), socket_(std::move(socket)) {}
  std::filesystem::path path_;
  ipc::Fd lock_, socket_;
};

// Raises the soft limit of file descriptors to the hard one; returns what it is now.
std::size_t raise_descriptor_limit();

}  // namespace rtchan::rtcd
