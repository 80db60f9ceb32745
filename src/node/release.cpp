// A channel goes: its path, its clip and its place with the application, each in its own time. What is still due is
// delivered first where both ends part in peace; capacity comes back only after the clip is closed.
#include <fmt/format.h>

#include <cassert>
#include <utility>

#include "node/state.hpp"

namespace rtchan::node {

namespace {

Error to_error(const rtcop::Gone& gone) {
  Error e;
  if (!gone.refusal) {
    e.code = gone.reason == wire::TeardownReason::gone ? Errc::peer_gone : Errc::timed_out;
    if (gone.reason == wire::TeardownReason::failed) e.code = Errc::exhausted;
    e.text = fmt::format("{} (said by {})", wire::name(gone.reason), gone.hop.text());
    return e;
  }
  const wire::Refuse& r = *gone.refusal;
  e.code = r.code;
  e.text = fmt::format("{} at {}", r.text.empty() ? "refused" : r.text, r.hop.text());
  e.refusal.hop = r.hop.text();
  e.refusal.resource = r.resource;
  e.refusal.binding_time = r.binding_time;
  e.refusal.fitting_delay = r.fitting_delay;
  e.refusal.fitting_rate = static_cast<double>(r.fitting_rate_nano) / 1e9;
  return e;
}

}  // namespace

// --- the path ---------------------------------------------------------------------------------------------------

void Node::State::gone(const rtcop::Gone& event) {
  Channel* c = channel(event.path);
  if (c == nullptr || !c->signalled) return;  // of a set-up that reserve() has turned away
  c->signalled = false;
  switch (c->role) {
    case clips::Role::outgoing: gone_outgoing(*c, event); break;
    case clips::Role::incoming: gone_incoming(*c, event); break;
    case clips::Role::forward: close_clip(*c, clips::CloseMode::drain); break;
  }
  forget_if_done(event.path);
}

// What a channel is refused for that takes less of the delay it asks for might be granted: input that bunches less, smaller
// buffers, or the delay itself. First every stage at its exact minimum; then without any slack, so that no stage has more from
// those before it than it must: if that is refused, so is every other way of sharing out the delay.
bool Node::State::less_may_do(const Channel& c, const wire::Refuse& why) const {
  if (c.setup->tight && c.setup->promised.stretch == 0) return false;
  if (why.resource == Resource::delay) return why.code == Errc::refused;
  if (why.resource == Resource::cpu) return why.code == Errc::refused && why.hop != own_address();
  const bool held = why.code == Errc::refused || why.code == Errc::permission_denied;
  return held && (why.resource == Resource::memory || why.resource == Resource::quota);
}

// What is refused for the moment only (`again`) may have some slack yet.
void Node::State::ask_for_less(Channel& c, const wire::Refuse& why) {
  if (why.again && (c.setup->tight || why.resource != Resource::delay)) return;
  if (c.setup->tight) c.setup->promised.stretch = 0;
  c.setup->tight = true;
}

// Refused, but perhaps not for good: with less where the first try took more room than it had to, or a
// moment later where others were being set up or torn down. Randomly, since two who refused each other would meet again.
bool Node::State::try_again(Channel& c, const rtcop::Gone& event) {
  constexpr std::uint32_t attempts_most = 8;
  constexpr Duration first_pause = std::chrono::milliseconds{5};
  if (c.left || closing || c.clip != ClipState::none || !event.refusal || c.attempts >= attempts_most) return false;
  const bool less = less_may_do(c, *event.refusal);
  if (event.refusal->code != Errc::refused && !less) return false;
  Duration pause{0};
  const std::uint32_t smaller = event.refusal->fragment_bytes;
  if (smaller != 0 && (c.fragment_bytes == 0 || smaller < c.fragment_bytes)) {
    c.fragment_bytes = smaller;
  } else if (event.refusal->again) {
    pause = first_pause + Duration{static_cast<std::int64_t>(
                              random.below(static_cast<std::uint64_t>(first_pause.count()) << c.attempts))};
  } else if (!less) {
    return false;
  }
  if (now + pause >= c.give_up) return false;
  if (less) ask_for_less(c, *event.refusal);
  give_queue_back(c);
  release_reservation(c);
  set_timer(now + pause, Due::retry, c.path);
  return true;
}

void Node::State::gone_outgoing(Channel& c, const rtcop::Gone& event) {
  if (go_on_rerouting(c, event)) return;
  if (c.rerouting) {
    if (!c.left && !c.destroying) return give_up_reroute(c);
    c.rerouting = false;
  } else if (c.established && event.reason == wire::TeardownReason::rerouted && !c.left && !c.destroying && !closing) {
    return begin_reroute(c, event.hop);
  }
  if (!c.established) {
    if (try_again(c, event)) return;
    if (Session* s = c.session ? session(*c.session) : nullptr) {
      --s->pending_setups;
      fail(s->id, c.request, to_error(event));
    }
    leave_application(c);
  } else if (!c.destroying && !c.left) {
    c.why = fmt::format("{} ({})", wire::name(event.reason), event.hop.text());
    bid_farewell(c, event.reason == wire::TeardownReason::closed ? ipc::Notice::Kind::peer_closed
                                                                  : ipc::Notice::Kind::peer_gone);
  }
  close_clip(c, clips::CloseMode::abandon);
}

void Node::State::gone_incoming(Channel& c, const rtcop::Gone& event) {
  if (go_on_rerouting(c, event)) return;
  if (c.rerouting) {
    if (!c.left && !c.destroying) return give_up_reroute(c);
    c.rerouting = false;
  } else if (c.established && event.reason == wire::TeardownReason::rerouted && !c.left && !c.destroying && !closing) {
    return begin_reroute(c, event.hop);
  }
  if (!c.established) {
    questions.erase(c.question);
    if (c.agreed && c.session) reply(*c.session, ipc::Aborted{c.question});
    leave_application(c);
    close_clip(c, clips::CloseMode::abandon);
    return;
  }
  if (c.destroying || c.left) {
    close_clip(c, clips::CloseMode::abandon);
    return;
  }
  const bool peaceful = event.reason == wire::TeardownReason::closed;
  c.why = fmt::format("{} ({})", wire::name(event.reason), event.hop.text());
  c.farewell = peaceful ? ipc::Notice::Kind::peer_closed : ipc::Notice::Kind::peer_gone;
  if (c.clip == ClipState::none) {
    bid_farewell(c, *c.farewell);
    return;
  }
  if (!peaceful) {
    close_clip(c, clips::CloseMode::drain);
    return;
  }
  reply(*c.session, ipc::Asked{next_question++ | teardown_question, c.destination.port, true, c.id, c.source, c.source_uid,
                               from_signal(c.qos), {}});
  // The teardown may have overtaken packets; they are due within the promise.
  c.clip = ClipState::lingering;
  set_timer(now + c.linger, Due::linger, c.path);
}

// --- the application --------------------------------------------------------------------------------------------

// The application has asked for the end of an established channel.
void Node::State::destroy(Channel& c) {
  const PathId path = c.path;
  if (c.clip == ClipState::none) {
    reply(*c.session, ipc::Done{c.destroy_request});
    leave_application(c);
    end_path(c, wire::TeardownReason::closed);  // where a new one is under way
    forget_if_done(path);
  } else if (c.role == clips::Role::outgoing) {
    close_clip(c, clips::CloseMode::drain);  // clip_gone() then ends the path
  } else {
    close_clip(c, clips::CloseMode::abandon);
    end_path(c, wire::TeardownReason::closed);
  }
}

void Node::State::bid_farewell(Channel& c, ipc::Notice::Kind kind) {
  c.farewell.reset();
  if (!c.session || c.left || c.destroying) return;
  if (closing) kind = ipc::Notice::Kind::torn_down;
  Errc end = kind == ipc::Notice::Kind::peer_closed ? Errc::peer_closed : Errc::peer_gone;
  if (closing) end = Errc::daemon_gone;
  emit(MarkQueue{*c.session, c.queue, static_cast<std::uint32_t>(end), c.voided});
  reply(*c.session, ipc::Notice{kind, c.id, c.why});
}

// The channel number and the queue memory come back once the worker does not use them either.
void Node::State::leave_application(Channel& c) {
  c.left = true;
  if (c.clip == ClipState::none) give_number_back(c);
}

void Node::State::give_number_back(Channel& c) {
  give_queue_back(c);
  if (c.handed_back.generation != 0 && c.session) emit(ForgetClip{c.home, *c.session, c.handed_back});
  c.handed_back = Label{};
  if (c.role == clips::Role::incoming && c.origin.sequence != 0) awaited.erase(c.origin);
  if (c.counted) {
    User& user = users[c.uid];
    --user.channels;
    if (user.channels == 0 && user.memory_bytes == 0 && user.packet_buffers == 0) users.erase(c.uid);
    c.counted = false;
  }
  if (Session* s = c.session ? session(*c.session) : nullptr) {
    s->channels.erase(c.id);
    s->free_channels.push_back(c.id);
    s->paths.erase(c.path);
  }
  c.session.reset();
}

void Node::State::give_queue_back(Channel& c) {
  if (!c.queue_offset) return;
  users[c.uid].memory_bytes -= c.queue_bytes;
  if (Session* s = c.session ? session(*c.session) : nullptr) s->arena.give(*c.queue_offset, c.queue_bytes);
  c.queue_offset.reset();
  c.queue_bytes = 0;
}

// --- the clip ---------------------------------------------------------------------------------------------------

void Node::State::close_clip(Channel& c, clips::CloseMode mode) {
  switch (c.clip) {
    case ClipState::none: return;
    case ClipState::closing:
      if (c.closing_mode == mode || mode != clips::CloseMode::abandon) return;
      break;  // it drains, or is handed back: now abandon
    case ClipState::opening:
    case ClipState::ready:
    case ClipState::lingering: break;
  }
  // What passes through is still due further on.
  if (c.role == clips::Role::forward && c.clip == ClipState::ready && mode == clips::CloseMode::drain) {
    c.clip = ClipState::lingering;
    set_timer(now + c.linger, Due::linger, c.path);
    return;
  }
  c.clip = ClipState::closing;
  c.closing_mode = mode;
  emit(CloseClip{c.place.worker, *c.slot, mode});
}

void Node::State::clip_closed(std::uint32_t worker, ClipSlot slot) {
  Channel* c = channel_at(worker, slot);
  if (c == nullptr || c->clip == ClipState::none) return;
  clip_gone(*c);
}

void Node::State::clip_gone(Channel& c) {
  const PathId path = c.path;
  c.clip = ClipState::none;
  if (c.closing_mode == clips::CloseMode::hand_back && c.slot) c.handed_back = Label{c.slot->value, c.generation};
  c.closing_mode = clips::CloseMode::drain;
  release_reservation(c);
  if (c.rerouting && !c.left && !c.destroying && !c.signalled) ask_again(c);
  if (c.farewell) bid_farewell(c, *c.farewell);
  if (c.destroying && !c.left && c.session) {
    reply(*c.session, ipc::Done{c.destroy_request});
    c.left = true;
  }
  if (c.left) give_number_back(c);
  const bool ended_by_us = c.destroying || c.left;
  // `c` may be gone after this.
  end_path(c, ended_by_us ? wire::TeardownReason::closed : wire::TeardownReason::failed);
  forget_if_done(path);
}

void Node::State::end_path(Channel& c, wire::TeardownReason reason) {
  if (c.signalled) engine_step(rtcop::Close{c.path, reason});
}

// --- the rest ---------------------------------------------------------------------------------------------------

void Node::State::release_reservation(Channel& c) {
  if (c.slot) {
    clips[c.place.worker][c.slot->value] = PathId{};
    books.slots()[c.place.worker].give(*c.slot);
    c.slot.reset();
  }
  if (c.packet_buffers > 0) {
    User& user = users[c.uid];
    user.packet_buffers -= std::exchange(c.packet_buffers, 0);
    if (user.channels == 0 && user.memory_bytes == 0 && user.packet_buffers == 0) users.erase(c.uid);
  }
  if (c.reserved) books.release(c.path, now);
  c.reserved = false;
}

void Node::State::forget_if_done(const PathId& path) {
  const auto found = channels.find(path);
  if (found == channels.end()) return;
  Channel& c = found->second;
  if (c.signalled || c.clip != ClipState::none) return;
  if (c.role != clips::Role::forward && !c.left) {
    release_reservation(c);
    return;  // the application still reads what is there
  }
  release_reservation(c);
  if (c.session) give_number_back(c);
  channels.erase(found);
}

}  // namespace rtchan::node
