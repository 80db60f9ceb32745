// What stands between a worker's hand-over and the wire.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "link/interface.hpp"
#include "link/qdisc.hpp"
#include "probe/files.hpp"
#include "probe/finding.hpp"

namespace rtchan::probe {

// What an interface's driver says of itself (ethtool); nullopt: it does not say.
struct Device {
  std::string driver;
  std::optional<std::uint32_t> receive_delay_us;  // interrupt coalescing
  std::optional<std::uint32_t> queues;
};
[[nodiscard]] Device device_of(const std::string& interface);

[[nodiscard]] Finding interface_state(const link::Interface& interface);
[[nodiscard]] Finding queueing(const link::RootQdisc& root);
[[nodiscard]] Finding device(const Device& device);
// Native, generic or none; from the driver's name, since this kernel may not list what a driver can do.
[[nodiscard]] Finding express_path(const Device& device);
// `wanted`: bytes that a worker's sockets ask for.
[[nodiscard]] Finding socket_buffers(const Files& files, std::uint64_t wanted, bool privileged);

}  // namespace rtchan::probe
