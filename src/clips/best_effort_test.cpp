// Best effort beside promises: it takes what is left, and a flood of it costs nobody else anything.
#include <gtest/gtest.h>

#include "clips/demux.hpp"
#include "clips/testing/two_hosts.hpp"

namespace rtchan::clips::testing {
namespace {

// Puts packets straight onto the wire of host 0, past its scheduler: a peer that keeps no rule.
class Flooder {
 public:
  Flooder(TwoHosts& hosts, Label label, bool best_effort_flag, link::TrafficClass cls)
      : hosts_(hosts), cls_(cls), to_(address(1)) {
    wire::DataHeader h;
    h.type = wire::PacketType::messages;
    h.flags = best_effort_flag ? wire::flag_best_effort : std::uint8_t{0};
    h.label = label;
    packet_.resize(wire::header_bytes + 2 + 100 + wire::trailer_bytes);
    packet_[wire::header_bytes + 1] = std::byte{100};
    header_ = h;
  }
  void send(int packets) {
    for (int i = 0; i < packets; ++i) {
      header_.packet_number = header_.first_message = number_++;
      wire::encode_header(header_, packet_);
      wire::seal(packet_);
      const link::TxPacket p{&to_, packet_};
      hosts_.wire(0).transmit(cls_, std::span(&p, 1));
    }
  }

