#include "clips/link_scheduler.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "clips/counters.hpp"

namespace rtchan::clips {

LinkScheduler::LinkScheduler(const LinkConfig& config, PacketStore& store, std::uint32_t flows,
                             Departures& departures, DomainCounters& counters)
    : config_(config), store_(store), departures_(departures), counters_(counters), real_time_(flows + 1), middle_(flows) {
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

Duration LinkScheduler::handed_over(Instant now) const noexcept {
  const Duration by_clock = busy_until_ > now ? busy_until_ - now : Duration{0};
  return std::max(by_clock, uncompleted_wire_);
}

Duration LinkScheduler::outstanding(Instant now) const noexcept { return handed_over(now) + chosen_wire_; }

void LinkScheduler::stage(LinkFlow& flow, Frame frame, Instant now) noexcept {
  const bool first = flow.packets.empty();
  store_[frame].wire = wire_time(store_[frame].bytes);
  flow.packets.push(store_, frame);
  if (first) requeue(flow, now);
}

// The flow's head has changed.
void LinkScheduler::requeue(LinkFlow& flow, Instant now) noexcept {
  if (flow.packets.empty()) {
    queue_of(flow).remove(flow);
    leave_round(flow);
    return;
  }
  Packet& head = store_[flow.packets.front()];
  if (flow.period > Duration{0}) {
    head.logical = std::max(head.logical, flow.last_current + flow.period);
    head.deadline = head.logical + flow.delay;
  }
  if (flow.best_effort || flow.period > Duration{0}) join_round(flow);
  if (flow.middle) return middle_.place(flow, {long_ago, long_ago, head.deadline}, now);
  if (!flow.best_effort) real_time_.place(flow, {head.logical - flow.horizon, head.logical, head.deadline}, now);
}

void LinkScheduler::forget(LinkFlow& flow) noexcept {
  flow.packets.clear(store_, flow.frames);
  queue_of(flow).remove(flow);
  leave_round(flow);
}

Instant LinkScheduler::serve(Instant now) noexcept {
  settle(now);
  if (held_) return never;
  real_time_.promote(now);
  if (real_time_.current() == nullptr && outstanding(now) <= most_allowed()) settled_ = true;
  while (chosen_ < batch_most && uncompleted_.size() + chosen_ < outstanding_most) {
    const Candidate candidate = next(now);
    if (candidate.flow == nullptr || !may_go(candidate, now)) break;
    choose(candidate, now);
  }
  if (chosen_ == 0) return next_visit(now);
  const bool full_batch = chosen_ == batch_most;
  if (!transmit(now)) return now + limits::device_retry;
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

LinkScheduler::Candidate LinkScheduler::next(Instant now) noexcept {
  const auto by_deadline = [this](LinkFlow* flow) { return Candidate{flow, store_[flow->packets.front()].deadline, false}; };
  if (LinkFlow* flow = real_time_.current()) return by_deadline(flow);
  LinkFlow* middle = blocked(link::TrafficClass::middle, now) ? nullptr : middle_.current();
  if (middle != nullptr) return {middle, never, false};
  LinkFlow* in_turn = blocked(link::TrafficClass::best_effort, now) ? signalling_ : round_first_;
  if (in_turn != nullptr) return {in_turn, never, true};
  if (LinkFlow* flow = real_time_.early()) return by_deadline(flow);
  return {nullptr, never, false};
}

// How much of ours may be outstanding once the candidate has joined it.
Duration LinkScheduler::allowed(const Candidate& candidate, Instant now) const noexcept {
  return bound_.lookup(candidate.deadline == never ? Duration::max() : candidate.deadline - now) - config_.foreign;
}

Duration LinkScheduler::most_allowed() const noexcept {
  return std::max(Duration{0}, bound_.lookup(Duration::max()) - config_.foreign);
}

bool LinkScheduler::may_go(const Candidate& candidate, Instant now) const noexcept {
  const Duration before = outstanding(now);
  if (before == Duration{0}) return true;
  return before + store_[candidate.flow->packets.front()].wire <= allowed(candidate, now);
}

void LinkScheduler::choose(const Candidate& candidate, Instant now) noexcept {
  LinkFlow& flow = *candidate.flow;
  const bool in_turn = candidate.in_turn;
  batch_[chosen_++] = {.frame = flow.packets.pop(store_),
                       .flow = &flow,
                       .cls = flow.cls(),
                       .last_current = flow.last_current,
                       .turn_left = flow.turn_left,
                       .in_turn = in_turn};
  const Packet& packet = store_[batch_[chosen_ - 1].frame];
  chosen_wire_ += packet.wire;
  if (!in_turn) flow.last_current = packet.logical;
  if (in_turn && --flow.turn_left == 0) leave_round(flow);
  requeue(flow, now);
}

// Hands the batch to the driver in order, as runs of one class, then sorts out who has gone. A class that is full gets
// nothing more of this batch; behind a full real-time class nothing goes. False: real time was refused.
bool LinkScheduler::transmit(Instant now) noexcept {
  bool real_time_full = false;
  for (std::size_t begin = 0, end = 0; begin < chosen_ && !real_time_full; begin = end) {
    const link::TrafficClass cls = batch_[begin].cls;
    while (end < chosen_ && batch_[end].cls == cls) ++end;
    if (blocked(cls, now)) continue;
    if (hand_over(begin, end - begin, now) == end - begin) continue;
    if (cls == link::TrafficClass::real_time) {
      real_time_full = true;
    } else {
      retry_[static_cast<std::size_t>(cls)] = now + limits::device_retry;
    }
  }
  finish_batch(now);
  return !real_time_full;
}

// One call of the driver. Returns how many packets it took; only they are outstanding.
std::size_t LinkScheduler::hand_over(std::size_t begin, std::size_t count, Instant now) noexcept {
  Duration ahead = handed_over(now);
  Instant clock = std::max(now, busy_until_);
  for (std::size_t i = 0; i < count; ++i) {
    Chosen& chosen = batch_[begin + i];
    ahead += store_[chosen.frame].wire;
    clock += store_[chosen.frame].wire;
    stamp(chosen, now + ahead, clock);
    to_driver_[i] = {&store_[chosen.frame].to, store_.bytes(chosen.frame).first(store_[chosen.frame].bytes)};
  }
  const std::size_t taken = config_.driver->transmit(batch_[begin].cls, std::span(to_driver_).first(count));
  for (std::size_t i = 0; i < taken; ++i) {
    Chosen& gone = batch_[begin + i];
    gone.taken = true;
    const Duration wire = store_[gone.frame].wire;
    busy_until_ = std::max(now, busy_until_) + wire;
    uncompleted_wire_ += wire;
    [[maybe_unused]] const bool pushed = uncompleted_.push({wire, busy_until_});
    assert(pushed);
  }
  bump(counters_.bursts);
  bump(counters_.burst_packets, taken);
  if (taken < count) {
    switch (batch_[begin].cls) {
      case link::TrafficClass::real_time: bump(counters_.link_full); break;
      case link::TrafficClass::best_effort: bump(counters_.link_full_best_effort); break;
      case link::TrafficClass::middle: bump(counters_.link_full_middle); break;
    }
  }
  return taken;
}

// The packet is on the wire, all of it, by `bound` = max(clock, reported) + J_c + foreign at the latest; rem says what
// is left then, but for what the packet was late before. The bound may exceed the truth: by itself the packet is late only
// if the link clock is past the deadline too, in what is counted here and in what the next hop is told.
void LinkScheduler::stamp(Chosen& chosen, Instant bound, Instant clock) noexcept {
  const Packet& packet = store_[chosen.frame];
  chosen.finish = bound + config_.refill_latency + config_.foreign;
  if (clock <= packet.deadline) chosen.finish = std::min(chosen.finish, packet.deadline);
  const Duration rem = packet.deadline == never ? Duration{0} : packet.deadline - chosen.finish - packet.late;
  wire::set_rem_and_seal(store_.bytes(chosen.frame).first(packet.bytes), rem);
}

// What did not go goes back, latest first, so that every flow and the round are as if it had not been chosen. Only then
// are clips told of what has gone: that may make them forget() what is queued.
void LinkScheduler::finish_batch(Instant now) noexcept {
  const std::size_t count = std::exchange(chosen_, 0);
  chosen_wire_ = Duration{0};
  for (std::size_t i = count; i > 0; --i) {
    if (!batch_[i - 1].taken) put_back(batch_[i - 1], now);
  }
  for (std::size_t i = 0; i < count; ++i) {
    const Chosen& gone = batch_[i];
    if (!gone.taken) continue;
    store_.give(gone.frame, gone.flow->frames);
    departures_.departed(*gone.flow, store_[gone.frame], gone.finish);
  }
}

void LinkScheduler::put_back(Chosen& chosen, Instant now) noexcept {
  LinkFlow& flow = *chosen.flow;
  flow.packets.push_front(store_, chosen.frame);
  flow.last_current = chosen.last_current;
  if (chosen.in_turn) {
    leave_round(flow);
    enter_round(flow, nullptr, round_first_);
    flow.turn_left = chosen.turn_left;
  }
  requeue(flow, now);
}

// When the next packet in order may go. Refilling only once half of what may be outstanding has drained makes batches instead
// of single packets. The wire never runs dry for it, though the worker comes up to `visit` late: so much is left when it is due,
// since admission sees to it that a frame and `visit` are always allowed.
Instant LinkScheduler::next_visit(Instant now) noexcept {
  Instant order_changes = std::min(real_time_.next_eligible(), real_time_.next_current());
  const auto retry = [&](link::TrafficClass cls, bool waits) {
    if (waits && blocked(cls, now)) order_changes = std::min(order_changes, retry_[static_cast<std::size_t>(cls)]);
  };
  retry(link::TrafficClass::best_effort, round_first_ != nullptr);
  retry(link::TrafficClass::middle, middle_.current() != nullptr);
  if (!settled_ && real_time_.current() == nullptr) {
    order_changes = std::min(order_changes, now + std::max(Duration{0}, outstanding(now) - most_allowed()));
  }
  const Candidate candidate = next(now);
  if (candidate.flow == nullptr) return order_changes;
  const Duration wire = store_[candidate.flow->packets.front()].wire;
  if (busy_until_ <= now) return std::min(order_changes, now + wire);  // completions are late
  const Duration room = std::max(Duration{0}, allowed(candidate, now) - wire);
  const Duration drained_to = std::max(room / 2, std::min(room, config_.visit));
  const Duration wait = std::max(Duration{0}, outstanding(now) - drained_to);
  return std::min(order_changes, now + wait);
}

void LinkScheduler::join_round(LinkFlow& flow) noexcept {
  if (flow.in_round) return;
  flow.turn_left = std::max(flow.turn, 1u);
  enter_round(flow, round_last_, nullptr);
}

void LinkScheduler::enter_round(LinkFlow& flow, LinkFlow* before, LinkFlow* after) noexcept {
  flow.in_round = true;
  flow.previous = before;
  flow.next = after;
  (before == nullptr ? round_first_ : before->next) = &flow;
  (after == nullptr ? round_last_ : after->previous) = &flow;
  if (!flow.best_effort) signalling_ = &flow;
}

void LinkScheduler::leave_round(LinkFlow& flow) noexcept {
  if (!flow.in_round) return;
  flow.in_round = false;
  (flow.previous == nullptr ? round_first_ : flow.previous->next) = flow.next;
  (flow.next == nullptr ? round_last_ : flow.next->previous) = flow.previous;
  if (signalling_ == &flow) signalling_ = nullptr;
}

}  // namespace rtchan::clips
