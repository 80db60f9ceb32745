#include "rtcd/data_thread.hpp"

#include <sys/epoll.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "clips/clip.hpp"
#include "clips/counters.hpp"
#include "ipc/doorbell.hpp"
#include "rtcd/counters.hpp"
#include "rtcd/eventfd.hpp"

namespace rtchan::rtcd {
namespace {

using namespace std::chrono_literals;
using clips::bump;

constexpr std::uint32_t handovers_per_turn = 16;
constexpr std::uint32_t sightings_per_turn = 256;       // ready bits; each costs about as much as a look at a queue
constexpr std::uint32_t idle_turns_before_rest = 64;    // a ring costs the application a system call: not at once
constexpr Duration event_look_interval = 20us;          // while busy; bounds how long a doorbell goes unheard
constexpr Duration counters_interval = 1ms;
// While applications send, and for so long after, a sleep ends within limits::look_interval: a longer absence is the machine's.
constexpr Duration sending_lasts = 100ms;

// What epoll hands back: small numbers for our own descriptors, else a session.
constexpr std::uint64_t event_wake = 0;
constexpr std::uint64_t event_link = 1;

Instant clock_now() { return RawClock::now(); }

void watch(int epoll, int operation, int fd, std::uint32_t events, std::uint64_t what) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = what;
  epoll_ctl(epoll, operation, fd, &event);
}

clips::DomainConfig with_clock(clips::DomainConfig config, std::span<const clips::LinkConfig> links) {
  config.links = links;
  config.clock = clock_now;
  return config;
}

}  // namespace

DataThread::DataThread(const Surroundings& surroundings)
    : with_(surroundings),
      counters_(surroundings.block.counters),
      domain_(with_clock(surroundings.domain, surroundings.links), *this),
      pacing_(surroundings.pacing),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      owners_(surroundings.domain.clips) {
  polled_.reserve(limits::sessions_per_worker);
  unsent_.reserve(std::size_t{2} * surroundings.domain.clips);
  watch(epoll_.get(), EPOLL_CTL_ADD, with_.wake_fd, EPOLLIN, event_wake);
  for (const clips::LinkConfig& link : with_.links) {
    for (const auto cls : {link::TrafficClass::real_time, link::TrafficClass::best_effort, link::TrafficClass::middle}) {
      if (link.driver->fd(cls) >= 0) watch(epoll_.get(), EPOLL_CTL_ADD, link.driver->fd(cls), EPOLLIN, event_link);
    }
  }
}

DataThread::~DataThread() = default;

void DataThread::run() {
  awake_since_ = RawClock::now();
  while (!with_.inner.stop.load(std::memory_order_relaxed)) {
    const Instant now = RawClock::now();
    // A clip's handover happened before the command that connects it: commands only when no handover waits.
    const bool asked = take_handovers(now) && take_commands(now);
    const bool sighted = take_sightings(std::min(look_due_, now), now);
    if (sighted) sighted_last_ = now;
    const Instant due = domain_.turn(now);
    bump(counters_.turns);
    ring_applications();
    if (!unsent_.empty()) send_unsent();
    const std::uint64_t work = work_done();
    const bool worked = asked || sighted || work != std::exchange(work_seen_, work);
    pause(due, worked);
  }
  publish_counters(RawClock::now());
}

std::uint64_t DataThread::work_done() const noexcept {
  const clips::DomainCounters& c = domain_.counters();
  return c.input_packets + c.handler_steps + c.burst_packets;
}

// --- from the housekeeper and from control ------------------------------------------------------------------

bool DataThread::take_handovers(Instant now) {
  Handover handover;
  for (std::uint32_t i = 0; i < handovers_per_turn; ++i) {
    if (!with_.inner.handovers.pop(handover)) return true;
    accept(handover, now);
  }
  return with_.inner.handovers.empty();
}

