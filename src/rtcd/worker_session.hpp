// One application's session as one worker sees it. Made and destroyed by the housekeeper; between handover and return it
// belongs to the data thread.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "base/ids.hpp"
#include "clips/domain.hpp"
#include "clips/shared_queues.hpp"
#include "ipc/layout.hpp"
#include "rtcd/arena.hpp"
#include "ipc/fd.hpp"

namespace rtchan::rtcd {

inline constexpr std::uint32_t no_slot = UINT32_MAX;

// Which clip serves a channel number: chunks exist only where channels were opened.
struct SlotChunk {
  static constexpr std::uint32_t channels = 256;
  std::array<std::uint32_t, channels> slot;
  SlotChunk() { slot.fill(no_slot); }
};

struct WorkerSession {
  static constexpr std::uint32_t chunks_most = limits::channels_per_session / SlotChunk::channels;

  WorkerSession(SessionId session, ArenaMap map, ipc::Fd bell_fd, std::uint32_t worker)
      : id(session),
        arena(std::move(map)),
        doorbell(std::move(bell_fd)),
        block(reinterpret_cast<ipc::SessionBlock*>(arena.bytes().data())),
        to_worker(&block->to_worker[worker]),
        bell(session, block->to_app) {
    bell.owner = this;
  }
  ~WorkerSession() {
    for (SlotChunk* chunk : chunks) delete chunk;
  }
  WorkerSession(const WorkerSession&) = delete;
  WorkerSession& operator=(const WorkerSession&) = delete;

  const SessionId id;
  const ArenaMap arena;
  const ipc::Fd doorbell;
  ipc::SessionBlock* const block;
  ipc::SessionBlock::ToWorker* const to_worker;  // this worker's part of it

  // --- data thread only, until it is given back ---
  struct Bell : clips::SessionBell {
    using SessionBell::SessionBell;
    WorkerSession* owner = nullptr;
  } bell;
  std::array<SlotChunk*, chunks_most> chunks{};
  bool polled = false;           // its ready bits are looked at every turn; else it rings when it has something
  std::uint32_t idle_turns = 0;  // looked in vain

  [[nodiscard]] std::uint32_t slot_of(std::uint32_t channel) const noexcept {
    if (channel >= limits::channels_per_session) return no_slot;
    const SlotChunk* chunk = chunks[channel / SlotChunk::channels];
    return chunk == nullptr ? no_slot : chunk->slot[channel % SlotChunk::channels];
  }
};

// housekeeper -> data thread
struct Handover {
  enum class Kind : std::uint8_t { add_session, drop_session, open_clip } kind{};
  WorkerSession* session{};
  clips::Clip* clip{};          // owned by the receiver
  ClipSlot slot{};
  ChannelId channel{};
  SlotChunk* chunk{};           // for the channel's number, where there was none yet; owned by the receiver
};

// data thread -> housekeeper
struct Return {
  enum class Kind : std::uint8_t { session_dropped, clip_closed } kind{};
  ClipSlot slot{};
  WorkerSession* session{};
  clips::Clip* clip{};
};

// The rings between the two threads of a worker, and their wake-ups. A return can always be pushed: there are never more
// clips and sessions out than it has room for.
struct InnerRings {
  static constexpr std::size_t returns_most = 131'072;
  static_assert(returns_most >= limits::clips_per_worker + limits::sessions_per_worker);

  Ring<Handover, 1'024> handovers;
  Ring<Return, returns_most> returns;
  ipc::Fd housekeeper_wake;          // eventfd
  std::atomic<std::uint32_t> housekeeper_sleeping{0};
  std::atomic<bool> stop{false};
};

}  // namespace rtchan::rtcd
