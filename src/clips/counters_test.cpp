// The tables of counter names: complete, and no name twice.
#include "clips/counters.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace rtchan::clips {
namespace {

template <class Table>
void add_names(std::multiset<std::string>& names, const Table& table) {
  for (const auto& entry : table) names.insert(entry.name);
}

TEST(CounterNames, EveryCounterOfAClipHasExactlyOne) {
  ClipCounters c;
  std::set<const void*> named;
  std::multiset<std::string> names;
  add_names(names, clip_counter_names);
  add_names(names, clip_worst_names);
  for (const auto& entry : clip_counter_names) named.insert(&(c.*entry.count));
  for (const auto& entry : clip_worst_names) named.insert(&(c.*entry.worst));
  // Members are 64 bits each, and the first named is the first of all: without a gap up to the last, none is left out.
  EXPECT_EQ(named.size(), clip_counter_names.size() + clip_worst_names.size());
  EXPECT_EQ(*named.begin(), &c);
  EXPECT_EQ(*named.rbegin(), reinterpret_cast<std::uint64_t*>(&c) + named.size() - 1);
  EXPECT_EQ(&c.worst_link, *named.rbegin()) << "the last member";
  for (const auto& name : names) EXPECT_EQ(names.count(name), 1u) << name;
}

TEST(CounterNames, EveryReasonToDropAPacketHasItsOwn) {
  std::multiset<std::string> names(packet_drop_names.begin(), packet_drop_names.end());
  add_names(names, domain_counter_names);
  for (const auto& name : names) EXPECT_EQ(names.count(name), 1u) << name;
  std::set<PacketDrop> of_bytes;
  for (std::size_t i = 0; i < wire::drop_reasons; ++i) of_bytes.insert(packet_drop(static_cast<wire::Drop>(i)));
  EXPECT_EQ(of_bytes.size(), wire::drop_reasons);
  EXPECT_STREQ(packet_drop_names[std::to_underlying(packet_drop(wire::Drop::bad_checksum))], "bad_checksum");
  EXPECT_STREQ(packet_drop_names[std::to_underlying(PacketDrop::wrong_generation)], "wrong_generation");
  EXPECT_STREQ(packet_drop_names[std::to_underlying(PacketDrop::signal_queue_full)], "signal_queue_full");
}

TEST(CounterNames, ClearingLeavesNothing) {
  ClipCounters c;
  for (const auto& entry : clip_counter_names) c.*entry.count = 5;
  for (const auto& entry : clip_worst_names) c.*entry.worst = 5;
  clear(c);
  for (const auto& entry : clip_counter_names) EXPECT_EQ(c.*entry.count, 0u) << entry.name;
  for (const auto& entry : clip_worst_names) EXPECT_EQ(c.*entry.worst, 0) << entry.name;
}

}  // namespace
}  // namespace rtchan::clips
