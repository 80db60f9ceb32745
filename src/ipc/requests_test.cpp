// Control messages: what is written is read back, and nothing else is accepted.
#include "ipc/requests.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

namespace rtchan::ipc {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

const Qos contract{.max_rate = 500.5, .max_burst = 7, .max_message_bytes = 1'024, .max_delay = 5ms};
const Endpoint somewhere = *Endpoint::parse("[2001:db8::7]:7000");
const std::vector<Extension> extensions{{1, {std::byte{1}, std::byte{2}}}, {9, {}}};
const QueuePlace place{queues_offset, 5, 1'024, 8, 1'000};

std::vector<Request> all_requests() {
  return {Hello{1}, Mapped{}, RegisterPort{3, 80}, UnregisterPort{4, 80},
          CreateChannel{5, somewhere, contract, true, 2s, extensions}, Decision{6, true},
          DestroyChannel{7, ChannelId{9}}, Query{8, "status"}};
}
std::vector<Reply> all_replies() {
  return {Welcome{1, 2, 1 << 20, SessionId{3}}, Ready{}, Registered{1, 2}, Done{3},
          Failed{4, Error{Errc::refused, "too much", {"10.0.0.9", Resource::link, 1ms, 2ms, 3.5}}},
          Created{5, ChannelId{6}, 1, place, 5ms},
          Asked{7, 80, false, ChannelId{}, somewhere, 1000, contract, extensions},
          Asked{8, 80, true, ChannelId{4}, somewhere, 1000, {}, {}},
          Aborted{9}, Accepted{10, ChannelId{11}, 80, 0, somewhere, contract, place},
          Notice{Notice::Kind::voided, ChannelId{12}, "guard lost"}, Text{13, true, "{}"}};
}

TEST(Requests, EveryMessageReadsBackAsWritten) {
  for (const auto& request : all_requests()) {
    const auto bytes = encode(request);
    const auto read = decode_request(bytes);
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(read->index(), request.index());
    EXPECT_EQ(encode(*read), bytes);
  }
  for (const auto& reply : all_replies()) {
    const auto bytes = encode(reply);
    const auto read = decode_reply(bytes);
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(read->index(), reply.index());
    EXPECT_EQ(encode(*read), bytes);
  }
}

TEST(Requests, FieldsArriveWhereTheyBelong) {
  const auto bytes = encode(Request{CreateChannel{5, somewhere, contract, true, 2s, extensions}});
  const auto read = std::get<CreateChannel>(*decode_request(bytes));
  EXPECT_EQ(read.request, 5u);
  EXPECT_EQ(read.destination, somewhere);
  EXPECT_EQ(read.qos, contract);
  EXPECT_TRUE(read.refuse_excess);
  EXPECT_EQ(read.timeout, 2s);
  EXPECT_EQ(read.extensions, extensions);
}

TEST(Requests, EveryTruncationAndEveryTailIsRefused) {
  const auto check = [](std::vector<std::byte> bytes, const auto& decode) {
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_FALSE(decode(cut));
      if (size < 8) continue;
      const auto length = static_cast<std::uint32_t>(size);  // and with a head that agrees
      std::memcpy(cut.data() + 4, &length, 4);
      EXPECT_FALSE(decode(cut)) << size;
    }
    bytes.push_back(std::byte{0});
    const auto length = static_cast<std::uint32_t>(bytes.size());
    std::memcpy(bytes.data() + 4, &length, 4);
    EXPECT_FALSE(decode(bytes));
  };
  for (const auto& request : all_requests()) check(encode(request), decode_request);
  for (const auto& reply : all_replies()) check(encode(reply), decode_reply);
}

TEST(Requests, RequestsAreNotReplies) {
  EXPECT_FALSE(decode_reply(encode(Request{Hello{1}})));
  EXPECT_FALSE(decode_request(encode(Reply{Ready{}})));
}

std::string flaw(CreateChannel m) {
  const auto read = decode_request(encode(Request{std::move(m)}));
  return read ? "accepted" : read.error();
}
CreateChannel good() { return {5, somewhere, contract, false, 2s, {}}; }

TEST(Requests, AContractOutsideItsRangesIsRefusedByName) {
  const auto with = [](auto change) {
    auto m = good();
    change(m);
    return flaw(m);
  };
  EXPECT_EQ(flaw(good()), "accepted");
  EXPECT_THAT(with([](auto& m) { m.qos.max_rate = NAN; }), HasSubstr("max_rate"));
  EXPECT_THAT(with([](auto& m) { m.qos.max_rate = 0; }), HasSubstr("max_rate"));
  EXPECT_THAT(with([](auto& m) { m.qos.max_rate = -1; }), HasSubstr("max_rate"));
  EXPECT_THAT(with([](auto& m) { m.qos.max_rate = INFINITY; }), HasSubstr("max_rate"));
  EXPECT_THAT(with([](auto& m) { m.qos.max_burst = 0; }), HasSubstr("max_burst"));
  EXPECT_THAT(with([](auto& m) { m.qos.max_burst = 65'537; }), HasSubstr("max_burst"));
  EXPECT_THAT(with([](auto& m) { m.qos.max_message_bytes = 0; }), HasSubstr("max_message_bytes"));
  EXPECT_THAT(with([](auto& m) { m.qos.max_message_bytes = (16u << 20) + 1; }), HasSubstr("max_message_bytes"));
  EXPECT_THAT(with([](auto& m) { m.qos.max_delay = 999ns; }), HasSubstr("max_delay"));
  EXPECT_THAT(with([](auto& m) { m.qos.max_delay = 2h; }), HasSubstr("max_delay"));
  EXPECT_THAT(with([](auto& m) { m.timeout = 0s; }), HasSubstr("timeout"));
  EXPECT_THAT(with([](auto& m) { m.extensions.resize(9); }), HasSubstr("extensions"));
  EXPECT_THAT(with([](auto& m) { m.extensions.push_back({1, std::vector<std::byte>(65)}); }), HasSubstr("extension"));
  EXPECT_EQ(with([](auto& m) {
              m.qos.service = ServiceClass::best_effort;
              m.qos.max_rate = 0;
              m.qos.max_delay = {};
            }),
            "accepted");
}

TEST(Requests, HowOftenAChannelSendsIsUnderstoodOrRefused) {
  const auto flaw_of = [](const Extension& e) { return flaw_in(std::vector{e}).value_or("none"); };
  EXPECT_EQ(flaw_of(activity(1)), "none");
  EXPECT_EQ(flaw_of(activity(1'000'000)), "none");
  EXPECT_THAT(flaw_of(activity(0)), HasSubstr("activity"));
  EXPECT_THAT(flaw_of(activity(1'000'001)), HasSubstr("activity"));
  EXPECT_THAT(flaw_of({tag_activity, std::vector<std::byte>(3)}), HasSubstr("activity"));
}

TEST(Requests, APlaceOutsideTheArenaIsRefused) {
  const auto with = [](auto change) {
    QueuePlace p = place;
    change(p);
    return decode_reply(encode(Reply{Created{5, ChannelId{6}, 1, p, 5ms}})).has_value();
  };
  EXPECT_TRUE(with([](QueuePlace&) {}));
  EXPECT_FALSE(with([](QueuePlace& p) { p.offset = 0; }));
  EXPECT_FALSE(with([](QueuePlace& p) { p.offset += 64; }));
  EXPECT_FALSE(with([](QueuePlace& p) { p.offset = limits::arena_bytes - page; p.slots = 4; p.slot_bytes = 4'096; }));
  EXPECT_FALSE(with([](QueuePlace& p) { p.capacity = 7; }));
  EXPECT_FALSE(with([](QueuePlace& p) { p.slots = 9; }));
  EXPECT_FALSE(with([](QueuePlace& p) { p.slot_bytes = 960; }));
  EXPECT_FALSE(with([](QueuePlace& p) { p.message_bytes = 0; }));
}

TEST(Requests, LongTextsAreCutNotRefused) {
  const auto bytes = encode(Reply{Failed{1, Error{Errc::system, std::string(100'000, 'x'), {}}}});
  EXPECT_EQ(std::get<Failed>(*decode_reply(bytes)).error.text.size(), limits::control_text_bytes);
}

// Random damage: either refused, or a message that is within all bounds (and thus reads back as itself).
TEST(Requests, DamagedMessagesAreRefusedOrWellFormed) {
  std::mt19937 random(11);
  std::size_t accepted = 0;
  const auto requests = all_requests();
  const auto replies = all_replies();
  for (int round = 0; round < 200'000; ++round) {
    const bool request = random() % 2 == 0;
    auto bytes = request ? encode(requests[random() % requests.size()]) : encode(replies[random() % replies.size()]);
    for (auto flips = 1 + random() % 3; flips > 0; --flips) {
      bytes[random() % bytes.size()] ^= static_cast<std::byte>(1u << random() % 8);
    }
    if (request) {
      if (const auto read = decode_request(bytes)) {
        ++accepted;
        EXPECT_EQ(encode(*read), bytes);
        const auto* create = std::get_if<CreateChannel>(&*read);
        EXPECT_FALSE(create != nullptr && flaw_in(create->qos).has_value());
      }
    } else if (const auto read = decode_reply(bytes)) {
      ++accepted;
      EXPECT_EQ(encode(*read).size(), bytes.size());
    }
  }
  EXPECT_GT(accepted, 1'000u);
}

}  // namespace
}  // namespace rtchan::ipc
