#include "wire/signal.hpp"

#include <algorithm>
#include <cassert>
#include <optional>

#include "wire/bytes.hpp"

namespace rtchan::wire {

namespace {

// --- TLV tags -------------------------------------------------------------------------------------------------
constexpr std::uint16_t tag_extension = 1;  // setup: {u16 tag, value}; may repeat
constexpr std::uint16_t tag_text = 2;       // refuse: printable ASCII; at most once
constexpr std::uint16_t tag_replaces = 3;   // setup: a path; at most once
constexpr std::uint16_t tag_critical = 0x8000;
constexpr std::size_t tlv_head_bytes = 4;

// Longest duration on the wire: 36 years, so that sums of a few stay far from overflow.
constexpr std::int64_t longest_ns = std::int64_t{1} << 60;

// --- fields, both ways ----------------------------------------------------------------------------------------

void put(ByteWriter& w, Duration d) { w.put(static_cast<std::uint64_t>(d.count())); }
void put(ByteWriter& w, const PathId& p) {
  w.put(p.source.value);
  w.put(p.sequence);
}
void put(ByteWriter& w, const IpAddress& a) { w.bytes(std::as_bytes(std::span{a.bytes})); }
void put(ByteWriter& w, const Endpoint& e) {
  put(w, e.address);
  w.put(e.port);
}

Duration get_duration(ByteReader& r) {
  const auto ns = r.get<std::uint64_t>();
  if (ns > static_cast<std::uint64_t>(longest_ns)) r.fail();
  return Duration{static_cast<std::int64_t>(ns)};
}
PathId get_path(ByteReader& r) {
  const HostId host{r.get<std::uint64_t>()};
  return PathId{host, r.get<std::uint64_t>()};
}
IpAddress get_address(ByteReader& r) {
  IpAddress a;
  const auto bytes = r.bytes(a.bytes.size());
  if (!bytes.empty()) std::memcpy(a.bytes.data(), bytes.data(), a.bytes.size());
  return a;
}
Endpoint get_endpoint(ByteReader& r) {
  const IpAddress a = get_address(r);
  return Endpoint{a, r.get<std::uint16_t>()};
}
bool get_bool(ByteReader& r) {
  const auto value = r.get<std::uint8_t>();
  if (value > 1) r.fail();
  return value == 1;
}
// An enumeration 0 ... last, or first ... last.
template <class E>
E get_enum(ByteReader& r, E last, std::uint8_t first = 0) {
  const auto value = r.get<std::uint8_t>();
  if (value < first || value > static_cast<std::uint8_t>(last)) r.fail();
  return static_cast<E>(value);
}

// --- one encoder and one decoder a type -----------------------------------------------------------------------

void encode(ByteWriter& w, const Hello& m) {
  w.put(m.host.value);
  w.put(m.nonce);
  w.put(m.echo);
  w.put(static_cast<std::uint8_t>(m.collision));
}
Hello decode_hello(ByteReader& r) {
  Hello m;
  m.host.value = r.get<std::uint64_t>();
  m.nonce = r.get<std::uint64_t>();
  m.echo = r.get<std::uint64_t>();
  m.collision = get_bool(r);
  return m;
}

void encode(ByteWriter& w, const Ack& m) {
  w.put(m.number);
  w.put(m.attempt);
}
Ack decode_ack(ByteReader& r) {
  Ack m;
  m.number = r.get<std::uint64_t>();
  m.attempt = r.get<std::uint8_t>();
  if (m.number == 0) r.fail();
  return m;
}

void encode(ByteWriter& w, const SignalQos& q) {
  w.put(static_cast<std::uint8_t>(q.service));
  put(w, q.period);
  w.put(q.rate_nano);
  w.put(q.burst);
  w.put(q.message_bytes);
  put(w, q.max_delay);
}
SignalQos decode_qos(ByteReader& r) {
  SignalQos q;
  q.service = get_enum(r, ServiceClass::statistical);
  q.period = get_duration(r);
  q.rate_nano = r.get<std::uint64_t>();
  q.burst = r.get<std::uint32_t>();
  q.message_bytes = r.get<std::uint32_t>();
  q.max_delay = get_duration(r);
  const bool sized = q.burst >= 1 && q.burst <= limits::burst_messages && q.message_bytes >= 1 &&
                     q.message_bytes <= limits::message_bytes;
  const bool timed = q.service == ServiceClass::best_effort ||
                     (q.period.count() >= static_cast<std::int64_t>(1e9 / limits::rate_max) &&
                      q.period.count() <= static_cast<std::int64_t>(1e9 / limits::rate_min) &&
                      q.max_delay >= limits::delay_min && q.max_delay <= limits::delay_max);
  if (!sized || !timed) r.fail();
  return q;
}

// 0: not said.
std::uint32_t get_fragment_bytes(ByteReader& r) {
  const auto bytes = r.get<std::uint32_t>();
  if (bytes != 0 && (bytes < limits::fragment_bytes_min || bytes > limits::mtu_bytes_max)) r.fail();
  return bytes;
}

void encode(ByteWriter& w, const Promised& p) {
  put(w, p.minima);
  put(w, p.propagation);
  w.put(p.stretch);
  put(w, p.last_minimum);
  put(w, p.last_horizon);
  put(w, p.last_propagation);
  w.put(p.fragment_bytes);
}
Promised decode_promised(ByteReader& r) {
  Promised p;
  p.minima = get_duration(r);
  p.propagation = get_duration(r);
  p.stretch = r.get<std::uint64_t>();
  p.last_minimum = get_duration(r);
  p.last_horizon = get_duration(r);
  p.last_propagation = get_duration(r);
  p.fragment_bytes = get_fragment_bytes(r);
  if (p.last_minimum > p.minima || p.last_propagation > p.propagation) r.fail();
  return p;
}

void encode(ByteWriter& w, const Setup& m) {
  put(w, m.path);
  put(w, m.source);
  w.put(m.source_uid);
  put(w, m.destination);
  encode(w, m.qos);
  w.put(m.hops);
  w.put(m.hop_limit);
  w.put(static_cast<std::uint8_t>(m.tight));
  w.put(m.detours);
  w.put(m.patience_ms);
  encode(w, m.promised);
  assert(extension_bytes(m.extensions) <= signal_extension_bytes);
  for (const Extension& e : m.extensions) {
    w.put(tag_extension);
    w.put(static_cast<std::uint16_t>(e.value.size() + 2));
    w.put(e.tag);
    w.bytes(e.value);
  }
  if (m.replaces.sequence == 0) return;
  w.put(tag_replaces);
  w.put(std::uint16_t{16});
  put(w, m.replaces);
}
Setup decode_setup(ByteReader& r) {
  Setup m;
  m.path = get_path(r);
  m.source = get_endpoint(r);
  m.source_uid = r.get<std::uint32_t>();
  m.destination = get_endpoint(r);
  m.qos = decode_qos(r);
  m.hops = r.get<std::uint8_t>();
  m.hop_limit = r.get<std::uint8_t>();
  m.tight = get_bool(r);
  m.detours = r.get<std::uint8_t>();
  m.patience_ms = r.get<std::uint32_t>();
  m.promised = decode_promised(r);
  if (m.hop_limit > limits::hops) r.fail();
  return m;
}

void encode(ByteWriter& w, const Commit& m) {
  put(w, m.path);
  w.put(m.label.slot);
  w.put(m.label.generation);
  put(w, m.terms.minima);
  put(w, m.terms.propagation);
  put(w, m.terms.slack);
  w.put(m.answers);
}
Commit decode_commit(ByteReader& r) {
  Commit m;
  m.path = get_path(r);
  m.label.slot = r.get<std::uint32_t>();
  m.label.generation = r.get<std::uint32_t>();
  m.terms.minima = get_duration(r);
  m.terms.propagation = get_duration(r);
  m.terms.slack = get_duration(r);
  m.answers = r.get<std::uint64_t>();
  return m;
}

void encode(ByteWriter& w, const Start& m) {
  put(w, m.path);
  w.put(m.answers);
}
Start decode_start(ByteReader& r) {
  const PathId path = get_path(r);
  return Start{path, r.get<std::uint64_t>()};
}

// An explanation as it may travel.
std::string printable(std::string_view said) {
  std::string text{said.substr(0, signal_text_bytes)};
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return text;
}

void encode(ByteWriter& w, const Refuse& m) {
  put(w, m.path);
  w.put(static_cast<std::uint8_t>(m.code));
  w.put(static_cast<std::uint8_t>(m.resource));
  put(w, m.hop);
  put(w, m.binding_time);
  put(w, m.fitting_delay);
  w.put(m.fitting_rate_nano);
  w.put(static_cast<std::uint8_t>(m.again));
  w.put(m.detours);
  w.put(m.fragment_bytes);
  w.put(m.answers);
  const std::string text = printable(m.text);
  if (text.empty()) return;
  w.put(tag_text);
  w.put(static_cast<std::uint16_t>(text.size()));
  w.bytes(std::as_bytes(std::span{text}));
}
Refuse decode_refuse(ByteReader& r) {
  Refuse m;
  m.path = get_path(r);
  m.code = get_enum(r, last_errc, 1);
  m.resource = get_enum(r, Resource::delay);
  m.hop = get_address(r);
  m.binding_time = get_duration(r);
  m.fitting_delay = get_duration(r);
  m.fitting_rate_nano = r.get<std::uint64_t>();
  m.again = get_bool(r);
  m.detours = r.get<std::uint8_t>();
  m.fragment_bytes = get_fragment_bytes(r);
  m.answers = r.get<std::uint64_t>();
  return m;
}

void encode(ByteWriter& w, const Teardown& m) {
  put(w, m.path);
  w.put(static_cast<std::uint8_t>(m.reason));
  put(w, m.hop);
  w.put(m.cancels);
  w.put(m.answers);
}
Teardown decode_teardown(ByteReader& r) {
  Teardown m;
  m.path = get_path(r);
  m.reason = get_enum(r, TeardownReason::rerouted, 1);
  m.hop = get_address(r);
  m.cancels = r.get<std::uint64_t>();
  m.answers = r.get<std::uint64_t>();
  return m;
}

// Runs of one source host: {u64 host, u16 count, first sequence, gap - 1 to the next, ...} as varints.
void encode_paths(ByteWriter& w, const std::vector<PathId>& paths) {
  for (std::size_t i = 0; i < paths.size();) {
    std::size_t end = i + 1;
    while (end < paths.size() && paths[end].source == paths[i].source) ++end;
    w.put(paths[i].source.value);
    w.put(static_cast<std::uint16_t>(end - i));
    w.varint(paths[i].sequence);
    for (std::size_t k = i + 1; k < end; ++k) w.varint(paths[k].sequence - paths[k - 1].sequence - 1);
    i = end;
  }
}
std::vector<PathId> decode_paths(ByteReader& r) {
  std::vector<PathId> paths;
  while (r.good() && r.left() > 0) {
    const HostId host{r.get<std::uint64_t>()};
    const auto count = r.get<std::uint16_t>();
    if (count == 0 || count > r.left() || (!paths.empty() && !(paths.back().source < host))) {
      r.fail();
      break;
    }
    std::uint64_t sequence = r.varint();
    paths.push_back(PathId{host, sequence});
    for (std::uint16_t k = 1; k < count && r.good(); ++k) {
      const std::uint64_t gap = r.varint();
      if (gap >= UINT64_MAX - sequence) r.fail();  // would wrap
      sequence += gap + 1;
      paths.push_back(PathId{host, sequence});
    }
  }
  return paths;
}

void encode(ByteWriter& w, const Refresh& m) {
  w.put(m.upto);
  encode_paths(w, m.paths);
}
Refresh decode_refresh(ByteReader& r) {
  const auto upto = r.get<std::uint64_t>();
  return Refresh{upto, decode_paths(r)};
}

void encode(ByteWriter& w, const Heartbeat& m) { w.put(m.within_ms); }

void encode(ByteWriter& w, const Voided& m) {
  put(w, m.hop);
  const std::string text = printable(m.text);
  w.put(static_cast<std::uint8_t>(text.size()));
  w.bytes(std::as_bytes(std::span{text}));
  encode_paths(w, m.paths);
}
Voided decode_voided(ByteReader& r) {
  Voided m;
  m.hop = get_address(r);
  const auto length = r.get<std::uint8_t>();
  const auto text = r.bytes(length);
  m.text.assign(reinterpret_cast<const char*>(text.data()), text.size());
  if (m.text.size() > signal_text_bytes || printable(m.text) != m.text) r.fail();
  m.paths = decode_paths(r);
  return m;
}

// --- TLVs -----------------------------------------------------------------------------------------------------

bool take_extension(std::span<const std::byte> value, Setup& m) {
  if (value.size() < 2) return false;
  ByteReader r{value};
  const auto tag = r.get<std::uint16_t>();
  const auto rest = r.bytes(r.left());
  m.extensions.push_back(Extension{tag, {rest.begin(), rest.end()}});
  return extension_bytes(m.extensions) <= signal_extension_bytes;
}

bool take_replaces(std::span<const std::byte> value, Setup& m) {
  if (value.size() != 16 || m.replaces.sequence != 0) return false;
  ByteReader r{value};
  m.replaces = get_path(r);
  return m.replaces.sequence != 0;
}

bool take_text(std::span<const std::byte> value, Refuse& m) {
  if (!m.text.empty() || value.empty() || value.size() > signal_text_bytes) return false;
  m.text.assign(reinterpret_cast<const char*>(value.data()), value.size());
  return std::ranges::all_of(m.text, [](char c) { return c >= ' ' && c <= '~'; });
}

bool decode_tlvs(ByteReader& r, SignalBody& body) {
  while (r.left() > 0) {
    const auto tag = r.get<std::uint16_t>();
    const auto length = r.get<std::uint16_t>();
    const auto value = r.bytes(length);
    if (!r.good()) return false;
    if (tag == tag_extension && std::holds_alternative<Setup>(body)) {
      if (!take_extension(value, std::get<Setup>(body))) return false;
    } else if (tag == tag_replaces && std::holds_alternative<Setup>(body)) {
      if (!take_replaces(value, std::get<Setup>(body))) return false;
    } else if (tag == tag_text && std::holds_alternative<Refuse>(body)) {
      if (!take_text(value, std::get<Refuse>(body))) return false;
    } else if (tag >= tag_critical) {
      return false;
    }
  }
  return true;
}

SignalBody decode_fields(SignalType type, ByteReader& r) {
  switch (type) {
    case SignalType::hello: return decode_hello(r);
    case SignalType::ack: return decode_ack(r);
    case SignalType::setup: return decode_setup(r);
    case SignalType::commit: return decode_commit(r);
    case SignalType::confirm: return Confirm{get_path(r)};
    case SignalType::start: return decode_start(r);
    case SignalType::refuse: return decode_refuse(r);
    case SignalType::teardown: return decode_teardown(r);
    case SignalType::refresh: return decode_refresh(r);
    case SignalType::voided: return decode_voided(r);
    case SignalType::heartbeat: return Heartbeat{r.get<std::uint32_t>()};
  }
  r.fail();
  return Hello{};
}

bool acknowledged(SignalType type) {
  return type != SignalType::hello && type != SignalType::ack && type != SignalType::heartbeat;
}

std::optional<SignalDrop> decode_message(ByteReader& packet, SignalMessage& m) {
  const auto type = packet.get<std::uint8_t>();
  m.attempt = packet.get<std::uint8_t>();
  const auto length = packet.get<std::uint16_t>();
  m.number = packet.get<std::uint64_t>();
  if (!packet.good() || length < signal_message_header_bytes) return SignalDrop::bad_length;
  ByteReader body{packet.bytes(length - signal_message_header_bytes)};
  if (!packet.good()) return SignalDrop::bad_length;
  if (type < static_cast<std::uint8_t>(SignalType::hello) || type > static_cast<std::uint8_t>(SignalType::heartbeat)) {
    return SignalDrop::bad_type;
  }
  const auto known = static_cast<SignalType>(type);
  if (acknowledged(known) != (m.number != 0)) return SignalDrop::bad_field;
  m.body = decode_fields(known, body);
  if (!body.good()) return SignalDrop::bad_field;
  if (!decode_tlvs(body, m.body)) return SignalDrop::bad_tlv;
  return std::nullopt;
}

}  // namespace

std::size_t extension_bytes(std::span<const Extension> extensions) noexcept {
  std::size_t bytes = 0;
  for (const Extension& e : extensions) bytes += tlv_head_bytes + 2 + e.value.size();
  return bytes;
}

SignalType type_of(const SignalBody& body) noexcept { return static_cast<SignalType>(body.index() + 1); }
static_assert(std::variant_size_v<SignalBody> == static_cast<std::size_t>(SignalType::heartbeat));

std::expected<SignalPacket, SignalDrop> decode_signal(std::span<const std::byte> bytes) {
  if (bytes.size() < signal_header_bytes) return std::unexpected(SignalDrop::short_packet);
  ByteReader r{bytes};
  if (r.get<std::uint8_t>() != signal_version) return std::unexpected(SignalDrop::bad_version);
  const auto reserved = r.get<std::uint8_t>();
  const auto length = r.get<std::uint16_t>();
  if (length != bytes.size() || bytes.size() > signal_packet_bytes) return std::unexpected(SignalDrop::bad_length);
  if (reserved != 0 || r.get<std::uint32_t>() != 0) return std::unexpected(SignalDrop::bad_field);
  SignalPacket packet;
  packet.sender_epoch = r.get<std::uint64_t>();
  packet.receiver_epoch = r.get<std::uint64_t>();
  if (packet.sender_epoch == 0) return std::unexpected(SignalDrop::bad_field);
  while (r.left() > 0) {
    SignalMessage& message = packet.messages.emplace_back();
    if (const auto drop = decode_message(r, message)) return std::unexpected(*drop);
  }
  return packet;
}

std::vector<std::byte> encode_message(std::uint64_t number, const SignalBody& body) {
  std::vector<std::byte> bytes(signal_message_bytes);
  ByteWriter w{bytes};
  w.put(static_cast<std::uint8_t>(type_of(body)));
  w.put(std::uint8_t{0});
  w.put(std::uint16_t{0});
  w.put(number);
  std::visit(
      [&w](const auto& m) {
        using T = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<T, Confirm>) {
          put(w, m.path);
        } else {
          encode(w, m);
        }
      },
      body);
  assert(w.good());
  w.patch16(2, static_cast<std::uint16_t>(w.size()));
  bytes.resize(w.size());
  return bytes;
}

