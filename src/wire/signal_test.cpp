// Signalling packets: what was written is read, and nothing else is.
#include "wire/signal.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace rtchan::wire {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

Setup some_setup() {
  Setup s;
  s.path = {HostId{0x0123456789abcdef}, 42};
  s.source = *Endpoint::parse("10.0.0.1:49200");
  s.source_uid = 1000;
  s.destination = *Endpoint::parse("[fd00::2]:7");
  s.qos = {ServiceClass::guaranteed, milliseconds{2}, 500'000'000'000, 3, 1'000, milliseconds{5}};
  s.hops = 2;
  s.tight = true;
  s.patience_ms = 5'000;
  s.promised = {microseconds{900}, microseconds{200}, 7'000, microseconds{300}, milliseconds{1}, microseconds{100}, 1'404};
  s.replaces = {HostId{0x1234}, 77};
  s.extensions = {Extension{1, {std::byte{1}, std::byte{2}}}, Extension{9, {}}};
  return s;
}

std::vector<SignalBody> one_of_each() {
  const PathId path{HostId{7}, 8};
  return {
      Hello{HostId{5}, 1, 2, true},
      Ack{77, 3},
      some_setup(),
      Commit{path, Label{3, 4}, Terms{milliseconds{1}, microseconds{5}, milliseconds{3}}, 17},
      Confirm{path},
      Start{path, 18},
      Refuse{path, Errc::refused, Resource::link, *IpAddress::parse("10.0.0.2"), milliseconds{3}, milliseconds{9},
             250'000'000'000, "link up: infeasible", true, 3, 1'404, 19},
      Teardown{path, TeardownReason::gone, *IpAddress::parse("10.0.0.2"), 12, 20},
      Refresh{21, {{HostId{1}, 5}, {HostId{1}, 6}, {HostId{1}, 500'000}, {HostId{2}, 0}, {HostId{2}, UINT64_MAX}}},
      Voided{*IpAddress::parse("10.0.0.2"), "guard lost", {{HostId{1}, 5}, {HostId{2}, 7}}},
      Heartbeat{250},
  };
}

std::uint64_t number_of(const SignalBody& body) {
  const auto type = type_of(body);
  return type == SignalType::hello || type == SignalType::ack || type == SignalType::heartbeat ? 0 : 99;
}

std::vector<std::byte> packet_of(std::span<const SignalBody> bodies) {
  auto packet = encode_head(11, 22);
  for (const SignalBody& body : bodies) EXPECT_TRUE(append_message(packet, encode_message(number_of(body), body)));
  return packet;
}

TEST(Signal, every_message_survives_the_wire) {
  const auto bodies = one_of_each();
  const auto bytes = packet_of(bodies);
  const auto packet = decode_signal(bytes);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->sender_epoch, 11U);
  EXPECT_EQ(packet->receiver_epoch, 22U);
  ASSERT_EQ(packet->messages.size(), bodies.size());
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    // Equal when written again: the encoder is a function of every field.
    EXPECT_EQ(encode_message(number_of(bodies[i]), packet->messages[i].body),
              encode_message(number_of(bodies[i]), bodies[i]))
        << name(type_of(bodies[i]));
  }
  EXPECT_EQ(std::get<wire::Setup>(packet->messages[2].body), some_setup());
  const auto& refuse = std::get<Refuse>(packet->messages[6].body);
  EXPECT_EQ(refuse.text, "link up: infeasible");
  EXPECT_TRUE(refuse.again);
  EXPECT_EQ(refuse.detours, 3U);
  EXPECT_EQ(refuse.fragment_bytes, 1'404U);
  EXPECT_EQ(std::get<Commit>(packet->messages[3].body).answers, 17U);
  EXPECT_EQ(std::get<Start>(packet->messages[5].body).answers, 18U);
  EXPECT_EQ(refuse.answers, 19U);
  EXPECT_EQ(std::get<Teardown>(packet->messages[7].body).answers, 20U);
  EXPECT_EQ(std::get<Refresh>(packet->messages[8].body).upto, 21U);
  EXPECT_EQ(std::get<Refresh>(packet->messages[8].body).paths, std::get<Refresh>(bodies[8]).paths);
  EXPECT_EQ(std::get<Voided>(packet->messages[9].body).paths, std::get<Voided>(bodies[9]).paths);
  EXPECT_EQ(std::get<Voided>(packet->messages[9].body).text, "guard lost");
}

TEST(Signal, attempt_is_rewritten_in_place) {
  auto message = encode_message(5, Confirm{});
  set_attempt(message, 9);
  auto packet = encode_head(1, 1);
  ASSERT_TRUE(append_message(packet, message));
  EXPECT_EQ(decode_signal(packet)->messages[0].attempt, 9);
}

TEST(Signal, every_truncation_is_refused_whole) {
  for (const SignalBody& body : one_of_each()) {
    auto bytes = packet_of({&body, 1});
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_FALSE(decode_signal(cut)) << name(type_of(body)) << " " << size;  // the length field disagrees
      if (size < signal_header_bytes) continue;
      cut[2] = static_cast<std::byte>(size >> 8);
      cut[3] = static_cast<std::byte>(size & 0xff);
      const auto packet = decode_signal(cut);  // and now it agrees, but the message's does not
      EXPECT_TRUE(!packet || packet->messages.empty()) << name(type_of(body)) << " " << size;
    }
  }
}

TEST(Signal, message_cut_short_together_with_its_lengths_keeps_its_fixed_fields_or_is_refused) {
  for (const SignalBody& body : one_of_each()) {
    const auto whole = encode_message(number_of(body), body);
    for (std::size_t size = signal_message_header_bytes; size < whole.size(); ++size) {
      std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      cut[2] = static_cast<std::byte>(size >> 8);
      cut[3] = static_cast<std::byte>(size & 0xff);
      auto bytes = encode_head(1, 1);
      ASSERT_TRUE(append_message(bytes, cut));
      const auto packet = decode_signal(bytes);
      if (!packet) continue;
      // Only where whole optional parts are missing: extensions, text, the last ids of a refresh.
      const auto type = type_of(packet->messages[0].body);
      EXPECT_TRUE(type == SignalType::setup || type == SignalType::refuse || type == SignalType::refresh || type == SignalType::voided)
          << name(type) << " " << size;
    }
  }
}

TEST(Signal, flipped_bits_never_crash_and_never_leave_ranges) {
  std::mt19937 random{1};
  const auto bodies = one_of_each();
  const auto bytes = packet_of(bodies);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto flipped = bytes;
    flipped[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const auto packet = decode_signal(flipped);
    if (!packet) continue;
    for (const auto& message : packet->messages) {
      if (const auto* s = std::get_if<wire::Setup>(&message.body)) {
        EXPECT_LE(s->qos.message_bytes, limits::message_bytes);
        EXPECT_LE(s->qos.max_delay, limits::delay_max);
        EXPECT_GE(s->qos.period.count(), 100);
        EXPECT_LE(s->hop_limit, limits::hops);
        EXPECT_LE(s->promised.last_minimum, s->promised.minima);
      }
    }
  }
}

TEST(Signal, unknown_tlv_is_skipped_and_a_critical_one_refused) {
  for (const bool critical : {false, true}) {
    auto message = encode_message(5, Confirm{{HostId{1}, 2}});
    for (const int b : {critical ? 0x80 : 0x12, 0x34, 0, 3, 1, 2, 3}) message.push_back(static_cast<std::byte>(b));
    message[3] = static_cast<std::byte>(message.size());
    auto bytes = encode_head(1, 1);
    ASSERT_TRUE(append_message(bytes, message));
    const auto packet = decode_signal(bytes);
    EXPECT_EQ(packet.has_value(), !critical);
    EXPECT_TRUE(!critical || packet.error() == SignalDrop::bad_tlv);
  }
}

TEST(Signal, other_versions_types_and_zero_epochs_are_refused) {
  const SignalBody body = Confirm{};
  const auto good = packet_of({&body, 1});
  auto bad = good;
  bad[0] = std::byte{2};
  EXPECT_EQ(decode_signal(bad).error(), SignalDrop::bad_version);
  bad = good;
  bad[signal_header_bytes] = std::byte{12};
  EXPECT_EQ(decode_signal(bad).error(), SignalDrop::bad_type);
  bad = good;
  for (std::size_t i = 8; i < 16; ++i) bad[i] = std::byte{0};
  EXPECT_EQ(decode_signal(bad).error(), SignalDrop::bad_field);
  bad = good;
  for (std::size_t i = 4; i < 12; ++i) bad[signal_header_bytes + i] = std::byte{0};  // an unnumbered confirm
  EXPECT_EQ(decode_signal(bad).error(), SignalDrop::bad_field);
  EXPECT_EQ(decode_signal({}).error(), SignalDrop::short_packet);
}

TEST(Signal, packet_never_outgrows_a_data_packet) {
  auto packet = encode_head(1, 1);
  const auto message = encode_message(9, some_setup());
  std::size_t messages = 0;
  while (append_message(packet, message)) ++messages;
  EXPECT_GE(messages, 4U);
  EXPECT_LE(packet.size() + header_bytes + trailer_bytes, limits::signal_bytes);
  EXPECT_TRUE(decode_signal(packet));
}

TEST(Signal, largest_setup_fits) {
  wire::Setup s = some_setup();
  s.extensions.assign(limits::extensions_per_channel, Extension{3, std::vector<std::byte>(limits::extension_bytes)});
  auto packet = encode_head(1, 1);
  EXPECT_TRUE(append_message(packet, encode_message(1, s)));
  ASSERT_TRUE(decode_signal(packet));
  EXPECT_EQ(std::get<wire::Setup>(decode_signal(packet)->messages[0].body), s);
}

TEST(Refresh, lists_consecutive_paths_in_a_byte_each) {
  std::vector<PathId> paths;
  for (std::uint64_t i = 0; i < 10'000; ++i) paths.push_back({HostId{1}, 0xabcdef'0000'0000 + i});
  std::size_t messages = 0;
  std::vector<PathId> back;
  for (std::span<const PathId> rest{paths}; !rest.empty(); ++messages) {
    Refresh part;
    rest = rest.subspan(take_refresh(rest, part));
    auto packet = encode_head(1, 1);
    ASSERT_TRUE(append_message(packet, encode_message(1, part)));
    const auto decoded = decode_signal(packet);
    ASSERT_TRUE(decoded);
    const auto& got = std::get<Refresh>(decoded->messages[0].body).paths;
    back.insert(back.end(), got.begin(), got.end());
  }
  EXPECT_EQ(back, paths);
  EXPECT_LE(messages, 10U);
}

TEST(Refresh, random_sets_survive) {
  std::mt19937_64 random{7};
  for (int round = 0; round < 200; ++round) {
    std::vector<PathId> paths;
    for (int i = 0; i < 60; ++i) paths.push_back({HostId{random() % 5}, random() >> (random() % 64)});
    std::ranges::sort(paths);
    paths.erase(std::ranges::unique(paths).begin(), paths.end());
    std::vector<PathId> back;
    for (std::span<const PathId> rest{paths}; !rest.empty();) {
      Refresh part;
      rest = rest.subspan(take_refresh(rest, part));
      auto packet = encode_head(1, 1);
      ASSERT_TRUE(append_message(packet, encode_message(1, part)));
      const auto decoded = decode_signal(packet);
      ASSERT_TRUE(decoded);
      const auto& got = std::get<Refresh>(decoded->messages[0].body).paths;
      back.insert(back.end(), got.begin(), got.end());
    }
    EXPECT_EQ(back, paths);
  }
}

}  // namespace
}  // namespace rtchan::wire