void DataThread::accept(const Handover& handover, Instant now) {
  if (handover.session == nullptr) {  // a router's clip
    owners_[handover.slot.value] = Owner{};
    return domain_.open(std::unique_ptr<clips::Clip>{handover.clip}, now);
  }
  WorkerSession& session = *handover.session;
  switch (handover.kind) {
    case Handover::Kind::add_session:
      bump(counters_.sessions);
      watch(epoll_.get(), EPOLL_CTL_ADD, session.doorbell.get(), EPOLLIN, reinterpret_cast<std::uint64_t>(&session));
      poll_session(session);
      return;
    case Handover::Kind::drop_session:
      forget(session);
      with_.inner.returns.push(Return{Return::Kind::session_dropped, {}, &session, nullptr});
      wake_if_sleeping(with_.inner.housekeeper_sleeping, with_.inner.housekeeper_wake.get());
      return;
    case Handover::Kind::open_clip: {
      SlotChunk*& chunk = session.chunks[handover.channel.value / SlotChunk::channels];
      if (handover.chunk != nullptr) chunk = handover.chunk;
      chunk->slot[handover.channel.value % SlotChunk::channels] = handover.slot.value;
      owners_[handover.slot.value] = Owner{&session, handover.channel};
      domain_.open(std::unique_ptr<clips::Clip>{handover.clip}, now);
      return;
    }
  }
}

bool DataThread::take_commands(Instant now) {
  Command command;
  std::uint32_t taken = 0;
  while (taken < limits::commands_per_turn && with_.block.commands.pop(command)) {
    obey(command, now);
    ++taken;
  }
  return taken != 0;
}

void DataThread::obey(const Command& command, Instant now) {
  switch (command.kind) {
    case Command::Kind::signal:
      if (!domain_.send_signal(command.link, command.to, std::span{command.signal.bytes}.first(command.signal.length), now)) {
        bump(counters_.signals_refused);
      }
      return;
    case Command::Kind::connect:
      domain_.connect(command.slot, command.to, command.label, now);
      return;
    case Command::Kind::close:
      domain_.close(command.slot, command.mode, now);
      return;
    case Command::Kind::hold_link:
    case Command::Kind::release_link:
      domain_.hold_link(command.link, command.kind == Command::Kind::hold_link);
      return;
    case Command::Kind::burst_bound:
      domain_.set_burst_bound(command.link, command.bound());
      return;
  }
}

// --- applications -------------------------------------------------------------------------------------------

bool DataThread::take_sightings(Instant since, Instant now) {
  std::uint32_t budget = sightings_per_turn;
  bool any = false;
  std::size_t at = polled_.empty() ? 0 : ++first_polled_ % polled_.size();
  for (std::size_t left = polled_.size(); left > 0 && budget > 0; --left) {
    WorkerSession& session = *polled_[at % polled_.size()];
    const std::uint32_t taken = ipc::take(session.to_worker->ready, budget, [&](std::uint32_t channel) {
      const std::uint32_t slot = session.slot_of(channel);
      if (slot == no_slot) return bump(counters_.stray_ready_bits);
      domain_.sighted(ClipSlot{slot}, since, now);
    });
    budget -= taken;
    any = any || taken != 0;
    session.idle_turns = taken != 0 ? 0 : session.idle_turns + 1;
    if (session.idle_turns < idle_turns_before_rest || !rest_session(session)) ++at;  // resting takes it off the list
    if (polled_.empty()) break;
  }
  return any;
}

void DataThread::ring_applications() {
  bells_.take([&](clips::SessionBell& bell) {
    const WorkerSession& session = *static_cast<WorkerSession::Bell&>(bell).owner;
    if (ipc::ring_if_sleeping(session.block->app_sleeping, session.doorbell.get())) bump(counters_.doorbells_out);
  });
}

void DataThread::poll_session(WorkerSession& session) {
  session.idle_turns = 0;
  if (std::exchange(session.polled, true)) return;
  session.to_worker->sleeping.exchange(0, std::memory_order_seq_cst);
  polled_.push_back(&session);
}

