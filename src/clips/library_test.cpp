// CLIPS without a daemon.
#include "clips/library.hpp"

#include <gtest/gtest.h>

#include "clips/testing/two_hosts.hpp"

namespace rtchan::clips::testing {
namespace {

class Library : public ::testing::Test {
 protected:
  Library() { cable.advance(now); }

  LinkConfig link(unsigned side) {
    return {.driver = &cable.driver(side), .bits_per_second = 100'000'000, .frame_overhead_bytes = overhead_bytes};
  }
  void run_for(Duration time) {
    const Instant end = now + time;
    while (now < end) {
      const Instant due = std::min({a.turn(now), b.turn(now), cable.next_event(), end});
      now = std::max(now, due);
      cable.advance(now);
    }
  }
  static ClipHostSettings seeded() {
    ClipHostSettings settings;
    settings.seed = 3;
    return settings;
  }

  link::Cable cable{{.ends = {address(0), address(1)}, .bits_per_second = 100'000'000,
                     .frame_overhead_bytes = overhead_bytes, .delay = microseconds{20}}};
  Instant now{seconds{1}};
  ClipHost a{link(0), seeded()};
  ClipHost b{link(1), seeded()};
};

TEST_F(Library, MessagesKeepTheirRateAndDeadline) {
  const ClipRequest request{5'000, 50'000, 8, milliseconds{20}, {}};  // 4 packets: two messages in each period
  const auto label = b.open_receiver(request, now);
  ASSERT_TRUE(label);
  const auto clip = a.open_sender(request, address(1), *label, now);
  ASSERT_TRUE(clip);
  std::uint64_t sent = 0;
  while (a.send(*clip, message_of(5'000, sent), now)) ++sent;
  EXPECT_EQ(sent, 10u) << "as many as the buffer holds";
  std::vector<std::uint64_t> numbers;
  auto read = [&] {
    b.receive(ClipSlot{label->slot}, [&](std::span<const std::byte> bytes, std::uint64_t number, Duration delay) {
      EXPECT_TRUE(std::ranges::equal(bytes, message_of(5'000, number)));
      EXPECT_LE(delay, milliseconds{41});
      numbers.push_back(number);
    });
  };
  run_for(milliseconds{50});
  read();
  EXPECT_GE(numbers.size(), 5u);
  EXPECT_LE(numbers.size(), 6u) << "two in each 20 ms";
  run_for(milliseconds{100});
  read();
  EXPECT_EQ(numbers.size(), 10u);
  EXPECT_EQ(b.counters(ClipSlot{label->slot}).late, 0u);
}

TEST_F(Library, WhatDoesNotFitIsRefusedAndWhatIsClosedMakesRoom) {
  const ClipRequest request{30'000, 30'000, 22, milliseconds{5}, {}};  // 54 Mb/s with headers
  const auto first = a.open_sender(request, address(1), Label{1, 1}, now);
  ASSERT_TRUE(first);
  const auto second = a.open_sender(request, address(1), Label{2, 2}, now);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::refused);
  EXPECT_EQ(second.error().refusal.resource, Resource::link);
  a.close(*first, CloseMode::drain, now);
  run_for(milliseconds{1});
  EXPECT_TRUE(a.open_sender(request, address(1), Label{2, 2}, now));
}

TEST_F(Library, ADeadlineThatCannotBeKeptIsRefusedWithOneThatCan) {
  ClipRequest request{30'000, 30'000, 22, milliseconds{20}, milliseconds{1}};
  const auto no = a.open_sender(request, address(1), Label{1, 1}, now);
  ASSERT_FALSE(no);
  EXPECT_EQ(no.error().refusal.resource, Resource::delay);
  EXPECT_GT(no.error().refusal.fitting_delay, milliseconds{2});
  request.deadline = no.error().refusal.fitting_delay;
  EXPECT_TRUE(a.open_sender(request, address(1), Label{1, 1}, now));
}

TEST_F(Library, RequestsOutOfRangeAreRefusedByName) {
  const ClipRequest good{1'000, 1'000, 1, milliseconds{10}, {}};
  for (auto change : std::initializer_list<std::function<void(ClipRequest&)>>{
           [](ClipRequest& r) { r.message_bytes = 0; }, [](ClipRequest& r) { r.message_bytes = limits::message_bytes + 1; },
           [](ClipRequest& r) { r.buffer_bytes = 999; }, [](ClipRequest& r) { r.packets_per_period = 0; },
           [](ClipRequest& r) { r.period = Duration{0}; }, [](ClipRequest& r) { r.deadline = Duration{-1}; }}) {
    ClipRequest request = good;
    change(request);
    const auto no = a.open_receiver(request, now);
    ASSERT_FALSE(no);
    EXPECT_EQ(no.error().code, Errc::invalid_argument);
    EXPECT_FALSE(no.error().text.empty());
  }
  EXPECT_TRUE(a.open_receiver(good, now));
}

// One's own rule instead of the default.
class AtMost final : public ClipAdmission {
 public:
  explicit AtMost(int clips) : left_(clips) {}
  std::expected<ClipGrant, Error> admit(Role, const admission::Contract&, Duration within) override {
    if (left_ == 0) return std::unexpected(Error{Errc::refused, "enough", {}});
    --left_;
    return ClipGrant{within / 2, within / 2, 0};
  }
  void release(std::uint64_t) override { ++left_; }
  admission::BurstBound burst_bound() const override { return {}; }

 private:
  int left_;
};

TEST_F(Library, AdmissionCanBeReplaced) {
  ClipHostSettings settings = seeded();
  settings.admission = std::make_unique<AtMost>(1);
  ClipHost host(link(0), std::move(settings));
  const ClipRequest absurd{30'000, 30'000, 22, microseconds{1}, {}};
  EXPECT_TRUE(host.open_sender(absurd, address(1), Label{1, 1}, now));
  const auto second = host.open_sender(absurd, address(1), Label{1, 1}, now);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().text, "enough");
}

}  // namespace
}  // namespace rtchan::clips::testing
