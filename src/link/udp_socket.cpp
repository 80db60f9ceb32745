#include "link/udp_socket.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace rtchan::link {

namespace {

constexpr std::uint32_t priority_for_all =
    6;  // above, SO_PRIORITY names a class of a qdisc and needs a capability

const char* name(TrafficClass cls) {
  switch (cls) {
    case TrafficClass::real_time: return "real-time";
    case TrafficClass::best_effort: return "best-effort";
    case TrafficClass::middle: return "middle-class";
  }
  return "?";
}

Error system_error(std::string_view call, const std::string& where) {
  const int error = errno;
  const Errc code = error == EADDRINUSE                 ? Errc::port_in_use
                    : error == EADDRNOTAVAIL            ? Errc::invalid_argument
                    : error == EPERM || error == EACCES ? Errc::permission_denied
                                                        : Errc::system;
  return {.code = code, .text = fmt::format("{} {}: {}", call, where, std::strerror(error))};
}

bool set(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

int get(int fd, int level, int option) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, level, option, &value, &length) == 0 ? value : 0;
}

// The kernel doubles what is asked for, to cover its own bookkeeping, and reports the doubled value.
void set_buffer(int fd, int option, int force_option, std::uint32_t wanted, std::string_view what,
                std::string_view sysctl, std::vector<std::string>& shortcomings) {
  const int bytes = static_cast<int>(std::min<std::uint32_t>(wanted, 1u << 30));
  if (!set(fd, SOL_SOCKET, force_option, bytes)) set(fd, SOL_SOCKET, option, bytes);
  const int granted = get(fd, SOL_SOCKET, option) / 2;
  if (granted < bytes) {
    shortcomings.push_back(
        fmt::format("{} buffer is {} of the {} bytes asked for: raise {}", what, granted, bytes, sysctl));
  }
}

void set_buffers(int fd, const UdpConfig& config, TrafficClass cls, std::vector<std::string>& shortcomings) {
  set_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, config.receive_buffer_bytes, fmt::format("{} receive", name(cls)),
             "net.core.rmem_max", shortcomings);
  set_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, config.send_buffer_bytes, fmt::format("{} send", name(cls)),
             "net.core.wmem_max", shortcomings);
}

// Marks for switches and for our own queueing discipline. IP_TOS sets a priority too, so SO_PRIORITY follows.
void set_marks(int fd, bool v4, const UdpConfig& config, TrafficClass cls,
               std::vector<std::string>& shortcomings) {
  const auto at = static_cast<std::size_t>(cls);
  const int traffic_class = config.dscp[at] << 2;
  if (!(v4 ? set(fd, IPPROTO_IP, IP_TOS, traffic_class)
           : set(fd, IPPROTO_IPV6, IPV6_TCLASS, traffic_class))) {
    shortcomings.push_back(fmt::format("{} packets are not marked with DSCP {}: {}", name(cls),
                                       config.dscp[at], std::strerror(errno)));
  }
  if (!set(fd, SOL_SOCKET, SO_PRIORITY, static_cast<int>(config.priority[at]))) {
    shortcomings.push_back(fmt::format("{} packets do not have priority {:#x} in the qdisc: {}", name(cls),
                                       config.priority[at], std::strerror(errno)));
  }
}

// DF: a packet that does not fit is refused here (EMSGSIZE), not cut into pieces that are lost together.
bool forbid_fragments(int fd, bool v4) {
  if (v4) return set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
  return set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO) &&
         set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
}

void ask_for_reports(int fd, bool segmentation, TrafficClass cls, std::vector<std::string>& shortcomings) {
  if (!set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1)) {
    shortcomings.push_back(fmt::format("{} packets carry no arrival stamp", name(cls)));
  }
  if (!set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1)) {
    shortcomings.push_back(fmt::format("{} packets that the kernel drops are not counted", name(cls)));
  }
  if (segmentation && !set(fd, SOL_UDP, UDP_GRO, 1)) {
    shortcomings.push_back(
        fmt::format("{} packets are received one by one: no UDP_GRO in this kernel", name(cls)));
  }
}

bool bind_to(int fd, Endpoint local, TrafficClass cls) {
  local.port = static_cast<std::uint16_t>(local.port + static_cast<int>(cls));
  socklen_t length = 0;
  const sockaddr_storage address = local.to_sockaddr(length);
  return bind(fd, reinterpret_cast<const sockaddr*>(&address), length) == 0;
}

}  // namespace

