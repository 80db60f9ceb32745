#include "link/guard/htb.hpp"

#include <fmt/format.h>
#include <linux/pkt_sched.h>
#include <netlink/route/class.h>
#include <netlink/route/link.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/qdisc/htb.h>
#include <netlink/route/tc.h>

#include <algorithm>

#include "base/text.hpp"
#include "link/netlink.hpp"
#include "link/qdisc.hpp"

namespace rtchan::link {

namespace {

constexpr std::uint32_t handle = 0x52740000;  // "Rt": how a leftover of ours is told from a foreign qdisc
constexpr std::uint32_t root_class = handle | 0x1;
constexpr std::uint32_t real_time_class = handle | 0x10;
constexpr std::uint32_t other_class = handle | 0x20;
constexpr std::uint32_t ethernet_header_bytes = 14;

struct PutQdisc {
  void operator()(rtnl_qdisc* qdisc) const { rtnl_qdisc_put(qdisc); }
  void operator()(rtnl_class* cls) const { rtnl_class_put(cls); }
  void operator()(rtnl_link* link) const { rtnl_link_put(link); }
};
using Qdisc = std::unique_ptr<rtnl_qdisc, PutQdisc>;
using Class = std::unique_ptr<rtnl_class, PutQdisc>;
using Link = std::unique_ptr<rtnl_link, PutQdisc>;

bool is_ours(const RootQdisc& root) {
  return root.kind == "htb" && root.handle == handle;
}

// The kernel bounds how much TCP and UDP put into one piece (GSO); HTB lets a piece pass as a whole.
std::expected<void, Error> set_gso_max(nl_sock* socket, int index, std::uint32_t bytes) {
  const Netlink<nl_msg> message(nlmsg_alloc_simple(RTM_NEWLINK, 0));
  ifinfomsg header{};
  header.ifi_index = index;
  if (!message || nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO) < 0 ||
      nla_put_u32(message.get(), IFLA_GSO_MAX_SIZE, bytes) < 0) {
    return std::unexpected(netlink_error("message", -NLE_NOMEM));
  }
  const int sent = nl_send_auto(socket, message.get());
  const int error = sent < 0 ? sent : nl_wait_for_ack(socket);
  if (error < 0) return std::unexpected(netlink_error("setting the largest GSO size", error));
  return {};
}

std::uint32_t gso_max_of(nl_sock* socket, int index) {
  rtnl_link* raw = nullptr;
  if (rtnl_link_get_kernel(socket, index, nullptr, &raw) < 0) return 0;
  const Link link(raw);
  std::uint32_t bytes = 0;
  return rtnl_link_get_gso_max_size(raw, &bytes) < 0 ? 0 : bytes;
}

class Htb final : public Guard {
 public:
  Htb(const GuardConfig& config, const Interface& interface, Netlink<nl_sock> socket)
      : config_(config),
        interface_(interface),
        socket_(std::move(socket)),
        root_rate_(htb_root_rate(config.bits_per_second, config.root_percent)),
        other_rate_(htb_other_rate(root_rate_)) {
    const std::uint32_t frame = interface.mtu_bytes + ethernet_header_bytes;
    gso_max_ = config.gso_max_bytes != 0 ? std::max(config.gso_max_bytes, 2 * frame) : htb_piece_bytes(root_rate_, frame);
  }
  ~Htb() override { remove(); }

  std::expected<void, Error> install();

  std::optional<std::string> check(Instant, std::uint64_t) override;
  std::uint32_t priority(TrafficClass cls) const override {
    return cls == TrafficClass::best_effort ? 0 : real_time_class;
  }
  std::uint64_t guarded_bits_per_second() const override { return root_rate_ - other_rate_; }
  std::uint64_t foreign_blocking_bytes() const override {
    return before_us_with_htb(gso_max_, interface_.mtu_bytes + ethernet_header_bytes);
  }
  std::string condition() const override {
    return fmt::format("exact: HTB on {} at {} puts other programs behind us{}", config_.interface,
                       format_bit_rate(root_rate_), gso_bounded_ ? "" : "; their GSO size is not bounded");
  }

 private:
  std::uint32_t burst_bytes() const { return gso_max_ + interface_.mtu_bytes + ethernet_header_bytes; }
  std::expected<void, Error> add_qdisc();
  std::expected<void, Error> add_class(std::uint32_t id, std::uint32_t parent, std::uint64_t rate,
                                       std::uint32_t prio);
  std::expected<std::uint64_t, Error> rate_of(std::uint32_t id);
  void remove();

