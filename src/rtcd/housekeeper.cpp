#include "rtcd/housekeeper.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "clips/clip.hpp"
#include "rtcd/eventfd.hpp"

namespace rtchan::rtcd {

void send_answer(int socket, Answer::Kind kind, SessionId session, ClipSlot slot, std::string_view text) {
  Answer answer{.kind = kind, .session = session, .slot = slot};
  answer.text[text.copy(answer.text.data(), answer.text.size() - 1)] = '\0';
  // Waits while control is behind; fails only when it is gone, which the next receive says.
  while (ipc::send_packet(socket, std::as_bytes(std::span{&answer, 1})) == ipc::Transfer::would_block) {
    pollfd writable{socket, POLLOUT, 0};
    poll(&writable, 1, -1);
  }
}

Housekeeper::~Housekeeper() { take_returns(); }

void Housekeeper::run() {
  const int wake = with_.inner.housekeeper_wake.get();
  for (;;) {
    take_returns();
    with_.inner.housekeeper_sleeping.exchange(1, std::memory_order_seq_cst);
    const bool look = !with_.inner.returns.empty();
    pollfd fds[2] = {{with_.socket, POLLIN, 0}, {wake, POLLIN, 0}};
    if (poll(fds, 2, look ? 0 : -1) < 0 && errno != EINTR) return;
    with_.inner.housekeeper_sleeping.store(0, std::memory_order_seq_cst);
    if (fds[1].revents != 0) drain_eventfd(wake);
    if (fds[0].revents != 0 && !obey_next()) return;
  }
}

bool Housekeeper::obey_next() {
  std::vector<ipc::Fd> descriptors;
  const ipc::Transfer got = ipc::receive_packet(with_.socket, buffer_, descriptors);
  if (got == ipc::Transfer::would_block) return true;
  const bool short_of_descriptors = got == ipc::Transfer::failed && errno == EMSGSIZE;  // MSG_CTRUNC: the table is full
  if ((got != ipc::Transfer::done && !short_of_descriptors) || buffer_.size() < sizeof(Order)) return false;  // control is gone
  Order order;
  std::memcpy(&order, buffer_.data(), sizeof order);
  switch (order.kind) {
    case Order::Kind::map_session: map_session(order, std::move(descriptors)); return true;
    case Order::Kind::activate_session: activate_session(order.session); return true;
    case Order::Kind::drop_session: drop_session(order.session); return true;
    case Order::Kind::open_clip: open_clip(order); return true;
    case Order::Kind::forget_clip:
      if (const auto found = sessions_.find(order.session); found != sessions_.end()) found->second.handed_back.erase(order.before);
      return true;
    case Order::Kind::quit: return false;
  }
  return false;
}

// --- sessions -----------------------------------------------------------------------------------------------

void Housekeeper::map_session(const Order& order, std::vector<ipc::Fd> descriptors) {
  if (descriptors.size() != 2) {
    return answer(Answer::Kind::failed, order.session, {}, "a worker ran out of file descriptors (RLIMIT_NOFILE)");
  }
  auto arena = ArenaMap::map(descriptors[0].get());  // the descriptor goes: at most one a session stays
  if (!arena) return answer(Answer::Kind::failed, order.session, {}, arena.error());
  if (auto present = arena->populate(0, ipc::queues_offset); !present) {
    return answer(Answer::Kind::failed, order.session, {}, present.error());
  }
  sessions_[order.session].memory =
      std::make_unique<WorkerSession>(order.session, std::move(*arena), std::move(descriptors[1]), with_.worker);
  answer(Answer::Kind::mapped, order.session);
}

void Housekeeper::activate_session(SessionId id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  // Again, now that no hole can be punched any more.
  if (auto present = session.memory->arena.populate(0, ipc::queues_offset); !present) {
    return answer(Answer::Kind::failed, id, {}, present.error());
  }
  session.active = true;
  hand_over({.kind = Handover::Kind::add_session, .session = session.memory.get()});
  answer(Answer::Kind::active, id);
}

void Housekeeper::drop_session(SessionId id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return answer(Answer::Kind::dropped, id);
  Session& session = found->second;
  session.dropping = true;
  if (session.active) {
    hand_over({.kind = Handover::Kind::drop_session, .session = session.memory.get()});
  } else {
    session.returned = true;
  }
  release_if_done(id);
}

void Housekeeper::release_if_done(SessionId id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end() || !found->second.returned || found->second.clips != 0) return;
  sessions_.erase(found);
  answer(Answer::Kind::dropped, id);
}

