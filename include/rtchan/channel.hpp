// The C++ API: a session with the local rtcd, listeners, and channels (paper 4.1, Table 1).
//
//   auto session = rtchan::Session::open();                                    // rtcInit
//   auto channel = session->connect("host:7000", {.max_rate = 500, .max_message_bytes = 1024, .max_delay = 5ms});
//   channel->send(bytes);                                                      // rtcSendMessage
//
//   auto listener = session->listen(7000);                                     // rtcRegisterPort
//   auto channel = listener->accept();                                         // rtcAcceptConnection
//   auto size = channel->receive(buffer);                                      // rtcRecvMessage
//
// A channel carries messages in one direction. Messages go through memory shared with rtcd: no call per message.
// The library never sleeps to shape traffic; rtcd does that, and a call waits only for room or for a message.
//
// Errors are values (rtchan::Error). Nothing here throws but std::bad_alloc at set-up.
// Time-outs: `no_wait` returns at once, `forever` waits until something happens. When the daemon goes away, every
// waiting call returns Errc::daemon_gone at once.
//
// Thread-safety: all member functions of Session, Listener and Channel may be called by several threads at the
// same time, but for move, assignment and destruction. Loans belong to one thread at a time.
//
// fork: a child does not inherit the shared memory; using a session in the child ends in a segmentation fault or
// an error. The child opens a session of its own. exec closes every descriptor of the library.
#pragma once

#include <rtchan/endpoint.hpp>
#include <rtchan/error.hpp>
#include <rtchan/qos.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rtchan {

namespace api {  // what the handles point to; not for users
class SessionCore;
class ListenerCore;
class ChannelCore;
}  // namespace api

inline constexpr std::chrono::nanoseconds no_wait{0};
inline constexpr std::chrono::nanoseconds forever = std::chrono::nanoseconds::max();

// --- what is asked and told at set-up -----------------------------------------------------------------------

enum class Policing : std::uint8_t {
  shape,   // messages above the contract wait until they conform; a full queue makes send() wait
  refuse,  // a full queue makes send() fail with contract_exceeded; what rtcd finds non-conforming it drops
};

struct ConnectOptions {
  std::chrono::nanoseconds timeout = std::chrono::seconds{5};  // for the whole set-up; at most 1 h
  Policing policing = Policing::shape;
  std::vector<Extension> extensions{};
};

struct SessionOptions {
  std::string socket{};                                        // empty: $RTCHAN_SOCKET, else /run/rtchan/rtcd.sock
  std::chrono::nanoseconds timeout = std::chrono::seconds{5};  // for opening
  // How long the end of the session waits for channels that were closed before it, so that messages handed to
  // rtcd still leave. Channels that are open then are abandoned.
  std::chrono::nanoseconds linger = std::chrono::seconds{2};
  // How long a waiting call looks again before it sleeps: saves a wake-up where the answer comes soon, costs
  // processor time. The last 1 ms of each 10 ms of monotonic time is never spun, so that a real-time thread
  // stays below the kernel's throttling limit. At most 1 ms.
  std::chrono::nanoseconds spin{0};
};

// What the receiving application's agent function is asked (paper 4.1): it explicitly approves set-up.
struct AgentCall {
  enum class Kind : std::uint8_t {
    setup,     // somebody asks for a channel to `port`; the answer decides
    teardown,  // the sender ends `channel`; the answer is recorded, the teardown proceeds
    aborted,   // after a yes to `setup` the set-up failed elsewhere: release what was set aside; no answer
  } kind = Kind::setup;
  std::uint64_t question = 0;    // same number in `setup` and `aborted`
  std::uint16_t port = 0;
  std::uint32_t channel = 0;     // teardown only
  Endpoint source{};             // authenticated host where security is on
  std::uint32_t source_uid = 0;  // as the source's rtcd says
  Qos qos{};
  std::vector<Extension> extensions{};
};

