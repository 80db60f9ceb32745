#include "ipc/requests.hpp"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "base/limits.hpp"
#include "ipc/codec.hpp"

namespace rtchan::ipc {

namespace {

constexpr std::size_t text_max = limits::control_text_bytes;
constexpr std::size_t page_max = request_bytes_max - 64;

// --- parts that several messages carry ---------------------------------------------------------------------

// F is the struct for a Reader, const struct for a Writer.
template <class A, class F>
void endpoint(A& a, F& e) {
  a.array("address", e.address.bytes);
  a("port", e.port);
}

template <class A, class F>
void unchecked_qos(A& a, F& q) {
  a.one_of("service", q.service, ServiceClass::statistical);
  a("max_rate", q.max_rate);
  a("max_burst", q.max_burst);
  a("max_message_bytes", q.max_message_bytes);
  a("max_delay", q.max_delay);
}
template <class A, class F>
void qos(A& a, F& q) {
  unchecked_qos(a, q);
  a.check([&q] { return flaw_in(q); });
}

template <class A, class F>
void extensions(A& a, F& list) {
  const std::uint32_t count = a.count("extensions", list.size(), limits::extensions_per_channel);
  if constexpr (A::reads) list.resize(count);
  for (auto& extension : list) {
    a("extension tag", extension.tag);
    a.bytes("extension value", extension.value, limits::extension_bytes);
  }
}

std::optional<std::string> flaw_in_place(const QueuePlace& p) {
  const bool sane = p.offset % page == 0 && p.offset >= queues_offset && p.offset < limits::arena_bytes && p.slots > 0 &&
                    std::has_single_bit(p.capacity) && p.capacity >= p.slots && p.message_bytes > 0 &&
                    p.message_bytes <= limits::message_bytes && p.slot_bytes >= p.message_bytes &&
                    p.slot_bytes <= 2 * limits::message_bytes && p.slot_bytes % cache_line == 0 &&
                    queue_bytes(p) <= limits::arena_bytes - p.offset;
  if (sane) return std::nullopt;
  return "queue place does not lie in the arena";
}

template <class A, class F>
void queue_place(A& a, F& p) {
  a("queue offset", p.offset);
  a("queue slots", p.slots);
  a("queue slot_bytes", p.slot_bytes);
  a("queue capacity", p.capacity);
  a("queue message_bytes", p.message_bytes);
  a.check([&p] { return flaw_in_place(p); });
}

template <class A, class F>
void error(A& a, F& e) {
  a.one_of("error code", e.code, last_errc);
  a.text("error text", e.text, text_max);
  a.text("hop", e.refusal.hop, text_max);
  a.one_of("resource", e.refusal.resource, Resource::delay);
  a("binding_time", e.refusal.binding_time);
  a("fitting_delay", e.refusal.fitting_delay);
  a("fitting_rate", e.refusal.fitting_rate);
}

template <class A, class F>
void worker(A& a, F& number) {
  a("worker", number);
  a.check([&number]() -> std::optional<std::string> {
    if (number < limits::workers) return std::nullopt;
    return fmt::format("worker is not below {}", limits::workers);
  });
}

// --- the messages: type numbers, then fields in order -------------------------------------------------------

template <class M>
struct Kind {
  std::uint32_t type;
  const char* name;
};
template <class M>
inline constexpr Kind<M> kind{};
template <> inline constexpr Kind<Hello> kind<Hello>{1, "Hello"};
template <> inline constexpr Kind<Mapped> kind<Mapped>{2, "Mapped"};
template <> inline constexpr Kind<RegisterPort> kind<RegisterPort>{3, "RegisterPort"};
template <> inline constexpr Kind<UnregisterPort> kind<UnregisterPort>{4, "UnregisterPort"};
template <> inline constexpr Kind<CreateChannel> kind<CreateChannel>{5, "CreateChannel"};
template <> inline constexpr Kind<Decision> kind<Decision>{6, "Decision"};
template <> inline constexpr Kind<DestroyChannel> kind<DestroyChannel>{7, "DestroyChannel"};
template <> inline constexpr Kind<Query> kind<Query>{8, "Query"};
template <> inline constexpr Kind<Welcome> kind<Welcome>{101, "Welcome"};
template <> inline constexpr Kind<Ready> kind<Ready>{102, "Ready"};
template <> inline constexpr Kind<Registered> kind<Registered>{103, "Registered"};
template <> inline constexpr Kind<Done> kind<Done>{104, "Done"};
template <> inline constexpr Kind<Failed> kind<Failed>{105, "Failed"};
template <> inline constexpr Kind<Created> kind<Created>{106, "Created"};
template <> inline constexpr Kind<Asked> kind<Asked>{107, "Asked"};
template <> inline constexpr Kind<Aborted> kind<Aborted>{108, "Aborted"};
template <> inline constexpr Kind<Accepted> kind<Accepted>{109, "Accepted"};
template <> inline constexpr Kind<Notice> kind<Notice>{110, "Notice"};
template <> inline constexpr Kind<Text> kind<Text>{111, "Text"};

template <class F, class M>
concept Of = std::same_as<std::remove_const_t<F>, M>;

void fields(auto& a, Of<Hello> auto& m) { a("version", m.version); }
void fields(auto&, Of<Mapped> auto&) {}
void fields(auto& a, Of<RegisterPort> auto& m) {
  a("request", m.request);
  a("port", m.port);
}
void fields(auto& a, Of<UnregisterPort> auto& m) {
  a("request", m.request);
  a("port", m.port);
}
void fields(auto& a, Of<CreateChannel> auto& m) {
  a("request", m.request);
  endpoint(a, m.destination);
  qos(a, m.qos);
  a("refuse_excess", m.refuse_excess);
  a("timeout", m.timeout);
  a.check([&m]() -> std::optional<std::string> {
    if (m.timeout > Duration::zero() && m.timeout <= std::chrono::hours{1}) return std::nullopt;
    return "timeout is not within 1 ns ... 1 h";
  });
  extensions(a, m.extensions);
}
void fields(auto& a, Of<Decision> auto& m) {
  a("question", m.question);
  a("accept", m.accept);
}
void fields(auto& a, Of<DestroyChannel> auto& m) {
  a("request", m.request);
  a("channel", m.channel);
}
void fields(auto& a, Of<Query> auto& m) {
  a("request", m.request);
  a.text("what", m.what, 64);
}
void fields(auto& a, Of<Welcome> auto& m) {
  a("version", m.version);
  a("workers", m.workers);
  a.check([&m]() -> std::optional<std::string> {
    if (m.workers >= 1 && m.workers <= limits::workers) return std::nullopt;
    return fmt::format("workers is not within 1 ... {}", limits::workers);
  });
  a("arena_bytes", m.arena_bytes);
  a("session", m.session);
}
void fields(auto&, Of<Ready> auto&) {}
void fields(auto& a, Of<Registered> auto& m) {
  a("request", m.request);
  a("port", m.port);
}
void fields(auto& a, Of<Done> auto& m) { a("request", m.request); }
void fields(auto& a, Of<Failed> auto& m) {
  a("request", m.request);
  error(a, m.error);
}
void fields(auto& a, Of<Created> auto& m) {
  a("request", m.request);
  a("channel", m.channel);
  worker(a, m.worker);
  queue_place(a, m.queue);
  a("bound", m.bound);
}
void fields(auto& a, Of<Asked> auto& m) {
  a("question", m.question);
  a("port", m.port);
  a("teardown", m.teardown);
  a("channel", m.channel);
  endpoint(a, m.source);
  a("source_uid", m.source_uid);
  unchecked_qos(a, m.qos);  // a teardown may leave it empty
  a.check([&m] { return m.teardown ? std::nullopt : flaw_in(m.qos); });
  extensions(a, m.extensions);
}
void fields(auto& a, Of<Aborted> auto& m) { a("question", m.question); }
void fields(auto& a, Of<Accepted> auto& m) {
  a("question", m.question);
  a("channel", m.channel);
  a("port", m.port);
  worker(a, m.worker);
  endpoint(a, m.source);
  qos(a, m.qos);
  queue_place(a, m.queue);
}
void fields(auto& a, Of<Notice> auto& m) {
  a.one_of("notice kind", m.kind, Notice::Kind::torn_down);
  a("channel", m.channel);
  a.text("notice text", m.text, text_max);
}
void fields(auto& a, Of<Text> auto& m) {
  a("request", m.request);
  a("last", m.last);
  a.text("json", m.json, page_max);
}

// --- variants <-> bytes --------------------------------------------------------------------------------------

template <class Variant>
std::vector<std::byte> encode_any(const Variant& message) {
  Writer writer;
  std::visit(
      [&writer]<class M>(const M& m) {
        writer("type", kind<M>.type);
        writer("length", std::uint32_t{0});
        fields(writer, m);
      },
      message);
  const auto length = static_cast<std::uint32_t>(writer.out().size());
  std::memcpy(writer.out().data() + 4, &length, sizeof length);
  return std::move(writer.out());
}

template <class M, class Variant>
std::expected<Variant, std::string> decode_as(Reader& reader) {
  M message{};
  fields(reader, message);
  if (reader.flaw().empty() && !reader.at_end()) reader.fail("message", "has bytes after its last field");
  if (!reader.flaw().empty()) return std::unexpected(fmt::format("{}: {}", kind<M>.name, reader.flaw()));
  return Variant{std::move(message)};
}

template <class... M>
std::expected<std::variant<M...>, std::string> decode_any(std::span<const std::byte> bytes,
                                                          std::type_identity<std::variant<M...>>) {
  using Variant = std::variant<M...>;
  if (bytes.size() > request_bytes_max) return std::unexpected("message is longer than allowed");
  Reader reader(bytes);
  std::uint32_t type{};
  std::uint32_t length{};
  reader("type", type);
  reader("length", length);
  if (!reader.flaw().empty()) return std::unexpected(reader.flaw());
  if (length != bytes.size()) return std::unexpected("length differs from what was received");
  std::expected<Variant, std::string> result = std::unexpected(fmt::format("type {} is not defined here", type));
  (void)((type == kind<M>.type && (result = decode_as<M, Variant>(reader), true)) || ...);
  return result;
}

std::optional<std::string> outside(bool flawed, const char* sentence) {
  return flawed ? std::optional<std::string>{sentence} : std::nullopt;
}

}  // namespace

std::vector<std::byte> encode(const Request& request) { return encode_any(request); }
std::vector<std::byte> encode(const Reply& reply) { return encode_any(reply); }

std::expected<Request, std::string> decode_request(std::span<const std::byte> bytes) {
  return decode_any(bytes, std::type_identity<Request>{});
}
std::expected<Reply, std::string> decode_reply(std::span<const std::byte> bytes) {
  return decode_any(bytes, std::type_identity<Reply>{});
}

std::optional<std::string> flaw_in(const Qos& q) {
  if (auto flaw = outside(q.service > ServiceClass::statistical, "service is none of the defined classes")) return flaw;
  if (auto flaw = outside(q.max_message_bytes < 1 || q.max_message_bytes > limits::message_bytes,
                          "max_message_bytes is not within 1 ... 16,777,216 bytes")) {
    return flaw;
  }
  if (auto flaw = outside(q.max_burst < 1 || q.max_burst > limits::burst_messages,
                          "max_burst is not within 1 ... 65,536 messages")) {
    return flaw;
  }
  const bool unlimited = q.service == ServiceClass::best_effort && q.max_rate == 0;
  // Written so that a NaN is outside, too.
  const bool rate_fits = q.max_rate >= limits::rate_min && q.max_rate <= limits::rate_max;
  if (!unlimited && !rate_fits) {
    return "max_rate is not within 0.001 ... 10,000,000 messages/s (best effort: or 0, no limit)";
  }
  if (q.service == ServiceClass::best_effort) return std::nullopt;
  return outside(q.max_delay < limits::delay_min || q.max_delay > limits::delay_max,
                 "max_delay is not within 1 us ... 30 s");
}

std::optional<std::string> flaw_in(std::span<const Extension> extensions) {
  if (extensions.size() > limits::extensions_per_channel) {
    return fmt::format("extensions are more than {}", limits::extensions_per_channel);
  }
  for (const Extension& e : extensions) {
    if (e.value.size() > limits::extension_bytes) {
      return fmt::format("extension {} is longer than {} bytes", e.tag, limits::extension_bytes);
    }
    if (e.tag == tag_activity && !activity_ppm(e)) return "the activity (extension 1) is not 4 bytes that say 1 ... 1,000,000";
  }
  return std::nullopt;
}

}  // namespace rtchan::ipc
