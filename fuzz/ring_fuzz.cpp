// An application that writes anything anywhere into its queues, interleaved with the daemon's use of them. The input is a
// program: each byte an operation, its operands the bytes that follow. Checked: the daemon never holds a slot
// twice, never accepts a slot or length outside the queue, and touches nothing outside (address sanitizer: the
// queues end where the allocation ends).
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "ipc/daemon_view.hpp"
#include "ipc/ring_memory.hpp"

namespace {

using namespace rtchan;
using namespace rtchan::ipc;

constexpr QueuePlace send_place{0, 4, 64, 4, 64};
constexpr std::size_t send_bytes = slots_offset(send_place) + 4 * 64;
constexpr QueuePlace receive_place{(send_bytes + 63) / 64 * 64, 4, 64, 4, 64};
constexpr std::size_t all_bytes = receive_place.offset + slots_offset(receive_place) + 4 * 64;

void require(bool condition) {
  if (!condition) std::abort();
}

struct Input {
  const std::uint8_t* at;
  const std::uint8_t* end;
  [[nodiscard]] bool more() const { return at != end; }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    for (; bytes > 0 && more(); --bytes) value = value << 8 | *at++;
    return value;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static auto* const memory = static_cast<std::byte*>(std::aligned_alloc(64, all_bytes));
  std::memset(memory, 0, all_bytes);
  const std::span<std::byte> arena{memory, all_bytes};
  SendQueue send(arena, send_place);
  ReceiveQueue receive(arena, receive_place);
  std::vector<SendQueue::Message> taken;
  std::vector<std::uint32_t> assembling;
  Input in{data, data + size};
  while (in.more()) {
    switch (in.number(1) % 10) {
      case 0: {  // anything anywhere
        const std::uint64_t value = in.number(8);
        std::memcpy(memory + in.number(2) % (all_bytes - 8), &value, 8);
        break;
      }
      case 1: {  // a descriptor and a tail
        auto* block = reinterpret_cast<QueueBlock*>(memory + send_place.offset);
        const auto index = in.number(1);
        store_descriptor(ready_entry(memory + send_place.offset, send_place, index),
                         {static_cast<std::uint32_t>(in.number(1)), static_cast<std::uint32_t>(in.number(1)), 0, 0, 0});
        block->producer.ready_tail += in.number(1);
        break;
      }
      case 2: {  // slots given back
        auto* block = reinterpret_cast<QueueBlock*>(memory + receive_place.offset);
        store_free(free_entry(memory + receive_place.offset, receive_place, in.number(1)), static_cast<std::uint32_t>(in.number(1)));
        block->consumer.free_tail += in.number(1);
        break;
      }
      case 3:
      case 4:
        if (const auto m = send.take()) {
          require(m->slot < send_place.slots && m->length >= 1 && m->length <= send_place.message_bytes);
          for (const auto& other : taken) require(other.slot != m->slot);
          taken.push_back(*m);
          std::array<std::byte, 64> copy{};
          send.read(*m, 0, std::span{copy}.first(m->length));
        }
        break;
      case 5:
        if (!taken.empty()) {
          const auto which = taken.begin() + static_cast<std::ptrdiff_t>(in.number(1) % taken.size());
          send.release(*which);
          taken.erase(which);
        }
        break;
      case 6:
      case 7:
        if (const auto slot = receive.reserve()) {
          require(*slot < receive_place.slots);
          for (const auto other : assembling) require(other != *slot);
          assembling.push_back(*slot);
          receive.write(*slot, 0, std::array<std::byte, 64>{});
        }
        break;
      case 8:
        if (!assembling.empty()) {
          receive.publish(assembling.back(), 64, 0, {}, {});
          assembling.pop_back();
        }
        break;
      case 9:
        if (!assembling.empty()) {
          receive.abandon(assembling.back());
          assembling.pop_back();
        }
        break;
    }
  }
  return 0;
}