// Runs on the session's control thread: replies of the daemon wait for it, so it must be short, and calls that
// would wait return would_deadlock in it. It may destroy channels.
using Agent = std::function<bool(const AgentCall&)>;

struct Notice {
  enum class Kind : std::uint8_t {
    contract_violated,  // the channel offers more than its contract: it is shaped or refused
    peer_closed,        // the other end closed
    peer_gone,          // the other end or its host died, or the path failed
    voided,             // the promise no longer holds (text says why); the channel still carries messages
    torn_down,          // rtcd ended the channel
    daemon_gone,        // of the session: every channel is closed
  } kind{};
  std::uint32_t channel = 0;
  std::string text{};
};

// --- loans: messages without a copy -------------------------------------------------------------------------

// A message being written in place. Destroying it uncommitted sends nothing.
class SendLoan {
 public:
  SendLoan(SendLoan&&) noexcept;
  SendLoan& operator=(SendLoan&&) noexcept;
  ~SendLoan();

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }  // as many as were asked for
  // Sends the first `length` bytes (default: all). The order of commits is the order of messages.
  // Errors: invalid_argument (0 or more than bytes()), and whatever ended the channel meanwhile.
  [[nodiscard]] std::expected<void, Error> commit() noexcept { return commit(bytes_.size()); }
  [[nodiscard]] std::expected<void, Error> commit(std::size_t length) noexcept;

 private:
  friend class api::ChannelCore;
  SendLoan(std::shared_ptr<api::ChannelCore> channel, std::uint32_t slot, std::span<std::byte> bytes) noexcept;
  void give_back() noexcept;
  std::shared_ptr<api::ChannelCore> channel_;
  std::uint32_t slot_ = 0;
  std::span<std::byte> bytes_{};
};

// A received message, read in place. Its slot returns to rtcd when this is destroyed, in any order; while all
// slots of a channel are held, arriving messages are lost (and counted).
class ReceiveLoan {
 public:
  ReceiveLoan(ReceiveLoan&&) noexcept;
  ReceiveLoan& operator=(ReceiveLoan&&) noexcept;
  ~ReceiveLoan();

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }  // of the message, from 0; gaps are losses
  // When it became readable here, CLOCK_MONOTONIC_RAW nanoseconds.
  [[nodiscard]] std::chrono::nanoseconds readable() const noexcept { return readable_; }
  // From logical arrival to readable, to be compared with the bound; nullopt: best effort.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> delay() const noexcept { return delay_; }

 private:
  friend class api::ChannelCore;
  ReceiveLoan() = default;
  void give_back() noexcept;
  std::shared_ptr<api::ChannelCore> channel_;
  std::uint32_t slot_ = 0;
  std::span<const std::byte> bytes_{};
  std::uint64_t number_ = 0;
  std::chrono::nanoseconds readable_{};
  std::optional<std::chrono::nanoseconds> delay_{};
};

// --- channels -----------------------------------------------------------------------------------------------

enum class Direction : std::uint8_t { sending, receiving };

// One end's own count. Losses and delays are known at the receiving end.
struct Statistics {
  std::uint64_t messages = 0;          // handed to rtcd, or received from it
  std::uint64_t bytes = 0;
  std::uint64_t queued = 0;            // sending: handed over and not yet finished by rtcd
  std::uint64_t lost = 0;              // receiving: message numbers that never came
  std::uint64_t late = 0;              // receiving: readable after the bound
  std::uint64_t would_block = 0;       // sending: calls that found the queue full
  std::uint64_t contract_violations = 0;  // notices of that kind
  std::chrono::nanoseconds bound{};    // D; 0: best effort
  std::optional<std::chrono::nanoseconds> worst_delay{};  // receiving: from logical arrival; empty: nothing yet
  bool voided = false;                 // the promise no longer holds
};

class Channel {
 public:
  Channel(Channel&&) noexcept;
  Channel& operator=(Channel&&) noexcept;
  ~Channel();  // like close(), without waiting (but see SessionOptions::linger)

