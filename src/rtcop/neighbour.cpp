#include "rtcop/neighbour.hpp"

#include <algorithm>

namespace rtchan::rtcop {

// --- duplicates -------------------------------------------------------------------------------------------------

bool NumberWindow::take(std::uint64_t number) noexcept {
  if (number > highest_) {
    const std::uint64_t jump = number - highest_;
    if (jump >= reach) {
      seen_.fill(0);
    } else {
      for (std::uint64_t n = highest_ + 1; n <= number; ++n) seen_[n / 64 % words] &= ~(1ULL << n % 64);
    }
    highest_ = number;
  } else if (highest_ - number >= reach) {
    return false;
  }
  std::uint64_t& word = seen_[number / 64 % words];
  const std::uint64_t bit = 1ULL << number % 64;
  if ((word & bit) != 0) return false;
  word |= bit;
  return true;
}

void NumberWindow::reset() noexcept {
  highest_ = 0;
  seen_.fill(0);
}

Neighbour::Neighbour(std::uint32_t link, const Endpoint& address, const Identity& self, const Timing& timing,
                     std::uint64_t seed, Duration packet_period)
    : link_(link), address_(address), self_(self), timing_(timing), random_(seed), packet_period_(packet_period) {}

// --- sending ----------------------------------------------------------------------------------------------------

std::uint64_t Neighbour::send(Instant now, const PathId& path, const wire::SignalBody& body) {
  Message message;
  message.path = path;
  message.type = wire::type_of(body);
  const bool of_many = message.type == wire::SignalType::refresh || message.type == wire::SignalType::voided;
  Lane& own = of_many ? standing_ : paths_;
  const std::uint64_t number = ++own.last_number | (of_many ? standing : 0);
  message.queued = now;
  message.bytes = wire::encode_message(number, body);
  own.waiting.emplace_hint(own.waiting.end(), number, std::move(message));
  own.waiting_of.emplace(path, number);
  accused_ = false;
  if (!up_ && nonce_ == 0) ask(now);
  return number;
}

bool Neighbour::cancel(std::uint64_t number) {
  Lane& own = lane(number);
  if (const auto found = own.waiting.find(number); found != own.waiting.end()) {
    own.waiting_of.erase({found->second.path, number});
    own.waiting.erase(found);
    return false;
  }
  own.under_way.erase(number);
  return true;
}

void Neighbour::cancel_path(const PathId& path) {
  const auto superseded = [&path](const auto& entry) {
    return entry.second.path == path && entry.second.type != wire::SignalType::teardown &&
           entry.second.type != wire::SignalType::refuse;
  };
  std::erase_if(paths_.under_way, superseded);
  for (auto i = paths_.waiting_of.lower_bound({path, 0}); i != paths_.waiting_of.end() && i->first == path;) {
    const auto waits = paths_.waiting.find(i->second);
    if (!superseded(*waits)) {
      ++i;
      continue;
    }
    paths_.waiting.erase(waits);
    i = paths_.waiting_of.erase(i);
  }
}

void Neighbour::cancel_refreshes() {
  const auto refresh = [](const auto& entry) { return entry.second.type == wire::SignalType::refresh; };
  std::erase_if(standing_.under_way, refresh);
  std::erase_if(standing_.waiting, [&](const auto& entry) {
    return refresh(entry) && standing_.waiting_of.erase({entry.second.path, entry.first}) > 0;
  });
}

Duration Neighbour::timeout(std::uint8_t attempts) {
  Duration base = timing_.retransmit_first;
  if (srtt_ > Duration{0}) base = std::max(timing_.retransmit_least, srtt_ + 4 * deviation_);
  for (std::uint8_t i = 1; i < attempts && base < timing_.retransmit_cap; ++i) base *= 2;
  base = std::min(base, timing_.retransmit_cap);
  const auto quarter = static_cast<std::uint64_t>(base.count() / 4);
  return base - base / 4 + Duration{static_cast<std::int64_t>(random_.below(2 * quarter + 1))};
}

void Neighbour::admit_waiting(Instant now, Lane& own) {
  while (up_ && !own.waiting.empty() && own.room()) {
    auto node = own.waiting.extract(own.waiting.begin());
    own.waiting_of.erase({node.mapped().path, node.key()});
    node.mapped().due = now;
    own.under_way.insert(own.under_way.end(), std::move(node));
  }
}

void Neighbour::transmit(Instant now, Message& message) {
  if (message.attempts == 0) {
    message.first_sent = now;
  } else {
    ++counters_.retransmitted;
    wire::set_attempt(message.bytes, message.attempts);
  }
  message.last_sent = now;
  if (message.attempts < UINT8_MAX) ++message.attempts;
  message.due = now + timeout(message.attempts);
  // It may be that they know nothing of us any more: a new introduction finds out.
  if (message.attempts > 2 && nonce_ == 0) ask(now);
}

void Neighbour::flush(Instant now, std::vector<std::vector<std::byte>>& packets) {
  if (now < packet_free_) return;
  const std::uint64_t before = counters_.packets_out;
  admit_waiting(now, standing_);
  admit_waiting(now, paths_);
  std::vector<std::byte> packet = wire::encode_head(self_.epoch, epoch_);
  const auto put = [&](std::span<const std::byte> bytes) {
    if (!wire::append_message(packet, bytes)) {
      packets.push_back(std::move(packet));
      ++counters_.packets_out;
      packet = wire::encode_head(self_.epoch, epoch_);
      (void)wire::append_message(packet, bytes);
    }
    ++counters_.messages_out;
  };
  std::vector<Message*> due;
  if (up_) {
    for (Lane* own : {&standing_, &paths_}) {
      for (auto& [number, message] : own->under_way) {
        if (message.due > now) continue;
        transmit(now, message);
        due.push_back(&message);
      }
    }
  }
  if (hello_due(now)) put(hello_bytes(now));
  for (const wire::Ack& ack : acks_) put(wire::encode_message(0, ack));
  acks_.clear();
  for (const Message* message : due) put(message->bytes);
  const bool quiet = packet.size() == wire::signal_header_bytes && counters_.packets_out == before;
  if (quiet && up_ && interval_ > Duration{0} && now >= beaten_ + interval_) {
    put(wire::encode_message(0, wire::Heartbeat{static_cast<std::uint32_t>(interval_ / std::chrono::milliseconds{1})}));
    ++counters_.heartbeats_out;
  }
  if (packet.size() > wire::signal_header_bytes) {
    packets.push_back(std::move(packet));
    ++counters_.packets_out;
  }
  const auto sent = static_cast<std::int64_t>(counters_.packets_out - before);
  if (sent > 0) beaten_ = now;
  packet_free_ = std::max(packet_free_, now - packet_burst * packet_period_) + sent * packet_period_;
}

std::vector<std::byte> Neighbour::hello_bytes(Instant now) {
  const wire::Hello hello{self_.host, nonce_, owed_echo_, collided_};
  owed_echo_ = 0;
  hello_wanted_ = false;
  ++counters_.hellos_out;
  if (nonce_ != 0) {
    if (hello_attempts_ < UINT8_MAX) ++hello_attempts_;
    hello_due_ = now + timeout(hello_attempts_);
  }
  return wire::encode_message(0, hello);
}

// --- introductions ----------------------------------------------------------------------------------------------

void Neighbour::ask(Instant now) {
  nonce_ = random_.nonzero();
  hello_attempts_ = 0;
  hello_since_ = now;
  hello_due_ = now;
}

void Neighbour::stop_asking() noexcept {
  nonce_ = 0;
  hello_due_ = never;
}

void Neighbour::collide() noexcept {
  collided_ = true;
  up_ = false;
  hello_wanted_ = true;
  ++counters_.collisions;
}

Neighbour::Greeting Neighbour::greet(Instant now, std::uint64_t sender_epoch, const wire::Hello& hello) {
  ++counters_.hellos_in;
  const bool fresh = nonce_ != 0 && hello.echo == nonce_;
  if (hello.nonce != 0) {
    owed_echo_ = hello.nonce;
    hello_wanted_ = true;
  }
  if (!fresh) {
    if (hello.nonce != 0 && nonce_ == 0 && (!up_ || sender_epoch != epoch_)) ask(now);
    return Greeting::nothing;
  }
  stop_asking();
  accused_ = hello.collision;
  if (accused_) {
    up_ = false;
    ++counters_.collisions;
    return Greeting::collided;
  }
  return adopt(now, sender_epoch, hello.host);
}

Neighbour::Greeting Neighbour::adopt(Instant now, std::uint64_t sender_epoch, HostId host) {
  const bool was_up = up_;
  const std::uint64_t old = epoch_;
  up_ = true;
  heard_now(now);
  collided_ = false;
  host_ = host;
  if (sender_epoch == old) return was_up ? Greeting::nothing : Greeting::came_up;
  epoch_ = sender_epoch;
  for (Lane* own : {&standing_, &paths_}) own->received.reset();
  srtt_ = Duration{0};
  within_ = Duration{0};
  if (old == 0) return Greeting::came_up;
  for (Lane* own : {&standing_, &paths_}) {
    own->under_way.clear();
    own->waiting.clear();
    own->waiting_of.clear();
  }
  ++counters_.restarts;
  return Greeting::restarted;
}

bool Neighbour::believed(Instant now, std::uint64_t sender_epoch, std::uint64_t receiver_epoch) {
  ++counters_.packets_in;
  if (collided_) return false;
  if (up_ && sender_epoch == epoch_ && receiver_epoch == self_.epoch) {
    heard_now(now);
    return true;
  }
  ++counters_.other_epoch;
  if (nonce_ == 0) ask(now);
  return false;
}

// --- liveness ---------------------------------------------------------------------------------------------------

void Neighbour::beat_every(Instant now, Duration interval) noexcept {
  if (interval > interval_) beaten_ = std::min(beaten_, now - interval);  // it is to know at once what to expect
  interval_ = interval;
}

void Neighbour::watch(Instant now, bool wanted) noexcept {
  if (watched_ == wanted) return;
  watched_ = wanted;
  silent_at_ = wanted ? now + patience() : never;
}

// Before it has said how often it can be heard, its leases decide.
Duration Neighbour::patience() const noexcept {
  return within_ == Duration{0} ? timing_.lease : std::max(timing_.silence, within_ * timing_.silent_heartbeats);
}

void Neighbour::heard_now(Instant now) noexcept {
  heard_ = now;
  if (watched_) silent_at_ = now + patience();
}

bool Neighbour::fell_silent(Instant now) noexcept {
  if (now < silent_at_) return false;
  silent_at_ = never;
  ++counters_.silences;
  return true;
}

// --- acknowledgements -------------------------------------------------------------------------------------------

bool Neighbour::take(std::uint64_t number, std::uint8_t attempt) {
  ++counters_.messages_in;
  acks_.push_back(wire::Ack{number, attempt});
  if (lane(number).received.take(number & ~standing)) return true;
  ++counters_.duplicates;
  return false;
}

void Neighbour::acknowledged(Instant now, const wire::Ack& ack) {
  Lane& own = lane(ack.number);
  const auto found = own.under_way.find(ack.number);
  if (found == own.under_way.end()) return;
  const Message& message = found->second;
  // Only an attempt whose time is known gives a sample.
  Duration sample{-1};
  if (ack.attempt == 0) {
    sample = now - message.first_sent;
  } else if (ack.attempt + 1 == message.attempts) {
    sample = now - message.last_sent;
  }
  if (sample >= Duration{0}) {  // RFC 6298
    if (srtt_ == Duration{0}) {
      srtt_ = sample;
      deviation_ = sample / 2;
    } else {
      deviation_ += (std::chrono::abs(sample - srtt_) - deviation_) / 4;
      srtt_ += (sample - srtt_) / 8;
    }
    srtt_ = std::max(srtt_, Duration{1});
  }
  own.under_way.erase(found);
}

// --- time -------------------------------------------------------------------------------------------------------

void Neighbour::expire(Instant now, std::vector<Undelivered>& out) {
  const auto tell = [&](const Message& m) {
    out.push_back(Undelivered{m.path, m.type});
    ++counters_.undelivered;
  };
  const std::size_t before = unacknowledged();
  for (Lane* own : {&standing_, &paths_}) {
    std::erase_if(own->under_way, [&](const auto& entry) {
      const bool tired = collided() || now - entry.second.first_sent >= timing_.lease;
      if (tired) tell(entry.second);
      return tired;
    });
  }
  if (up_ && unacknowledged() < before && now - heard_ >= timing_.lease) up_ = false;  // silent: meet anew
  for (Lane* own : {&standing_, &paths_}) {
    while (!up_ && !own->waiting.empty()) {  // in the order in which they were queued
      const auto oldest = own->waiting.begin();
      if (!collided() && now - oldest->second.queued < timing_.lease) break;
      tell(oldest->second);
      own->waiting_of.erase({oldest->second.path, oldest->first});
      own->waiting.erase(oldest);
    }
  }
  if (nonce_ != 0 && now - hello_since_ >= timing_.lease) {
    stop_asking();
    if (!up_ && unacknowledged() > 0) ask(now);
  }
}

Instant Neighbour::due() const noexcept {
  Instant due = hello_wanted_ || !acks_.empty() ? long_ago : hello_due_;
  if (nonce_ != 0) due = std::min(due, hello_since_ + timing_.lease);
  if (interval_ > Duration{0} && up_) due = std::min(due, beaten_ + interval_);
  for (const Lane* own : {&standing_, &paths_}) {
    for (const auto& [number, message] : own->under_way) {
      due = std::min(due, up_ ? message.due : message.first_sent + timing_.lease);
    }
    if (own->waiting.empty()) continue;
    if (!up_) due = std::min(due, own->waiting.begin()->second.queued + timing_.lease);
    if (up_ && own->room()) due = long_ago;
  }
  return std::min(silent_at_, due == never ? never : std::max(due, packet_free_));
}

}  // namespace rtchan::rtcop
