// What applications and rtcd say to each other over the control socket (AF_UNIX SOCK_SEQPACKET, one datagram
// a message, native byte order: both ends are the same machine). Plain structs behind a common head; text and
// extensions follow as bytes. Everything from a client is validated by decode().
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/address.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "ipc/layout.hpp"
#include <rtchan/error.hpp>
#include <rtchan/qos.hpp>

namespace rtchan::ipc {

inline constexpr std::uint32_t protocol_version = 1;
inline constexpr std::size_t request_bytes_max = 64 * 1024;

using rtchan::Extension;  // model-specific parameters, <rtchan/qos.hpp>

// --- application -> daemon; `request` is the caller's number, echoed in the reply ---
struct Hello { std::uint32_t version; };                       // first message; answered by Welcome
struct Mapped {};                                              // arena is mapped: the daemon seals it, then Ready
struct RegisterPort { std::uint32_t request; std::uint16_t port; };   // port 0: any; answered by Registered or Failed
struct UnregisterPort { std::uint32_t request; std::uint16_t port; };
struct CreateChannel {
  std::uint32_t request;
  Endpoint destination;
  Qos qos;
  bool refuse_excess;          // policing: refuse beyond the buffer instead of shaping
  Duration timeout;            // give up after this long
  std::vector<Extension> extensions;
};
struct Decision {              // the agent's answer to Asked
  std::uint64_t question;
  bool accept;
};
struct DestroyChannel { std::uint32_t request; ChannelId channel; };  // either end; answered by Done
struct Query { std::uint32_t request; std::string what; };     // "status", "channels", ...; answered by Text pages (JSON)

// --- daemon -> application ---
struct Welcome {               // carries the arena's descriptor and one doorbell descriptor per worker (SCM_RIGHTS)
  std::uint32_t version;
  std::uint32_t workers;
  std::uint64_t arena_bytes;
  SessionId session;
};
struct Ready {};
struct Registered { std::uint32_t request; std::uint16_t port; };
struct Done { std::uint32_t request; };
struct Failed { std::uint32_t request; Error error; };
struct Created {               // answer to CreateChannel: committed at every hop
  std::uint32_t request;
  ChannelId channel;
  std::uint32_t worker;        // whose ready set and doorbell to use
  QueuePlace queue;
  Duration bound;              // D: the promised delay from logical arrival (0: best effort)
};
struct Asked {                 // somebody asks for a channel to `port` (or for its teardown): the agent decides
  std::uint64_t question;
  std::uint16_t port;
  bool teardown;               // the sender ends `channel`: the agent's consent is recorded, the teardown proceeds
  ChannelId channel;           // teardown only
  Endpoint source;             // authenticated host where security is on
  std::uint32_t source_uid;    // as the source's rtcd says
  Qos qos;
  std::vector<Extension> extensions;
};
struct Aborted { std::uint64_t question; };  // after the agent's yes the commit failed: free what was set aside
struct Accepted {              // an incoming channel is established (rtcAcceptConnection returns it)
  std::uint64_t question;
  ChannelId channel;
  std::uint16_t port;
  std::uint32_t worker;
  Endpoint source;
  Qos qos;
  QueuePlace queue;
};
struct Notice {                // something happened to a channel
  enum class Kind : std::uint8_t { contract_violated, peer_closed, peer_gone, voided, torn_down } kind;
  ChannelId channel;
  std::string text;
};
struct Text { std::uint32_t request; bool last; std::string json; };

using Request = std::variant<Hello, Mapped, RegisterPort, UnregisterPort, CreateChannel, Decision, DestroyChannel, Query>;
using Reply = std::variant<Welcome, Ready, Registered, Done, Failed, Created, Asked, Aborted, Accepted, Notice, Text>;

// Byte form: a head {type 4, length of the whole 4}, then the fields in the order of the structs above without
// padding; text, extensions and lists carry a length in front. Bounds: limits.hpp.
[[nodiscard]] std::vector<std::byte> encode(const Request& request);
[[nodiscard]] std::vector<std::byte> encode(const Reply& reply);
// The error names the field and what is allowed.
[[nodiscard]] std::expected<Request, std::string> decode_request(std::span<const std::byte> bytes);
[[nodiscard]] std::expected<Reply, std::string> decode_reply(std::span<const std::byte> bytes);

// What is wrong with a contract, as a sentence that names the field and its range; nullopt: it is well-formed.
// Used by decode, by librtc before it asks, and by whoever else takes a contract from outside.
[[nodiscard]] std::optional<std::string> flaw_in(const Qos& qos);
[[nodiscard]] std::optional<std::string> flaw_in(std::span<const Extension> extensions);

}  // namespace rtchan::ipc