// --- clips --------------------------------------------------------------------------------------------------

void Housekeeper::open_clip(const Order& order) {
  const ClipSlot slot = order.spec.slot;
  if (order.spec.role == clips::Role::forward) {  // a router's: no application, no shared memory
    auto clip = clips::make_clip(order.spec, nullptr, nullptr);
    hand_over({.kind = Handover::Kind::open_clip, .session = nullptr, .clip = clip.release(), .slot = slot});
    return answer(Answer::Kind::clip_ready, order.session, slot);
  }
  const auto found = sessions_.find(order.session);
  if (found == sessions_.end() || !found->second.active || found->second.dropping) {
    return answer(Answer::Kind::clip_failed, order.session, slot, "its session is gone");
  }
  Session& session = found->second;
  WorkerSession& memory = *session.memory;
  if (auto present = memory.arena.populate(order.queue.offset, ipc::queue_bytes(order.queue)); !present) {
    return answer(Answer::Kind::clip_failed, order.session, slot, present.error());
  }
  auto clip = make_clip(order, session);
  if (clip == nullptr) return answer(Answer::Kind::clip_failed, order.session, slot, "the queue that it takes over is gone");
  bool& chunk_given = session.chunk_given[order.channel.value / SlotChunk::channels];
  SlotChunk* chunk = std::exchange(chunk_given, true) ? nullptr : new SlotChunk;
  ++session.clips;
  hand_over({.kind = Handover::Kind::open_clip,
             .session = &memory,
             .clip = clip.release(),
             .slot = slot,
             .channel = order.channel,
             .chunk = chunk});
  answer(Answer::Kind::clip_ready, order.session, slot);  // after the handover: a command may follow at once
}

// Over a fresh queue, or with the views of the clip that went before: they know what is whose in a queue that is in use.
std::unique_ptr<clips::Clip> Housekeeper::make_clip(const Order& order, Session& session) {
  const bool sends = order.spec.role == clips::Role::outgoing;
  WorkerSession& memory = *session.memory;
  if (order.before.generation == 0) {
    std::unique_ptr<clips::MessageSource> source;
    std::unique_ptr<clips::MessageSink> sink;
    if (sends) {
      source = std::make_unique<clips::SharedSource>(memory.arena.bytes(), order.queue, order.channel, memory.bell, with_.bells);
    } else {
      sink = std::make_unique<clips::SharedSink>(memory.arena.bytes(), order.queue, order.channel, memory.bell, with_.bells);
    }
    return clips::make_clip(order.spec, std::move(source), std::move(sink));
  }
  auto found = session.handed_back.extract(order.before);
  if (found.empty() || found.mapped()->outgoing.has_value() != sends) return nullptr;
  clips::Clip& before = *found.mapped();
  clips::ClipSpec spec = order.spec;
  spec.takes_over = true;
  spec.first_message = sends ? before.outgoing->next_message() : before.incoming->next_message();
  auto clip = sends ? clips::make_clip(spec, before.outgoing->hand_over(), nullptr)
                    : clips::make_clip(spec, nullptr, before.incoming->hand_over());
  clip->counted = before.counted;
  return clip;
}

void Housekeeper::hand_over(const Handover& handover) {
  while (!with_.inner.handovers.push(handover)) {
    wake(with_.data_wake_fd);
    usleep(100);
  }
  wake_if_sleeping(with_.block.worker_sleeping, with_.data_wake_fd);
}

void Housekeeper::take_returns() {
  Return back;
  while (with_.inner.returns.pop(back)) {
    if (back.session == nullptr) {
      delete back.clip;
      answer(Answer::Kind::clip_closed, {}, back.slot);
      continue;
    }
    const SessionId id = back.session->id;
    Session& session = sessions_.at(id);
    switch (back.kind) {
      case Return::Kind::session_dropped: session.returned = true; break;
      case Return::Kind::clip_closed: {
        std::unique_ptr<clips::Clip> clip{back.clip};
        const Label label{back.slot.value, clip->spec.generation};
        if (clip->handed_back) session.handed_back.insert_or_assign(label, std::move(clip));
        --session.clips;
        answer(Answer::Kind::clip_closed, id, back.slot);
        break;
      }
    }
    release_if_done(id);
  }
}

}  // namespace rtchan::rtcd