std::expected<UdpSocket, Error> UdpSocket::open(const UdpConfig& config, TrafficClass cls,
                                                std::vector<std::string>& shortcomings) {
  const bool v4 = config.local.address.is_v4();
  const std::string where = fmt::format("{} socket of {}", name(cls), config.local.text());
  UdpSocket opened(socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int fd = opened.fd();
  if (fd < 0) return std::unexpected(system_error("socket()", where));
  if (!v4 && !set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1))
    return std::unexpected(system_error("IPV6_V6ONLY", where));
  if (!forbid_fragments(fd, v4)) return std::unexpected(system_error("setting DF on", where));
  set_buffers(fd, config, cls, shortcomings);
  set_marks(fd, v4, config, cls, shortcomings);
  const std::uint32_t priority = config.priority[static_cast<std::size_t>(cls)];
  if (priority > priority_for_all && get(fd, SOL_SOCKET, SO_PRIORITY) != static_cast<int>(priority)) {
    return std::unexpected(Error{
        .code = Errc::permission_denied,
        .text =
            fmt::format("{} must have priority {:#x} for its guard: needs CAP_NET_ADMIN", where, priority)});
  }
  ask_for_reports(fd, config.segmentation, cls, shortcomings);
  if (!config.interface.empty() && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, config.interface.data(),
                                              static_cast<socklen_t>(config.interface.size())) != 0) {
    return std::unexpected(system_error("SO_BINDTODEVICE " + config.interface, where));
  }
  if (!bind_to(fd, config.local, cls)) return std::unexpected(system_error("bind()", where));
  return opened;
}

UdpSocket::~UdpSocket() {
  if (fd_ >= 0) close(fd_);
}

// An old kernel would ignore the control message and send the batch as one huge datagram: ask first.
bool UdpSocket::can_segment() const {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd_, SOL_UDP, UDP_SEGMENT, &value, &length) == 0;
}

std::size_t UdpSender::send(int fd, std::span<const TxPacket> packets, std::size_t payload_bytes,
                            Driver::Counters& counters) {
  std::size_t taken = 0;
  single_ = 0;
  while (taken < packets.size()) {
    if (packets[taken].bytes.size() > payload_bytes) {
      ++counters.oversized;
      ++taken;
      continue;
    }
    const std::size_t batches = prepare(packets.subspan(taken), payload_bytes);
    const int sent = sendmmsg(fd, messages_.data(), static_cast<unsigned>(batches), MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (!refused(errno, batches_[0], counters, taken)) break;
      continue;
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(sent); ++i) {
      taken += batches_[i].packets;
      counters.sent += batches_[i].packets;
      counters.sent_bytes += batches_[i].bytes;
      passed(batches_[i]);
    }
  }
  return taken;
}

// How many of the first packets can go as one batch.
std::size_t UdpSender::segments_from(std::span<const TxPacket> packets) const {
  const std::size_t size = packets[0].bytes.size();
  std::size_t total = size;
  std::size_t n = 1;
  while (n < packets.size() && n < limits::udp_segments) {
    const std::size_t next = packets[n].bytes.size();
    if (next > size || next == 0 || total + next > limits::udp_batch_bytes ||
        *packets[n].to != *packets[0].to)
      break;
    total += next;
    ++n;
    if (next < size) break;  // only the last may be shorter
  }
  return n;
}

std::size_t UdpSender::prepare(std::span<const TxPacket> packets, std::size_t payload_bytes) {
  std::size_t batch = 0;
  std::size_t done = 0;
  while (batch < limits::udp_batches_per_call && done < packets.size() &&
         packets[done].bytes.size() <= payload_bytes) {
    const bool alone = !segmentation_ || done < single_;
    const auto limit = std::min(packets.size(), limits::udp_packets_per_call) - done;
    if (limit == 0) break;
    const std::size_t n = alone ? 1 : segments_from(packets.subspan(done, limit));
    fill(batch, packets.subspan(done, n), &vectors_[done]);
    done += n;
    ++batch;
  }
  return batch;
}

void UdpSender::fill(std::size_t batch, std::span<const TxPacket> packets, iovec* vectors) {
  Batch& b = batches_[batch];
  b.packets = packets.size();
  b.bytes = 0;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    // sendmsg only reads, but iovec has no const form.
    vectors[i] = {const_cast<std::byte*>(packets[i].bytes.data()), packets[i].bytes.size()};
    b.bytes += packets[i].bytes.size();
  }
  msghdr& header = messages_[batch].msg_hdr;
  header = {};
  Endpoint to = *packets[0].to;
  to.port = static_cast<std::uint16_t>(to.port + port_offset_);
  b.to = to.to_sockaddr(header.msg_namelen);
  header.msg_name = &b.to;
  header.msg_iov = vectors;
  header.msg_iovlen = packets.size();
  if (packets.size() == 1) return;
  header.msg_control = b.control.data();
  header.msg_controllen = b.control.size();
  cmsghdr* control = CMSG_FIRSTHDR(&header);
  control->cmsg_level = SOL_UDP;
  control->cmsg_type = UDP_SEGMENT;
  control->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
  const auto size = static_cast<std::uint16_t>(packets[0].bytes.size());
  std::memcpy(CMSG_DATA(control), &size, sizeof size);
}

