// The public handles of <rtchan/channel.hpp>: each owns a core and lets go of it when destroyed.
#include <algorithm>

#include "librtc/channel_core.hpp"
#include "librtc/listener_core.hpp"
#include "librtc/resolve.hpp"
#include "librtc/session_core.hpp"
#include <rtchan/channel.hpp>

namespace rtchan {

namespace {
std::unexpected<Error> moved_from() { return std::unexpected(api::make_error(Errc::closed, "moved from")); }
}  // namespace

// --- loans -------------------------------------------------------------------------------------------------------

SendLoan::SendLoan(std::shared_ptr<api::ChannelCore> channel, std::uint32_t slot, std::span<std::byte> bytes) noexcept
    : channel_(std::move(channel)), slot_(slot), bytes_(bytes) {}
SendLoan::SendLoan(SendLoan&& other) noexcept
    : channel_(std::move(other.channel_)), slot_(other.slot_), bytes_(std::exchange(other.bytes_, {})) {}
SendLoan& SendLoan::operator=(SendLoan&& other) noexcept {
  if (this != &other) {
    give_back();
    channel_ = std::move(other.channel_);
    slot_ = other.slot_;
    bytes_ = std::exchange(other.bytes_, {});
  }
  return *this;
}
SendLoan::~SendLoan() { give_back(); }
void SendLoan::give_back() noexcept {
  bytes_ = {};
  if (const auto channel = std::move(channel_)) channel->return_send_loan(slot_);
}
std::expected<void, Error> SendLoan::commit(std::size_t length) noexcept {
  if (!channel_) return moved_from();
  if (length == 0 || length > bytes_.size()) {
    return std::unexpected(api::make_error(Errc::invalid_argument, "length is not within 1 byte ... what was lent"));
  }
  bytes_ = {};
  const auto channel = std::move(channel_);
  return channel->commit(slot_, length);
}

ReceiveLoan::ReceiveLoan(ReceiveLoan&&) noexcept = default;
ReceiveLoan& ReceiveLoan::operator=(ReceiveLoan&& other) noexcept {
  if (this != &other) {
    give_back();
    channel_ = std::move(other.channel_);
    slot_ = other.slot_;
    bytes_ = std::exchange(other.bytes_, {});
    number_ = other.number_;
    readable_ = other.readable_;
    delay_ = other.delay_;
  }
  return *this;
}
ReceiveLoan::~ReceiveLoan() { give_back(); }
void ReceiveLoan::give_back() noexcept {
  if (const auto channel = std::move(channel_)) channel->return_receive_loan(slot_);
}

// --- channel ------------------------------------------------------------------------------------------------------

Channel::Channel(std::shared_ptr<api::ChannelCore> core) noexcept : core_(std::move(core)) {}
Channel::Channel(Channel&&) noexcept = default;
Channel& Channel::operator=(Channel&& other) noexcept {
  if (this != &other) {
    if (core_) core_->let_go();
    core_ = std::move(other.core_);
  }
  return *this;
}
Channel::~Channel() {
  if (core_) core_->let_go();
}
std::uint32_t Channel::id() const noexcept { return core_->parts().id.value; }
Direction Channel::direction() const noexcept { return core_->parts().direction; }
const Qos& Channel::qos() const noexcept { return core_->parts().qos; }
std::chrono::nanoseconds Channel::bound() const noexcept { return core_->parts().bound; }
const Endpoint& Channel::peer() const noexcept { return core_->parts().peer; }
std::uint16_t Channel::port() const noexcept { return core_->parts().port; }

std::expected<void, Error> Channel::send(std::span<const std::byte> message, std::chrono::nanoseconds timeout) noexcept {
  return core_ ? core_->send(message, timeout) : moved_from();
}
std::expected<void, Error> Channel::send(std::string_view message, std::chrono::nanoseconds timeout) noexcept {
  return send(std::as_bytes(std::span{message}), timeout);
}
std::expected<SendLoan, Error> Channel::loan(std::size_t bytes, std::chrono::nanoseconds timeout) noexcept {
  if (!core_) return moved_from();
  return core_->loan(bytes, timeout);
}
std::expected<std::size_t, Error> Channel::receive(std::span<std::byte> buffer, std::chrono::nanoseconds timeout) noexcept {
  if (!core_) return moved_from();
  return core_->receive(buffer, timeout);
}
std::expected<void, Error> Channel::receive(std::vector<std::byte>& buffer, std::chrono::nanoseconds timeout) {
  return core_ ? core_->receive(buffer, timeout) : moved_from();
}
std::expected<ReceiveLoan, Error> Channel::receive_loan(std::chrono::nanoseconds timeout) noexcept {
  if (!core_) return moved_from();
  return core_->receive_loan(timeout);
}
Statistics Channel::statistics() const noexcept { return core_ ? core_->statistics() : Statistics{}; }
void Channel::set_polled(bool polled) noexcept {
  if (core_) core_->set_polled(polled);
}
void Channel::set_tag(std::uint64_t tag) noexcept {
  if (core_) core_->set_tag(tag);
}
std::expected<void, Error> Channel::close(std::chrono::nanoseconds timeout) noexcept {
  if (!core_) return {};
  return core_->close(timeout);
}

// --- listener -----------------------------------------------------------------------------------------------------

Listener::Listener(std::shared_ptr<api::ListenerCore> core) noexcept : core_(std::move(core)) {}
Listener::Listener(Listener&&) noexcept = default;
Listener& Listener::operator=(Listener&& other) noexcept {
  if (this != &other) {
    if (core_) (void)core_->session()->unregister(core_, no_wait);
    core_ = std::move(other.core_);
  }
  return *this;
}
Listener::~Listener() {
  if (core_) (void)core_->session()->unregister(core_, no_wait);
}
std::uint16_t Listener::port() const noexcept { return core_ ? core_->port() : std::uint16_t{0}; }
int Listener::fd() const noexcept { return core_ ? core_->fd() : -1; }
std::expected<Channel, Error> Listener::accept(std::chrono::nanoseconds timeout) {
  if (!core_) return moved_from();
  auto channel = core_->accept(timeout);
  if (!channel) return std::unexpected(std::move(channel.error()));
  return Channel{std::move(*channel)};
}
std::expected<void, Error> Listener::close(std::chrono::nanoseconds timeout) {
  return core_ ? core_->session()->unregister(core_, timeout) : std::expected<void, Error>{};
}

// --- session ------------------------------------------------------------------------------------------------------

Session::Session(std::shared_ptr<api::SessionCore> core) noexcept : core_(std::move(core)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&& other) noexcept {
  if (this != &other) {
    if (core_) core_->stop();
    core_ = std::move(other.core_);
  }
  return *this;
}
Session::~Session() {
  if (core_) core_->stop();
}
std::expected<Session, Error> Session::open(const SessionOptions& options) {
  auto core = api::SessionCore::open(options);
  if (!core) return std::unexpected(std::move(core.error()));
  return Session{std::move(*core)};
}
std::expected<Channel, Error> Session::connect(std::string_view destination, const Qos& qos, const ConnectOptions& options) {
  if (!core_) return moved_from();
  const auto addresses = api::resolve(destination);
  if (!addresses) return std::unexpected(addresses.error());
  Error last;
  for (const Endpoint& address : *addresses) {
    auto channel = connect(address, qos, options);
    if (channel || channel.error().code != Errc::no_route) return channel;
    last = std::move(channel.error());
  }
  return std::unexpected(std::move(last));
}
std::expected<Channel, Error> Session::connect(const Endpoint& destination, const Qos& qos, const ConnectOptions& options) {
  if (!core_) return moved_from();
  auto channel = core_->connect(destination, qos, options);
  if (!channel) return std::unexpected(std::move(channel.error()));
  return Channel{std::move(*channel)};
}
std::expected<Listener, Error> Session::listen(std::uint16_t port, Agent agent) {
  if (!core_) return moved_from();
  auto listener = core_->listen(port, std::move(agent));
  if (!listener) return std::unexpected(std::move(listener.error()));
  return Listener{std::move(*listener)};
}
int Session::fd() const { return core_ ? core_->poll_fd() : -1; }
std::size_t Session::ready(std::span<ReadyChannel> out) noexcept { return core_ ? core_->ready(out) : 0; }
std::vector<ReadyChannel> Session::ready() {
  std::vector<ReadyChannel> out(256);
  out.resize(ready(std::span{out}));
  return out;
}
std::optional<Notice> Session::next_notice() { return core_ ? core_->next_notice() : std::nullopt; }
std::expected<std::string, Error> Session::query(std::string_view what, std::chrono::nanoseconds timeout) {
  if (!core_) return moved_from();
  return core_->query(what, timeout);
}
void Session::close() noexcept {
  if (core_) core_->stop();
}
bool Session::alive() const noexcept { return core_ && core_->alive(); }

}  // namespace rtchan
