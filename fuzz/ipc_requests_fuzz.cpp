// Control messages from an application (and, symmetrically, from a daemon): decode accepts only what encode could have
// written, and never reads outside.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "ipc/requests.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtchan::ipc;
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span{data + 1, size - 1});
  if (data[0] % 2 == 0) {
    if (const auto request = decode_request(bytes)) {
      const auto again = encode(*request);
      if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) std::abort();
    }
  } else if (const auto reply = decode_reply(bytes)) {
    const auto again = encode(*reply);
    if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) std::abort();
  }
  return 0;
}