  [[nodiscard]] std::uint32_t id() const noexcept;  // within the session; reused after the channel is destroyed
  [[nodiscard]] Direction direction() const noexcept;
  [[nodiscard]] const Qos& qos() const noexcept;
  [[nodiscard]] std::chrono::nanoseconds bound() const noexcept;  // promised delay from logical arrival; 0: best effort
  [[nodiscard]] const Endpoint& peer() const noexcept;            // destination, or source
  [[nodiscard]] std::uint16_t port() const noexcept;              // where it was accepted, or the destination's port

  // Sends one message of 1 ... max_message_bytes bytes. Waits while the queue is full.
  // Errors: message_too_long, invalid_argument (empty, or a receiving channel), would_block (no_wait) or
  // timed_out, contract_exceeded (Policing::refuse), closed, peer_closed, peer_gone, daemon_gone.
  [[nodiscard]] std::expected<void, Error> send(std::span<const std::byte> message,
                                                std::chrono::nanoseconds timeout = forever) noexcept;
  [[nodiscard]] std::expected<void, Error> send(std::string_view message,
                                                std::chrono::nanoseconds timeout = forever) noexcept;
  [[nodiscard]] std::expected<void, Error> try_send(std::span<const std::byte> message) noexcept {
    return send(message, no_wait);
  }
  // Room for one message of `bytes` bytes, to be filled and committed. Errors as send().
  [[nodiscard]] std::expected<SendLoan, Error> loan(std::size_t bytes, std::chrono::nanoseconds timeout = forever) noexcept;

  // Receives the next message; returns its length. A message longer than the buffer stays, and the call fails
  // with message_too_long. Messages that arrived before the channel ended are still delivered.
  // Errors: message_too_long, invalid_argument (a sending channel), would_block or timed_out, closed,
  // peer_closed, peer_gone, daemon_gone.
  [[nodiscard]] std::expected<std::size_t, Error> receive(std::span<std::byte> buffer,
                                                          std::chrono::nanoseconds timeout = forever) noexcept;
  // The same into a vector that grows to fit (allocates only while it is smaller than the message).
  [[nodiscard]] std::expected<void, Error> receive(std::vector<std::byte>& buffer,
                                                   std::chrono::nanoseconds timeout = forever);
  [[nodiscard]] std::expected<std::size_t, Error> try_receive(std::span<std::byte> buffer) noexcept {
    return receive(buffer, no_wait);
  }
  [[nodiscard]] std::expected<ReceiveLoan, Error> receive_loan(std::chrono::nanoseconds timeout = forever) noexcept;

  [[nodiscard]] Statistics statistics() const noexcept;

  // False: Session::ready() does not report this channel any more, since a thread of its own waits for it. Otherwise
  // the session's descriptor stays readable until that thread has taken the message.
  void set_polled(bool polled) noexcept;
  // A number of the user's own, returned by Session::ready().
  void set_tag(std::uint64_t tag) noexcept;

  // Ends the channel here (rtcDestroyConnection): waiting calls return Errc::closed; messages already handed to
  // rtcd are still delivered. Waits until rtcd has confirmed, but not for loans still held (the channel ends
  // when they do), and not inside an agent function. Idempotent. Errors: timed_out, daemon_gone.
  std::expected<void, Error> close(std::chrono::nanoseconds timeout = std::chrono::seconds{5}) noexcept;

 private:
  friend class Session;
  friend class Listener;
  explicit Channel(std::shared_ptr<api::ChannelCore> core) noexcept;
  std::shared_ptr<api::ChannelCore> core_;
};

// --- listeners ----------------------------------------------------------------------------------------------

