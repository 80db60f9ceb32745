#include "probe/network.hpp"

#include <fmt/format.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/text.hpp"

namespace rtchan::probe {

namespace {

template <class Answer>
bool ask(int fd, const std::string& interface, std::uint32_t command, Answer& answer) {
  answer.cmd = command;
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&answer);
  return ioctl(fd, SIOCETHTOOL, &request) == 0;
}

// Drivers whose native XDP their documentation in the kernel's tree describes.
constexpr std::array native_xdp = {"atlantic", "bnxt_en", "ena", "i40e", "iavf", "ice", "igb", "igc", "ixgbe", "ixgbevf", "mlx4_en",
                                   "mlx5_core", "mvneta", "mvpp2", "netsec", "nfp", "qede", "sfc", "stmmac", "tun", "veth", "virtio_net"};

}  // namespace

Device device_of(const std::string& interface) {
  Device device;
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return device;
  ethtool_drvinfo info{};
  if (ask(fd, interface, ETHTOOL_GDRVINFO, info)) device.driver.assign(info.driver, strnlen(info.driver, sizeof info.driver));
  ethtool_coalesce coalesce{};
  if (ask(fd, interface, ETHTOOL_GCOALESCE, coalesce)) device.receive_delay_us = coalesce.rx_coalesce_usecs;
  ethtool_channels channels{};
  if (ask(fd, interface, ETHTOOL_GCHANNELS, channels)) device.queues = channels.tx_count + channels.combined_count;
  close(fd);
  return device;
}

Finding interface_state(const link::Interface& interface) {
  const std::string speed = interface.bits_per_second == 0 ? "it does not say how fast" : format_bit_rate(interface.bits_per_second);
  const std::string found = fmt::format("{}: {}, MTU {}, {}", interface.name, interface.up ? "up" : "down", interface.mtu_bytes, speed);
  if (!interface.up) return {"interface", Verdict::bad, found, "nothing leaves", fmt::format("ip link set {} up; the cable", interface.name)};
  if (interface.bits_per_second == 0) {
    return {"interface", Verdict::costs, found, "nobody knows how fast packets may come: admission counts on the worst that the processor can take",
            "where a switch or a hypervisor limits it, that is the rate for --link"};
  }
  return good("interface", found);
}

Finding queueing(const link::RootQdisc& root) {
  static constexpr std::array plain = {"", "noqueue", "pfifo_fast", "pfifo", "bfifo", "mq"};
  const std::string kind = root.kind.empty() ? "none" : root.kind;
  if (std::ranges::find(plain, root.kind) != plain.end()) {
    return {"queueing", Verdict::costs, kind, "other programs' packets may stand in front of ours",
            "guard = \"htb\" (ours first, the others held to a rate), or nobody else on this interface"};
  }
  if (kind == "htb") return good("queueing", "htb: other programs are held to their rate if it is rtcd's own guard, see `rtc status`");
  if (kind == "fq" || kind == "fq_codel" || kind == "cake" || kind == "sfq") {
    return {"queueing", Verdict::costs, kind + ": every flow has its turn", "other programs' flows take turns with ours, as many as there are",
            "guard = \"htb\" (ours first, the others held to a rate), or nobody else on this interface"};
  }
  return {"queueing", Verdict::bad, kind, "it may delay or drop packets by rules that admission does not know", "tc qdisc del dev ... root, or guard = \"htb\""};
}

Finding device(const Device& device) {
  if (device.driver.empty()) return {"device", Verdict::unknown, "the driver does not say", {}, {}};
  std::string found = device.driver;
  if (device.queues && *device.queues > 0) found += fmt::format(", {} queue{}", *device.queues, *device.queues == 1 ? "" : "s");
  if (!device.receive_delay_us || *device.receive_delay_us == 0) return good("device", found + ", packets are told at once");
  return {"device", *device.receive_delay_us > 10 ? Verdict::costs : Verdict::good, fmt::format("{}, packets are told after up to {} us", found, *device.receive_delay_us),
          *device.receive_delay_us > 10 ? fmt::format("every packet may arrive {} us later", *device.receive_delay_us) : "",
          *device.receive_delay_us > 10 ? "ethtool -C ... adaptive-rx off rx-usecs 0" : ""};
}

Finding express_path(const Device& device) {
  if (device.driver.empty()) return {"XDP", Verdict::unknown, "the driver does not say who it is", {}, {}};
  const bool native = std::ranges::find(native_xdp, std::string_view{device.driver}) != native_xdp.end();
  return good("XDP", fmt::format("{}: {} (links use UDP sockets today)", device.driver,
                                 native ? "native mode is known for this driver" : "only the generic mode"));
}

Finding socket_buffers(const Files& files, std::uint64_t wanted, bool privileged) {
  const auto most = files.number("proc/sys/net/core/rmem_max");
  if (!most) return {"socket buffers", Verdict::unknown, "the kernel does not say", {}, {}};
  const std::string found = fmt::format("net.core.rmem_max is {}", format_bytes(static_cast<std::uint64_t>(*most)));
  if (privileged) return good("socket buffers", found + "; a privileged rtcd is not bound by it");
  if (static_cast<std::uint64_t>(*most) >= wanted) return good("socket buffers", found);
  return {"socket buffers", Verdict::costs, found, "a burst may be lost in front of the worker", fmt::format("sysctl net.core.rmem_max={}", wanted)};
}

}  // namespace rtchan::probe
