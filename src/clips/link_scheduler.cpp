#include "clips/link_scheduler.hpp"

#include <algorithm>
#include <cassert>

#include "clips/counters.hpp"

namespace rtchan::clips {

LinkScheduler::LinkScheduler(const LinkConfig& config, PacketStore& store, std::uint32_t flows,
                             Departures& departures, DomainCounters& counters)
    : config_(config), store_(store), departures_(departures), counters_(counters), real_time_(flows + 1) {
  assert(config.driver != nullptr && config.bits_per_second > 0);
}

std::size_t LinkScheduler::packet_bytes() const noexcept {
  return std::min(config_.driver->payload_bytes(), store_.frame_bytes());
}

Duration LinkScheduler::wire_time(std::size_t packet_bytes) const noexcept {
  const std::uint64_t bits = (packet_bytes + config_.frame_overhead_bytes) * 8;
  return Duration{static_cast<std::int64_t>((bits * 1'000'000'000 + config_.bits_per_second - 1) /
                                            config_.bits_per_second)};
}

Duration LinkScheduler::outstanding(Instant now) const noexcept {
  const Duration by_clock = busy_until_ > now ? busy_until_ - now : Duration{0};
  return std::max(by_clock, uncompleted_wire_);
}

void LinkScheduler::stage(LinkFlow& flow, Frame frame, Instant now) noexcept {
  const bool first = flow.packets.empty();
  store_[frame].wire = wire_time(store_[frame].bytes);
  flow.packets.push(store_, frame);
  if (first) requeue(flow, now);
}

// The flow's head has changed.
void LinkScheduler::requeue(LinkFlow& flow, Instant now) noexcept {
  if (flow.packets.empty()) {
    real_time_.remove(flow);
    leave_round(flow);
    return;
  }
  Packet& head = store_[flow.packets.front()];
  if (flow.period > Duration{0}) {
    head.logical = std::max(head.logical, flow.last_current + flow.period);
    head.deadline = head.logical + flow.delay;
  }
  if (flow.best_effort || flow.period > Duration{0}) join_round(flow);
  if (!flow.best_effort) real_time_.place(flow, {head.logical - flow.horizon, head.logical, head.deadline}, now);
}

void LinkScheduler::forget(LinkFlow& flow) noexcept {
  flow.packets.clear(store_, flow.frames);
  real_time_.remove(flow);
  leave_round(flow);
}

Instant LinkScheduler::serve(Instant now) noexcept {
  settle(now);
  real_time_.promote(now);
  if (chosen_ > 0) {  // a full device comes first: it was their turn
    busy_until_ = now;
    for (std::size_t i = 0; i < chosen_; ++i) stamp(batch_[i], now);
    if (!transmit()) return now + limits::device_retry;
  }
  while (chosen_ < batch_most && uncompleted_.size() + chosen_ < outstanding_most) {
    const Candidate candidate = next();
    if (candidate.flow == nullptr || !may_go(candidate, now)) break;
    choose(candidate, now);
  }
  if (chosen_ == 0) return next_visit(now);
  const bool full_batch = chosen_ == batch_most;
  if (!transmit()) return now + limits::device_retry;
  return full_batch ? now : next_visit(now);
}

// Takes note of what the driver reports complete. A driver that loses count must not stop the link for ever:
// what the link clock says was finished long ago counts as complete.
void LinkScheduler::settle(Instant now) noexcept {
  std::size_t completed = config_.driver->completed();
  while (!uncompleted_.empty() &&
         (completed > 0 || uncompleted_.front().finish + limits::completion_patience < now)) {
    uncompleted_wire_ -= uncompleted_.pop().wire;
    if (completed > 0) --completed;
  }
}

LinkScheduler::Candidate LinkScheduler::next() noexcept {
  LinkFlow* flow = real_time_.current();
  if (flow == nullptr && round_first_ != nullptr) return {round_first_, never};
  if (flow == nullptr) flow = real_time_.early();
  return {flow, flow == nullptr ? never : store_[flow->packets.front()].deadline};
}

// How much may be outstanding once the candidate has joined it.
Duration LinkScheduler::allowed(const Candidate& candidate, Instant now) const noexcept {
  return bound_.lookup(candidate.deadline == never ? Duration::max() : candidate.deadline - now);
}

bool LinkScheduler::may_go(const Candidate& candidate, Instant now) const noexcept {
  const Duration before = outstanding(now);
  if (before == Duration{0}) return true;
  return before + store_[candidate.flow->packets.front()].wire <= allowed(candidate, now);
}

void LinkScheduler::choose(const Candidate& candidate, Instant now) noexcept {
  LinkFlow& flow = *candidate.flow;
  Chosen& chosen = batch_[chosen_++];
  chosen.frame = flow.packets.pop(store_);
  chosen.flow = &flow;
  chosen.cls = flow.best_effort ? link::TrafficClass::best_effort : link::TrafficClass::real_time;
  stamp(chosen, now);
  const Duration wire = store_[chosen.frame].wire;
  uncompleted_wire_ += wire;
  [[maybe_unused]] const bool pushed = uncompleted_.push({wire, busy_until_});
  assert(pushed);
  if (candidate.deadline != never) flow.last_current = store_[chosen.frame].logical;
  if (candidate.deadline == never && --flow.turn_left == 0) leave_round(flow);
  requeue(flow, now);
}

// The packet is on the wire, all of it, by max(clock, reported) + J_c at the latest; rem says what is left then.
void LinkScheduler::stamp(Chosen& chosen, Instant now) noexcept {
  const Packet& packet = store_[chosen.frame];
  const Duration before = outstanding(now);
  busy_until_ = std::max(now, busy_until_) + packet.wire;
  chosen.finish = now + before + packet.wire + config_.refill_latency;
  const Duration rem = packet.deadline == never ? Duration{0}
                                                : std::max(Duration{0}, packet.deadline - chosen.finish);
  wire::set_rem_and_seal(store_.bytes(chosen.frame).first(packet.bytes), rem);
}

// Hands the batch to the driver, class by class in order. False: the device is full; the rest stays chosen.
bool LinkScheduler::transmit() noexcept {
  std::size_t begin = 0;
  while (begin < chosen_) {
    const link::TrafficClass cls = batch_[begin].cls;
    std::size_t n = 0;
    while (begin + n < chosen_ && batch_[begin + n].cls == cls) {
      const Frame frame = batch_[begin + n].frame;
      to_driver_[n++] = {&store_[frame].to, store_.bytes(frame).first(store_[frame].bytes)};
    }
    const std::size_t taken = config_.driver->transmit(cls, std::span(to_driver_).first(n));
    bump(counters_.bursts);
    bump(counters_.burst_packets, taken);
    begin += taken;
    if (taken < n) {
      bump(counters_.link_full);
      finish_batch(begin);
      return false;
    }
  }
  finish_batch(begin);
  return true;
}

void LinkScheduler::finish_batch(std::size_t taken) noexcept {
  for (std::size_t i = 0; i < taken; ++i) {
    const Chosen& gone = batch_[i];
    store_.give(gone.frame, gone.flow->frames);
    departures_.departed(*gone.flow, store_[gone.frame], gone.finish);
  }
  std::copy(batch_.begin() + static_cast<std::ptrdiff_t>(taken), batch_.begin() + static_cast<std::ptrdiff_t>(chosen_),
            batch_.begin());
  chosen_ -= taken;
}

// When the next packet in order may go. Refilling only once half of what may be outstanding has drained makes
// batches instead of single packets; the wire never runs dry for it.
Instant LinkScheduler::next_visit(Instant now) noexcept {
  const Instant order_changes = std::min(real_time_.next_eligible(), real_time_.next_current());
  const Candidate candidate = next();
  if (candidate.flow == nullptr) return order_changes;
  const Duration wire = store_[candidate.flow->packets.front()].wire;
  if (busy_until_ <= now) return std::min(order_changes, now + wire);  // completions are late
  const Duration drained_to = std::max(Duration{0}, (allowed(candidate, now) - wire) / 2);
  const Duration wait = std::max(Duration{0}, outstanding(now) - drained_to);
  return std::min(order_changes, now + wait);
}

void LinkScheduler::join_round(LinkFlow& flow) noexcept {
  if (flow.in_round) return;
  flow.in_round = true;
  flow.next = nullptr;
  flow.turn_left = std::max(flow.turn, 1u);
  (round_first_ == nullptr ? round_first_ : round_last_->next) = &flow;
  round_last_ = &flow;
}

void LinkScheduler::leave_round(LinkFlow& flow) noexcept {
  if (!flow.in_round) return;
  flow.in_round = false;
  LinkFlow* before = nullptr;
  for (LinkFlow* f = round_first_; f != &flow; f = f->next) before = f;
  (before == nullptr ? round_first_ : before->next) = flow.next;
  if (round_last_ == &flow) round_last_ = before;
}

}  // namespace rtchan::clips
