// A client of rtcd that speaks the control protocol by hand: what librtc does for honest applications, open to
// every kind of misbehaviour. Blocking, single-threaded, bounded waits.
#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ipc/app_view.hpp"
#include "ipc/requests.hpp"

namespace rtchan::testing {

class RawClient {
 public:
  RawClient() = default;
  RawClient(RawClient&& other) noexcept;
  RawClient& operator=(RawClient&&) = delete;
  ~RawClient();

  // Steps of an honest session, apart, so that a test can stop between any two.
  bool connect(const std::string& socket);
  bool hello();    // Hello, Welcome: arena and doorbells are ours
  bool mapped();   // maps the arena; Mapped, Ready
  bool open(const std::string& socket) { return connect(socket) && hello() && mapped(); }

  bool send(const ipc::Request& request, bool wait = true);
  // The next reply of type T, answering agents' questions with yes meanwhile; other replies are kept.
  template <class T>
  std::optional<T> await(std::chrono::milliseconds patience = std::chrono::seconds{5}) {
    const auto end = std::chrono::steady_clock::now() + patience;
    for (;;) {
      for (auto it = kept_.begin(); it != kept_.end(); ++it) {
        if (T* found = std::get_if<T>(&*it)) {
          T result = std::move(*found);
          kept_.erase(it);
          return result;
        }
      }
      if (!receive_one(end)) return std::nullopt;
    }
  }
  // True once the daemon has closed the session.
  bool evicted(std::chrono::milliseconds patience);

  bool listen(std::uint16_t port);
  std::optional<ipc::Created> create(const std::string& destination, const Qos& qos);
  std::string query(const std::string& what);  // JSON; empty: no answer

  void ring(std::uint32_t worker) noexcept;
  // Publishes one message honestly. False: no room.
  bool publish(ipc::SendEnd& end, const ipc::Created& channel, std::span<const std::byte> message);

  [[nodiscard]] std::span<std::byte> arena() const noexcept { return arena_; }
  [[nodiscard]] ipc::SessionBlock& block() const noexcept {
    return *reinterpret_cast<ipc::SessionBlock*>(arena_.data());
  }
  [[nodiscard]] int arena_fd() const noexcept { return arena_fd_; }
  [[nodiscard]] int control_fd() const noexcept { return control_; }
  [[nodiscard]] const std::vector<int>& doorbells() const noexcept { return doorbells_; }

 private:
  bool receive_one(std::chrono::steady_clock::time_point until);

  int control_ = -1;
  int arena_fd_ = -1;
  std::vector<int> doorbells_;
  std::span<std::byte> arena_{};
  std::uint64_t arena_bytes_ = 0;
  std::uint32_t next_request_ = 1;
  std::deque<ipc::Reply> kept_;
  bool closed_ = false;
};

}  // namespace rtchan::testing