// A registered port. Destroying it unregisters the port; accepted channels live on, channels that wait to be
// accepted are destroyed.
class Listener {
 public:
  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&&) noexcept;
  ~Listener();

  [[nodiscard]] std::uint16_t port() const noexcept;
  // The next channel that has been established to this port (a receiving one).
  // Errors: would_block or timed_out, closed, daemon_gone, would_deadlock.
  [[nodiscard]] std::expected<Channel, Error> accept(std::chrono::nanoseconds timeout = forever);
  [[nodiscard]] std::expected<Channel, Error> try_accept() { return accept(no_wait); }
  // Readable while a channel waits to be accepted, or after the listener has ended. Not to be read or closed.
  [[nodiscard]] int fd() const noexcept;
  // Unregisters the port (rtcUnRegisterPort). Waiting calls return Errc::closed. Idempotent.
  std::expected<void, Error> close(std::chrono::nanoseconds timeout = std::chrono::seconds{5});

 private:
  friend class Session;
  explicit Listener(std::shared_ptr<api::ListenerCore> core) noexcept;
  std::shared_ptr<api::ListenerCore> core_;
};

// --- sessions -----------------------------------------------------------------------------------------------

struct ReadyChannel {
  std::uint32_t channel;  // Channel::id()
  std::uint64_t tag;      // Channel::set_tag()
};

// This process's connection to its rtcd. Destroying it ends all its channels and listeners; those handles may live
// longer, their calls then fail with Errc::closed.
class Session {
 public:
  // Errors: no_daemon, permission_denied, version_mismatch, exhausted, timed_out, system.
  [[nodiscard]] static std::expected<Session, Error> open(const SessionOptions& options = {});
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Asks for a sending channel to "host:port", "[v6]:port" or an endpoint; host names are resolved (getaddrinfo).
  // Returns once every node on the way and the receiving application have agreed.
  // Errors: invalid_argument (names the parameter), refused (hop, resource, what would fit), rejected_by_agent,
  // no_listener, no_route, timed_out, exhausted, permission_denied, daemon_gone, would_deadlock.
  [[nodiscard]] std::expected<Channel, Error> connect(std::string_view destination, const Qos& qos,
                                                      const ConnectOptions& options = {});
  [[nodiscard]] std::expected<Channel, Error> connect(const Endpoint& destination, const Qos& qos,
                                                      const ConnectOptions& options = {});
  // Registers a port (0: any free one) whose set-ups `agent` decides; without agent all are accepted.
  // Errors: port_in_use, permission_denied, exhausted, timed_out, daemon_gone, would_deadlock.
  [[nodiscard]] std::expected<Listener, Error> listen(std::uint16_t port, Agent agent = {});

  // One descriptor for poll, select or epoll: readable while ready() has something to report or a notice waits.
  // It costs what is active, not what is open. Not to be read or closed. -1 if it could not be made.
  [[nodiscard]] int fd() const;
  // Fills `out` with channels that have something to do: a message to receive, room again after a send that
  // found none, or an end. A channel is reported again until that has been dealt with (level-triggered).
  // Returns how many. When it is less than out.size(), nothing else is pending.
  [[nodiscard]] std::size_t ready(std::span<ReadyChannel> out) noexcept;
  [[nodiscard]] std::vector<ReadyChannel> ready();  // at most 256 at a time
  // What happened to channels of this session, oldest first. The last 1,024 are kept.
  [[nodiscard]] std::optional<Notice> next_notice();

  // Status of the daemon ("status", "channels", ...) as JSON text.
  [[nodiscard]] std::expected<std::string, Error> query(std::string_view what,
                                                        std::chrono::nanoseconds timeout = std::chrono::seconds{5});
  // False: the daemon is gone. Open a new session.
  [[nodiscard]] bool alive() const noexcept;
  // Ends the session like its destruction: every waiting call of it, its channels and listeners returns
  // Errc::closed. Returns when rtcd has released its ports and channels (not inside an agent function), so that a
  // session opened next can have them; waits for that at most 1 s, besides SessionOptions::linger. Idempotent.
  void close() noexcept;

 private:
  explicit Session(std::shared_ptr<api::SessionCore> core) noexcept;
  std::shared_ptr<api::SessionCore> core_;
};

}  // namespace rtchan