void set_attempt(std::span<std::byte> message, std::uint8_t attempt) noexcept {
  assert(message.size() >= signal_message_header_bytes);
  message[1] = static_cast<std::byte>(attempt);
}

std::vector<std::byte> encode_head(std::uint64_t sender_epoch, std::uint64_t receiver_epoch) {
  std::vector<std::byte> packet;
  packet.reserve(256);
  packet.resize(signal_header_bytes);
  ByteWriter w{packet};
  w.put(signal_version);
  w.put(std::uint8_t{0});
  w.put(static_cast<std::uint16_t>(packet.size()));
  w.put(std::uint32_t{0});
  w.put(sender_epoch);
  w.put(receiver_epoch);
  return packet;
}

bool append_message(std::vector<std::byte>& packet, std::span<const std::byte> message) {
  if (packet.size() + message.size() > signal_packet_bytes) return false;
  packet.insert(packet.end(), message.begin(), message.end());
  ByteWriter{packet}.patch16(2, static_cast<std::uint16_t>(packet.size()));
  return true;
}

namespace {

std::size_t varint_bytes(std::uint64_t v) {
  std::size_t n = 1;
  for (; v >= 0x80; v >>= 7) ++n;
  return n;
}

// What paths[i] takes after those before it.
std::size_t bytes_of(std::span<const PathId> paths, std::size_t i) {
  const bool same = i > 0 && paths[i].source == paths[i - 1].source;
  return same ? varint_bytes(paths[i].sequence - paths[i - 1].sequence - 1) : 10 + varint_bytes(paths[i].sequence);
}

std::size_t take_paths(std::span<const PathId> paths, std::size_t left, std::vector<PathId>& out) {
  std::size_t taken = 0;
  for (; taken < paths.size(); ++taken) {
    const std::size_t need = bytes_of(paths, taken);
    if (need > left) break;
    left -= need;
  }
  out.assign(paths.begin(), paths.begin() + static_cast<std::ptrdiff_t>(taken));
  return taken;
}

}  // namespace