 private:
  TwoHosts& hosts_;
  link::TrafficClass cls_;
  Endpoint to_;
  wire::DataHeader header_;
  std::vector<std::byte> packet_;
  std::uint32_t number_ = 0;
};

TEST(BestEffort, ArrivesWithoutAContract) {
  TwoHosts hosts;
  Channel& rest = hosts.open({.service = ServiceClass::best_effort, .bytes = 10'000, .slots = 16});
  hosts.every(milliseconds{1}, [&] { hosts.send(rest, 100); });
  hosts.run_for(seconds{2});
  const double rate = static_cast<double>(rest.deliveries.size()) * 10'000 * 8 / 2;
  EXPECT_GT(rate, 0.9 * 100'000'000) << "the whole link, but headers";
  for (const auto& d : rest.deliveries) {
    EXPECT_TRUE(d.intact);
    EXPECT_EQ(d.delay, Duration::min()) << "no promise, no delay to report";
  }
  EXPECT_EQ(hosts.received_counters(rest).lost, 0u);
}

TEST(BestEffort, SeveralChannelsShareWhatIsLeft) {
  TwoHosts hosts({.best_effort_packets = 64});
  std::vector<Channel*> channels;
  for (int i = 0; i < 4; ++i) {
    channels.push_back(&hosts.open({.service = ServiceClass::best_effort, .bytes = 5'000, .slots = 16}));
  }
  hosts.every(milliseconds{1}, [&] { for (Channel* c : channels) hosts.send(*c, 100); });
  hosts.run_for(seconds{2});
  std::size_t total = 0;
  for (Channel* c : channels) total += c->deliveries.size();
  for (Channel* c : channels) {
    EXPECT_NEAR(static_cast<double>(c->deliveries.size()), static_cast<double>(total) / 4,
                0.02 * static_cast<double>(total));
  }
}

TEST(BestEffort, ItsInputIsBoundedByThePollingServer) {
  TwoHosts hosts({.bits_per_second = 1'000'000'000, .best_effort_packets = 10, .best_effort_period = milliseconds{1}});
  Channel& rest = hosts.open({.service = ServiceClass::best_effort, .bytes = 1'000, .slots = 64});
  Flooder flood(hosts, rest.sender.next_label, true,
                link::TrafficClass::best_effort);
  hosts.every(milliseconds{1}, [&] { flood.send(400); }, 1'000);
  hosts.run_for(seconds{1});
  EXPECT_NEAR(static_cast<double>(hosts.received_counters(rest).packets), 10'000, 100);
  EXPECT_GT(hosts.domain(1).counters().best_effort_deferred, 900u);
  EXPECT_GT(hosts.domain(1).best_effort_resumes(), hosts.now) << "until then nobody need wait on its descriptor";
}

// The paper's figure 6(b) with its footnote: there channel 1 paid for a flood that nobody had charged.
TEST(BestEffort, AFloodLeavesRealTimeMessagesExactlyAsTheyWere) {
  std::vector<std::vector<Channel::Delivery>> heard;
  for (const bool flooded : {false, true}) {
    TwoHosts hosts({.bits_per_second = 1'000'000'000});
    Channel& channel = hosts.open({.period = milliseconds{2}, .burst = 2, .bytes = 20'000});
    Channel& rest = hosts.open({.service = ServiceClass::best_effort, .bytes = 1'000, .slots = 8});
    rest.keep_in_mailbox = true;  // nobody even reads it
    // The wire itself is wide enough: what is shared is the receiver.
    Flooder flood(hosts, rest.sender.next_label, true, link::TrafficClass::best_effort);
    hosts.every(milliseconds{2}, [&] { hosts.send(channel); });
    if (flooded) hosts.every(microseconds{500}, [&] { flood.send(40); });
    hosts.run_for(seconds{1});
    EXPECT_EQ(hosts.received_counters(channel).late, 0u);
    EXPECT_EQ(hosts.received_counters(channel).lost + hosts.received_counters(channel).no_buffer, 0u);
    if (flooded) {
      EXPECT_GT(hosts.wire(1).counters().kernel_drops[1] + hosts.received_counters(rest).no_slot, 1'000u);
      EXPECT_EQ(hosts.wire(1).counters().kernel_drops[0], 0u);
    }
    heard.push_back(channel.deliveries);
  }
  ASSERT_EQ(heard[0].size(), heard[1].size());
  EXPECT_EQ(heard[0].size(), 500u);
  for (const auto& d : heard[1]) EXPECT_TRUE(d.intact);
}

TEST(BestEffort, CannotUseTheRealTimeQueue) {
  TwoHosts hosts;
  Channel& rest = hosts.open({.service = ServiceClass::best_effort, .bytes = 1'000});
  Channel& channel = hosts.open({.period = milliseconds{10}, .bytes = 1'000});
  Flooder(hosts, rest.sender.next_label, true, link::TrafficClass::real_time).send(3);
  Flooder(hosts, rest.sender.next_label, false, link::TrafficClass::real_time).send(3);
  Flooder(hosts, channel.sender.next_label, true, link::TrafficClass::best_effort).send(3);
  hosts.run_for(milliseconds{10});
  EXPECT_TRUE(rest.deliveries.empty());
  EXPECT_TRUE(channel.deliveries.empty());
  EXPECT_EQ(hosts.dropped(1, PacketDrop::wrong_queue), 3u) << "marked as best effort, at the real-time port";
  EXPECT_EQ(hosts.dropped(1, PacketDrop::wrong_class), 6u) << "not of its channel's class";
}

TEST(Demultiplexing, UnknownLabelsAndDamageAreCountedAndDropped) {
  TwoHosts hosts;
  Channel& channel = hosts.open({.period = milliseconds{10}, .bytes = 1'000});
  const Label known = channel.sender.next_label;
  for (const Label label : {Label{known.slot, known.generation + 1}, Label{known.slot + 1, known.generation},
                            Label{UINT32_MAX, 0}}) {
    Flooder(hosts, label, false, link::TrafficClass::real_time).send(1);
  }
  const Endpoint to = address(1);
  const auto noise = message_of(300, 3);
  const link::TxPacket p{&to, noise};
  hosts.wire(0).transmit(link::TrafficClass::real_time, std::span(&p, 1));
  hosts.run_for(milliseconds{10});
  EXPECT_EQ(hosts.dropped(1, PacketDrop::wrong_generation), 1u);
  EXPECT_EQ(hosts.dropped(1, PacketDrop::unknown_label), 2u);
  EXPECT_EQ(hosts.dropped(1, PacketDrop::bad_version), 1u);
  EXPECT_TRUE(channel.deliveries.empty());
}

TEST(Demultiplexing, InputIsBoundedPerTurnAndNothingIsLostForIt) {
  TwoHosts hosts({.bits_per_second = 10'000'000'000});
  Channel& channel = hosts.open({.period = microseconds{10}, .bytes = 100, .slots = 512, .packet_buffers = 512});
  Flooder flood(hosts, channel.sender.next_label, false, link::TrafficClass::real_time);
  flood.send(300);
  hosts.run_for(microseconds{9});
  EXPECT_EQ(hosts.domain(1).counters().input_packets, 0u);
  hosts.run_for(milliseconds{50});
  EXPECT_EQ(hosts.domain(1).counters().input_packets, 300u);
  EXPECT_EQ(hosts.received_counters(channel).delivered, 300u);
}

}  // namespace
}  // namespace rtchan::clips::testing
