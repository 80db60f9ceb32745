// CLIPS by itself: guaranteed-rate communication endpoints for a program that has no daemon (paper 4.3). The caller
// brings a driver and the time; there is no signalling, so both ends open their clip with the same request.
//
//     auto host = ClipHost(link, {});
//     auto label = host.open_receiver(request, now);            // tell it to the sender by whatever means
//     auto clip = other.open_sender(request, address, *label, now);
//     other.send(*clip, bytes, now);   loop: now = ...; due = host.turn(now);
//
// Admission is a policy that the caller may replace; the default is exact EDF on the CPU and on the link.
// One thread uses a host. Nothing here reads a clock.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "admission/cost_model.hpp"
#include "admission/policy.hpp"
#include "admission/stages.hpp"
#include "clips/domain.hpp"
#include "clips/local_queues.hpp"
#include <rtchan/error.hpp>

namespace rtchan::clips {

// What an endpoint must carry, in the abstract terms of the paper: so many packets in every period, each message
// passed on by its deadline, and a buffer for what comes in bursts.
struct ClipRequest {
  std::uint32_t message_bytes = 0;       // largest message, 1 ... limits::message_bytes
  std::uint32_t buffer_bytes = 0;        // messages that may wait; at least one message
  std::uint32_t packets_per_period = 0;  // budget
  Duration period{};
  Duration deadline{};                   // from a message's logical arrival until it has left this host (or can be read
                                         // there); 0: the period
};

// What admission gives to an endpoint.
struct ClipGrant {
  Duration cpu_delay{};
  Duration link_delay{};                 // 0 for a receiver
  std::uint64_t ticket{};                // to release it with
};

// The question that decides whether an endpoint is made. Replace it to admit by other rules.
class ClipAdmission {
 public:
  virtual ~ClipAdmission() = default;
  // `contract`: at most one message per contract.period in the long run. `within`: the local deadline.
  virtual std::expected<ClipGrant, Error> admit(Role role, const admission::Contract& contract, Duration within) = 0;
  virtual void release(std::uint64_t ticket) = 0;
  // What may be outstanding at the link beside what is admitted.
  [[nodiscard]] virtual admission::BurstBound burst_bound() const = 0;
};

// Exact EDF on both stages; what is left of the deadline is shared between CPU and link in proportion to their need.
class EdfClipAdmission final : public ClipAdmission {
 public:
  EdfClipAdmission(const admission::CostModel& cost, const admission::LinkModel& link);
  std::expected<ClipGrant, Error> admit(Role role, const admission::Contract& contract, Duration within) override;
  void release(std::uint64_t ticket) override;
  [[nodiscard]] admission::BurstBound burst_bound() const override { return link_policy_->burst_bound(); }

 private:
  struct Entry {
    admission::EntryId cpu{};
    std::optional<admission::EntryId> link;
    bool used = false;
  };
  admission::CostModel cost_;
  admission::LinkModel link_;
  std::unique_ptr<admission::AdmissionPolicy> cpu_policy_;
  std::unique_ptr<admission::AdmissionPolicy> link_policy_;
  std::vector<Entry> entries_;
};

struct ClipHostSettings {
  std::uint32_t clips = 256;
  std::uint32_t packet_frames = 8'192;
  admission::CostModel cost{};                   // for the default admission
  std::unique_ptr<ClipAdmission> admission{};    // nullptr: EdfClipAdmission
  Duration propagation{1'000'000};               // pi: from a neighbour's hand-over to our arrival stamp, at most
  std::uint64_t seed = std::random_device{}();   // of label generations
};

class ClipHost final : private DomainObserver {
 public:
  ClipHost(const LinkConfig& link, ClipHostSettings settings = {});
  ~ClipHost() override;

  // The label that a sender must use; .slot is the clip's slot here. Errors: invalid_argument, refused, exhausted.
  std::expected<Label, Error> open_receiver(const ClipRequest& request, Instant now,
                                            std::unique_ptr<ProtocolStack> stack = nullptr);
  std::expected<ClipSlot, Error> open_sender(const ClipRequest& request, const Endpoint& to, Label label, Instant now,
                                             std::unique_ptr<ProtocolStack> stack = nullptr);

  // False: no room until earlier messages have left, or the message is empty or too long, or no such sender.
  bool send(ClipSlot slot, std::span<const std::byte> message, Instant now);
  // Calls f(bytes, number, delay) for each message that can be read; the bytes are f's for the call.
  template <class F>
  std::size_t receive(ClipSlot slot, F&& f) {
    if (slot.value >= ends_.size() || ends_[slot.value].mailbox == nullptr) return 0;
    LocalMailbox& mailbox = *ends_[slot.value].mailbox;
    std::size_t n = 0;
    for (; !mailbox.empty(); ++n) {
      const LocalMailbox::Message m = mailbox.receive();
      f(mailbox.bytes(m), m.number, m.delay);
      mailbox.release(m);
    }
    return n;
  }
  // Sends what was accepted, then gives everything back; drain or abandon. The slot is free some turns later.
  void close(ClipSlot slot, CloseMode mode, Instant now);

  // Does what is due; returns when to call again (sooner when a packet arrives or a message is sent).
  Instant turn(Instant now) { return domain_.turn(now); }
  [[nodiscard]] const ClipCounters& counters(ClipSlot slot) const noexcept { return counters_[slot.value]; }
  [[nodiscard]] const DomainCounters& counters() const noexcept { return domain_.counters(); }

 private:
  struct End {
    bool used = false;
    std::uint64_t ticket = 0;
    std::unique_ptr<LocalQueue> queue;      // sender
    std::unique_ptr<LocalMailbox> mailbox;  // receiver
  };
  struct Plan {
    ClipSpec spec;
    ClipGrant grant;
    std::uint32_t messages;  // of buffer
  };
  std::expected<Plan, Error> plan(Role role, const ClipRequest& request);

  void signal_received(std::uint32_t, const Endpoint&, std::span<const std::byte>, Instant) override {}
  void clip_closed(std::unique_ptr<Clip> clip) override;
  void client_violated(ClipSlot) override {}
  void contract_violated(ClipSlot, Instant) override {}

  LinkConfig link_;
  admission::PacketFormat format_;
  ClipHostSettings settings_;
  std::vector<ClipCounters> counters_;
  std::vector<End> ends_;
  std::mt19937_64 random_;
  Domain domain_;
};

}  // namespace rtchan::clips