bool UdpSender::refused(int error, const Batch& batch, Driver::Counters& counters, std::size_t& taken) {
  if (error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS || error == ENOMEM) return false;
  if (batch.packets > 1) {
    single_ = batch.packets;
    suspect_ = true;
    return true;
  }
  ++(error == EMSGSIZE ? counters.oversized : counters.send_errors);
  ++taken;
  suspect_ = false;
  if (single_ > 0) --single_;
  return true;
}

// When every packet of a refused batch passes alone, it is batches that this system refuses: never again.
void UdpSender::passed(const Batch& batch) {
  if (single_ == 0) return;
  single_ -= std::min(single_, batch.packets);
  if (single_ == 0 && suspect_) segmentation_ = false;
}

// The odd 320 bytes keep the beginnings of the buffers out of one cache set.
UdpReceiver::UdpReceiver(std::uint32_t batch, std::size_t datagram_bytes)
    : buffers_(batch, datagram_bytes + 320),
      control_(batch),
      from_(batch),
      vectors_(batch),
      messages_(batch),
      datagrams_(batch) {
  for (std::uint32_t i = 0; i < batch; ++i) {
    vectors_[i] = {buffers_.bytes(i).data(), datagram_bytes};
    ready(i);
  }
}

// recvmmsg shortens the lengths of what it fills.
void UdpReceiver::ready(std::size_t i) {
  msghdr& header = messages_[i].msg_hdr;
  header = {};
  header.msg_name = &from_[i];
  header.msg_namelen = sizeof from_[i];
  header.msg_iov = &vectors_[i];
  header.msg_iovlen = 1;
  header.msg_control = control_[i].data();
  header.msg_controllen = control_[i].size();
}

std::size_t UdpReceiver::receive(int fd, Instant now, std::span<RxPacket> out, std::uint64_t& kernel_drops) {
  if (next_ == count_) take_in(fd, now, kernel_drops);
  std::size_t n = 0;
  while (n < out.size() && next_ < count_) {
    Datagram& d = datagrams_[next_];
    const std::size_t length = std::min(d.segment == 0 ? d.bytes.size() : d.segment, d.bytes.size() - d.cut);
    out[n++] = RxPacket{d.from, d.bytes.subspan(d.cut, length), d.arrival, d.stamped};
    d.cut += length;
    if (d.cut == d.bytes.size()) ++next_;
  }
  return n;
}

void UdpReceiver::take_in(int fd, Instant now, std::uint64_t& kernel_drops) {
  for (std::size_t i = 0; i < count_; ++i) ready(i);
  next_ = 0;
  count_ = 0;
  const int taken =
      recvmmsg(fd, messages_.data(), static_cast<unsigned>(messages_.size()), MSG_DONTWAIT, nullptr);
  if (taken <= 0) return;
  timespec wall{};
  const Instant before = RawClock::now();
  clock_gettime(CLOCK_REALTIME, &wall);
  const Instant after = RawClock::now();
  clock_.update(before + (after - before) / 2,
                std::chrono::seconds{wall.tv_sec} + std::chrono::nanoseconds{wall.tv_nsec});
  for (; count_ < static_cast<std::size_t>(taken); ++count_)
    datagrams_[count_] = read(count_, now, kernel_drops);
}

UdpReceiver::Datagram UdpReceiver::read(std::size_t i, Instant now, std::uint64_t& kernel_drops) {
  Datagram d;
  d.from = Endpoint::from_sockaddr(from_[i]).value_or(Endpoint{});
  d.bytes = std::as_const(buffers_).bytes(static_cast<std::uint32_t>(i)).first(messages_[i].msg_len);
  d.arrival = now;
  msghdr& header = messages_[i].msg_hdr;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
      timespec stamp{};
      std::memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
      const auto arrival =
          clock_.convert(std::chrono::seconds{stamp.tv_sec} + std::chrono::nanoseconds{stamp.tv_nsec}, now);
      d.arrival = arrival.value_or(now);
      d.stamped = arrival.has_value();
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
      std::uint32_t total = 0;  // of this socket, modulo 2^32
      std::memcpy(&total, CMSG_DATA(c), sizeof total);
      kernel_drops += static_cast<std::uint32_t>(total - drops_seen_);
      drops_seen_ = total;
    } else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
      int segment = 0;
      std::memcpy(&segment, CMSG_DATA(c), sizeof segment);
      d.segment = segment > 0 ? static_cast<std::size_t>(segment) : 0;
    }
  }
  return d;
}

}  // namespace rtchan::link