std::size_t take_refresh(std::span<const PathId> paths, Refresh& out) {
  return take_paths(paths, refresh_list_bytes, out.paths);
}

std::size_t take_voided(std::span<const PathId> paths, Voided& out) {
  const std::size_t fields = out.hop.bytes.size() + 1 + std::min(out.text.size(), signal_text_bytes);
  return take_paths(paths, path_list_room - fields, out.paths);
}

std::size_t path_list_bytes(std::span<const PathId> paths) noexcept {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < paths.size(); ++i) bytes += bytes_of(paths, i);
  return bytes;
}

const char* name(TeardownReason reason) noexcept {
  switch (reason) {
    case TeardownReason::closed: return "closed by the other end";
    case TeardownReason::gone: return "the application at the other end is gone";
    case TeardownReason::expired: return "not refreshed within its lease";
    case TeardownReason::lost: return "a neighbour on the route was lost or restarted";
    case TeardownReason::failed: return "a node on the route could not open its part";
    case TeardownReason::unknown: return "a node on the route no longer knows the path";
    case TeardownReason::shut_down: return "a daemon on the route was shut down";
    case TeardownReason::rerouted: return "the route has changed";
  }
  return "?";
}

const char* name(SignalType type) noexcept {
  switch (type) {
    case SignalType::hello: return "hello";
    case SignalType::ack: return "ack";
    case SignalType::setup: return "setup";
    case SignalType::commit: return "commit";
    case SignalType::confirm: return "confirm";
    case SignalType::start: return "start";
    case SignalType::refuse: return "refuse";
    case SignalType::teardown: return "teardown";
    case SignalType::refresh: return "refresh";
    case SignalType::voided: return "voided";
    case SignalType::heartbeat: return "heartbeat";
  }
  return "?";
}

const char* name(SignalDrop reason) noexcept {
  switch (reason) {
    case SignalDrop::short_packet: return "short packet";
    case SignalDrop::bad_version: return "unknown version";
    case SignalDrop::bad_length: return "length does not match";
    case SignalDrop::bad_type: return "unknown message type";
    case SignalDrop::bad_field: return "field out of range";
    case SignalDrop::bad_tlv: return "broken or critical unknown TLV";
  }
  return "?";
}

}  // namespace rtchan::wire
