// What really passes on the wire: a packet socket in a host's namespace, stamped by the kernel, independent of
// everything that is under test.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/time.hpp"

namespace rtchan::system_test {

struct Capture {
  std::vector<Duration> times;   // of arrival, in order, on one clock
  std::map<unsigned, std::uint64_t> marks;  // how many had which DSCP
  std::uint64_t missed = 0;      // packets that the socket had no room for
};

// Records arriving UDP datagrams to `port` with at least `payload_min` bytes of payload.
class WireTap {
 public:
  [[nodiscard]] static std::expected<std::unique_ptr<WireTap>, std::string> open(const std::string& netns,
                                                                                 const std::string& interface,
                                                                                 std::uint16_t port, std::size_t payload_min);
  ~WireTap();
  WireTap(const WireTap&) = delete;
  WireTap& operator=(const WireTap&) = delete;
  Capture stop();

 private:
  WireTap(int fd, std::uint16_t port, std::size_t payload_min);
  void listen(const std::stop_token& stop);
  int fd_;
  std::uint16_t port_;
  std::size_t payload_min_;
  Capture capture_;
  std::jthread thread_;
};

// Over all windows that begin and end with a packet: the most packets beyond burst + rate * length. At or below 0: the
// traffic contract was kept in every window.
[[nodiscard]] double worst_excess(const std::vector<Duration>& times, double burst, double rate);

}  // namespace rtchan::system_test
