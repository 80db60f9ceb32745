// One application's session as one worker sees it. Made and destroyed by the housekeeper; between handover and return it
// belongs to the data thread.
#pragma once

#include <array>
#include <cstdint>

#include "base/ids.hpp"
#include "ipc/layout.hpp"
#include "rtcd/arena.hpp"
#include "rtcd/fd.hpp"

namespace rtchan::clips {
class Clip;
}

namespace rtchan::rtcd {

inline constexpr std::uint32_t no_slot = UINT32_MAX;

// Which clip serves a channel number: chunks exist only where channels were opened.
struct SlotChunk {
  static constexpr std::uint32_t channels = 256;
  std::array<std::uint32_t, channels> slot;
  SlotChunk() { slot.fill(no_slot); }
};

struct WorkerSession {
  SessionId id{};
  ArenaMap arena;
  Fd doorbell;
  ipc::SessionBlock* block{};              // start of the arena
  ipc::SessionBlock::ToWorker* to_worker{};  // our part of it

  // Data thread only.
  std::array<SlotChunk*, limits::channels_per_session / SlotChunk::channels> chunks{};
  bool polled = false;        // its ready bits are looked at every turn; else it rings when it has something
  bool touched = false;       // something was published to it in this turn
  std::uint32_t idle_turns = 0;

  [[nodiscard]] std::uint32_t slot_of(std::uint32_t channel) const noexcept {
    if (channel >= limits::channels_per_session) return no_slot;
    const SlotChunk* chunk = chunks[channel / SlotChunk::channels];
    return chunk == nullptr ? no_slot : chunk->slot[channel % SlotChunk::channels];
  }
  ~WorkerSession() {
    for (SlotChunk* chunk : chunks) delete chunk;
  }
};

// housekeeper -> data thread
struct Handover {
  enum class Kind : std::uint8_t { add_session, drop_session, open_clip } kind{};
  bool sends{};                 // open_clip: the application is its producer
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
  void* what{};                 // WorkerSession or Clip
};

}  // namespace rtchan::rtcd
