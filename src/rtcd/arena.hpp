// The memory of one session: a sparse memfd, mapped by control, by every worker and by the application.
//
//   create (no shrinking, no growing) -> control and workers map -> application maps -> seal (no new writable mapping,
//   no hole, no further seal). F_SEAL_SHRINK and F_SEAL_GROW alone would let the application punch holes under us.
#pragma once

#include <cstddef>
#include <expected>
#include <span>
#include <string>
#include <utility>

#include "ipc/fd.hpp"

namespace rtchan::rtcd {

// A mapping of a whole arena; unmapped with the object. Nothing is read or written by mapping it.
class ArenaMap {
 public:
  ArenaMap() = default;
  static std::expected<ArenaMap, std::string> map(int memfd);
  ArenaMap(ArenaMap&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  ArenaMap& operator=(ArenaMap&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~ArenaMap();

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }
  // Gives [offset, offset + length) pages now, so that touching them later cannot fault, and cannot fail. Error: why not
  // (no memory). `length` is rounded up to pages.
  [[nodiscard]] std::expected<void, std::string> populate(std::size_t offset, std::size_t length) const;

 private:
  std::span<std::byte> bytes_;
};

// An unsealed arena of limits::arena_bytes.
std::expected<ipc::Fd, std::string> create_arena();
// After the application has mapped it. Error: the application has sealed or mapped it in a way that is not allowed.
std::expected<void, std::string> seal_arena(int memfd);

}  // namespace rtchan::rtcd
