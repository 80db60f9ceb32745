// Plain UDP between the same two programs: what rtchan is compared with. Blocking sockets with the system's default
// buffers, one system call a datagram, as a careful beginner would write it.
#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <thread>

#include "base/time.hpp"
#include "cli/echo.hpp"
#include <rtchan/endpoint.hpp>
#include <rtchan/error.hpp>

namespace rtchan::cli {

inline constexpr std::uint32_t udp_bytes_min = 48;
inline constexpr std::uint32_t udp_bytes_max = 65'000;

// Answers on a port until it is destroyed: echoes requests of the same length, counts bursts and tells the count.
class UdpResponder {
 public:
  [[nodiscard]] static std::expected<UdpResponder, Error> start(std::uint16_t port);
  UdpResponder(UdpResponder&&) noexcept;
  UdpResponder& operator=(UdpResponder&&) = delete;
  ~UdpResponder();

 private:
  struct State;
  explicit UdpResponder(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

class UdpCaller {
 public:
  [[nodiscard]] static std::expected<UdpCaller, Error> connect(const Endpoint& responder);
  UdpCaller(UdpCaller&& other) noexcept;
  UdpCaller& operator=(UdpCaller&&) = delete;
  ~UdpCaller();

  // Errors: timed_out when no answer came (UDP loses), system.
  [[nodiscard]] std::expected<Duration, Error> round_trip(std::uint64_t sequence, std::uint32_t bytes, Duration timeout);
  // As many datagrams as can be sent in `time`; then asks how many arrived.
  [[nodiscard]] std::expected<BurstResult, Error> burst(std::uint32_t test, std::uint32_t bytes, Duration time);

 private:
  explicit UdpCaller(int fd) noexcept : fd_(fd) {}
  int fd_;
};

}  // namespace rtchan::cli