  GuardConfig config_;
  Interface interface_;
  Netlink<nl_sock> socket_;
  std::uint64_t root_rate_;
  std::uint64_t other_rate_;
  std::uint32_t gso_max_ = 0;
  std::uint32_t gso_max_before_ = 0;
  bool gso_bounded_ = false;
  bool installed_ = false;
};

std::expected<void, Error> Htb::install() {
  const auto root = root_qdisc(socket_.get(), interface_.index);
  if (!root) return std::unexpected(root.error());
  if (root->handle != 0 && !is_ours(*root) && !config_.replace_foreign) {
    return std::unexpected(
        Error{.code = Errc::refused,
              .text = fmt::format(
                  "{} already has a configured qdisc ({} {:x}:): remove it, allow its replacement, or use "
                  "guard share",
                  config_.interface, root->kind, root->handle >> 16)});
  }
  if (root->handle != 0) {
    const Qdisc old(rtnl_qdisc_alloc());
    auto* tc = TC_CAST(old.get());
    rtnl_tc_set_ifindex(tc, interface_.index);
    rtnl_tc_set_parent(tc, TC_H_ROOT);
    if (const int error = rtnl_qdisc_delete(socket_.get(), old.get()); error < 0) {
      return std::unexpected(netlink_error("removing the old qdisc of " + config_.interface, error));
    }
  }
  if (auto done = add_qdisc(); !done) return done;
  installed_ = true;  // from here on the destructor cleans up
  if (auto done = add_class(root_class, handle, root_rate_, 0); !done) return done;
  if (auto done = add_class(real_time_class, root_class, root_rate_ - other_rate_, 0); !done) return done;
  if (auto done = add_class(other_class, root_class, other_rate_, 1); !done) return done;
  gso_max_before_ = gso_max_of(socket_.get(), interface_.index);
  gso_bounded_ = set_gso_max(socket_.get(), interface_.index, gso_max_).has_value();
  return {};
}

std::expected<void, Error> Htb::add_qdisc() {
  const Qdisc qdisc(rtnl_qdisc_alloc());
  auto* tc = TC_CAST(qdisc.get());
  rtnl_tc_set_ifindex(tc, interface_.index);
  rtnl_tc_set_parent(tc, TC_H_ROOT);
  rtnl_tc_set_handle(tc, handle);
  rtnl_tc_set_kind(tc, "htb");
  rtnl_htb_set_defcls(qdisc.get(), TC_H_MIN(other_class));
  if (const int error = rtnl_qdisc_add(socket_.get(), qdisc.get(), NLM_F_CREATE | NLM_F_EXCL); error < 0) {
    return std::unexpected(netlink_error("installing HTB on " + config_.interface, error));
  }
  return {};
}

std::expected<void, Error> Htb::add_class(std::uint32_t id, std::uint32_t parent, std::uint64_t rate,
                                          std::uint32_t prio) {
  const Class cls(rtnl_class_alloc());
  auto* tc = TC_CAST(cls.get());
  rtnl_tc_set_ifindex(tc, interface_.index);
  rtnl_tc_set_mtu(tc, interface_.mtu_bytes + ethernet_header_bytes);
  rtnl_tc_set_parent(tc, parent);
  rtnl_tc_set_handle(tc, id);
  rtnl_tc_set_kind(tc, "htb");
  rtnl_htb_set_rate64(cls.get(), rate / 8);
  rtnl_htb_set_ceil64(cls.get(), root_rate_ / 8);
  rtnl_htb_set_rbuffer(cls.get(), burst_bytes());
  rtnl_htb_set_cbuffer(cls.get(), burst_bytes());
  rtnl_htb_set_prio(cls.get(), prio);
  rtnl_htb_set_quantum(cls.get(), interface_.mtu_bytes + ethernet_header_bytes);
  if (const int error = rtnl_class_add(socket_.get(), cls.get(), NLM_F_CREATE | NLM_F_EXCL); error < 0) {
    return std::unexpected(
        netlink_error(fmt::format("HTB class {:x} on {}", id & 0xffff, config_.interface), error));
  }
  return {};
}

std::expected<std::uint64_t, Error> Htb::rate_of(std::uint32_t id) {
  nl_cache* raw = nullptr;
  if (const int error = rtnl_class_alloc_cache(socket_.get(), interface_.index, &raw); error < 0) {
    return std::unexpected(netlink_error("list of classes", error));
  }
  const Netlink<nl_cache> cache(raw);
  const Class cls(rtnl_class_get(raw, interface_.index, id));
  std::uint64_t bytes_per_second = 0;
  if (!cls || rtnl_htb_get_rate64(cls.get(), &bytes_per_second) < 0) return 0;
  return bytes_per_second * 8;
}

std::optional<std::string> Htb::check(Instant, std::uint64_t) {
  const auto root = root_qdisc(socket_.get(), interface_.index);
  if (!root) return root.error().text;
  if (!is_ours(*root)) {
    return fmt::format("our HTB on {} was replaced by {}", config_.interface,
                       root->kind.empty() ? "nothing" : root->kind);
  }
  const auto rate = rate_of(real_time_class);
  if (!rate) return rate.error().text;
  if (*rate / 8 != (root_rate_ - other_rate_) / 8) {
    return fmt::format("the real-time class on {} was changed to {}", config_.interface,
                       format_bit_rate(*rate));
  }
  return std::nullopt;
}

void Htb::remove() {
  if (!installed_) return;
  if (gso_bounded_ && gso_max_before_ != 0) {
    (void)set_gso_max(socket_.get(), interface_.index,
                      gso_max_before_);  // the interface may be gone: nothing to undo
  }
  const auto root = root_qdisc(socket_.get(), interface_.index);
  if (!root || !is_ours(*root)) return;  // somebody else's by now
  const Qdisc qdisc(rtnl_qdisc_alloc());
  auto* tc = TC_CAST(qdisc.get());
  rtnl_tc_set_ifindex(tc, interface_.index);
  rtnl_tc_set_parent(tc, TC_H_ROOT);
  rtnl_qdisc_delete(socket_.get(), qdisc.get());
}

}  // namespace

std::expected<std::unique_ptr<Guard>, Error> install_htb(const GuardConfig& config,
                                                         const Interface& interface) {
  if (config.bits_per_second < 100'000 || config.root_percent < 50 || config.root_percent > 100) {
    return std::unexpected(
        Error{.code = Errc::invalid_argument,
              .text = "guard htb needs a capacity of at least 100kbit and a root of 50 to 100 %"});
  }
  auto socket = netlink_route_socket();
  if (!socket) return std::unexpected(socket.error());
  auto guard = std::make_unique<Htb>(config, interface, std::move(*socket));
  if (auto done = guard->install(); !done) return std::unexpected(done.error());
  return guard;
}

}  // namespace rtchan::link
