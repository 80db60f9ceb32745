#include "rtcd/arena.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/limits.hpp"
#include "ipc/layout.hpp"

namespace rtchan::rtcd {
namespace {

std::unexpected<std::string> failed(const char* call) {
  return std::unexpected(fmt::format("{}: {}", call, std::strerror(errno)));
}

}  // namespace

std::expected<ArenaMap, std::string> ArenaMap::map(int memfd) {
  void* at = mmap(nullptr, limits::arena_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memfd, 0);
  if (at == MAP_FAILED) return failed("mmap of an arena");
  madvise(at, limits::arena_bytes, MADV_DONTDUMP);
  ArenaMap map;
  map.bytes_ = {static_cast<std::byte*>(at), limits::arena_bytes};
  return map;
}

ArenaMap::~ArenaMap() {
  if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
}

std::expected<void, std::string> ArenaMap::populate(std::size_t offset, std::size_t length) const {
  const std::size_t from = offset / ipc::page * ipc::page;
  const std::size_t to = (offset + length + ipc::page - 1) / ipc::page * ipc::page;
  if (to > bytes_.size() || from > to) return std::unexpected(std::string{"the queue lies outside the arena"});
  // Fails with an error where a plain touch would end the process by SIGBUS.
  while (madvise(bytes_.data() + from, to - from, MADV_POPULATE_WRITE) != 0) {
    if (errno != EINTR && errno != EAGAIN) return failed("no memory for the queue: MADV_POPULATE_WRITE");
  }
  return {};
}

std::expected<ipc::Fd, std::string> create_arena() {
  ipc::Fd memfd{memfd_create("rtchan-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!memfd) return failed("memfd_create");
  if (ftruncate(memfd.get(), static_cast<off_t>(limits::arena_bytes)) != 0) return failed("ftruncate of an arena");
  if (fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) return failed("sealing an arena's size");
  return memfd;
}

std::expected<void, std::string> seal_arena(int memfd) {
  if (fcntl(memfd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0) return failed("sealing an arena");
  return {};
}

}  // namespace rtchan::rtcd
