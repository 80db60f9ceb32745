// The second thread of a worker, without real-time class: everything of a channel's life that takes long. It maps
// arenas, prefaults queues, allocates clips and hands them to the data thread; gets the closed ones back and frees them.
//
// Obeys control's orders in their order. May block: on its socket, on memory, on a full ring to the data thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "clips/clip.hpp"
#include "clips/shared_queues.hpp"
#include "ipc/packet_socket.hpp"
#include "rtcd/worker_messages.hpp"
#include "rtcd/worker_session.hpp"

namespace rtchan::rtcd {

// Answers travel as datagrams; `text` is cut to what fits.
void send_answer(int socket, Answer::Kind kind, SessionId session, ClipSlot slot, std::string_view text = {});

class Housekeeper {
 public:
  struct Surroundings {
    std::uint32_t worker;          // our number: which part of a session block is ours
    int socket;                    // orders in, answers out
    int data_wake_fd;              // the data thread's eventfd
    WorkerBlock& block;
    InnerRings& inner;
    clips::BellList& bells;        // the data thread's
  };
  explicit Housekeeper(const Surroundings& surroundings) : with_(surroundings) {}
  ~Housekeeper();
  Housekeeper(const Housekeeper&) = delete;
  Housekeeper& operator=(const Housekeeper&) = delete;

  // Until control orders to quit or is gone. The data thread must run, and must be stopped (inner.stop) afterwards.
  void run();

 private:
  struct Session {
    std::unique_ptr<WorkerSession> memory;
    std::array<bool, WorkerSession::chunks_most> chunk_given{};
    std::uint32_t clips = 0;       // with the data thread
    std::map<Label, std::unique_ptr<clips::Clip>> handed_back;  // the application goes on with their queues
    bool active = false;           // the data thread knows it
    bool dropping = false;         // control wants it gone
    bool returned = false;         // the data thread has forgotten it
  };

  bool obey_next();                // false: quit
  void map_session(const Order& order, std::vector<ipc::Fd> descriptors);
  void activate_session(SessionId id);
  void drop_session(SessionId id);
  void open_clip(const Order& order);
  [[nodiscard]] std::unique_ptr<clips::Clip> make_clip(const Order& order, Session& session);
  void take_returns();
  void release_if_done(SessionId id);
  void hand_over(const Handover& handover);
  void answer(Answer::Kind kind, SessionId session, ClipSlot slot = {}, std::string_view text = {}) {
    send_answer(with_.socket, kind, session, slot, text);
  }

  Surroundings with_;
  std::vector<std::byte> buffer_;
  std::map<SessionId, Session> sessions_;
};

}  // namespace rtchan::rtcd