bool DataThread::rest_session(WorkerSession& session) {
  session.to_worker->sleeping.exchange(1, std::memory_order_seq_cst);
  for (auto& summary : session.to_worker->ready.summary) {
    if (summary.load(std::memory_order_seq_cst) == 0) continue;
    session.to_worker->sleeping.exchange(0, std::memory_order_seq_cst);
    session.idle_turns = 0;
    return false;
  }
  session.polled = false;
  const auto here = std::ranges::find(polled_, &session);
  *here = polled_.back();
  polled_.pop_back();
  return true;
}

void DataThread::forget(WorkerSession& session) {
  watch(epoll_.get(), EPOLL_CTL_DEL, session.doorbell.get(), 0, 0);
  if (session.polled) {
    session.polled = false;
    const auto here = std::ranges::find(polled_, &session);
    *here = polled_.back();
    polled_.pop_back();
  }
  bump(counters_.sessions, static_cast<std::uint64_t>(-1));
}

// --- what the domain tells ----------------------------------------------------------------------------------

void DataThread::signal_received(std::uint32_t link, const Endpoint& from, std::span<const std::byte> bytes, Instant /*now*/) {
  if (bytes.size() > limits::signal_bytes) return bump(counters_.signals_too_long);
  Report report{.kind = Report::Kind::signal, .link = link, .slot = {}, .from = from};
  report.signal.length = static_cast<std::uint32_t>(bytes.size());
  std::memcpy(report.signal.bytes.data(), bytes.data(), bytes.size());
  if (!with_.block.reports.push(report)) return bump(counters_.signals_dropped);  // RTCOP sends it again
  wake_if_sleeping(with_.block.control_sleeping, with_.control_fd);
}

void DataThread::clip_closed(std::unique_ptr<clips::Clip> clip) {
  ring_applications();  // once it is returned, the housekeeper may unmap what a bell of it refers to
  const ClipSlot slot = clip->spec.slot;
  Owner& owner = owners_[slot.value];
  if (owner.session != nullptr) {
    SlotChunk* chunk = owner.session->chunks[owner.channel.value / SlotChunk::channels];
    chunk->slot[owner.channel.value % SlotChunk::channels] = no_slot;
  }
  WorkerSession* session = std::exchange(owner, Owner{}).session;
  [[maybe_unused]] const bool pushed =
      with_.inner.returns.push(Return{Return::Kind::clip_closed, slot, session, clip.release()});
  assert(pushed);
  wake_if_sleeping(with_.inner.housekeeper_sleeping, with_.inner.housekeeper_wake.get());
}

void DataThread::client_violated(ClipSlot slot) { report(Report{.kind = Report::Kind::client_violated, .link = 0, .slot = slot, .from = {}}); }

void DataThread::contract_violated(ClipSlot slot, Instant /*now*/) {
  report(Report{.kind = Report::Kind::contract_violated, .link = 0, .slot = slot, .from = {}});
}

void DataThread::report(const Report& report) {
  if (!unsent_.empty() || !with_.block.reports.push(report)) {
    // At most one of each kind per clip matters; more is the same news.
    if (unsent_.size() < unsent_.capacity()) unsent_.push_back(report);
    return;
  }
  wake_if_sleeping(with_.block.control_sleeping, with_.control_fd);
}

void DataThread::send_unsent() {
  const std::size_t sent = with_.block.reports.push(std::span<const Report>{unsent_});
  unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(sent));
  if (sent != 0) wake_if_sleeping(with_.block.control_sleeping, with_.control_fd);
}

// --- sleeping -----------------------------------------------------------------------------------------------

void DataThread::pause(Instant due, bool worked) {
  const Instant now = RawClock::now();
  if (now - counters_published_ >= counters_interval) publish_counters(now);
  const Pacing::Decision decision = pacing_.after_turn(now, due, worked);
  look_due_ = now + limits::look_patience;
  switch (decision.kind) {
    case Pacing::Decision::Kind::run:
      if (now - events_seen_ >= event_look_interval) wait_for_events(Duration{0});
      return;
    case Pacing::Decision::Kind::forced: {
      bump(counters_.forced_pauses);
      const auto length = (decision.until - now).count();
      const timespec pause{0, length};  // below one period, far below a second
      look_due_ = decision.until + limits::look_patience;
      clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, nullptr);
      pacing_.slept(now, RawClock::now());
      return;
    }
    case Pacing::Decision::Kind::sleep:
      if (nothing_waits()) {
        const bool sending = now - sighted_last_ < sending_lasts;
        sleep(sending ? std::min(decision.until, now + limits::look_interval) : decision.until, now);
      }
      with_.block.worker_sleeping.store(0, std::memory_order_relaxed);
      return;
  }
}

void DataThread::sleep(Instant until, Instant now) {
  publish_counters(now);
  bump(counters_.sleeps);
  const auto awake = static_cast<std::uint64_t>((now - awake_since_).count());
  bump(counters_.busy_ns, awake);
  raise(counters_.longest_awake_ns, awake);
  look_due_ = until == never ? never : until + limits::look_patience;
  wait_for_events(until == never ? Duration::max() : until - RawClock::now());
  awake_since_ = RawClock::now();
  pacing_.slept(now, awake_since_);
  if (until != never && awake_since_ > until) {
    raise(counters_.late_wakeups_ns, static_cast<std::uint64_t>((awake_since_ - until).count()));
  }
}

// Announces to everybody that we sleep, then looks once more.
bool DataThread::nothing_waits() {
  with_.block.worker_sleeping.exchange(1, std::memory_order_seq_cst);
  for (std::size_t i = polled_.size(); i > 0; --i) {
    if (!rest_session(*polled_[i - 1])) return false;
  }
  return with_.block.commands.empty() && with_.inner.handovers.empty() && unsent_.empty() &&
         !with_.inner.stop.load(std::memory_order_seq_cst);
}

// While polled input has no budget its descriptors stay readable: not to be woken by them.
void DataThread::watch_best_effort(Instant now) {
  const bool wanted = domain_.best_effort_resumes() <= now;
  if (wanted == best_effort_watched_) return;
  best_effort_watched_ = wanted;
  for (const clips::LinkConfig& link : with_.links) {
    for (const auto cls : {link::TrafficClass::best_effort, link::TrafficClass::middle}) {
      const int fd = link.driver->fd(cls);
      if (fd >= 0) watch(epoll_.get(), EPOLL_CTL_MOD, fd, wanted ? std::uint32_t{EPOLLIN} : 0u, event_link);
    }
  }
}

void DataThread::wait_for_events(Duration at_most) {
  std::array<epoll_event, 64> events;
  timespec timeout{};
  if (at_most > 0ns && at_most != Duration::max()) {
    timeout = {at_most.count() / 1'000'000'000, at_most.count() % 1'000'000'000};
  }
  if (at_most > 0ns) watch_best_effort(RawClock::now());
  const int n = epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()),
                             at_most == Duration::max() ? nullptr : &timeout, nullptr);
  events_seen_ = RawClock::now();
  for (int i = 0; i < n; ++i) {
    const std::uint64_t what = events[static_cast<std::size_t>(i)].data.u64;
    if (what == event_wake) {
      drain_eventfd(with_.wake_fd);
    } else if (what != event_link) {
      auto& session = *reinterpret_cast<WorkerSession*>(what);
      bump(counters_.doorbells_in);
      // The other end is closed: control will drop the session; until then it must not keep us awake.
      if (!ipc::drain(session.doorbell.get())) watch(epoll_.get(), EPOLL_CTL_DEL, session.doorbell.get(), 0, 0);
      poll_session(session);
    }
  }
}

void DataThread::publish_counters(Instant now) {
  counters_published_ = now;
  copy_counters(domain_.counters(), with_.block.domain);
  for (std::size_t i = 0; i < with_.links.size(); ++i) copy_counters(with_.links[i].driver->counters(), with_.block.links[i]);
}

}  // namespace rtchan::rtcd
